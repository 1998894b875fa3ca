//! GitHub (github/rest-api-description, "packages", "users", "orgs"): the packages API, ghcr.io with its token service.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regent_plugin_api::NativeDriver;
use serde_json::{Value, json};

use super::distribution::{self, Paging};
use super::emulator::{Desk, Emulator, Vendor};
use super::internet::Internet;
use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Operation, PathValues, Violation};
use super::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use super::store::{Store, rfc3339};
use super::tokens::Tokens;
use table::{TABLE, TOKEN};

const API: &str = "api.github.com";
const REGISTRY: &str = "ghcr.io";
const STORAGE: &str = "pkg-containers.githubusercontent.com";
/// The organization in the shared suite.
const ORG: &str = "acme";
/// What a token of ghcr.io lives: nobody knows, and it does not say.
const LIFETIME: Duration = Duration::from_mins(5);

/// What GitHub knows of a token.
#[derive(Debug, Clone)]
pub struct Pat {
    /// The account; none for a token of an app's installation.
    pub login: Option<&'static str>,
    /// `X-OAuth-Scopes`; none for tokens without scopes.
    pub scopes: Option<&'static str>,
    /// The organizations of the account.
    pub orgs: &'static [&'static str],
}

impl Pat {
    fn has(&self, scope: &str) -> bool {
        self.scopes.is_some_and(|scopes| scopes.split(", ").any(|s| s == scope))
    }

    fn may_pull(&self) -> bool {
        // A workflow's token reads packages without having scopes.
        self.has("read:packages") || self.login.is_none()
    }
}

/// The vendor.
#[derive(Debug, Default)]
pub struct Github {
    store: Store,
    tokens: Tokens,
    pats: BTreeMap<&'static str, Pat>,
    /// Owners that are organizations; the others are users.
    orgs: BTreeSet<&'static str>,
    /// How it refuses who asks too often: with its secondary limit, in words alone.
    pub limits_in_words: bool,
}

impl Vendor for Github {
    fn operations(&self) -> Vec<Operation> {
        let mut all = TABLE.to_vec();
        all.push(TOKEN);
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
            "token" => return Ok(self.issue_token(request)),
            distribution::STORAGE => {}
            _ if request.host == API => return self.answer_api(operation, path, request),
            distribution::CATALOG => return Ok(text(404, "text/plain", "404 page not found")),
            _ => {
                if let Some(refusal) = self.refuse_at_registry(path, request) {
                    return Ok(refusal);
                }
            }
        }
        let paging = Paging::Names { default: 100, max: 1000 };
        distribution::answer(&self.store, operation, path, request, paging, Some(STORAGE))
    }

    fn rate_limited(&self, request: &Received) -> Answer {
        if request.host != API {
            return with_header(distribution::error(429, "TOOMANYREQUESTS"), "retry-after", "1");
        }
        if self.limits_in_words {
            return message(403, "You have exceeded a secondary rate limit.");
        }
        let since = (request.at + Duration::from_secs(2)).duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let answer = with_header(message(403, "API rate limit exceeded"), "x-ratelimit-remaining", "0");
        with_header(answer, "x-ratelimit-reset", &since.as_secs().to_string())
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        message(violation.status, "Bad request")
    }
}

impl Github {
    /// "denied" is all that it says, whatever the reason.
    fn issue_token(&mut self, request: &Received) -> Answer {
        let denied = distribution::error(403, "DENIED");
        let Some((_, token)) = request.basic() else { return denied };
        let Some(pat) = self.pats.get(token.as_str()) else { return denied };
        let asked = distribution::scopes(&request.query);
        let visible = |scope: &String| {
            let name = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
            name.is_some_and(|name| pat.may_pull() && self.store.get(name).is_some())
        };
        if !asked.iter().all(visible) {
            return denied;
        }
        let issued = self.tokens.issue(&token, asked, request.at, LIFETIME);
        answer_json(200, &json!({ "token": STANDARD.encode(issued) }))
    }

