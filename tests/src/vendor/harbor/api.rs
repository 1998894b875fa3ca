//! `/api/v2.0/`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Account, HOST, Harbor, Right, Visitor, error};
use crate::vendor::message::{Answer, Received, decoded, json as answer_json, text, with_header};
use crate::vendor::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use crate::vendor::store::{Repository, rfc3339};

const SOURCE: &str = "goharbor/harbor api/v2.0/swagger.yaml";

/// Its lists take Basic; what a visitor sees is another thing, which no driver should ever get.
const BASIC: Parameter = Parameter::required(
    "authorization",
    Kind::Like {
        example: "Basic eDp5",
        counterexample: "Bearer x",
        fits: |value| value.starts_with("Basic "),
    },
);
const JSON: Parameter =
    accept("application/json", |value| value.contains("*/*") || value.contains("application/json"));
const PLAIN: Parameter = accept("text/plain", |value| value.contains("*/*") || value.contains("text/plain"));

const fn accept(example: &'static str, fits: fn(&str) -> bool) -> Parameter {
    Parameter::optional("accept", Kind::Like { example, counterexample: "image/png", fits })
}

/// "maximum: 100"
const PAGE: Parameter = Parameter::optional("page", Kind::Integer { min: 1, max: u64::MAX });
const SIZE: Parameter = Parameter::optional("page_size", Kind::Integer { min: 1, max: 100 });
const FILTER: Parameter = Parameter::optional(
    "q",
    Kind::Like { example: "tags=*", counterexample: "tags", fits: |value| value == "tags=*" },
);

const fn sort(words: &'static [&'static str]) -> Parameter {
    Parameter::optional("sort", Kind::OneOf(words))
}

const fn flag(name: &'static str) -> Parameter {
    Parameter::optional(name, Kind::BOOLEAN)
}

const BY_NAME: Parameter = sort(&["name", "-name", "repository_id", "creation_time", "-creation_time"]);

const fn get(
    id: &'static str,
    path: &'static str,
    query: &'static [Parameter],
    headers: &'static [Parameter],
) -> Operation {
    let (methods, body) = (&["GET"] as &[_], Payload::Nothing);
    Operation { id, source: SOURCE, host: HOST, methods, path: Cow::Borrowed(path), query, headers, body }
}

pub(super) const OPERATIONS: [Operation; 6] = [
    get("getPing", "/api/v2.0/ping", &[], &[PLAIN]),
    get("getCurrentUserInfo", "/api/v2.0/users/current", &[], &[BASIC, JSON]),
    get(
        "listProjects",
        "/api/v2.0/projects",
        &[
            PAGE,
            SIZE,
            FILTER,
            sort(&["name", "-name", "project_id", "creation_time"]),
            Parameter::optional("name", Kind::TEXT),
            flag("public"),
            Parameter::optional("owner", Kind::TEXT),
            flag("with_detail"),
        ],
        &[BASIC, JSON],
    ),
    get("listAllRepositories", "/api/v2.0/repositories", &[PAGE, SIZE, FILTER, BY_NAME], &[BASIC, JSON]),
    get(
        "listRepositories",
        "/api/v2.0/projects/{project_name}/repositories",
        &[PAGE, SIZE, FILTER, BY_NAME],
        &[BASIC, JSON],
    ),
    get(
        "listArtifacts",
        "/api/v2.0/projects/{project_name}/repositories/{repository_name}/artifacts",
        &[
            PAGE,
            SIZE,
            FILTER,
            sort(&["id", "-id", "push_time", "-push_time", "digest"]),
            flag("with_tag"),
            flag("with_label"),
            flag("with_scan_overview"),
            flag("with_sbom_overview"),
            flag("with_immutable_status"),
            flag("with_accessory"),
            flag("with_inherited_accessory"),
        ],
        &[BASIC, JSON],
    ),
];

impl Harbor {
    pub(super) fn answer_api(
        &self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let visitor = self.visitor(request);
        let project = path.get("project_name").map_or("", String::as_str);
        Ok(match operation {
            "getPing" => text(200, "text/plain; charset=utf-8", "Pong"),
            "getCurrentUserInfo" => match &visitor {
                Visitor::Known(_, Account::Robot(..)) => error(412, "PRECONDITION"),
                Visitor::Known(name, _) => answer_json(200, &json!({ "user_id": 3, "username": name })),
                _ => error(401, "UNAUTHORIZED"),
            },
            "listProjects" => {
                let all = self.visible_projects(&visitor).into_iter().enumerate().collect();
                page(request, all, |(i, name)| json!({ "project_id": i + 1, "name": name }))
            }
            "listAllRepositories" => {
                let mut visible = self.visible_projects(&visitor);
                if self.robots_see_public_only && matches!(visitor, Visitor::Known(_, Account::Robot(..))) {
                    visible.retain(|name| self.public.contains(name));
                }
                page(request, visible.iter().flat_map(|project| self.held(project)).collect(), describe)
            }
            "listRepositories" => match self.refuse(&visitor, Right::ListRepository, project) {
                Some(refusal) => refusal,
                None => page(request, self.held(project), describe),
            },
            _ => self.list_artifacts(request, &visitor, project, &path["repository_name"])?,
        })
    }

