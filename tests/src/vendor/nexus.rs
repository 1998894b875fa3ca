//! Sonatype Nexus Repository 3: a hosted, a proxy and a group repository of the format docker; the search of its REST API.
//!
//! The REST half is transcribed from the document that Nexus 3.94 serves (operation `listSearch`), its page size, tokens and
//! rights from sonatype/nexus-public (`SearchResource`, `SqlSearchService`). The Docker half is not in the public sources: it
//! is written from Sonatype's help and from what users report, see [`Nexus`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::distribution::{self, Paging};
use super::emulator::Vendor;
use super::message::{Answer, Received, json as answer_json, text, with_header};
use super::operation::{Kind, Operation, Parameter, PathValues, Payload, Violation};
use super::store::{Store, rfc3339};
use search::{SEARCH, matches};

pub mod scene;
mod search;

/// The hosted repository.
pub const HOSTED: &str = "docker-hosted";
/// The proxy, with what was pulled through it.
pub const PROXY: &str = "docker-proxy";
/// The group of both, the hosted one first.
pub const GROUP: &str = "docker-group";
/// A repository of another format.
pub const MAVEN: &str = "maven-releases";

const DOCUMENT: &str = "Nexus 3.94 service/rest/swagger.json";
/// `SearchResource.pageSize`.
const PAGE: usize = 50;
/// What a token lives. Nobody knows; clients take a minute where the answer does not say.
const LIFETIME: Duration = Duration::from_mins(2);

/// A user.
#[derive(Debug, Clone, Copy)]
struct Rights {
    /// `nx-repository-view-docker-*-browse`
    browse: bool,
    /// `nx-repository-view-docker-*-read`
    read: bool,
}

/// How an instance is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The main address.
    pub main: &'static str,
    /// The connector of one of the repositories.
    pub connector: (&'static str, &'static str),
    /// Without "force basic authentication", and behind a proxy that wants tokens and forwards neither scheme nor host.
    pub wants_tokens: bool,
    /// Whether everyone may browse and read repositories whose name begins with `public`.
    pub is_open: bool,
    /// Older than 3.70: paths of assets without a slash in front, groups `null`.
    pub is_old: bool,
}

/// The vendor.
///
/// In its `/v2/`: lists without `n` are whole; a link leads to a host of its own, and lacks the prefix at paths or has one too
/// many at connectors; a group cuts at `n` without a link; a tag list has a `null`. Who is known and has no right gets 403, others
/// 401, in HTML.
#[derive(Debug)]
pub struct Nexus {
    setup: Setup,
    /// What the hosted repository holds.
    pub hosted: Store,
    /// What the proxy has of another registry.
    pub proxied: Store,
    users: BTreeMap<&'static str, Rights>,
    tokens: BTreeMap<String, (String, SystemTime)>,
}

impl Nexus {
    /// An empty one.
    pub fn new(setup: Setup) -> Self {
        let users = [
            ("full", true, true),
            ("reader", false, true),
            ("browser", true, false),
            ("nothing", false, false),
        ];
        Self {
            setup,
            hosted: Store::default(),
            proxied: Store::default(),
            users: users.map(|(name, browse, read)| (name, Rights { browse, read })).into(),
            tokens: BTreeMap::new(),
        }
    }

    /// Lets all tokens expire.
    pub fn expire(&mut self) {
        self.tokens.clear();
    }

    fn at(
        id: &'static str,
        host: &'static str,
        path: &'static str,
        query: &'static [Parameter],
    ) -> Operation {
        let (methods, headers, body) = (&["GET"] as &[_], &[] as &[_], Payload::Nothing);
        Operation { id, source: DOCUMENT, host, methods, path: Cow::Borrowed(path), query, headers, body }
    }

    /// Who asks; an anonymous visitor is the empty name.
    fn account(&self, request: &Received, takes_basic: bool) -> Option<String> {
        if let Some((name, password)) = request.basic() {
            return (takes_basic && password == "s3cr3t" && self.users.contains_key(name.as_str()))
                .then_some(name);
        }
        if let Some(token) = request.bearer() {
            return self
                .tokens
                .get(token)
                .filter(|(_, until)| request.at < *until)
                .map(|(name, _)| name.clone());
        }
        self.setup.is_open.then(String::new)
    }

    fn rights(&self, account: &str) -> Rights {
        self.users.get(account).copied().unwrap_or(Rights { browse: false, read: false })
    }

    fn may_see(&self, account: &str, image: &str, right: impl Fn(Rights) -> bool) -> bool {
        right(self.rights(account)) || (self.setup.is_open && image.starts_with("public"))
    }

    fn issue(&mut self, request: &Received) -> Answer {
        let Some(account) = self.account(request, true) else { return self.unauthorized(request) };
        let token = format!("DockerToken.{}", uuid::Uuid::new_v4());
        self.tokens.insert(token.clone(), (account, request.at + LIFETIME));
        answer_json(200, &json!({ "token": token }))
    }

