//! JFrog Artifactory: Docker repositories in its three access methods, token service, storage API, AQL.
//!
//! Anonymous access is on, as in many installations: who sends no credentials is challenged by no one, and sees nothing of what
//! is here.

mod access;
mod aql;
mod scene;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::distribution::{self, Paging};
use super::emulator::Vendor;
use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use super::store::{Store, rfc3339};
use super::tokens::Tokens;

pub use access::{Access, ByPath, ByServer, BySubdomain};
pub use scene::ArtifactoryScene;

/// The repository of bases that lead to one.
pub const KEY: &str = "docker-local";
const REST: &str = "JFrog REST APIs, jfrog.com/help/r/jfrog-rest-apis";
const LIFETIME: Duration = Duration::from_hours(1);
/// Where JFrog sends the visitors of instances that it has switched off.
const LANDING: &str = "https://landing.jfrog.com/reactivate-server/acme";

/// "Both parameters refer to an integer."
const LISTING: &[Parameter] = &[
    Parameter::optional("n", Kind::Integer { min: 1, max: u64::MAX }),
    Parameter::optional("last", Kind::Integer { min: 0, max: u64::MAX }),
];
const FLAG: Kind = Kind::OneOf(&["0", "1"]);
const FILE_LIST: &[Parameter] = &[
    Parameter::required("list", Kind::Like { example: "", counterexample: "1", fits: str::is_empty }),
    Parameter::optional("deep", FLAG),
    Parameter::optional("depth", Kind::Integer { min: 1, max: u64::MAX }),
    Parameter::optional("listFolders", FLAG),
    Parameter::optional("mdTimestamps", FLAG),
    Parameter::optional("includeRootPath", FLAG),
];
const REPOSITORIES: &[Parameter] = &[
    Parameter::optional("type", Kind::OneOf(&["local", "remote", "virtual", "federated", "distribution"])),
    Parameter::optional("packageType", Kind::TEXT),
    Parameter::optional("project", Kind::TEXT),
];
/// "Consumes: text/plain".
const PLAIN_TEXT: &[Parameter] = &[Parameter::required("content-type", Kind::OneOf(&["text/plain"]))];

/// The vendor. Names in the store are those of the access method.
#[derive(Debug)]
pub struct Artifactory<A> {
    store: Store,
    tokens: Tokens,
    /// What AQL says of the repository of an item: another key than that of a virtual repository.
    pub found_in: Option<&'static str>,
    /// An image that only a remote repository behind a virtual one has.
    pub upstream_tag: Option<&'static str>,
    /// Whether AQL is closed to everyone.
    pub without_aql: bool,
    /// Whether the storage API is.
    pub without_storage: bool,
    /// Whether JFrog has switched the instance off.
    pub deactivated: bool,
    access: PhantomData<A>,
}

/// Who asks; the password of each account is `secret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Full,
    MayNotList,
    MayNotPull,
}

impl<A> Default for Artifactory<A> {
    fn default() -> Self {
        Self {
            store: Store::default(),
            tokens: Tokens::default(),
            found_in: None,
            upstream_tag: None,
            without_aql: false,
            without_storage: false,
            deactivated: false,
            access: PhantomData,
        }
    }
}

impl<A: Access> Vendor for Artifactory<A> {
    fn operations(&self) -> Vec<Operation> {
        let get = |id, path: &str, query| Operation {
            id,
            source: REST,
            host: A::HOST,
            methods: &["GET"],
            path: Cow::Owned(path.to_owned()),
            query,
            headers: &[],
            body: Payload::Nothing,
        };
        let mut all = vec![
            get("repositories", "/artifactory/api/repositories", REPOSITORIES),
            get("get_storage_item", "/artifactory/api/storage/{repoKey}/{path+}", FILE_LIST),
            get("token", "/artifactory/api/docker/{key}/v2/token", A::TOKEN),
            Operation {
                methods: &["POST"],
                headers: PLAIN_TEXT,
                body: Payload::Text,
                ..get("search_aql", "/artifactory/api/search/aql", &[])
            },
        ];
        for prefix in ["/artifactory/api/docker/{key}", ""] {
            let v2 = distribution::operations(A::HOST, prefix).into_iter();
            all.extend(v2.map(|operation| match operation.id {
                distribution::CATALOG | distribution::TAGS => {
                    Operation { query: LISTING, source: REST, ..operation }
                }
                _ => operation,
            }));
        }
        all
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let answer = self.answer_as_artifactory(operation, path, request)?;
        Ok(with_header(answer, "x-jfrog-version", "Artifactory/7.111.4 81104900"))
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        with_header(problem(429, "Too Many Requests"), "retry-after", "1")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        problem(violation.status, "a message")
    }
}

