//! Docker Hub: the API of hub.docker.com, auth.docker.io, and the registry.

mod accounts;
mod table;

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use regent_plugin_api::NativeDriver;
use serde_json::{Value, json};

use super::distribution::{self, Paging};
use super::emulator::{Desk, Emulator, Vendor};
use super::internet::Internet;
use super::message::{Answer, Received, json as answer_json, with_header};
use super::operation::{Operation, PathValues, Violation};
use super::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use super::store::{Repository, Store, rfc3339};
use super::tokens::Tokens;
use accounts::{CREDENTIALS, Credential, credential};
use table::{API, AUTH, REGISTRY, SERVICE, STORAGE, TABLE};

/// The repository that Docker keeps for looking at the limit of pulls.
const LIMIT_PROBE: &str = "ratelimitpreview/test";
/// "This expires in 10 minutes."
const LOGIN_LIVES: Duration = Duration::from_mins(10);
const TOKEN_LIVES: Duration = Duration::from_mins(5);

/// The vendor.
#[derive(Debug)]
pub struct DockerHub {
    /// What it holds.
    pub store: Store,
    /// Repositories that are not for everyone.
    pub private: BTreeSet<String>,
    /// Tags, as `namespace/repository:tag`, whose digest the API does not know.
    pub without_digest: BTreeSet<String>,
    /// Namespaces that refuse lists (an organization with enforced single sign-on).
    pub closed: BTreeSet<String>,
    /// Pulls that remain of 200.
    pub pulls: u64,
    logins: Tokens,
    tokens: Tokens,
}

impl Default for DockerHub {
    fn default() -> Self {
        Self {
            store: Store::default(),
            private: BTreeSet::new(),
            without_digest: BTreeSet::new(),
            closed: BTreeSet::new(),
            pulls: 200,
            logins: Tokens::default(),
            tokens: Tokens::default(),
        }
    }
}

impl Vendor for DockerHub {
    fn operations(&self) -> Vec<Operation> {
        let mut all = TABLE.to_vec();
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
        match (operation, request.host.as_str()) {
            ("AuthCreateAccessToken", _) => Ok(self.log_in(request)),
            ("token", _) => Ok(self.issue_token(request)),
            (_, API) => {
                let answer = self.answer_api(operation, path, request);
                let answer = with_header(answer, "x-ratelimit-limit", "600");
                Ok(with_header(answer, "x-ratelimit-remaining", "599"))
            }
            _ => self.answer_registry(operation, path, request),
        }
    }

    fn rate_limited(&self, request: &Received) -> Answer {
        if request.host != API {
            return with_header(distribution::error(429, "TOOMANYREQUESTS"), "retry-after", "1");
        }
        // In whole seconds: a second from now, and what is left of the one that has begun.
        let at = request.at.duration_since(UNIX_EPOCH).unwrap().as_secs() + 2;
        with_header(problem(429, "Rate limit exceeded"), "x-retry-after", &at.to_string())
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        problem(violation.status, "a message")
    }
}

impl DockerHub {
    fn log_in(&mut self, request: &Received) -> Answer {
        let body = request.json();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (name, secret) = (text("identifier"), text("secret"));
        if credential(&name, &secret).is_none() {
            return problem(401, "unauthorized");
        }
        let token = self.logins.issue(&secret, Vec::new(), request.at, LOGIN_LIVES);
        answer_json(200, &json!({ "access_token": token }))
    }

    fn issue_token(&mut self, request: &Received) -> Answer {
        let known = match request.basic() {
            None => None,
            Some((name, secret)) => match credential(&name, &secret) {
                None => return answer_json(401, &json!({ "details": "incorrect username or password" })),
                known => known,
            },
        };
        let asked = distribution::scopes(&request.query).into_iter();
        let granted = asked.filter(|scope| {
            let name = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
            name.is_some_and(|name| self.may_pull(known.as_ref(), name))
        });
        let granted = granted.collect();
        let account = known.map_or("", |known| known.name);
        let token = self.tokens.issue(account, granted, request.at, TOKEN_LIVES);
        answer_json(
            200,
            &json!({ "token": token, "access_token": token, "expires_in": TOKEN_LIVES.as_secs() }),
        )
    }

