//! Quay: the API, the token service, `/v2/`, as its source has them (quay/quay).

mod accounts;
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use regent_plugin_api::NativeDriver;
use serde_json::{Value, json};

use super::distribution::{self, Paging};
use super::emulator::{Desk, Emulator, Vendor};
use super::internet::Internet;
use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Operation, PathValues, Violation};
use super::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use super::store::{Repository, Store, time as at_second};
use super::tokens::Tokens;
use accounts::{KNOWN, Known, OAUTH, known};
use table::{CATALOG_QUERY, HOST, OTHER_HOST, STORAGE, TABLE};

/// "Minimally serve 100"; the same for the API.
const PAGE: usize = 100;
/// `TOKEN_VALIDITY_LIFETIME_S`
const LIFETIME: Duration = Duration::from_hours(1);

/// The vendor.
#[derive(Debug)]
pub struct Quay {
    /// What it holds.
    pub store: Store,
    /// Repositories that are for everyone.
    pub public: BTreeSet<String>,
    /// A namespace that the administrator has disabled.
    pub disabled: Option<String>,
    /// `SERVER_HOSTNAME`
    pub server_hostname: &'static str,
    tokens: Tokens,
}

impl Default for Quay {
    fn default() -> Self {
        Self {
            store: Store::default(),
            public: BTreeSet::new(),
            disabled: None,
            server_hostname: HOST,
            tokens: Tokens::default(),
        }
    }
}

impl Quay {
    /// Lets the server's own name be another than the one that connections name.
    pub fn rename(&mut self) {
        self.server_hostname = OTHER_HOST;
    }
}

impl Vendor for Quay {
    fn operations(&self) -> Vec<Operation> {
        let mut all = TABLE.to_vec();
        all.extend(distribution::operations(HOST, "").into_iter().map(|operation| match operation.id {
            distribution::CATALOG => Operation { query: CATALOG_QUERY, ..operation },
            _ => operation,
        }));
        all.push(distribution::storage(STORAGE));
        all
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        // An unknown token makes a visitor, not a refusal (`auth/decorators.py`).
        let bearer = request.bearer().and_then(|token| known(OAUTH, token));
        match operation {
            "token" => Ok(self.issue_token(request)),
            "listRepos" => self.repositories(request, bearer),
            "listRepoTags" => Ok(self.tags(&path["repository"], request, bearer)),
            "getLoggedInUser" => Ok(match bearer {
                Some(known) if known.scopes.contains(&"user:read") => {
                    let (user, organizations) = known.namespaces.split_first().unwrap();
                    let organizations: Vec<_> =
                        organizations.iter().map(|name| json!({ "name": name, "public": false })).collect();
                    answer_json(
                        200,
                        &json!({ "anonymous": false, "username": user, "organizations": organizations }),
                    )
                }
                _ => problem(401, "invalid_token"),
            }),
            distribution::STORAGE => self.serve(operation, path, request),
            _ => match self.refuse_at_registry(operation, path, request) {
                Some(refusal) => Ok(refusal),
                None if operation == distribution::CATALOG => Ok(self.catalog(request)),
                None => self.serve(operation, path, request),
            },
        }
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        // Its nginx says nothing of a wait; the proxies in front of it do.
        with_header(text(429, "text/html", "<html>429 Too Many Requests</html>"), "retry-after", "1")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        problem(violation.status, "invalid_request")
    }
}

impl Quay {
    fn serve(&self, operation: &str, path: &PathValues, request: &Received) -> Result<Answer, Violation> {
        let paging = Paging::Names { default: PAGE, max: PAGE };
        let mut answer = distribution::answer(&self.store, operation, path, request, paging, Some(STORAGE))?;
        // Links have the configured host.
        if let Some(link) = answer.headers().get("link") {
            let link = link.to_str().unwrap().replacen('<', &format!("<https://{}", self.server_hostname), 1);
            answer.headers_mut().insert("link", link.parse().unwrap());
        }
        Ok(answer)
    }