    fn list_artifacts(
        &self,
        request: &Received,
        visitor: &Visitor,
        project: &str,
        repository: &str,
    ) -> Result<Answer, Violation> {
        // It has been decoded once.
        if repository.contains('/') {
            return Err(Violation::new(404, "a repository's name has to be encoded twice"));
        }
        if let Some(refusal) = self.refuse(visitor, Right::ListArtifact, project) {
            return Ok(refusal);
        }
        let Some(held) = self.store.get(&format!("{project}/{}", decoded(repository))) else {
            return Ok(error(404, "NOT_FOUND"));
        };
        let (tagged_only, with_tag) =
            (request.query("q").is_some(), request.query("with_tag") != Some("false"));
        let mut tags = held.tags_by_digest();
        let mut shown: Vec<_> = held
            .manifests
            .iter()
            .map(|(digest, manifest)| (digest, manifest, tags.remove(digest).unwrap_or_default()))
            .filter(|(.., tags)| !tagged_only || !tags.is_empty())
            .collect();
        // The number of its row is in the order of the pushes.
        shown.sort_by_key(|(_, manifest, _)| manifest.pushed);
        if request.query("sort").is_none() {
            shown.reverse();
        }
        Ok(page(request, shown, |(digest, manifest, tags)| {
            let tags: Vec<Value> = tags
                .into_iter()
                .map(|name| json!({ "name": name, "push_time": rfc3339(held.tags[name].pushed) }))
                .collect();
            json!({
                "id": manifest.pushed, "type": "IMAGE", "digest": digest, "size": manifest.size,
                "manifest_media_type": manifest.media_type, "push_time": rfc3339(manifest.pushed),
                "tags": if with_tag && !tags.is_empty() { Value::from(tags) } else { Value::Null },
            })
        }))
    }

    fn held(&self, project: &str) -> Vec<(&String, &Repository)> {
        let repositories = self.store.repositories.iter();
        repositories.filter(|(name, _)| name.split('/').next() == Some(project)).collect()
    }

    fn visible_projects(&self, visitor: &Visitor) -> Vec<String> {
        let mine: BTreeSet<String> = match visitor {
            Visitor::Known(_, Account::Admin | Account::Robot(None, _)) => self.projects(),
            Visitor::Known(_, Account::User(mine) | Account::Robot(Some(mine), _)) => {
                mine.iter().cloned().collect()
            }
            Visitor::Anonymous | Visitor::Bearer { .. } => BTreeSet::new(),
        };
        let all = self.projects().into_iter();
        all.filter(|name| self.public.contains(name) || mine.contains(name)).collect()
    }

    /// An unknown project is forbidden like a foreign one, but for who may do it everywhere.
    fn refuse(&self, visitor: &Visitor, right: Right, project: &str) -> Option<Answer> {
        if !self.may(visitor, right, project) {
            let is_known = visitor.is_authenticated();
            return Some(if is_known { error(403, "FORBIDDEN") } else { error(401, "UNAUTHORIZED") });
        }
        (!self.has_project(project)).then(|| error(404, "NOT_FOUND"))
    }
}

fn describe((name, held): (&String, &Repository)) -> Value {
    json!({ "name": name, "artifact_count": held.manifests.len() })
}

/// One page; an empty list is `null`, and the links have `prev` first and their queries not encoded.
fn page<T>(request: &Received, all: Vec<T>, describe: impl Fn(T) -> Value) -> Answer {
    let (number, size) = (request.number("page").unwrap_or(1), request.number("page_size").unwrap_or(10));
    let total = all.len();
    let shown = all.into_iter().skip((number - 1) * size).take(size).map(describe).collect();
    let answer = answer_json(200, &crate::vendor::distribution::null_if_empty(shown));
    let link = |number: usize, rel: &str| {
        let others = request.query.iter().filter(|(name, _)| name != "page" && name != "page_size");
        let others: Vec<String> = others.map(|(name, value)| format!("&{name}={value}")).collect();
        format!("<{}?page={number}&page_size={size}{}>; rel=\"{rel}\"", request.path, others.concat())
    };
    let mut links = Vec::new();
    if number > 1 && (number - 1) * size < total {
        links.push(link(number - 1, "prev"));
    }
    if number * size < total {
        links.push(link(number + 1, "next"));
    }
    let answer = with_header(answer, "x-total-count", &total.to_string());
    with_header(answer, "link", &links.join(" , "))
}
