//! DigitalOcean (digitalocean/openapi, `specification/resources/registry`): the API, its token service, `/v2/`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use regent_plugin_api::NativeDriver;
use serde_json::{Value, json};

use super::distribution::{self, Paging};
use super::emulator::{Desk, Emulator, Vendor};
use super::internet::Internet;
use super::message::{Answer, Received, json as answer_json, with_header};
use super::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use super::scene::{Account, Details, Fallback, Fields, Pushed, Scene};
use super::store::{Store, rfc3339};
use super::tokens::Tokens;

const API: &str = "api.digitalocean.com";
const REGISTRY: &str = "registry.digitalocean.com";
const STORAGE: &str = "registry-storage.example.net";
const SOURCE: &str = "digitalocean/openapi, specification/resources/registry";
/// The registry of the account.
const NAME: &str = "team-registry";
/// What a token of the token service lives: nobody knows, so it is short.
const LIFETIME: Duration = Duration::from_mins(10);

const BEARER: Parameter = Parameter::required(
    "authorization",
    Kind::Like { example: "Bearer x", counterexample: "Basic x", fits: |value| value.starts_with("Bearer ") },
);
const PER_PAGE: Parameter = Parameter::optional("per_page", Kind::Integer { min: 1, max: 200 });
const PAGE: Parameter = Parameter::optional("page", Kind::Integer { min: 1, max: u64::MAX });

const fn get(id: &'static str, path: &'static str, query: &'static [Parameter]) -> Operation {
    let (host, methods, headers, body) = (API, &["GET"] as &[_], &[BEARER] as &[_], Payload::Nothing);
    Operation { id, source: SOURCE, host, methods, path: Cow::Borrowed(path), query, headers, body }
}

const API_TABLE: [Operation; 3] = [
    get("registries_list", "/v2/registries", &[]),
    get(
        "registries_list_repositoriesV2",
        "/v2/registries/{registry_name}/repositoriesV2",
        &[PER_PAGE, PAGE, Parameter::optional("page_token", Kind::TEXT)],
    ),
    // The name is one segment: "if your repository name contains `/` characters, it must be URL-encoded".
    get(
        "registries_list_repositoryTags",
        "/v2/registries/{registry_name}/repositories/{repository_name}/tags",
        &[PER_PAGE, PAGE],
    ),
];

/// The token service; POST is 405 there.
const TOKEN: Operation = Operation {
    id: "token",
    source: "the challenge of registry.digitalocean.com",
    host: API,
    methods: &["GET"],
    path: Cow::Borrowed("/v2/registry/auth"),
    query: &[
        Parameter::required("service", Kind::OneOf(&[REGISTRY])),
        Parameter::optional("scope", Kind::TEXT).repeated(),
    ],
    headers: &[],
    body: Payload::Nothing,
};

/// The vendor.
#[derive(Debug, Default)]
pub struct Digitalocean {
    store: Store,
    tokens: Tokens,
    /// Personal access tokens, and whether they have the scope `registry:read`.
    accounts: BTreeMap<String, Rights>,
}

#[derive(Debug, Clone, Copy)]
struct Rights {
    list: bool,
    pull: bool,
}

impl Vendor for Digitalocean {
    fn operations(&self) -> Vec<Operation> {
        let mut all = API_TABLE.to_vec();
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
            _ if request.host == REGISTRY => {
                if let Some(refusal) = self.refuse_at_registry(operation, path, request) {
                    return Ok(refusal);
                }
            }
            _ => {
                let rights = request.bearer().and_then(|token| self.accounts.get(token));
                match rights {
                    None => return Ok(problem(401, "unauthorized")),
                    Some(rights) if !rights.list => return Ok(problem(403, "forbidden")),
                    Some(_) => {}
                }
                return Ok(self.answer_api(operation, path, request));
            }
        }
        distribution::answer(
            &self.store,
            operation,
            path,
            request,
            Paging::Names { default: 100, max: 1000 },
            Some(STORAGE),
        )
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        with_header(problem(429, "too_many_requests"), "retry-after", "1")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        problem(violation.status, "bad_request")
    }
}

impl Digitalocean {
    fn issue_token(&mut self, request: &Received) -> Answer {
        let known = request.basic().filter(|(name, password)| name == password);
        let Some((account, rights)) =
            known.and_then(|(name, _)| Some((name.clone(), *self.accounts.get(&name)?)))
        else {
            return problem(401, "unauthorized");
        };
        let asked = distribution::scopes(&request.query).into_iter();
        let granted =
            asked.filter(|scope| rights.pull && scope.starts_with("repository:") && scope.ends_with(":pull"));
        let token = self.tokens.issue(&account, granted.collect(), request.at, LIFETIME);
        answer_json(200, &json!({ "token": token, "expires_in": LIFETIME.as_secs() }))
    }

