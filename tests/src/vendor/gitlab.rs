//! GitLab.com: the REST API (`doc/api/openapi/openapi_v2.yaml`), its token service, the registry with `/gitlab/v1/`
//! (gitlab-org/container-registry, "GitLab Container Registry HTTP API V1").

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regent_plugin_api::NativeDriver;
use serde_json::{Value, json};

use super::distribution::{self, Paging};
use super::emulator::{Desk, Emulator, Vendor};
use super::internet::Internet;
use super::message::{Answer, Received, json as answer_json, with_header};
use super::operation::{Operation, PathValues, Violation};
use super::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use super::store::{Store, rfc3339};
use super::tokens::Tokens;
use table::{JWT, TABLE};

const GITLAB: &str = "gitlab.com";
const REGISTRY: &str = "registry.gitlab.com";
const STORAGE: &str = "cdn.registry.gitlab-static.net";
/// `container_registry_token_expire_delay`: 5 minutes.
const LIFETIME: Duration = Duration::from_mins(5);

/// What GitLab knows of a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access {
    /// Whether the REST API knows it at all.
    pub is_for_rest: bool,
    /// Its scopes.
    pub scopes: &'static [&'static str],
    /// Whether its account administers the instance.
    pub is_admin: bool,
}

/// The vendor. A repository's project is its first two components; three in a subgroup, and these are called `sub…`.
#[derive(Debug, Default)]
pub struct Gitlab {
    store: Store,
    tokens: Tokens,
    accounts: BTreeMap<&'static str, Access>,
    /// Top-level namespaces that belong to a user.
    users: BTreeSet<&'static str>,
    /// Top-level groups whose registry the account may not see by its membership there, but by that in projects.
    pub guest_in: BTreeSet<&'static str>,
    /// Repositories that are about to be deleted.
    pub going: BTreeSet<String>,
    /// Whether the registry runs without its metadata database.
    pub has_no_database: bool,
}

impl Vendor for Gitlab {
    fn operations(&self) -> Vec<Operation> {
        let mut all = TABLE.to_vec();
        all.push(JWT);
        all.extend(distribution::operations(REGISTRY, ""));
        all.push(distribution::storage(STORAGE));
        all
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        match operation {
            "jwt" => return Ok(self.issue_token(request)),
            distribution::STORAGE => {}
            _ if request.host == GITLAB => return Ok(self.answer_rest(operation, path, request)),
            _ => {
                if let Some(refusal) = self.refuse_at_registry(operation, path, request) {
                    return Ok(refusal);
                }
            }
        }
        match operation {
            "v1" | "v1 tags" | "v1 repositories" if self.has_no_database => {
                Ok(distribution::error(404, "NOT_FOUND"))
            }
            "v1" => Ok(answer_json(200, &json!({}))),
            "v1 tags" => Ok(self.answer_tags(&path["name"], request)),
            "v1 repositories" => {
                let below = self.store.repositories.iter().filter(|(name, _)| is_in(name, &path["name"]));
                let all = below.map(|(name, r)| {
                    (name.clone(), json!({ "name": name, "path": name, "created_at": rfc3339(r.created) }))
                });
                Ok(marked(request, &all.collect::<Vec<_>>()))
            }
            _ => {
                let paging = Paging::Names { default: 100, max: 1000 };
                distribution::answer(&self.store, operation, path, request, paging, Some(STORAGE))
            }
        }
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        with_header(message(429, "Retry later"), "retry-after", "1")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        message(violation.status, "400 Bad request")
    }
}

impl Gitlab {
    fn issue_token(&mut self, request: &Received) -> Answer {
        let token = request.basic().map(|(_, token)| token).unwrap_or_default();
        let Some(access) = self.accounts.get(token.as_str()) else {
            return message(401, "HTTP Basic: Access denied");
        };
        if !access.scopes.contains(&"read_registry") {
            return distribution::error(403, "DENIED");
        }
        let projects = self.project_ids();
        let granted = distribution::scopes(&request.query).into_iter().filter(|scope| {
            let name = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
            match name {
                // `group/project/*` is no path of a repository.
                Some(name) => !name.contains('*') && projects.contains_key(&project_of(name)),
                None => access.is_admin && scope == "registry:catalog:*",
            }
        });
        let granted = granted.collect();
        let token = self.tokens.issue(&token, granted, request.at, LIFETIME);
        answer_json(200, &json!({ "token": token }))
    }

