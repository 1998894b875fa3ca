//! `/api/v2.0/`.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::{Request, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Account, Refusal, Right, State, Visitor, error, query};
use crate::http::{Body, answer, json as answer_json};

/// The query parameters of every list.
const LIST: [&str; 4] = ["page", "page_size", "q", "sort"];
const PROJECTS: [&str; 4] = ["name", "public", "owner", "with_detail"];
const ARTIFACTS: [&str; 7] = [
    "with_tag",
    "with_label",
    "with_scan_overview",
    "with_sbom_overview",
    "with_immutable_status",
    "with_accessory",
    "with_inherited_accessory",
];

/// What a list was asked for.
struct ListQuery {
    page: usize,
    size: usize,
    pairs: Vec<(String, String)>,
}

impl ListQuery {
    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl State {
    pub(super) fn answer_api(&mut self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix("/api/v2.0/") else {
            return self.violation(request, 404, "no such version of the API");
        };
        if path == "ping" {
            if !accepts(request, "text/plain") {
                return self.violation(request, 406, "ping is text/plain");
            }
            return answer(200, "text/plain; charset=utf-8", "Pong");
        }
        let basic =
            request.headers().get("authorization").is_some_and(|v| v.as_bytes().starts_with(b"Basic "));
        if !basic {
            return self.violation(request, 401, "the API takes Basic");
        }
        if !accepts(request, "application/json") {
            return self.violation(request, 406, "the API has application/json");
        }
        let visitor = self.visitor(request);
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["users", "current"] => match &visitor {
                Visitor::Known(_, Account::Robot(..)) => error(412, "PRECONDITION"),
                Visitor::Known(name, _) => answer_json(200, &json!({ "user_id": 3, "username": name })),
                _ => error(401, "UNAUTHORIZED"),
            },
            ["projects"] => self.list_projects(request, &visitor),
            ["repositories"] => self.list_all(request, &visitor),
            ["projects", project, "repositories"] => self.list_repositories(request, &visitor, project),
            ["projects", project, "repositories", repository, "artifacts"] => {
                self.list_artifacts(request, &visitor, project, repository)
            }
            _ => self.violation(request, 404, "no such path in the API"),
        }
    }

    fn list_projects(&mut self, request: &Request<Incoming>, visitor: &Visitor) -> Response<Body> {
        let list = match self.list_query(request, &PROJECTS, &["name", "project_id", "creation_time"]) {
            Ok(list) => list,
            Err(refusal) => return *refusal,
        };
        let visible = self.visible_projects(visitor);
        let all = visible.iter().enumerate();
        page(request, &list, all.map(|(i, name)| json!({ "project_id": i + 1, "name": name })).collect())
    }

    fn list_all(&mut self, request: &Request<Incoming>, visitor: &Visitor) -> Response<Body> {
        let list = match self.list_query(request, &[], &["name", "repository_id", "creation_time"]) {
            Ok(list) => list,
            Err(refusal) => return *refusal,
        };
        let mut visible = self.visible_projects(visitor);
        if self.robots_see_public_only && matches!(visitor, Visitor::Known(_, Account::Robot(..))) {
            visible.retain(|name| self.projects[name].public);
        }
        let all = visible.iter().flat_map(|project| self.described(project));
        page(request, &list, all.collect())
    }

    fn list_repositories(
        &mut self,
        request: &Request<Incoming>,
        visitor: &Visitor,
        project: &str,
    ) -> Response<Body> {
        let list = match self.list_query(request, &[], &["name", "repository_id", "creation_time"]) {
            Ok(list) => list,
            Err(refusal) => return *refusal,
        };
        match self.permit(visitor, Right::ListRepository, project) {
            Ok(()) => page(request, &list, self.described(project)),
            Err(refusal) => *refusal,
        }
    }

    fn list_artifacts(
        &mut self,
        request: &Request<Incoming>,
        visitor: &Visitor,
        project: &str,
        repository: &str,
    ) -> Response<Body> {
        let list = match self.list_query(request, &ARTIFACTS, &["id", "push_time", "digest"]) {
            Ok(list) => list,
            Err(refusal) => return *refusal,
        };
        let once = percent_decode_str(repository).decode_utf8().unwrap().into_owned();
        if once.contains('/') {
            return self.violation(request, 404, "a repository's name has to be encoded twice");
        }
        let name = percent_decode_str(&once).decode_utf8().unwrap().into_owned();
        if let Err(refusal) = self.permit(visitor, Right::ListArtifact, project) {
            return *refusal;
        }
        let Some(artifacts) = self.projects[project].repositories.get(&name) else {
            return error(404, "NOT_FOUND");
        };
        let tagged_only = list.get("q") == Some("tags=*");
        let with_tag = list.get("with_tag") != Some("false");
        let mut shown: Vec<_> = artifacts.iter().filter(|a| !tagged_only || !a.tags.is_empty()).collect();
        if list.get("sort").is_none() {
            shown.sort_by_key(|a| std::cmp::Reverse((a.pushed, a.id)));
        }
        let all = shown.iter().map(|a| {
            let tags: Vec<Value> =
                a.tags.iter().map(|(name, at)| json!({ "name": name, "push_time": time(*at) })).collect();
            json!({
                "id": a.id, "type": "IMAGE", "digest": a.digest, "size": a.manifest.len(),
                "manifest_media_type": a.media_type, "push_time": time(a.pushed),
                "tags": if with_tag && !tags.is_empty() { Value::from(tags) } else { Value::Null },
            })
        });
        page(request, &list, all.collect())
    }

