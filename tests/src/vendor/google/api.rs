//! The Artifact Registry API (discovery document `artifactregistry.v1`, revision 20261031), as far as it lists.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{API, GCR, Google, PKG, PROJECT, SCOPED_PROJECT};
use crate::vendor::message::{Answer, Received, json as answer_json, with_header};
use crate::vendor::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use crate::vendor::store::{Repository, rfc3339};

const SOURCE: &str = "discovery document artifactregistry.v1, revision 20261031";
/// Items of a page without `pageSize`: "the service selects a default".
const DEFAULT_PAGE: usize = 100;
/// "Will contain up to 100 tags that reference this version."
const MAX_RELATED_TAGS: usize = 100;

const BEARER: Parameter = Parameter::required(
    "authorization",
    Kind::Like { example: "Bearer x", counterexample: "Basic x", fits: |value| value.starts_with("Bearer ") },
);

/// The query of an operation: its own parameters, and those of every one.
macro_rules! query {
    ($($own:expr),*) => {
        &[
            $($own,)*
            Parameter::optional("pageSize", Kind::Integer { min: 0, max: 1000 }),
            Parameter::optional("pageToken", Kind::Text { min: 0, max: usize::MAX }),
            Parameter::optional("$.xgafv", Kind::OneOf(&["1", "2"])),
            Parameter::optional("access_token", Kind::TEXT),
            Parameter::optional("alt", Kind::OneOf(&["json", "media", "proto"])),
            Parameter::optional("callback", Kind::TEXT),
            Parameter::optional("fields", Kind::TEXT),
            Parameter::optional("key", Kind::TEXT),
            Parameter::optional("oauth_token", Kind::TEXT),
            Parameter::optional("prettyPrint", Kind::BOOLEAN),
            Parameter::optional("quotaUser", Kind::Text { min: 1, max: 40 }),
            Parameter::optional("uploadType", Kind::TEXT),
            Parameter::optional("upload_protocol", Kind::TEXT),
        ]
    };
}

const FILTER: Parameter = Parameter::optional("filter", Kind::TEXT);
const ORDER: Parameter = Parameter::optional("orderBy", Kind::TEXT);
const VIEW: Parameter =
    Parameter::optional("view", Kind::OneOf(&["VERSION_VIEW_UNSPECIFIED", "BASIC", "FULL"]));

const REPOSITORIES: &str = "artifactregistry.projects.locations.repositories.list";
const PACKAGES: &str = "artifactregistry.projects.locations.repositories.packages.list";
const TAGS: &str = "artifactregistry.projects.locations.repositories.packages.tags.list";
const VERSIONS: &str = "artifactregistry.projects.locations.repositories.packages.versions.list";

const fn get(id: &'static str, path: &'static str, query: &'static [Parameter]) -> Operation {
    let (methods, headers, body) = (&["GET"] as &[_], &[BEARER] as &[_], Payload::Nothing);
    Operation { id, source: SOURCE, host: API, methods, path: Cow::Borrowed(path), query, headers, body }
}

/// What is called.
pub(super) const TABLE: [Operation; 4] = [
    get(REPOSITORIES, "/v1/projects/{project}/locations/{location}/repositories", query!(FILTER, ORDER)),
    get(
        PACKAGES,
        "/v1/projects/{project}/locations/{location}/repositories/{repository}/packages",
        query!(FILTER, ORDER),
    ),
    get(
        TAGS,
        "/v1/projects/{project}/locations/{location}/repositories/{repository}/packages/{package}/tags",
        query!(FILTER),
    ),
    get(
        VERSIONS,
        "/v1/projects/{project}/locations/{location}/repositories/{repository}/packages/{package}/versions",
        query!(FILTER, ORDER, VIEW),
    ),
];

/// Repositories that are there without an image in them: name, format, mode.
const OTHERS: [(&str, &str, &str); 3] = [
    ("empty", "DOCKER", "STANDARD_REPOSITORY"),
    ("all-of-them", "DOCKER", "VIRTUAL_REPOSITORY"),
    ("java", "MAVEN", "STANDARD_REPOSITORY"),
];

/// An error (google.rpc.Status, with google.rpc.ErrorInfo for the reason).
pub(super) fn error(status: u16, name: &str, reason: Option<&str>) -> Answer {
    let info = |reason| json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason });
    let details: Vec<Value> = reason.map(info).into_iter().collect();
    answer_json(
        status,
        &json!({ "error": { "code": status, "message": "a message", "status": name, "details": details } }),
    )
}