    fn refuse_at_registry(&self, path: &PathValues, request: &Received) -> Option<Answer> {
        let scope = path.get("name").map(|name| format!("repository:{name}:pull"));
        let sent = request.bearer().and_then(|token| STANDARD.decode(token).ok());
        let sent = sent.and_then(|token| String::from_utf8(token).ok());
        let token = sent.and_then(|token| self.tokens.get(&token, request.at));
        let allowed = token.is_some_and(|token| scope.as_ref().is_none_or(|scope| token.grants(scope)));
        let scope = scope.unwrap_or_else(|| "repository:user/image:pull".to_owned());
        (!allowed).then(|| distribution::challenge("https://ghcr.io/token", REGISTRY, Some(&scope)))
    }

    fn answer_api(
        &self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let Some(pat) = request.bearer().and_then(|token| self.pats.get(token)) else {
            return Ok(message(401, "Bad credentials"));
        };
        let answer = self.answer_known(pat, operation, path, request)?;
        Ok(match pat.scopes {
            Some(scopes) => with_header(answer, "x-oauth-scopes", scopes),
            None => answer,
        })
    }

    fn answer_known(
        &self,
        pat: &Pat,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let owner = path.get("owner").map(|owner| owner.to_lowercase());
        let lists_versions = operation.contains("versions");
        if pat.login.is_none() {
            return Ok(match operation {
                _ if operation.contains("list-packages") => message(400, "Invalid argument."),
                _ => message(403, "Resource not accessible by integration"),
            });
        }
        let login = pat.login.unwrap_or_default();
        match operation {
            "users/get-authenticated" => return Ok(answer_json(200, &json!({ "login": login, "id": 1 }))),
            "orgs/list-for-authenticated-user" if !pat.has("read:org") => {
                return Ok(message(
                    403,
                    "You need at least read:org scope or user scope to list your organizations.",
                ));
            }
            "orgs/list-for-authenticated-user" => {
                let orgs = pat.orgs.iter().collect();
                return Ok(paged(request, orgs, |org| json!({ "login": org, "id": 1 })));
            }
            _ if pat.scopes.is_none() => {
                return Ok(message(403, "Resource not accessible by personal access token"));
            }
            _ if !pat.has("read:packages") => {
                return Ok(message(403, "You need at least read:packages scope to list packages."));
            }
            _ => {}
        }
        let is_org = operation.ends_with("organization") || operation.ends_with("by-org");
        let owner = match owner {
            Some(owner) if self.orgs.contains(owner.as_str()) != is_org => {
                return Ok(message(404, "Not Found"));
            }
            Some(owner) if self.names(&owner).next().is_none() => return Ok(message(404, "Not Found")),
            Some(owner) => owner,
            None => login.to_lowercase(),
        };
        if lists_versions {
            let name = format!("{owner}/{}", path["package_name"]);
            return Ok(match self.store.get(&name) {
                Some(repository) => versions(request, repository),
                None => message(404, "Package not found."),
            });
        }
        let (page, size) = (request.number("page").unwrap_or(1), request.number("per_page").unwrap_or(30));
        if page.saturating_mul(size) > 10_000 {
            return Err(Violation::new(400, "`per_page` multiplied by `page` is greater than 10000"));
        }
        // As it was registered, which need not be lower case.
        let shown = if is_org { owner.to_uppercase() } else { owner.clone() };
        let packages = self.names(&owner).enumerate().collect();
        Ok(paged(request, packages, |(id, name)| {
            json!({ "id": id, "name": name, "package_type": "container", "owner": { "login": shown },
                    "visibility": "private", "version_count": 1 })
        }))
    }

    /// The packages of an owner.
    fn names(&self, owner: &str) -> impl Iterator<Item = &str> {
        let names = self.store.repositories.keys();
        names.filter_map(move |name| name.strip_prefix(owner)?.strip_prefix('/'))
    }
}

