//! `/v2/` with Google's extension of `tags/list` (google/go-containerregistry, `pkg/v1/google/list.go`), and its token
//! services.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::accounts::ServiceAccount;
use super::{GCR, GCR_TOKENS, Google, PKG, PROJECT, REGISTRY_TOKEN_LIFE, SCOPED_PROJECT, STORAGE};
use crate::vendor::distribution::{self, Paging};
use crate::vendor::message::{Answer, Received, json as answer_json, text, with_header};
use crate::vendor::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use crate::vendor::store::Store;

const TOKEN: &str = "v2 token";
const DOWNLOAD: &str = "artifacts-downloads";
/// "Returns an incomplete list if a repository has more than 10,000 images or tags."
const MAX_LISTED: usize = 10_000;

/// What the registries take.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = vec![token(PKG, &[]), token(GCR_TOKENS, &[GCR])];
    for host in [PKG, GCR] {
        all.extend(distribution::operations(host, ""));
    }
    all.push(distribution::storage(STORAGE));
    all.push(Operation {
        id: DOWNLOAD,
        source: "redirects seen in public issues: https://LOCATION-docker.pkg.dev/artifacts-downloads/namespaces/…",
        host: PKG,
        methods: &["GET", "HEAD"],
        path: Cow::Borrowed("/artifacts-downloads/namespaces/{project}/repositories/{repository}/downloads/{digest}"),
        query: &[],
        headers: &[],
        body: Payload::Nothing,
    });
    all
}