    fn issue_token(&mut self, request: &Received) -> Answer {
        let basic = request.basic();
        let account = match &basic {
            None => None,
            Some((name, secret)) => match known(name, secret) {
                None => return distribution::error(401, "UNAUTHORIZED"),
                account => account,
            },
        };
        let scopes = distribution::scopes(&request.query);
        if account.is_none() && scopes.is_empty() {
            return self.challenge(None);
        }
        let name_of = |scope: &String| {
            scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull")).map(str::to_owned)
        };
        let names: Vec<String> = scopes.iter().filter_map(name_of).collect();
        if names.iter().any(|name| name.split('/').next() == self.disabled.as_deref()) {
            return distribution::error(405, "DENIED");
        }
        let granted = names
            .into_iter()
            .filter(|name| self.is_public(name) || account.is_some_and(|account| account.may_pull(name)));
        let granted = granted.map(|name| format!("repository:{name}:pull")).collect();
        let secret = account.map_or("", |account| account.secret);
        let token = self.tokens.issue(secret, granted, request.at, LIFETIME);
        answer_json(200, &json!({ "token": token })) // no word of its life
    }

    fn is_public(&self, name: &str) -> bool {
        self.public.contains(name) && self.store.get(name).is_some()
    }

    fn challenge(&self, scope: Option<&str>) -> Answer {
        let realm = format!("https://{}/v2/auth", self.server_hostname);
        distribution::challenge(&realm, self.server_hostname, scope)
    }

    fn refuse_at_registry(&self, operation: &str, path: &PathValues, request: &Received) -> Option<Answer> {
        let token = request.bearer().and_then(|token| self.tokens.get(token, request.at));
        let name = path.get("name").map(String::as_str);
        let scope = name.map(|name| format!("repository:{name}:pull"));
        // "Invalid bearer token format", also for Basic.
        let is_invalid = request.header("authorization").is_some() && token.is_none();
        let is_allowed = match (operation, name) {
            (distribution::CATALOG, _) => true,
            (_, Some(name)) => self.is_public(name) || token.is_some_and(|token| token.may_pull(name)),
            (_, None) => token.is_some(),
        };
        (is_invalid || !is_allowed).then(|| self.challenge(scope.as_deref()))
    }

    /// What the account may read, whatever its token was asked for; nothing for a visitor. A `last` that is no mark begins
    /// anew.
    fn catalog(&self, request: &Received) -> Answer {
        let token = request.bearer().and_then(|token| self.tokens.get(token, request.at));
        let account = token.and_then(|token| KNOWN.into_iter().find(|known| known.secret == token.account));
        let names = self.store.repositories.keys();
        let visible: Vec<&String> =
            names.filter(|name| account.is_some_and(|account| account.reads(name))).collect();
        let mark = request.query("next_page").or_else(|| request.query("last"));
        let start = mark.and_then(unmarked).unwrap_or(0);
        let size = request.number("n").unwrap_or(PAGE).clamp(1, PAGE);
        let page: Vec<_> = visible.iter().skip(start).take(size).collect();
        let answer = answer_json(200, &json!({ "repositories": page }));
        if start + size >= visible.len() {
            return answer;
        }
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("n", &size.to_string())
            .append_pair("next_page", &marked(start + size))
            .finish();
        let link = format!("<https://{}/v2/_catalog?{query}>; rel=\"next\"", self.server_hostname);
        with_header(answer, "link", &link)
    }

    fn repositories(&self, request: &Received, bearer: Option<Known>) -> Result<Answer, Violation> {
        let is_true = |name: &str| request.query(name) == Some("true");
        let namespace = request.query("namespace");
        if namespace.is_none() && !is_true("public") && !is_true("starred") {
            return Err(Violation::new(400, "namespace, starred or public are required for this API call"));
        }
        let names = self.store.repositories.keys().filter(|name| {
            let is_in = namespace.is_none_or(|namespace| name.split('/').next() == Some(namespace));
            let is_visible = bearer.is_some_and(|known| known.reads(name));
            is_in && (is_visible || (is_true("public") && self.is_public(name)))
        });
        let start = request.query("next_page").and_then(unmarked).unwrap_or(0);
        let names: Vec<&String> = names.collect();
        let shown: Vec<Value> = names
            .iter()
            .skip(start)
            .take(PAGE)
            .map(|name| {
                let (namespace, short) = name.split_once('/').unwrap();
                json!({
                    "namespace": namespace, "name": short, "description": null, "is_public": self.is_public(name),
                    "kind": "image", "state": "NORMAL", "is_starred": false,
                })
            })
            .collect();
        let mut body = json!({ "repositories": shown });
        if start + PAGE < names.len() {
            body["next_page"] = marked(start + PAGE).into();
        }
        Ok(answer_json(200, &body))
    }