impl Google {
    pub(super) fn answer_api(
        &self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let Some(account) = request.bearer().and_then(|token| self.of_access_token(token, request.at)) else {
            let challenge = "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"";
            let refusal = error(401, "UNAUTHENTICATED", Some("ACCESS_TOKEN_EXPIRED"));
            return Ok(with_header(refusal, "www-authenticate", challenge));
        };
        if self.api_disabled {
            return Ok(error(403, "PERMISSION_DENIED", Some("SERVICE_DISABLED")));
        }
        let project = path["project"].replacen(':', "/", 1);
        // A project that is not there is no one's to see.
        if !account.may_list() || ![PROJECT, SCOPED_PROJECT].contains(&project.as_str()) {
            return Ok(error(403, "PERMISSION_DENIED", Some("IAM_PERMISSION_DENIED")));
        }
        if operation == REPOSITORIES {
            return Ok(paged(request, "repositories", self.repositories(&project, path)));
        }
        let (host, names) = match (path["location"].as_str(), path["repository"].as_str()) {
            ("europe", "eu.gcr.io") => (GCR, format!("{project}/")),
            ("europe-west4", repository) => (PKG, format!("{project}/{repository}/")),
            _ => return Ok(error(404, "NOT_FOUND", None)),
        };
        if path["repository"] == "all-of-them" || path["repository"] == "java" {
            return Err(Violation::new(400, "a repository without images of its own is read"));
        }
        let parent = format!(
            "projects/{}/locations/{}/repositories/{}",
            path["project"], path["location"], path["repository"]
        );
        let mut images =
            self.images(host).filter_map(|(name, r)| Some((name.strip_prefix(&names)?, r))).peekable();
        if images.peek().is_none() && host == PKG && path["repository"] != "empty" {
            return Ok(error(404, "NOT_FOUND", None));
        }
        if operation == PACKAGES {
            let package = |(name, r): (&str, &Repository)| {
                let name = format!("{parent}/packages/{}", name.replace('/', "%2F"));
                json!({ "name": name, "createTime": rfc3339(r.created) })
            };
            return Ok(paged(request, "packages", images.map(package).collect()));
        }
        let Some((name, repository)) = images.find(|(name, _)| *name == path["package"]) else {
            return Ok(error(404, "NOT_FOUND", None));
        };
        let package = format!("{parent}/packages/{}", name.replace('/', "%2F"));
        Ok(if operation == TAGS {
            paged(request, "tags", tags(&package, repository, request)?)
        } else {
            let is_full = request.query("view") == Some("FULL");
            paged(request, "versions", versions(&package, repository, is_full))
        })
    }

    fn images(&self, host: &str) -> impl Iterator<Item = (&str, &Repository)> {
        let store = self.stores.get(host).into_iter();
        store.flat_map(|store| store.repositories.iter().map(|(name, r)| (name.as_str(), r)))
    }

    fn repositories(&self, project: &str, path: &PathValues) -> Vec<Value> {
        let prefix = format!("{project}/");
        let own = |name: &str| Some(name.strip_prefix(&prefix)?.split('/').next()?.to_owned());
        let mut all: BTreeSet<(String, &str, &str)> = match path["location"].as_str() {
            "europe-west4" => {
                let found = self.images(PKG).filter_map(|(name, _)| own(name));
                found.map(|id| (id, "DOCKER", "STANDARD_REPOSITORY")).collect()
            }
            _ => return Vec::new(),
        };
        all.extend(OTHERS.map(|(id, format, mode)| (id.to_owned(), format, mode)));
        let resource = |(id, format, mode)| {
            let parent = format!("projects/{}/locations/{}", path["project"], path["location"]);
            json!({ "name": format!("{parent}/repositories/{id}"), "format": format, "mode": mode })
        };
        // In no order that anyone was promised.
        all.into_iter().map(resource).rev().collect()
    }
}

/// The tags of a package, those of one version if the filter says so.
fn tags(package: &str, repository: &Repository, request: &Received) -> Result<Vec<Value>, Violation> {
    let version = match request.query("filter") {
        None => None,
        Some(filter) => {
            let name = filter.strip_prefix("version=\"").and_then(|rest| rest.strip_suffix('"'));
            let digest = name.and_then(|name| name.strip_prefix(&format!("{package}/versions/")));
            Some(digest.ok_or_else(|| Violation::new(400, "a filter that is not understood"))?)
        }
    };
    let wanted = repository.tags.iter().filter(|(_, tag)| version.is_none_or(|v| tag.digest.as_str() == v));
    Ok(wanted.map(|(name, tag)| resource(package, name, tag.digest.as_str())).collect())
}

fn versions(package: &str, repository: &Repository, is_full: bool) -> Vec<Value> {
    let tags = repository.tags_by_digest();
    let version = |(digest, manifest): (&regent_oci::Digest, &crate::vendor::store::Manifest)| {
        let mut version = json!({
            "name": format!("{package}/versions/{digest}"),
            "createTime": rfc3339(manifest.pushed),
            "updateTime": rfc3339(manifest.pushed + 1),
        });
        if is_full {
            let related = tags.get(digest).into_iter().flatten().take(MAX_RELATED_TAGS);
            version["relatedTags"] = related.map(|tag| resource(package, tag, digest.as_str())).collect();
            version["metadata"] = json!({
                "imageSizeBytes": manifest.size.to_string(), "mediaType": manifest.media_type,
                "name": format!("{package}/dockerImages/{digest}"),
            });
        }
        version
    };
    repository.manifests.iter().map(version).collect()
}

fn resource(package: &str, tag: &str, digest: &str) -> Value {
    json!({ "name": format!("{package}/tags/{tag}"), "version": format!("{package}/versions/{digest}") })
}

/// A page. An empty list is left out, and so is the token behind the last page.
fn paged(request: &Received, key: &str, all: Vec<Value>) -> Answer {
    let size = request.number("pageSize").filter(|size| *size > 0).unwrap_or(DEFAULT_PAGE);
    let start = match request.query("pageToken").filter(|token| !token.is_empty()) {
        None => 0,
        // With what has to be escaped in a URL.
        Some(token) => match token.strip_prefix("a/+b=").and_then(|offset| offset.parse().ok()) {
            Some(offset) => offset,
            None => return error(400, "INVALID_ARGUMENT", None),
        },
    };
    let total = all.len();
    let page: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let mut answer = json!({});
    if !page.is_empty() {
        answer[key] = Value::from(page);
    }
    if start + size < total {
        answer["nextPageToken"] = json!(format!("a/+b={}", start + size));
    }
    answer_json(200, &answer)
}