impl<A: Access> Artifactory<A> {
    fn answer_as_artifactory(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        if self.deactivated {
            return Ok(with_header(text(302, "text/html", ""), "location", LANDING));
        }
        let key = path.get("key").map(String::as_str);
        let is_v2 = operation.starts_with("v2");
        if operation == "token" {
            return Ok(self.issue_token(request));
        }
        if is_v2 && key == Some("v2") {
            return Ok(problem(400, "Unsupported docker repository request for 'v2'"));
        }
        let Some(who) = self.who(request, is_v2) else { return Ok(self.challenge(is_v2)) };
        if !is_v2 {
            return match operation {
                "repositories" => Ok(self.repositories(who)),
                _ if who == Who::Nobody => Ok(problem(401, "Authentication is required")),
                "search_aql" if self.without_aql => Ok(problem(403, "Forbidden")),
                "search_aql" => aql::answer(&self.items(), request),
                _ if self.without_storage => Ok(problem(403, "Forbidden")),
                _ => Ok(self.file_list(&path["repoKey"], &path["path"], request)),
            };
        }
        // Only a server with its repositories below it has names that begin with a key at the root.
        let at_root = key.is_none();
        if at_root && operation == distribution::CATALOG && A::NAMES_BEGIN_WITH_KEY {
            return Ok(problem(404, "Not Found"));
        }
        if key.is_some_and(|key| !self.keys().contains(&key.to_owned())) {
            return Ok(problem(404, "Failed to transform storage path"));
        }
        let denied = match operation {
            distribution::PING => false,
            distribution::CATALOG => who == Who::MayNotList,
            _ => who == Who::MayNotPull,
        };
        if denied {
            return Ok(distribution::error(403, "DENIED"));
        }
        if who == Who::Nobody && operation != distribution::PING {
            return Ok(match operation {
                distribution::CATALOG => answer_json(200, &json!({ "repositories": [] })),
                _ => distribution::error(404, "NAME_UNKNOWN"),
            });
        }
        if operation == distribution::CATALOG {
            let names = self.images().into_iter().filter(|(of, _)| key.is_none_or(|key| of == key));
            let names = names.map(|(_, image)| image).collect();
            let answer =
                distribution::listed(request, Paging::Numbers { max: 10_000 }, "repositories", names);
            return Ok(without_prefix(answer, key));
        }
        let mut path = path.clone();
        if let (Some(key), true) = (key, A::NAMES_BEGIN_WITH_KEY) {
            let name = path.get("name").map(|name| format!("{key}/{name}"));
            name.and_then(|name| path.insert("name".to_owned(), name));
        }
        let paging = Paging::Numbers { max: 10_000 };
        let answer = distribution::answer(&self.store, operation, &path, request, paging, None)?;
        Ok(match operation {
            distribution::TAGS => self.with_strays(without_prefix(answer, key)),
            _ => answer,
        })
    }

    /// Who it is; `None` for credentials that are no good. Without any it is nobody.
    fn who(&self, request: &Received, is_v2: bool) -> Option<Who> {
        if request.header("authorization").is_none() {
            return Some(Who::Nobody);
        }
        if let Some(token) = request.bearer() {
            return account(&self.tokens.get(token, request.at)?.account);
        }
        let (name, password) = request.basic().filter(|_| !(is_v2 && A::TOKENS_ONLY))?;
        account(&name).filter(|_| password == "secret")
    }

    fn challenge(&self, is_v2: bool) -> Answer {
        let _ = self;
        if is_v2 && A::TOKENS_ONLY {
            // As reverse proxies rewrite it.
            let realm = format!("https://{}/artifactory/api/docker/null/v2/token", A::HOST);
            return distribution::challenge(&realm, A::HOST, None);
        }
        with_header(problem(401, "Bad credentials"), "www-authenticate", "Basic realm=\"Artifactory Realm\"")
    }

    fn issue_token(&mut self, request: &Received) -> Answer {
        let known =
            request.basic().filter(|(name, password)| account(name).is_some() && password == "secret");
        match known {
            Some((account, _)) => {
                let token = self.tokens.issue(&account, Vec::new(), request.at, LIFETIME);
                answer_json(200, &json!({ "token": token, "expires_in": LIFETIME.as_secs() }))
            }
            None => problem(401, "Bad credentials"),
        }
    }

    /// An access token of an account, as its user makes one.
    pub fn access_token(&mut self, account: &str, at: SystemTime) -> String {
        self.tokens.issue(account, Vec::new(), at, LIFETIME)
    }