    fn refuse_at_registry(&self, operation: &str, path: &PathValues, request: &Received) -> Option<Answer> {
        let name = path.get("name").map(|name| format!("repository:{name}:pull"));
        let scopes = match operation {
            distribution::CATALOG => vec!["registry:catalog:*".to_owned()],
            "v1 repositories" => {
                vec![name.unwrap_or_default(), format!("repository:{}/*:pull", path["name"])]
            }
            _ => name.into_iter().collect(),
        };
        let token = request.bearer().and_then(|token| self.tokens.get(token, request.at));
        let allowed = token.is_some_and(|token| scopes.iter().all(|scope| token.grants(scope)));
        let scopes = (!scopes.is_empty()).then(|| scopes.join(" "));
        (!allowed).then(|| {
            let realm = format!("https://{GITLAB}/jwt/auth");
            distribution::challenge(&realm, "container_registry", scopes.as_deref())
        })
    }

    fn answer_rest(&self, operation: &str, path: &PathValues, request: &Received) -> Answer {
        let access = request.header("private-token").and_then(|token| self.accounts.get(token));
        let Some(access) = access.filter(|access| access.is_for_rest) else {
            return message(401, "401 Unauthorized");
        };
        if !access.scopes.contains(&"read_api") {
            return answer_json(403, &json!({ "error": "insufficient_scope", "scope": "api read_api" }));
        }
        let projects = self.project_ids();
        let all: Vec<Value> = match operation {
            "getApiV4Projects" | "getApiV4UsersUserIdProjects" => {
                let user = path.get("user_id");
                if user.is_some_and(|user| !self.users.contains(user.as_str())) {
                    return message(404, "404 User Not Found");
                }
                let after = request.number("id_after").unwrap_or(0);
                let mut listed: Vec<_> = projects
                    .iter()
                    .filter(|(path, id)| **id > after && user.is_none_or(|user| is_in(path, user)))
                    .collect();
                listed.sort_by_key(|(_, id)| **id);
                listed
                    .into_iter()
                    .map(|(path, id)| json!({ "id": id, "path_with_namespace": path }))
                    .collect()
            }
            "getApiV4Groups" => {
                let groups =
                    self.groups().into_iter().filter(|group| !self.guest_in.contains(group.as_str()));
                groups.map(|group| json!({ "id": 1, "path": group, "full_path": group })).collect()
            }
            "getApiV4GroupsIdRegistryRepositories" => {
                let group = path["id"].to_lowercase();
                let is_group = projects.keys().any(|project| *project != group && is_in(project, &group));
                let top = group.split('/').next().unwrap_or_default();
                if !is_group || self.users.contains(top) {
                    return message(404, "404 Group Not Found");
                }
                if self.guest_in.contains(top) {
                    return message(403, "403 Forbidden");
                }
                self.listed(|name| is_in(name, &group))
            }
            _ => {
                let project = path["id"].to_lowercase();
                let found = projects.iter().find(|(path, id)| **path == project || id.to_string() == project);
                match found {
                    Some((project, _)) => self.listed(|name| project_of(name) == *project),
                    None => return message(404, "404 Project Not Found"),
                }
            }
        };
        paged(request, all)
    }

    fn answer_tags(&self, name: &str, request: &Received) -> Answer {
        let Some(repository) = self.store.get(name) else { return distribution::error(404, "NAME_UNKNOWN") };
        let all = repository.tags.iter().map(|(tag, at)| {
            let (created, published) = (rfc3339(repository.created), rfc3339(at.pushed));
            let size = repository.manifests[&at.digest].size;
            let value = json!({
                "name": tag, "digest": at.digest, "media_type": repository.manifests[&at.digest].media_type,
                "size_bytes": size, "created_at": created, "published_at": published,
            });
            (tag.clone(), value)
        });
        marked(request, &all.collect::<Vec<_>>())
    }

    /// All projects, which have numbers in the order of their paths.
    fn project_ids(&self) -> BTreeMap<String, usize> {
        let paths: BTreeSet<String> = self.store.repositories.keys().map(|name| project_of(name)).collect();
        paths.into_iter().zip(1..).collect()
    }

    /// The groups at the top.
    fn groups(&self) -> BTreeSet<String> {
        let names = self.store.repositories.keys().filter_map(|name| name.split('/').next());
        names.filter(|top| !self.users.contains(top)).map(str::to_owned).collect()
    }

    fn listed(&self, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
        let names = self.store.repositories.keys().filter(|name| wanted(name)).enumerate();
        let listed = names.map(|(id, name)| {
            let status = self.going.contains(name).then_some("delete_scheduled");
            json!({ "id": id, "name": "", "path": name, "location": format!("{REGISTRY}/{name}"), "status": status })
        });
        listed.collect()
    }
}

/// The project of a repository.
fn project_of(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').collect();
    let length = if parts.get(1).is_some_and(|part| part.starts_with("sub")) { 3 } else { 2 };
    parts.into_iter().take(length).collect::<Vec<_>>().join("/")
}

