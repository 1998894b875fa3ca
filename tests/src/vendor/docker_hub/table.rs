//! What Docker Hub takes (docker/docs, `content/reference/api/hub/latest.yaml`; docker/hub-tool for the organizations).

use std::borrow::Cow;

use crate::vendor::operation::{Kind, Operation, Parameter, Payload};

pub(super) const API: &str = "hub.docker.com";
pub(super) const REGISTRY: &str = "registry-1.docker.io";
pub(super) const AUTH: &str = "auth.docker.io";
pub(super) const STORAGE: &str = "production.cloudfront.docker.com";
pub(super) const SERVICE: &str = "registry.docker.io";
const SOURCE: &str = "docker/docs, content/reference/api/hub/latest.yaml";

const BEARER: Kind = Kind::Like {
    example: "Bearer x",
    counterexample: "JWT x",
    fits: |value| value.strip_prefix("Bearer ").is_some_and(|token| !token.starts_with("dckr_")),
};
const PAGE: Parameter = Parameter::optional("page", Kind::Integer { min: 1, max: u64::MAX });
const PAGE_SIZE: Parameter = Parameter::optional("page_size", Kind::Integer { min: 1, max: 100 });
const ORDERINGS: Kind =
    Kind::OneOf(&["name", "-name", "last_updated", "-last_updated", "pull_count", "-pull_count"]);

const fn api(
    id: &'static str,
    path: &'static str,
    query: &'static [Parameter],
    headers: &'static [Parameter],
) -> Operation {
    let (host, methods, body) = (API, &["GET"] as &[_], Payload::Nothing);
    Operation { id, source: SOURCE, host, methods, path: Cow::Borrowed(path), query, headers, body }
}

const VISITORS_TOO: &[Parameter] = &[Parameter::optional("authorization", BEARER)];

pub(super) const TABLE: [Operation; 5] = [
    Operation {
        id: "AuthCreateAccessToken",
        source: SOURCE,
        host: API,
        methods: &["POST"],
        path: Cow::Borrowed("/v2/auth/token"),
        query: &[],
        headers: &[],
        body: Payload::Json(&[
            Parameter::required("identifier", Kind::TEXT),
            Parameter::required("secret", Kind::TEXT),
        ]),
    },
    api(
        "listNamespaceRepositories",
        "/v2/namespaces/{namespace}/repositories",
        &[
            PAGE,
            PAGE_SIZE,
            Parameter::optional("name", Kind::TEXT),
            Parameter::optional("ordering", ORDERINGS),
        ],
        VISITORS_TOO,
    ),
    api(
        "ListRepositoryTags",
        "/v2/namespaces/{namespace}/repositories/{repository}/tags",
        &[PAGE, PAGE_SIZE],
        VISITORS_TOO,
    ),
    Operation {
        id: "organizations",
        source: "docker/hub-tool, pkg/hub/organizations.go",
        host: API,
        methods: &["GET"],
        path: Cow::Borrowed("/v2/user/orgs/"),
        query: &[PAGE, PAGE_SIZE],
        headers: &[Parameter::required("authorization", BEARER)],
        body: Payload::Nothing,
    },
    Operation {
        id: "token",
        source: "distribution/distribution, docs/content/spec/auth/token.md",
        host: AUTH,
        methods: &["GET"],
        path: Cow::Borrowed("/token"),
        query: &[
            Parameter::required("service", Kind::OneOf(&[SERVICE])),
            Parameter::optional("scope", Kind::TEXT).repeated(),
            Parameter::optional("client_id", Kind::TEXT),
            Parameter::optional("offline_token", Kind::BOOLEAN),
            Parameter::optional("account", Kind::TEXT),
        ],
        headers: &[],
        body: Payload::Nothing,
    },
];