    /// Public repositories are for everyone; of the own namespaces also what is not there is permitted.
    fn may_pull(&self, known: Option<&Credential>, name: &str) -> bool {
        let namespace = name.split('/').next().unwrap_or_default();
        let is_own = known.is_some_and(|known| known.namespaces.contains(&namespace));
        let is_public =
            !self.private.contains(name) && (self.store.get(name).is_some() || name == LIMIT_PROBE);
        known.is_none_or(|known| known.pull || name == LIMIT_PROBE) && (is_public || is_own)
    }

    fn answer_registry(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let name = path.get("name").map_or("", String::as_str);
        if operation != distribution::STORAGE {
            let scope = match operation {
                // No token is issued for it.
                distribution::CATALOG => Some("registry:catalog:*".to_owned()),
                distribution::PING => None,
                _ => Some(format!("repository:{name}:pull")),
            };
            let token = request.bearer().and_then(|token| self.tokens.get(token, request.at));
            let allowed = token.is_some_and(|token| scope.as_ref().is_none_or(|scope| token.grants(scope)));
            if !allowed {
                let realm = format!("https://{AUTH}/token");
                return Ok(distribution::challenge(&realm, SERVICE, scope.as_deref()));
            }
        }
        let is_manifest = operation == distribution::MANIFEST;
        if is_manifest && self.pulls == 0 {
            return Ok(self.limited(distribution::error(429, "TOOMANYREQUESTS")));
        }
        if is_manifest && request.method == "GET" {
            self.pulls -= 1; // a HEAD is no pull
        }
        if is_manifest && name == LIMIT_PROBE {
            let answer = answer_json(200, &json!({}));
            return Ok(self.limited(with_header(answer, "docker-content-digest", &probe_digest())));
        }
        // All tags at once, unless there is an `n`.
        let paging = Paging::Names { default: 0, max: 1000 };
        let answer = distribution::answer(&self.store, operation, path, request, paging, Some(STORAGE))?;
        Ok(if is_manifest { self.limited(answer) } else { answer })
    }

    fn limited(&self, answer: Answer) -> Answer {
        let answer = with_header(answer, "ratelimit-limit", "200;w=21600");
        let answer = with_header(answer, "ratelimit-remaining", &format!("{};w=21600", self.pulls));
        with_header(answer, "docker-ratelimit-source", "3cb5ec6e-0000-4000-8000-000000000000")
    }

    fn answer_api(&self, operation: &str, path: &PathValues, request: &Received) -> Answer {
        let known = match request.bearer() {
            None => None,
            Some(token) => match self.logins.get(token, request.at) {
                None => return problem(401, "unauthorized"),
                Some(login) => CREDENTIALS.into_iter().find(|known| known.secret == login.account),
            },
        };
        let namespace = path.get("namespace").map_or("", String::as_str);
        let is_own = known.is_some_and(|known| known.namespaces.contains(&namespace));
        let hides_private = !is_own || known.is_some_and(|known| !known.list);
        match operation {
            "organizations" => match known {
                Some(known) if known.secret.starts_with("dckr_pat_") => {
                    let all = known.namespaces.iter().filter(|name| **name != known.name).collect();
                    paged(request, all, 100, |name| json!({ "id": "1", "orgname": name }))
                }
                // "OATs get 403 on all legacy paths."
                _ => problem(403, "access to the resource is forbidden with organization access token"),
            },
            "listNamespaceRepositories" if self.closed.contains(namespace) => problem(403, "forbidden"),
            "listNamespaceRepositories" => {
                let part = request.query("name").unwrap_or_default();
                // A namespace that is not there is as empty as one that is.
                let all = self.store.repositories.iter().filter_map(|(name, repository)| {
                    let (owner, short) = name.split_once('/')?;
                    let is_private = self.private.contains(name);
                    let is_shown = owner == namespace && short.contains(part);
                    (is_shown && !(is_private && hides_private))
                        .then_some((owner, short, is_private, repository))
                });
                paged(request, all.collect(), 10, |(owner, short, is_private, repository)| {
                    listed_repository(owner, short, is_private, repository)
                })
            }
            _ => {
                let name = format!("{namespace}/{}", path["repository"]);
                let may_read = !self.private.contains(&name) || (is_own && known.is_some_and(|k| k.tags));
                match self.store.get(&name) {
                    Some(repository) if may_read => self.tags(request, &name, repository),
                    Some(_) if is_own => problem(403, "forbidden"),
                    _ => problem(404, "object not found"),
                }
            }
        }
    }

