//! What GitLab and its registry take.

use std::borrow::Cow;

use super::{GITLAB, REGISTRY};
use crate::vendor::operation::{Kind, Operation, Parameter, Payload};

const REST: &str = "gitlab-org/gitlab, doc/api/openapi/openapi_v2.yaml";
const V1: &str = "gitlab-org/container-registry, docs/spec/gitlab/api.md";

const TOKEN_HEADER: &[Parameter] = &[Parameter::required("private-token", Kind::TEXT)];
const PER_PAGE: Parameter = Parameter::optional("per_page", Kind::Integer { min: 1, max: 100 });
const PAGE: Parameter = Parameter::optional("page", Kind::Integer { min: 1, max: u64::MAX });
const SORT: Parameter = Parameter::optional("sort", Kind::OneOf(&["asc", "desc"]));
const ORDER_BY: Parameter =
    Parameter::optional("order_by", Kind::OneOf(&["id", "name", "path", "created_at"]));
const ROLE: Parameter =
    Parameter::optional("min_access_level", Kind::OneOf(&["10", "15", "20", "30", "40", "50"]));
const SIMPLE: Parameter = Parameter::optional("simple", Kind::BOOLEAN);
const ID_AFTER: Parameter = Parameter::optional("id_after", Kind::Integer { min: 0, max: u64::MAX });
const N: Parameter = Parameter::optional("n", Kind::Integer { min: 1, max: 1000 });
const LAST: Parameter = Parameter::optional("last", Kind::TEXT);

const fn rest(id: &'static str, path: &'static str, query: &'static [Parameter]) -> Operation {
    let (host, methods, headers, body) = (GITLAB, &["GET"] as &[_], TOKEN_HEADER, Payload::Nothing);
    Operation { id, source: REST, host, methods, path: Cow::Borrowed(path), query, headers, body }
}

const fn v1(id: &'static str, path: &'static str, query: &'static [Parameter]) -> Operation {
    let (host, methods, headers, body) = (REGISTRY, &["GET"] as &[_], &[] as &[_], Payload::Nothing);
    Operation { id, source: V1, host, methods, path: Cow::Borrowed(path), query, headers, body }
}

pub(super) const TABLE: [Operation; 8] = [
    rest(
        "getApiV4Projects",
        "/api/v4/projects",
        &[
            PAGE,
            PER_PAGE,
            ORDER_BY,
            SORT,
            ROLE,
            SIMPLE,
            ID_AFTER,
            Parameter::optional("membership", Kind::BOOLEAN),
        ],
    ),
    rest(
        "getApiV4UsersUserIdProjects",
        "/api/v4/users/{user_id}/projects",
        &[PAGE, PER_PAGE, ORDER_BY, SORT, ROLE, SIMPLE, ID_AFTER],
    ),
    rest(
        "getApiV4Groups",
        "/api/v4/groups",
        &[
            PAGE,
            PER_PAGE,
            ORDER_BY,
            SORT,
            ROLE,
            Parameter::optional("all_available", Kind::BOOLEAN),
            Parameter::optional("top_level_only", Kind::BOOLEAN),
        ],
    ),
    rest(
        "getApiV4GroupsIdRegistryRepositories",
        "/api/v4/groups/{id}/registry/repositories",
        &[PAGE, PER_PAGE],
    ),
    rest(
        "getApiV4ProjectsIdRegistryRepositories",
        "/api/v4/projects/{id}/registry/repositories",
        &[
            PAGE,
            PER_PAGE,
            Parameter::optional("tags", Kind::BOOLEAN),
            Parameter::optional("tags_count", Kind::BOOLEAN),
        ],
    ),
    v1("v1", "/gitlab/v1/", &[]),
    v1(
        "v1 tags",
        "/gitlab/v1/repositories/{name+}/tags/list/",
        &[N, LAST, Parameter::optional("before", Kind::TEXT)],
    ),
    v1("v1 repositories", "/gitlab/v1/repository-paths/{name+}/repositories/list/", &[N, LAST]),
];

/// The token service.
pub(super) const JWT: Operation = Operation {
    id: "jwt",
    source: "gitlab-org/gitlab, app/controllers/jwt_controller.rb",
    host: GITLAB,
    methods: &["GET"],
    path: Cow::Borrowed("/jwt/auth"),
    query: &[
        Parameter::required("service", Kind::OneOf(&["container_registry"])),
        Parameter::optional("scope", Kind::TEXT).repeated(),
    ],
    headers: &[],
    body: Payload::Nothing,
};