    fn unauthorized(&self, request: &Received) -> Answer {
        let challenge = if self.setup.wants_tokens && request.path.contains("/v2/") {
            // The scheme and host are its own, and its path is doubled.
            let realm = format!("http://10.0.0.7:8081{}token", request.path.split("token").next().unwrap());
            format!("Bearer realm=\"{realm}\",service=\"{realm}\",scope=\"repository:*:pull\"")
        } else {
            "BASIC realm=\"Sonatype Nexus Repository Manager\"".to_owned()
        };
        with_header(text(401, "text/html", "<html>Unauthorized</html>"), "www-authenticate", &challenge)
    }

    /// `/v2/` of a repository.
    fn docker(
        &self,
        repository: &str,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let Some(account) = self.account(request, !self.setup.wants_tokens) else {
            return Ok(self.unauthorized(request));
        };
        let image = path.get("name").map_or("", String::as_str);
        let is_listing = matches!(operation, distribution::CATALOG | distribution::TAGS);
        let may = |image: &str| self.may_see(&account, image, |r| if is_listing { r.browse } else { r.read });
        let is_permitted = match operation {
            distribution::PING => true,
            distribution::CATALOG => may("") || self.setup.is_open,
            _ => may(image),
        };
        if !is_permitted {
            return Ok(if account.is_empty() { self.unauthorized(request) } else { forbidden() });
        }
        if operation == distribution::CATALOG {
            let stores =
                self.members(repository).into_iter().flat_map(|(_, store)| store.repositories.keys());
            let names: std::collections::BTreeSet<_> = stores.filter(|name| may(name)).cloned().collect();
            let names = names.into_iter().collect();
            return Ok(self.linked(
                distribution::listed(request, PAGING, "repositories", names),
                repository,
                request,
            ));
        }
        if operation == distribution::TAGS {
            let members = self.members(repository);
            let found: Vec<_> = members.into_iter().filter_map(|(_, store)| store.get(image)).collect();
            if found.is_empty() {
                return Ok(distribution::error(404, "NAME_UNKNOWN"));
            }
            let tags: std::collections::BTreeSet<_> =
                found.iter().flat_map(|r| r.tags.keys()).cloned().collect();
            let answer = distribution::listed(request, PAGING, "tags", tags.into_iter().collect());
            return Ok(self.linked(with_null(&answer), repository, request));
        }
        // A group asks its members in their order.
        let mut last = Ok(distribution::error(404, "MANIFEST_UNKNOWN"));
        for (_, store) in self.members(repository) {
            last = distribution::answer(store, operation, path, request, PAGING, None);
            if last.as_ref().is_ok_and(|answer| answer.status().is_success()) {
                return last;
            }
        }
        last
    }

    fn members(&self, repository: &str) -> Vec<(&'static str, &Store)> {
        let (hosted, proxied) = ((HOSTED, &self.hosted), (PROXY, &self.proxied));
        match repository {
            HOSTED => vec![hosted],
            PROXY => vec![proxied],
            GROUP => vec![hosted, proxied],
            _ => Vec::new(),
        }
    }

    /// Its kind of link: from a host of its own, with a path that is not the one that was asked.
    fn linked(&self, mut answer: Answer, repository: &str, request: &Received) -> Answer {
        let Some(link) = answer.headers_mut().remove("link") else { return answer };
        if repository == GROUP {
            return answer;
        }
        let prefix = format!("/repository/{repository}");
        let link = link.to_str().unwrap().trim_start_matches('<');
        let link = if request.host == self.setup.main {
            format!("<http://10.0.0.7:8081{}", link.trim_start_matches(&prefix))
        } else {
            format!("<http://10.0.0.7:8081{prefix}{link}")
        };
        with_header(answer, "link", &link)
    }

