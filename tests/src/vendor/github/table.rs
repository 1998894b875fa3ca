//! What GitHub takes.

use std::borrow::Cow;

use super::{API, REGISTRY};
use crate::vendor::operation::{Kind, Operation, Parameter, Payload};

const SOURCE: &str = "github/rest-api-description, api.github.com.json";

const HEADERS: &[Parameter] = &[
    Parameter::required(
        "authorization",
        Kind::Like { example: "Bearer x", counterexample: "Basic x", fits: |v| v.starts_with("Bearer ") },
    ),
    Parameter::optional("accept", Kind::OneOf(&["application/vnd.github+json", "application/json"])),
    // "If you specify an API version that is no longer supported, you will receive a 400 error."
    Parameter::optional("x-github-api-version", Kind::OneOf(&["2022-11-28"])),
];
const PER_PAGE: Parameter = Parameter::optional("per_page", Kind::Integer { min: 1, max: 100 });
const PAGE: Parameter = Parameter::optional("page", Kind::Integer { min: 1, max: u64::MAX });
const PACKAGES: &[Parameter] = &[
    Parameter::required(
        "package_type",
        Kind::OneOf(&["npm", "maven", "rubygems", "docker", "nuget", "container"]),
    ),
    Parameter::optional("visibility", Kind::OneOf(&["public", "private", "internal"])),
    PAGE,
    PER_PAGE,
];
const VERSIONS: &[Parameter] =
    &[PAGE, PER_PAGE, Parameter::optional("state", Kind::OneOf(&["active", "deleted"]))];

const fn get(id: &'static str, path: &'static str, query: &'static [Parameter]) -> Operation {
    let (host, methods, headers, body) = (API, &["GET"] as &[_], HEADERS, Payload::Nothing);
    Operation { id, source: SOURCE, host, methods, path: Cow::Borrowed(path), query, headers, body }
}

pub(super) const TABLE: [Operation; 8] = [
    get("users/get-authenticated", "/user", &[]),
    get("orgs/list-for-authenticated-user", "/user/orgs", &[PER_PAGE, PAGE]),
    get("packages/list-packages-for-organization", "/orgs/{owner}/packages", PACKAGES),
    get("packages/list-packages-for-user", "/users/{owner}/packages", PACKAGES),
    get("packages/list-packages-for-authenticated-user", "/user/packages", PACKAGES),
    get(
        "packages/get-all-package-versions-for-package-owned-by-org",
        "/orgs/{owner}/packages/container/{package_name}/versions",
        VERSIONS,
    ),
    get(
        "packages/get-all-package-versions-for-package-owned-by-user",
        "/users/{owner}/packages/container/{package_name}/versions",
        VERSIONS,
    ),
    get(
        "packages/get-all-package-versions-for-package-owned-by-authenticated-user",
        "/user/packages/container/{package_name}/versions",
        VERSIONS,
    ),
];

/// The token service.
pub(super) const TOKEN: Operation = Operation {
    id: "token",
    source: "the challenge of ghcr.io",
    host: REGISTRY,
    methods: &["GET"],
    path: Cow::Borrowed("/token"),
    query: &[
        Parameter::required("service", Kind::OneOf(&[REGISTRY])),
        Parameter::optional("scope", Kind::TEXT).repeated(),
    ],
    headers: &[],
    body: Payload::Nothing,
};