    fn tags(&self, request: &Received, name: &str, repository: &Repository) -> Answer {
        let mut tags: Vec<_> = repository.tags.iter().collect();
        tags.sort_by_key(|(_, tag)| std::cmp::Reverse(tag.pushed));
        paged(request, tags, 10, |(tag, of)| {
            let known = !self.without_digest.contains(&format!("{name}:{tag}"));
            let pushed = rfc3339(of.pushed);
            json!({
                "id": of.pushed, "name": tag, "digest": known.then(|| of.digest.to_string()),
                "full_size": repository.manifests[&of.digest].size, "v2": true, "tag_status": "active",
                "last_updated": pushed, "tag_last_pushed": pushed, "tag_last_pulled": null, "images": [],
            })
        })
    }
}

/// Types are left out of old images; plugins are listed among them.
fn listed_repository(namespace: &str, name: &str, is_private: bool, repository: &Repository) -> Value {
    let repository_type = match name {
        _ if name.starts_with("plugin") => json!("plugin"),
        _ if name.starts_with("old") => Value::Null,
        _ => json!("image"),
    };
    json!({
        "name": name, "namespace": namespace, "repository_type": repository_type, "status": 1,
        "status_description": "active", "is_private": is_private, "star_count": 0, "pull_count": 1,
        "date_registered": rfc3339(repository.created), "content_types": ["image"], "categories": [],
    })
}

/// A page of the API, of which only what it shows is described: 404 beyond the last, the first excepted.
fn paged<T>(request: &Received, all: Vec<T>, default: usize, describe: impl Fn(T) -> Value) -> Answer {
    let (page, size) = (request.number("page").unwrap_or(1), request.number("page_size").unwrap_or(default));
    let (total, start) = (all.len(), (page - 1).saturating_mul(size));
    if page > 1 && start >= total {
        return problem(404, "page not found");
    }
    let url = |page: usize| format!("https://{API}{}?page={page}&page_size={size}", request.path);
    let next = (start + size < total).then(|| url(page + 1));
    let previous = (page > 1).then(|| url(page - 1));
    let results: Vec<Value> = all.into_iter().skip(start).take(size).map(describe).collect();
    answer_json(200, &json!({ "count": total, "next": next, "previous": previous, "results": results }))
}

fn problem(status: u16, message: &str) -> Answer {
    answer_json(status, &json!({ "message": message, "errinfo": {} }))
}

fn probe_digest() -> String {
    regent_oci::Digest::sha256(b"ratelimitpreview").to_string()
}

/// The vendor in the shared suite.
#[derive(Debug)]
pub struct DockerHubScene(Emulator<DockerHub>);

impl DockerHubScene {
    /// Looks at or changes the vendor's state.
    pub fn vendor<R>(&self, change: impl FnOnce(&mut DockerHub) -> R) -> R {
        self.0.with(change)
    }
}

/// A connection with a base (none for an empty one), an account and its secret.
pub fn connection(base: &str, name: &str, secret: &str) -> Fields {
    let fields = [("registryBase", base), ("username", name), ("password", secret)];
    fields.map(|(field, value)| (field, value.to_owned())).into()
}

impl Scene for DockerHubScene {
    const TYPES: &'static [&'static str] = &["docker-hub", "DockerHub"];
    const DRIVER: &'static str = "docker-hub";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: true };
    /// The public ones, without a word: see the tests of this vendor.
    const FALLBACK: Fallback = Fallback::Lists;

    fn open(internet: &Internet) -> Self {
        let emulator = Emulator::new(DockerHub::default());
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_docker_hub::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        Vec::new()
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        Some(match account {
            // As the Broker Client sends it where nothing is configured.
            Account::Full => connection("", "sam", "dckr_pat_full"),
            Account::Unknown => connection("docker.io", "nobody", "dckr_pat_none"),
            Account::Expired => connection("docker.io/acme", "acme", "dckr_oat_expired"),
            Account::MayNotList => connection("https://index.docker.io/v1/", "acme", "dckr_oat_nolist"),
            Account::MayNotPull => connection("hub.docker.com/acme", "acme", "dckr_oat_nopull"),
        })
    }

    fn wrong_base(&self) -> Fields {
        connection("docker.io/no-such-namespace", "sam", "dckr_pat_full")
    }

    fn repository(number: usize) -> String {
        match number % 7 {
            6 => format!("sam/app-{number}"),
            5 => format!("acme/old.app_{number}"),
            _ => format!("acme/app-{number}"),
        }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(&mut vendor.store))
    }

    fn expire_tokens(&self) {
        self.0.with(|vendor| {
            vendor.logins.expire();
            vendor.tokens.expire();
        });
    }
}
