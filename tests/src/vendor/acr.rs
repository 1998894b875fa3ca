//! Azure Container Registry: `/oauth2/`, `/acr/v1/`, `/v2/`.

mod listing;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use regent_plugin_api::NativeDriver;
use serde_json::json;

use super::distribution;
use super::emulator::{Desk, Emulator, Vendor};
use super::internet::Internet;
use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use super::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use super::store::Store;
use super::tokens::Tokens;
use listing::{manifests, page, tags};

/// The registry.
pub const HOST: &str = "contoso.azurecr.io";
const STORAGE: &str = "eusmanaged1.blob.core.windows.net";
const API: &str = "Azure/azure-rest-api-specs, containerregistry.json";
const FLOWS: &str = "Azure/acr, docs/AAD-OAuth.md";
/// The user name that goes with a refresh token.
pub const NULL_USER: &str = "00000000-0000-0000-0000-000000000000";
/// By the sample claims of the document: 75 minutes.
const ACCESS_LIFETIME: Duration = Duration::from_mins(75);
/// The usual figure.
const REFRESH_LIFETIME: Duration = Duration::from_hours(3);

const LISTING: &[Parameter] = &[
    Parameter::optional("last", Kind::TEXT),
    Parameter::optional("n", Kind::Integer { min: 1, max: u64::MAX }),
    Parameter::optional("orderby", Kind::OneOf(&["", "none", "timeasc", "timedesc"])),
];
const SERVICE: Parameter = Parameter::required("service", Kind::OneOf(&[HOST]));

const fn row(
    id: &'static str,
    source: &'static str,
    methods: &'static [&'static str],
    path: &'static str,
    query: &'static [Parameter],
    body: Payload,
) -> Operation {
    Operation { id, source, host: HOST, methods, path: Cow::Borrowed(path), query, headers: &[], body }
}

const TABLE: [Operation; 6] = [
    row("Repository_GetList", API, &["GET"], "/acr/v1/_catalog", LISTING, Payload::Nothing),
    row("Tag_GetList", API, &["GET"], "/acr/v1/{name+}/_tags", LISTING, Payload::Nothing),
    row("Manifests_GetList", API, &["GET"], "/acr/v1/{name+}/_manifests", LISTING, Payload::Nothing),
    row(
        "AccessTokens_GetFromLogin",
        API,
        &["GET"],
        "/oauth2/token",
        &[SERVICE, Parameter::required("scope", Kind::TEXT).repeated()],
        Payload::Nothing,
    ),
    row(
        "AccessTokens_Get",
        API,
        &["POST"],
        "/oauth2/token",
        &[],
        Payload::Form(&[
            Parameter::required("grant_type", Kind::OneOf(&["refresh_token"])),
            SERVICE,
            Parameter::required("scope", Kind::TEXT).repeated(),
            Parameter::required("refresh_token", Kind::TEXT),
            // Not in the document, which sends Docker through this flow; Docker names itself.
            Parameter::optional("client_id", Kind::TEXT),
        ]),
    ),
    row(
        "RefreshTokens_GetFromExchange",
        FLOWS,
        &["POST"],
        "/oauth2/exchange",
        &[],
        Payload::Form(&[
            // The other two grants are deprecated.
            Parameter::required("grant_type", Kind::OneOf(&["access_token"])),
            SERVICE,
            Parameter::optional("tenant", Kind::TEXT),
            Parameter::required("access_token", Kind::TEXT),
        ]),
    ),
];

/// The vendor.
#[derive(Debug, Default)]
pub struct Acr {
    store: Store,
    /// Access tokens.
    tokens: Tokens,
    /// Refresh tokens: whose, and until when.
    refresh: BTreeMap<String, (String, SystemTime)>,
    /// Entra's tokens: whose.
    pub entra: BTreeMap<String, String>,
    accounts: BTreeMap<String, Rights>,
    /// Whether permissions are granted by attributes.
    pub abac: bool,
    /// Whether the firewall keeps everyone out.
    pub shut: bool,
    /// Whether something in front of it lets only `/v2/` and `/oauth2/` through.
    pub hides_api: bool,
}

/// What an account may do; its password is `secret`.
#[derive(Debug, Clone, Copy)]
struct Rights {
    list: bool,
    metadata: bool,
    pull: bool,
}