    fn repositories(&self, who: Who) -> Answer {
        let keys = if who == Who::Nobody { Vec::new() } else { self.keys() };
        let docker =
            keys.into_iter().map(|key| json!({ "key": key, "type": "LOCAL", "packageType": "Docker" }));
        let others = [json!({ "key": "a-maven", "type": "LOCAL", "packageType": "Maven" })];
        // Its upstream has no catalog.
        let remote = [json!({ "key": "zz-remote", "type": "REMOTE", "packageType": "Docker" })];
        answer_json(200, &others.into_iter().chain(docker).chain(remote).collect())
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.images().into_iter().map(|(key, _)| key).collect();
        keys.push(KEY.to_owned());
        keys.sort();
        keys.dedup();
        keys
    }

    /// Key and image of all names.
    fn images(&self) -> Vec<(String, String)> {
        let names = self.store.repositories.keys();
        names
            .map(|name| match name.split_once('/').filter(|_| A::NAMES_BEGIN_WITH_KEY) {
                Some((key, image)) => (key.to_owned(), image.to_owned()),
                None => (KEY.to_owned(), name.clone()),
            })
            .collect()
    }

    /// What is stored: a folder for each tag, with the manifest and the layers; and one for each manifest without a tag.
    fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        for (repository, (key, image)) in self.store.repositories.values().zip(self.images()) {
            let mut folders: Vec<(String, &regent_oci::Digest, u64)> =
                repository.tags.iter().map(|(tag, at)| (tag.clone(), &at.digest, at.pushed)).collect();
            let tagged = repository.tags_by_digest();
            let untagged = repository.manifests.iter().filter(|(digest, _)| !tagged.contains_key(digest));
            folders.extend(untagged.map(|(digest, manifest)| (digest.to_string(), digest, manifest.pushed)));
            for (folder, digest, pushed) in folders {
                let manifest = &repository.manifests[digest];
                let is_index = manifest.media_type.contains("index") || manifest.media_type.contains("list");
                let name = if is_index { "list.manifest.json" } else { "manifest.json" };
                let file = |name: &str, sha256: &str, size: usize| {
                    json!({
                        "repo": self.found_in.unwrap_or(&key), "virtual_repos": key, "path": format!("{image}/{folder}"), "name": name,
                        "type": "file", "size": size, "sha256": sha256, "modified": rfc3339(pushed),
                        "updated": rfc3339(pushed),
                    })
                };
                items.push(file(name, digest.hex(), manifest.content.len()));
                items.extend(
                    manifest.blobs.iter().map(|blob| file(&format!("sha256__{}", blob.hex()), blob.hex(), 1)),
                );
            }
        }
        items
    }

    fn file_list(&self, key: &str, folder: &str, request: &Received) -> Answer {
        let depth = match request.query("deep") {
            Some("1") => request.number("depth").unwrap_or(usize::MAX),
            _ => 1,
        };
        let items = self.items();
        let below = items.iter().filter(|item| item["repo"] == key || self.found_in.is_some());
        let files = below.filter_map(|item| {
            let path = format!("{}/{}", item["path"].as_str()?, item["name"].as_str()?);
            let uri = path.strip_prefix(folder)?;
            let levels = uri.strip_prefix('/')?.split('/').count();
            (levels <= depth).then(|| {
                json!({
                    "uri": uri, "size": item["size"].to_string(), "lastModified": item["modified"], "folder": false,
                    "sha1": "0", "sha2": item["sha256"],
                })
            })
        });
        let files: Vec<Value> = files.collect();
        if files.is_empty() {
            return problem(404, "Unable to find item");
        }
        answer_json(200, &json!({ "uri": "u", "created": "2026-01-01T00:00:00.000Z", "files": files }))
    }

    /// Digests stand among the tags, and tags that only an upstream has.
    fn with_strays(&self, answer: Answer) -> Answer {
        if answer.status() != 200 {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        let tags = body["tags"].as_array_mut().unwrap();
        tags.insert(0, json!(regent_oci::Digest::sha256(b"of a platform")));
        tags.extend(self.upstream_tag.map(Value::from));
        Answer::from_parts(head, body.to_string().into())
    }
}

fn account(name: &str) -> Option<Who> {
    match name {
        "full" => Some(Who::Full),
        "pull" => Some(Who::MayNotList),
        "list" => Some(Who::MayNotPull),
        _ => None,
    }
}

/// The link without the repository's path, and with a comma behind it (RTFACT-18971).
fn without_prefix(mut answer: Answer, key: Option<&str>) -> Answer {
    let prefix = key.map(|key| format!("/artifactory/api/docker/{key}")).unwrap_or_default();
    if let Some(link) = answer.headers().get("link").and_then(|link| link.to_str().ok()) {
        let link = format!("{},", link.replacen(&prefix, "", 1));
        answer.headers_mut().insert("link", link.parse().unwrap());
    }
    answer
}

fn problem(status: u16, message: &str) -> Answer {
    answer_json(status, &json!({ "errors": [{ "status": status, "message": message }] }))
}