    /// `listSearch`.
    fn search(&self, request: &Received) -> Answer {
        let Some(account) = self.account(request, true) else { return self.unauthorized(request) };
        let Some(repository) = request.query("repository") else { return fault(400) };
        let members = self.members(repository);
        if members.is_empty() && repository != MAVEN {
            return fault(400);
        }
        let rights = self.rights(&account);
        if !rights.browse && !rights.read && !self.setup.is_open {
            return fault(403);
        }
        let mut found = Vec::new();
        for (member, store) in members {
            for (image, held) in &store.repositories {
                let is_wanted = request.query("name").is_none_or(|criterion| matches(criterion, image));
                // "Only what the user may browse": without the right, nothing is found.
                if is_wanted && self.may_see(&account, image, |r| r.browse) {
                    found.extend(
                        held.tags
                            .iter()
                            .map(|(tag, at)| (tag, member, image, at, &held.manifests[&at.digest])),
                    );
                }
            }
        }
        if request.query("sort") == Some("version") {
            found.sort_by_key(|hit| hit.0);
            if request.query("direction") != Some("asc") {
                found.reverse();
            }
        } else {
            // By "match weight", which is as good as none.
            found.sort_by_key(|hit| hit.3.digest.to_string());
        }
        let offset = request.number("continuationToken").unwrap_or_default();
        let page = found.iter().skip(offset).take(PAGE);
        let slash = if self.setup.is_old { "" } else { "/" };
        let items: Vec<Value> = page
            .map(|(tag, member, image, at, manifest)| {
                let time = rfc3339(at.pushed).replace('Z', ".000+00:00");
                let path = format!("v2/{image}/manifests/{tag}");
                json!({
                    "id": "b3BhcXVl", "repository": member, "format": "docker", "name": image, "version": tag,
                    "group": if self.setup.is_old { Value::Null } else { "".into() },
                    "assets": [{
                        "downloadUrl": format!("http://10.0.0.7:8081/repository/{member}/{path}"),
                        "path": format!("{slash}{path}"), "id": "b3BhcXVl", "repository": member, "format": "docker",
                        "checksum": { "sha1": "76ba4a8d57cd", "sha256": at.digest.to_string().trim_start_matches("sha256:") },
                        "contentType": manifest.media_type, "lastModified": time, "lastDownloaded": null,
                        "uploader": "ci", "uploaderIp": "10.0.0.9", "fileSize": manifest.content.len(),
                        "blobCreated": if self.setup.is_old { Value::Null } else { time.as_str().into() },
                    }],
                })
            })
            .collect();
        // A page that is full has a token, also where nothing follows.
        let next = (items.len() == PAGE).then(|| (offset + PAGE).to_string());
        answer_json(200, &json!({ "items": items, "continuationToken": next }))
    }
}

const PAGING: Paging = Paging::Names { default: 0, max: usize::MAX };

impl Vendor for Nexus {
    fn operations(&self) -> Vec<Operation> {
        const LISTING: &[Parameter] = &[
            Parameter::optional("n", Kind::Integer { min: 1, max: u64::MAX }),
            Parameter::optional("last", Kind::TEXT),
        ];
        const TOKEN: &[Parameter] = &[
            Parameter::optional("service", Kind::TEXT),
            Parameter::optional("scope", Kind::TEXT).repeated(),
            Parameter::optional("account", Kind::TEXT),
        ];
        let Setup { main, connector: (connector, _), .. } = self.setup;
        let mut all = vec![
            Self::at("listSearch", main, "/service/rest/v1/search", SEARCH),
            Self::at("token", connector, "/v2/token", TOKEN),
            Self::at("token", main, "/repository/{repository}/v2/token", TOKEN),
        ];
        all.extend(distribution::operations(connector, ""));
        all.extend(distribution::operations(main, "/repository/{repository}"));
        // The main address serves no registry: an HTML page.
        all.push(Self::at("nothing", main, "/v2/", &[]));
        all.push(Self::at("nothing", main, "/v2/_catalog", LISTING));
        all
    }

    fn answer(
        &mut self,
        operation: &str,
        path: &PathValues,
        request: &Received,
    ) -> Result<Answer, Violation> {
        let repository = match path.get("repository") {
            Some(named) => named.as_str(),
            None => self.setup.connector.1,
        };
        match operation {
            "listSearch" => Ok(self.search(request)),
            "nothing" => Ok(text(404, "text/html", "<html>Not Found</html>")),
            "token" => Ok(self.issue(request)),
            _ if repository == MAVEN => Ok(text(400, "text/html", "<html>Bad Request</html>")),
            _ if self.members(repository).is_empty() => {
                Ok(text(404, "text/html", "<html>Repository not found</html>"))
            }
            _ => self.docker(repository, operation, path, request),
        }
    }

    fn rate_limited(&self, _: &Received) -> Answer {
        with_header(text(429, "text/html;charset=utf-8", "<html>Too many</html>"), "retry-after", "1")
    }

    fn refusal(&self, violation: &Violation) -> Answer {
        fault(violation.status)
    }
}

/// A list with a `null` in it.
fn with_null(answer: &Answer) -> Answer {
    let mut body: Value = serde_json::from_slice(answer.body()).unwrap();
    body["tags"].as_array_mut().unwrap().insert(0, Value::Null);
    let mut changed = answer_json(200, &body);
    changed.headers_mut().extend(answer.headers().clone());
    changed
}

fn forbidden() -> Answer {
    text(403, "text/html", "<html>Forbidden</html>")
}

/// An error of the REST API.
fn fault(status: u16) -> Answer {
    answer_json(status, &json!({ "status-code": status, "status-message": "a message" }))
}