/// A token service; that of Artifact Registry is sometimes called without a service, as its challenge has none.
fn token(host: &'static str, services: &'static [&'static str]) -> Operation {
    const SCOPE: Parameter = Parameter::optional("scope", Kind::TEXT).repeated();
    const OF_GCR: &[Parameter] = &[Parameter::required("service", Kind::OneOf(&[GCR])), SCOPE];
    const OF_PKG: &[Parameter] = &[Parameter::optional("service", Kind::OneOf(&[PKG])), SCOPE];
    Operation {
        id: TOKEN,
        source: "CNCF Distribution, Token Authentication; challenges of gcr.io and pkg.dev",
        host,
        methods: &["GET"],
        path: Cow::Borrowed("/v2/token"),
        query: if services.is_empty() { OF_PKG } else { OF_GCR },
        headers: &[],
        body: Payload::Nothing,
    }
}

impl Google {
    pub(super) fn answer_registry(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let name = path.get("name").map_or("", String::as_str);
        match operation {
            TOKEN => return Ok(self.issue_token(request)),
            DOWNLOAD => return Ok(download(&self.stores[PKG], &path["digest"])),
            distribution::STORAGE => return self.answer_content(GCR, operation, path, request),
            _ => {}
        }
        let host = if request.host == GCR { GCR } else { PKG };
        let scope = match operation {
            distribution::CATALOG => Some("registry:catalog:*".to_owned()),
            distribution::PING => None,
            _ => Some(format!("repository:{name}:pull")),
        };
        let token = request.bearer().and_then(|token| self.tokens.get(token, request.at));
        let Some(token) = token.filter(|token| scope.as_ref().is_none_or(|scope| token.grants(scope))) else {
            return Ok(challenge(host, scope.as_deref()));
        };
        match operation {
            distribution::CATALOG => {
                let sees = ServiceAccount::of_email(&token.account).is_some_and(ServiceAccount::sees_catalog);
                let mut all = if sees { self.names(host) } else { Vec::new() };
                if sees {
                    all.push("another-project/apps/theirs".to_owned());
                }
                Ok(distribution::listed(
                    request,
                    Paging::Names { default: 100, max: 10_000 },
                    "repositories",
                    all,
                ))
            }
            distribution::TAGS => Ok(self.tag_list(host, name, request)),
            // To the same host.
            distribution::BLOB if host == PKG && self.blob(name, &path["digest"]) => {
                let target = format!(
                    "https://{PKG}/artifacts-downloads/namespaces/acme/repositories/apps/downloads/{}",
                    path["digest"]
                );
                Ok(with_header(text(302, "text/html", "<a>moved</a>"), "location", &target))
            }
            _ => self.answer_content(host, operation, path, request),
        }
    }

    fn answer_content(
        &mut self,
        host: &'static str,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let at_storage = (host == GCR).then_some(STORAGE);
        distribution::answer(self.store(host), operation, path, request, Paging::Whole, at_storage)
    }

    fn issue_token(&mut self, request: &Received) -> Answer {
        let account = request.basic().and_then(|(name, password)| match name.as_str() {
            "_json_key" => ServiceAccount::of_key(&password),
            "oauth2accesstoken" | "_token" => self.of_access_token(&password, request.at),
            _ => None,
        });
        let Some(account) = account else { return distribution::error(401, "UNAUTHORIZED") };
        let scopes = distribution::scopes(&request.query);
        // A repository that is not there is refused like one that is closed.
        let refused = scopes.iter().any(|scope| {
            let name = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
            name.is_some_and(|name| !account.may_pull() || !is_in_a_repository(name, request))
        });
        if refused {
            return distribution::error(403, "DENIED");
        }
        let token = self.tokens.issue(&account.email(), scopes, request.at, REGISTRY_TOKEN_LIFE);
        let expires_in = REGISTRY_TOKEN_LIFE.as_secs();
        answer_json(200, &json!({ "token": token, "expires_in": expires_in }))
    }

    fn names(&self, host: &str) -> Vec<String> {
        self.stores.get(host).into_iter().flat_map(|store| store.repositories.keys().cloned()).collect()
    }

    fn blob(&self, name: &str, digest: &str) -> bool {
        self.stores.get(PKG).is_some_and(|store| store.blob_of(name, digest).is_some())
    }

    /// Tags, manifests and the names below, cut at `n` without a word.
    fn tag_list(&self, host: &str, name: &str, request: &Received) -> Answer {
        let n = request.number("n").unwrap_or(MAX_LISTED).min(MAX_LISTED);
        let below = format!("{name}/");
        let all = self.names(host);
        let child: BTreeSet<&str> =
            all.iter().filter_map(|other| other.strip_prefix(&below)?.split('/').next()).collect();
        let repository = self.stores.get(host).and_then(|store| store.get(name));
        if repository.is_none() && child.is_empty() {
            return distribution::error(404, "NAME_UNKNOWN");
        }
        let tags: Vec<&str> =
            repository.into_iter().flat_map(|r| r.tags.keys().map(String::as_str)).take(n).collect();
        let mut manifests = Map::new();
        if let Some(repository) = repository {
            let by_digest = repository.tags_by_digest();
            for (digest, manifest) in repository.manifests.iter().take(n) {
                let ms = manifest.pushed * 1000;
                let info = json!({
                    "imageSizeBytes": manifest.size.to_string(),
                    "layerId": "",
                    "mediaType": manifest.media_type,
                    "tag": by_digest.get(digest).cloned().unwrap_or_default(),
                    "timeCreatedMs": "0",
                    // Text at one and a number at the other.
                    "timeUploadedMs": if host == GCR { Value::from(ms.to_string()) } else { Value::from(ms) },
                });
                manifests.insert(digest.to_string(), info);
            }
        }
        let child: Vec<&str> = child.into_iter().take(n).collect();
        answer_json(200, &json!({ "child": child, "manifest": manifests, "name": name, "tags": tags }))
    }
}

/// Whether a name is in a repository of Artifact Registry, and not above it.
fn is_in_a_repository(name: &str, request: &Received) -> bool {
    let inner = [PROJECT, SCOPED_PROJECT].iter().find_map(|project| match name.strip_prefix(project) {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix('/'),
        None => None,
    });
    // At Container Registry the project is the repository.
    inner.is_some_and(|inner| request.host == GCR_TOKENS || !inner.is_empty())
}

fn challenge(host: &str, scope: Option<&str>) -> Answer {
    let realm = if host == GCR { GCR_TOKENS } else { PKG };
    let service = if host == GCR { format!(",service={GCR}") } else { String::new() };
    let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
    let value = format!("Bearer realm=\"https://{realm}/v2/token\"{service}{scope}");
    with_header(distribution::error(401, "UNAUTHORIZED"), "www-authenticate", &value)
}

fn download(store: &Store, digest: &str) -> Answer {
    match store.blob(digest) {
        Some(blob) => text(200, "application/octet-stream", blob.clone()),
        None => text(404, "text/plain", "not found"),
    }
}