impl Vendor for Acr {
    fn operations(&self) -> Vec<Operation> {
        let mut all = TABLE.to_vec();
        let v2 = distribution::operations(HOST, "").into_iter();
        all.extend(v2.map(|operation| match operation.id {
            distribution::CATALOG | distribution::TAGS => Operation { query: LISTING, ..operation },
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
        if operation != distribution::STORAGE && self.shut {
            return Ok(distribution::error(403, "DENIED"));
        }
        if self.hides_api && request.path.starts_with("/acr/") {
            return Ok(text(404, "text/html", "<html>Not Found</html>"));
        }
        let name = path.get("name").map_or("", String::as_str);
        match operation {
            "AccessTokens_GetFromLogin" => return Ok(self.issue_by_password(request)),
            "AccessTokens_Get" => return Ok(self.issue_by_refresh_token(request)),
            "RefreshTokens_GetFromExchange" => return Ok(self.exchange(request)),
            _ => {}
        }
        if let Some(challenge) = self.challenge(operation, name, request) {
            return Ok(challenge);
        }
        let repository = self.store.get(name);
        Ok(match operation {
            "Repository_GetList" | distribution::CATALOG => {
                let names = self.store.repositories.keys().map(|name| (name.clone(), json!(name)));
                page(request, "repositories", names.collect(), json!({}))
            }
            "Tag_GetList" | "Manifests_GetList" | distribution::TAGS => {
                let Some(repository) = repository else {
                    return Ok(distribution::error(404, "NAME_UNKNOWN"));
                };
                let about = json!({ "registry": HOST, "imageName": name });
                match operation {
                    "Tag_GetList" => page(request, "tags", tags(repository), about),
                    "Manifests_GetList" => page(request, "manifests", manifests(repository), about),
                    _ => {
                        let names = repository.tags.keys().map(|tag| (tag.clone(), json!(tag))).collect();
                        page(request, "tags", names, json!({ "name": name }))
                    }
                }
            }
            _ => {
                let paging = distribution::Paging::Whole;
                return distribution::answer(&self.store, operation, path, request, paging, Some(STORAGE));
            }
        })
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        with_header(distribution::error(429, "TOOMANYREQUESTS"), "retry-after", "1")
    }
}

impl Acr {
    fn issue_by_password(&mut self, request: &Received) -> Answer {
        let known = request
            .basic()
            .filter(|(name, password)| password == "secret" && self.accounts.contains_key(name));
        match known {
            Some((account, _)) => self.issue(&account, &distribution::scopes(&request.query), request.at),
            None => distribution::error(401, "UNAUTHORIZED"),
        }
    }

    fn issue_by_refresh_token(&mut self, request: &Received) -> Answer {
        let form = request.form();
        let token = form.iter().find(|(name, _)| name == "refresh_token").map(|(_, token)| token.as_str());
        let known = token.and_then(|token| self.refresh.get(token)).filter(|(_, until)| request.at < *until);
        match known.map(|(account, _)| account.clone()) {
            Some(account) => self.issue(&account, &distribution::scopes(&form), request.at),
            None => distribution::error(401, "UNAUTHORIZED"),
        }
    }

    /// No `expires_in`; what is not permitted is left out, and the answer is a 200 all the same.
    fn issue(&mut self, account: &str, scopes: &[String], at: SystemTime) -> Answer {
        let rights = self.accounts[account];
        let granted = scopes.iter().flat_map(|scope| {
            let (resource, actions) = scope.rsplit_once(':').unwrap();
            let permitted = move |action: &&str| match (resource, *action) {
                ("registry:catalog", "*") => rights.list,
                // A wildcard is nothing where permissions are granted by attributes, which goes for these tokens too.
                ("repository:*", _) => false,
                (_, "metadata_read") => rights.metadata,
                (_, "pull") => rights.pull,
                _ => false,
            };
            actions.split(',').filter(permitted).map(move |action| format!("{resource}:{action}"))
        });
        let granted = granted.collect();
        let token = self.tokens.issue(account, granted, at, ACCESS_LIFETIME);
        answer_json(200, &json!({ "access_token": token }))
    }

    fn exchange(&mut self, request: &Received) -> Answer {
        let form = request.form();
        let token = form.iter().find(|(name, _)| name == "access_token").map(|(_, token)| token.as_str());
        match token.and_then(|token| self.entra.get(token)).cloned() {
            Some(account) => {
                let token = self.refresh_token(&account, request.at + REFRESH_LIFETIME);
                answer_json(200, &json!({ "refresh_token": token }))
            }
            None => distribution::error(401, "UNAUTHORIZED"),
        }
    }

    /// A refresh token for an account, good until then.
    pub fn refresh_token(&mut self, account: &str, until: SystemTime) -> String {
        let exp = until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({ "sub": account, "exp": exp, "grant_type": "refresh_token" });
        if self.abac {
            claims["aad_identity"] = json!({ "oid": account });
        }
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
        let token = format!("e30.{claims}.{}", self.refresh.len());
        self.refresh.insert(token.clone(), (account.to_owned(), until));
        token
    }

    /// Lets all refresh tokens expire that an exchange gave.
    pub fn expire_refresh_tokens(&mut self) {
        self.refresh.clear();
    }

    fn challenge(&self, operation: &str, name: &str, request: &Received) -> Option<Answer> {
        let scope = match operation {
            distribution::STORAGE => return None,
            distribution::PING => None,
            "Repository_GetList" | distribution::CATALOG => Some("registry:catalog:*".to_owned()),
            "Tag_GetList" | "Manifests_GetList" | distribution::TAGS => {
                Some(format!("repository:{name}:metadata_read"))
            }
            _ => Some(format!("repository:{name}:pull")),
        };
        let token = request.bearer().and_then(|token| self.tokens.get(token, request.at));
        if token.is_some_and(|token| scope.as_ref().is_none_or(|scope| token.grants(scope))) {
            return None;
        }
        let realm = format!("https://{HOST}/oauth2/token");
        Some(distribution::challenge(&realm, HOST, scope.as_deref()))
    }
}

/// The vendor in the shared suite.
#[derive(Debug)]
pub struct AcrScene(Emulator<Acr>);

impl AcrScene {
    /// Looks at or changes the vendor's state.
    pub fn with<R>(&self, look: impl FnOnce(&mut Acr) -> R) -> R {
        self.0.with(look)
    }
}

impl Scene for AcrScene {
    const TYPES: &'static [&'static str] = &["acr", "AzureCR"];
    const DRIVER: &'static str = "acr";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: true };
    const FALLBACK: Fallback = Fallback::Names("Container Registry Repository Catalog Lister");

    fn open(internet: &Internet) -> Self {
        let rights = [("full", true, true, true), ("pull", false, true, true), ("list", true, true, false)];
        let accounts = rights
            .map(|(name, list, metadata, pull)| (name.to_owned(), Rights { list, metadata, pull }))
            .into_iter()
            .chain([("content".to_owned(), Rights { list: true, metadata: false, pull: true })]);
        let emulator = Emulator::new(Acr { accounts: accounts.collect(), ..Acr::default() });
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_acr::DRIVER
    }

    fn desk(&self) -> &Desk {
        self.0.desk()
    }

    fn table(&self) -> Vec<Operation> {
        self.0.table().to_vec()
    }

    fn named_hosts(&self) -> Vec<String> {
        vec![HOST.to_owned()]
    }

    fn connection(&self, account: Account) -> Option<Fields> {
        let (username, password) = match account {
            Account::Full => ("full", "secret".to_owned()),
            Account::Unknown => ("full", "wrong".to_owned()),
            Account::Expired => {
                (NULL_USER, self.with(|acr| acr.refresh_token("full", SystemTime::UNIX_EPOCH)))
            }
            Account::MayNotList => ("pull", "secret".to_owned()),
            Account::MayNotPull => ("list", "secret".to_owned()),
        };
        Some(vec![
            ("registryBase", HOST.to_owned()),
            ("username", username.to_owned()),
            ("password", password),
        ])
    }

    fn wrong_base(&self) -> Fields {
        let mut fields = self.connection(Account::Full).unwrap();
        fields[0].1 = format!("https://{HOST}/no-such-team");
        fields
    }

    fn repository(number: usize) -> String {
        if number.is_multiple_of(3) { format!("app-{number}") } else { format!("team/deep/app-{number}") }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.with(|acr| change(&mut acr.store))
    }

    fn expire_tokens(&self) {
        self.with(|acr| acr.tokens.expire());
    }
}