fn is_in(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A page of the REST API, with all the links that it has.
fn paged(request: &Received, all: Vec<Value>) -> Answer {
    let (page, size) = (request.number("page").unwrap_or(1), request.number("per_page").unwrap_or(20));
    let last = all.len().div_ceil(size).max(1);
    let total = all.len();
    let shown: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
    let link = |rel: &str, page: usize| {
        format!("<https://{GITLAB}{}?page={page}&per_page={size}>; rel=\"{rel}\"", request.path)
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(link("prev", page - 1));
    }
    if page < last {
        links.push(link("next", page + 1));
    }
    links.extend([link("first", 1), link("last", last)]);
    let following = if page < last { (page + 1).to_string() } else { String::new() };
    let answer = with_header(answer_json(200, &Value::from(shown)), "link", &links.join(", "));
    with_header(with_header(answer, "x-next-page", &following), "x-total", &total.to_string())
}

/// A page behind a marker, as `/gitlab/v1/` has it: the previous page's link comes first.
fn marked(request: &Received, all: &[(String, Value)]) -> Answer {
    let size = request.number("n").unwrap_or(100);
    let start =
        request.query("last").map_or(0, |last| all.partition_point(|(name, _)| name.as_str() <= last));
    let shown = all.get(start..(start + size).min(all.len())).unwrap_or_default();
    let encoded = |name: &str| url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    let link = |marker: &str, name: &str, rel: &str| {
        format!("<https://{REGISTRY}{}?n={size}&{marker}={}>; rel=\"{rel}\"", request.path, encoded(name))
    };
    let mut links = Vec::new();
    if let (Some((first, _)), true) = (shown.first(), start > 0) {
        links.push(link("before", first, "previous"));
    }
    if let (Some((last, _)), true) = (shown.last(), start + size < all.len()) {
        links.push(link("last", last, "next"));
    }
    let values: Vec<Value> = shown.iter().map(|(_, value)| value.clone()).collect();
    let answer = answer_json(200, &Value::from(values));
    if links.is_empty() { answer } else { with_header(answer, "link", &links.join(", ")) }
}

fn message(status: u16, message: &str) -> Answer {
    answer_json(status, &json!({ "message": message }))
}

/// The vendor in the shared suite.
#[derive(Debug)]
pub struct GitlabScene(Emulator<Gitlab>);

impl GitlabScene {
    /// A connection with this token, to the registry or to a group or project there.
    pub fn with_token(&self, base: &str, token: &str) -> Fields {
        vec![
            ("registryBase", base.to_owned()),
            ("username", "someone".to_owned()),
            ("password", token.to_owned()),
        ]
    }

    /// Looks at or changes the vendor.
    pub fn vendor<R>(&self, change: impl FnOnce(&mut Gitlab) -> R) -> R {
        self.0.with(change)
    }
}

impl Scene for GitlabScene {
    const TYPES: &'static [&'static str] = &["gitlab-cr", "GitlabCR", "GitLabCR"];
    const DRIVER: &'static str = "gitlab";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: true };
    const FALLBACK: Fallback = Fallback::Names("read_api");

    fn open(internet: &Internet) -> Self {
        let scopes: &[&str] = &["read_api", "read_registry"];
        let pat = Access { is_for_rest: true, scopes, is_admin: false };
        let accounts = [
            ("glpat-full", pat),
            ("glpat-pull", Access { scopes: &["read_registry"], ..pat }),
            ("glpat-list", Access { scopes: &["read_api"], ..pat }),
            ("glpat-admin", Access { scopes: &["read_registry"], is_admin: true, ..pat }),
            ("gldt-deploy", Access { is_for_rest: false, ..pat }),
        ];
        let vendor = Gitlab { accounts: accounts.into(), users: ["someone"].into(), ..Gitlab::default() };
        let emulator = Emulator::new(vendor);
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_gitlab::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        vec![REGISTRY.to_owned()]
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        let token = match account {
            Account::Full => "glpat-full",
            Account::Unknown | Account::Expired => "glpat-nobodys",
            Account::MayNotList => "glpat-pull",
            Account::MayNotPull => "glpat-list",
        };
        Some(self.with_token("https://registry.gitlab.com/Acme", token))
    }

    fn wrong_base(&self) -> Fields {
        self.with_token("registry.gitlab.com/acme/no-such-project", "glpat-full")
    }

    fn repository(number: usize) -> String {
        match number % 3 {
            0 => format!("acme/app-{number}"),
            1 => format!("acme/sub/app/part-{number}"),
            _ => format!("acme/tools/part/of-{number}"),
        }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(&mut vendor.store))
    }

    fn expire_tokens(&self) {
        self.0.with(|vendor| vendor.tokens.expire());
    }
}