/// Every manifest is a version, with the time at which it was pushed.
fn versions(request: &Received, repository: &super::store::Repository) -> Answer {
    let tags = repository.tags_by_digest();
    let all = repository.manifests.iter().enumerate().collect();
    paged(request, all, |(id, (digest, manifest))| {
        let pushed = rfc3339(manifest.pushed);
        let tags = tags.get(digest).cloned().unwrap_or_default();
        json!({ "id": id, "name": digest, "created_at": pushed, "updated_at": pushed,
                "metadata": { "package_type": "container", "container": { "tags": tags } } })
    })
}

/// A page, of which only what it shows is described.
fn paged<T>(request: &Received, all: Vec<T>, describe: impl Fn(T) -> Value) -> Answer {
    let (page, size) = (request.number("page").unwrap_or(1), request.number("per_page").unwrap_or(30));
    let last = all.len().div_ceil(size).max(1);
    let shown: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).map(describe).collect();
    let answer = answer_json(200, &Value::from(shown));
    let others: Vec<_> = request.query.iter().filter(|(name, _)| name != "page").collect();
    let link = |rel: &str, page: usize| {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others.iter().map(|(name, value)| (name, value)))
            .append_pair("page", &page.to_string())
            .finish();
        // By the owner's number, as GitHub has it: not the path that was called.
        format!("<https://{API}/organizations/1/packages?{query}>; rel=\"{rel}\"")
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(link("prev", page - 1));
    }
    if page < last {
        links.extend([link("next", page + 1), link("last", last)]);
    }
    if page > 1 {
        links.push(link("first", 1));
    }
    if links.is_empty() { answer } else { with_header(answer, "link", &links.join(", ")) }
}

fn message(status: u16, message: &str) -> Answer {
    answer_json(status, &json!({ "message": message, "documentation_url": "https://docs.github.com/rest" }))
}

/// The vendor in the shared suite.
#[derive(Debug)]
pub struct GithubScene(Emulator<Github>);

impl GithubScene {
    /// A connection with this token, to ghcr.io or to an owner there.
    pub fn with_token(&self, base: &str, token: &str) -> Fields {
        vec![
            ("registryBase", base.to_owned()),
            ("username", "octocat".to_owned()),
            ("password", token.to_owned()),
        ]
    }

    /// Looks at or changes the vendor.
    pub fn vendor<R>(&self, change: impl FnOnce(&mut Github) -> R) -> R {
        self.0.with(change)
    }
}

impl Scene for GithubScene {
    const TYPES: &'static [&'static str] = &["github-cr", "GithubCR", "GitHubCR"];
    const DRIVER: &'static str = "github";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfManifest, size: false };
    const FALLBACK: Fallback = Fallback::Names("read:packages");

    fn open(internet: &Internet) -> Self {
        let pat = |login, scopes, orgs| Pat { login, scopes, orgs };
        let octocat = Some("octocat");
        let pats = [
            ("ghp_full", pat(octocat, Some("read:org, read:packages"), &[ORG, "globex"] as &[_])),
            ("ghp_packages", pat(octocat, Some("read:packages"), &[ORG, "globex"])),
            ("ghp_repo", pat(octocat, Some("repo"), &[ORG])),
            ("github_pat_fine", pat(octocat, None, &[ORG])),
            ("ghs_installation", pat(None, None, &[])),
        ];
        let vendor = Github { pats: pats.into(), orgs: [ORG, "globex"].into(), ..Github::default() };
        let emulator = Emulator::new(vendor);
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_github::DRIVER
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
            Account::Full => "ghp_full",
            Account::Unknown | Account::Expired => "ghp_nobodys",
            Account::MayNotList => "ghs_installation",
            // Who may see a package may pull it: it is one scope.
            Account::MayNotPull => return None,
        };
        Some(self.with_token("https://ghcr.io/Acme", token))
    }

    fn wrong_base(&self) -> Fields {
        self.with_token("ghcr.io/no-such-owner", "ghp_full")
    }

    fn repository(number: usize) -> String {
        if number.is_multiple_of(3) {
            format!("{ORG}/app-{number}")
        } else {
            format!("{ORG}/group/app-{number}")
        }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(&mut vendor.store))
    }

    fn expire_tokens(&self) {
        self.0.with(|vendor| vendor.tokens.expire());
    }
}