    fn refuse_at_registry(&self, operation: &str, path: &PathValues, request: &Received) -> Option<Answer> {
        let name = path.get("name").map(String::as_str);
        let scope = match operation {
            distribution::CATALOG => Some("registry:catalog:*".to_owned()),
            _ => name.map(|name| format!("repository:{name}:pull")),
        };
        let token = request.bearer().and_then(|token| self.tokens.get(token, request.at));
        let allowed = token.is_some_and(|token| scope.as_ref().is_none_or(|scope| token.grants(scope)));
        let realm = format!("https://{API}/v2/registry/auth");
        (!allowed).then(|| distribution::challenge(&realm, REGISTRY, scope.as_deref()))
    }

    fn answer_api(&self, operation: &str, path: &PathValues, request: &Received) -> Answer {
        if operation == "registries_list" {
            return answer_json(200, &json!({ "registries": [{ "name": NAME, "region": "fra1" }] }));
        }
        if path["registry_name"] != NAME {
            return problem(404, "not_found");
        }
        let size = request.number("per_page").unwrap_or(20);
        let page = request.query("page_token").map_or_else(
            || request.number("page").unwrap_or(1),
            |token| token.strip_prefix("token-").unwrap().parse().unwrap(),
        );
        let (key, all) = match operation {
            "registries_list_repositoriesV2" => ("repositories", self.repositories()),
            _ => match self.store.get(&format!("{NAME}/{}", path["repository_name"])) {
                Some(repository) => ("tags", tags(repository)),
                None => return problem(404, "not_found"),
            },
        };
        let total = all.len();
        let shown: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        let next = (page * size < total).then(|| {
            let following = page + 1;
            // At the deprecated path, as the published example has it.
            let base = format!("https://{API}/v2/registry/{NAME}/{key}");
            match key {
                "repositories" => {
                    format!("{base}V2?page={following}&page_token=token-{following}&per_page={size}")
                }
                _ => format!("{base}?page={following}&per_page={size}"),
            }
        });
        let pages = next.map_or(json!({}), |next| json!({ "pages": { "next": next } }));
        answer_json(200, &json!({ key: shown, "meta": { "total": total }, "links": pages }))
    }

    fn repositories(&self) -> Vec<Value> {
        let names = self
            .store
            .repositories
            .iter()
            .filter_map(|(name, r)| Some((name.strip_prefix(NAME)?.strip_prefix('/')?, r)));
        names
            .map(|(name, r)| json!({ "registry_name": NAME, "name": name, "tag_count": r.tags.len() }))
            .collect()
    }
}

fn tags(repository: &super::store::Repository) -> Vec<Value> {
    let tags = repository.tags.iter();
    tags.map(|(name, tag)| {
        let size = repository.manifests[&tag.digest].size;
        json!({
            "registry_name": NAME, "tag": name, "manifest_digest": tag.digest, "compressed_size_bytes": size,
            "size_bytes": 2 * size, "updated_at": rfc3339(tag.pushed),
        })
    })
    .collect()
}

fn problem(status: u16, id: &str) -> Answer {
    answer_json(status, &json!({ "id": id, "message": "a message" }))
}

/// The vendor in the shared suite.
#[derive(Debug)]
pub struct DigitaloceanScene(Emulator<Digitalocean>);

impl Scene for DigitaloceanScene {
    const TYPES: &'static [&'static str] = &["digitalocean-cr", "DigitalOcean-CR"];
    const DRIVER: &'static str = "digitalocean";
    const LISTS_NATIVELY: bool = true;
    const DETAILS: Details = Details { pushed: Pushed::OfTag, size: true };
    const FALLBACK: Fallback = Fallback::Names("registry:read");

    fn open(internet: &Internet) -> Self {
        let rights = [("full", true, true), ("pull", false, true), ("list", true, false)];
        let accounts = rights.map(|(token, list, pull)| (token.to_owned(), Rights { list, pull }));
        let emulator = Emulator::new(Digitalocean { accounts: accounts.into(), ..Digitalocean::default() });
        internet.add(emulator.clone());
        Self(emulator)
    }

    fn driver() -> &'static NativeDriver {
        &regent_driver_digitalocean::DRIVER
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
            Account::Full => "full",
            Account::Unknown | Account::Expired => "nobody",
            Account::MayNotList => "pull",
            Account::MayNotPull => "list",
        };
        // As the Broker Client sends it.
        let token = token.to_owned();
        Some(vec![
            ("registryBase", format!("https://{REGISTRY}")),
            ("username", token.clone()),
            ("password", token),
        ])
    }

    fn wrong_base(&self) -> Fields {
        let token = "full".to_owned();
        vec![
            ("registryBase", format!("{REGISTRY}/no-such-registry")),
            ("username", token.clone()),
            ("password", token),
        ]
    }

    fn repository(number: usize) -> String {
        if number.is_multiple_of(3) {
            format!("{NAME}/app-{number}")
        } else {
            format!("{NAME}/group/app-{number}")
        }
    }

    fn store<R>(&self, change: impl FnOnce(&mut Store) -> R) -> R {
        self.0.with(|vendor| change(&mut vendor.store))
    }

    fn expire_tokens(&self) {
        self.0.with(|vendor| vendor.tokens.expire());
    }
}