    fn described(&self, project: &str) -> Vec<Value> {
        let repositories = self.projects.get(project).into_iter().flat_map(|p| &p.repositories);
        repositories
            .map(|(name, a)| json!({ "name": format!("{project}/{name}"), "artifact_count": a.len() }))
            .collect()
    }

    fn visible_projects(&self, visitor: &Visitor) -> Vec<String> {
        let mine: BTreeSet<&String> = match visitor {
            Visitor::Known(_, Account::Admin | Account::Robot(None, _)) => self.projects.keys().collect(),
            Visitor::Known(_, Account::User(mine) | Account::Robot(Some(mine), _)) => mine.iter().collect(),
            Visitor::Anonymous | Visitor::Bearer { .. } => BTreeSet::new(),
        };
        let visible = self.projects.iter().filter(|(name, project)| project.public || mine.contains(name));
        visible.map(|(name, _)| name.clone()).collect()
    }

    /// An unknown project is forbidden like a foreign one, but for the administrator.
    fn permit(&self, visitor: &Visitor, right: Right, project: &str) -> Result<(), Refusal> {
        if !self.may(visitor, right, project) {
            let authenticated = visitor.is_authenticated();
            return Err(Box::new(if authenticated {
                error(403, "FORBIDDEN")
            } else {
                error(401, "UNAUTHORIZED")
            }));
        }
        if self.projects.contains_key(project) { Ok(()) } else { Err(Box::new(error(404, "NOT_FOUND"))) }
    }

    fn list_query(
        &mut self,
        request: &Request<Incoming>,
        more: &[&str],
        sortable: &[&str],
    ) -> Result<ListQuery, Refusal> {
        let pairs = query(request);
        for (name, value) in &pairs {
            if !LIST.contains(&name.as_str()) && !more.contains(&name.as_str()) {
                return Err(Box::new(self.violation(request, 422, &format!("no such parameter {name}"))));
            }
            if name.starts_with("with_") && !matches!(value.as_str(), "true" | "false") {
                return Err(Box::new(self.violation(request, 422, &format!("{name} is true or false"))));
            }
            if name == "sort" && !sortable.contains(&value.trim_start_matches('-')) {
                return Err(Box::new(self.violation(
                    request,
                    400,
                    &format!("there is no sorting by {value}"),
                )));
            }
            if name == "q" && value != "tags=*" {
                return Err(Box::new(self.violation(request, 400, &format!("no filter {value}"))));
            }
        }
        let number = |wanted: &str, default: usize| {
            let value = pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
            value.map_or(Ok(default), |value| value.parse::<usize>())
        };
        match (number("page", 1), number("page_size", 10)) {
            (Ok(page), Ok(size)) if page >= 1 && (1..=100).contains(&size) => {
                Ok(ListQuery { page, size, pairs })
            }
            _ => Err(Box::new(self.violation(request, 422, "page_size should be less than or equal to 100"))),
        }
    }
}

/// One page; an empty list is `null`, and the links have `prev` first and their queries not encoded.
fn page(request: &Request<Incoming>, list: &ListQuery, all: Vec<Value>) -> Response<Body> {
    let total = all.len();
    let shown: Vec<Value> = all.into_iter().skip((list.page - 1) * list.size).take(list.size).collect();
    let mut answer = answer_json(200, &if shown.is_empty() { Value::Null } else { Value::from(shown) });
    let link = |number: usize, rel: &str| {
        let others = list.pairs.iter().filter(|(name, _)| name != "page" && name != "page_size");
        let others: Vec<String> = others.map(|(name, value)| format!("&{name}={value}")).collect();
        let (path, size, others) = (request.uri().path(), list.size, others.concat());
        format!("<{path}?page={number}&page_size={size}{others}>; rel=\"{rel}\"")
    };
    let mut links = Vec::new();
    if list.page > 1 && (list.page - 1) * list.size < total {
        links.push(link(list.page - 1, "prev"));
    }
    if list.page * list.size < total {
        links.push(link(list.page + 1, "next"));
    }
    let headers = answer.headers_mut();
    headers.insert("x-total-count", total.into());
    headers.insert("link", links.join(" , ").parse().unwrap());
    answer
}

/// No header accepts everything.
fn accepts(request: &Request<Incoming>, content_type: &str) -> bool {
    let (kind, _) = content_type.split_once('/').unwrap();
    let wanted: Vec<&str> =
        request.headers().get_all("accept").iter().flat_map(|v| v.to_str().unwrap().split(',')).collect();
    wanted.is_empty()
        || wanted.iter().any(|one| {
            let one = one.split(';').next().unwrap().trim();
            one == "*/*" || one == content_type || one == format!("{kind}/*")
        })
}

/// RFC 3339 with milliseconds.
fn time(seconds: u64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    time::OffsetDateTime::from(at).format(&time::format_description::well_known::Rfc3339).unwrap()
}
