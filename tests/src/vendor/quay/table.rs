//! What Quay takes (quay/quay, `endpoints/api` and `endpoints/v2`; there is no document but the source).

use std::borrow::Cow;

use crate::vendor::operation::{Kind, Operation, Parameter, Payload};

pub(super) const HOST: &str = "quay.example.com";
/// Another name of the same server.
pub(super) const OTHER_HOST: &str = "registry.quay.example.com";
pub(super) const STORAGE: &str = "cdn01.quay.example.net";
const SOURCE: &str = "quay/quay, endpoints/api/{repository,tag,user}.py";

/// Anything else is passed over, and whoever sends it is a visitor: no client means that.
const BEARER: &[Parameter] = &[Parameter::optional(
    "authorization",
    Kind::Like { example: "Bearer x", counterexample: "Basic x", fits: |value| value.starts_with("Bearer ") },
)];
/// `SCOPE_REGEX_TEMPLATE`
const SCOPE: Kind = Kind::Like {
    example: "repository:acme/app:pull",
    counterexample: "registry:catalog:*",
    fits: |scope| {
        let rest = scope.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':'));
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        rest.is_some_and(|(name, actions)| {
            is_name(name) && actions.split(',').all(|action| ["push", "pull", "*"].contains(&action))
        })
    },
};

const fn get(
    id: &'static str,
    source: &'static str,
    host: &'static str,
    path: &'static str,
    query: &'static [Parameter],
    headers: &'static [Parameter],
) -> Operation {
    let (methods, body) = (&["GET"] as &[_], Payload::Nothing);
    Operation { id, source, host, methods, path: Cow::Borrowed(path), query, headers, body }
}

const fn token(host: &'static str) -> Operation {
    const QUERY: &[Parameter] = &[
        Parameter::optional("service", Kind::OneOf(&[HOST, OTHER_HOST])),
        Parameter::optional("scope", SCOPE).repeated(),
        Parameter::optional("account", Kind::TEXT),
    ];
    get("token", "quay/quay, endpoints/v2/v2auth.py", host, "/v2/auth", QUERY, &[])
}

pub(super) const TABLE: [Operation; 5] = [
    get(
        "listRepos",
        SOURCE,
        HOST,
        "/api/v1/repository",
        &[
            Parameter::optional("next_page", Kind::TEXT),
            Parameter::optional("repo_kind", Kind::OneOf(&["image", "application"])),
            Parameter::optional("popularity", Kind::BOOLEAN),
            Parameter::optional("last_modified", Kind::BOOLEAN),
            Parameter::optional("public", Kind::BOOLEAN),
            Parameter::optional("starred", Kind::BOOLEAN),
            Parameter::optional("namespace", Kind::TEXT),
        ],
        BEARER,
    ),
    get(
        "listRepoTags",
        SOURCE,
        HOST,
        "/api/v1/repository/{repository+}/tag/",
        &[
            Parameter::optional("onlyActiveTags", Kind::BOOLEAN),
            Parameter::optional("page", Kind::Integer { min: 1, max: u64::MAX }),
            Parameter::optional("limit", Kind::Integer { min: 1, max: 100 }),
            Parameter::optional("filter_tag_name", Kind::TEXT),
            Parameter::optional("specificTag", Kind::TEXT),
        ],
        BEARER,
    ),
    get("getLoggedInUser", SOURCE, HOST, "/api/v1/user/", &[], BEARER),
    token(HOST),
    token(OTHER_HOST),
];

pub(super) const CATALOG_QUERY: &[Parameter] = &[
    Parameter::optional("n", Kind::Integer { min: 1, max: 10_000 }),
    Parameter::optional("next_page", Kind::TEXT),
    Parameter::optional("last", Kind::TEXT),
];