    fn tags(&self, name: &str, request: &Received, bearer: Option<Known>) -> Answer {
        let may_read = self.is_public(name) || bearer.is_some_and(|known| known.may_pull(name));
        match (may_read, bearer) {
            (false, Some(_)) => return problem(403, "insufficient_scope"),
            (false, None) => return problem(401, "invalid_token"),
            (true, _) => {}
        }
        let Some(repository) = self.store.get(name) else { return problem(404, "not_found") };
        let mut all = living_tags(repository);
        if request.query("onlyActiveTags") != Some("true") {
            let mut gone = all.first().cloned().unwrap_or_default();
            gone["name"] = "gone".into();
            gone["end_ts"] = 1_700_000_000.into();
            all.push(gone);
        }
        let (page, limit) = (request.number("page").unwrap_or(1), request.number("limit").unwrap_or(50));
        let start = (page - 1).saturating_mul(limit);
        let has_additional = start.saturating_add(limit) < all.len();
        let shown: Vec<Value> = all.into_iter().skip(start).take(limit).collect();
        answer_json(200, &json!({ "tags": shown, "page": page, "has_additional": has_additional }))
    }
}

fn living_tags(repository: &Repository) -> Vec<Value> {
    let mut tags: Vec<_> = repository.tags.iter().collect();
    tags.sort_by_key(|(name, tag)| (std::cmp::Reverse(tag.pushed), (*name).clone()));
    let tag = |(name, tag): (&String, &super::store::Tag)| {
        let format = &time::format_description::well_known::Rfc2822;
        let modified = time::OffsetDateTime::from(at_second(tag.pushed)).format(format).unwrap();
        json!({
            "name": name, "reversion": false, "start_ts": tag.pushed, "manifest_digest": tag.digest,
            "is_manifest_list": false, "size": repository.manifests[&tag.digest].size,
            "last_modified": modified.replace("+0000", "-0000"),
        })
    };
    tags.into_iter().map(tag).collect()
}

/// Quay encrypts its marks; that no one can read this one either is all that matters.
fn marked(start: usize) -> String {
    URL_SAFE.encode(format!("gA/{start}+"))
}

fn unmarked(mark: &str) -> Option<usize> {
    let mark = String::from_utf8(URL_SAFE.decode(mark).ok()?).ok()?;
    mark.strip_prefix("gA/")?.strip_suffix('+')?.parse().ok()
}

fn problem(status: u16, error_type: &str) -> Answer {
    answer_json(
        status,
        &json!({
            "status": status, "title": error_type, "error_type": error_type, "detail": "a message",
            "type": format!("https://{HOST}/api/v1/error/{error_type}"),
        }),
    )
}

/// The vendor in the shared suite.
#[derive(Debug)]
pub struct QuayScene(Emulator<Quay>);

impl QuayScene {
    /// Looks at or changes the vendor's state.
    pub fn vendor<R>(&self, change: impl FnOnce(&mut Quay) -> R) -> R {
        self.0.with(change)
    }
}

/// A connection with a base, a user name and its secret.
pub fn connection(base: &str, username: &str, password: &str) -> Fields {
    let fields = [("registryBase", base), ("username", username), ("password", password)];
    fields.map(|(field, value)| (field, value.to_owned())).into()
}

impl Scene for QuayScene {
    const TYPES: &'static [&'static str] = &["quay-cr", "QuayCR"];
    const DRIVER: &'static str = "quay";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: true };
    const FALLBACK: Fallback = Fallback::Lists;

    fn open(internet: &Internet) -> Self {
        let emulator = Emulator::new(Quay::default());
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_quay::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        vec![HOST.to_owned(), OTHER_HOST.to_owned()]
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        Some(match account {
            Account::Full => connection(HOST, OAUTH, "oauth-full"),
            Account::Unknown => connection(HOST, "acme+nobody", "robot"),
            Account::Expired => connection("quay.example.com/acme", OAUTH, "oauth-expired"),
            Account::MayNotList => connection("https://quay.example.com/", "acme+scan", "robot"),
            Account::MayNotPull => connection("quay.example.com/acme", OAUTH, "oauth-noread"),
        })
    }

    fn wrong_base(&self) -> Fields {
        connection("quay.example.com/no-such-namespace", OAUTH, "oauth-full")
    }

    fn repository(number: usize) -> String {
        match number % 7 {
            6 => format!("sam/app-{number}"),
            5 => format!("globex/app-{number}"),
            // With "extended repository names".
            1 => format!("acme/team/app-{number}"),
            _ => format!("acme/app-{number}"),
        }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(&mut vendor.store))
    }

    fn expire_tokens(&self) {
        self.0.with(|vendor| vendor.tokens.expire());
    }
}
