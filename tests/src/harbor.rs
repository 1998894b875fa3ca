//! A Harbor in the test's own process, written from its API description and from what its sources do.
//!
//! It is strict: a request that Harbor would refuse for its form (an unknown path or parameter, a page too large, a name
//! not encoded twice, no Basic at the API) is a violation, and a test with one fails when the [`Harbor`] is dropped. A
//! request that is well formed but not permitted is answered as Harbor does.

mod api;
mod distribution;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use regent_oci::Digest;
use serde_json::json;

use crate::http::{Body, Server, json as answer_json};
use crate::image::Image;

/// Push times count up from here, a second for each push.
const FIRST_PUSH: u64 = 1_700_000_000;

/// What a robot account may be granted, by the names of Harbor's page for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// `List Repository`.
    ListRepository,
    /// `List Artifact`.
    ListArtifact,
    /// `Pull Repository`.
    PullRepository,
}

/// Who may see what.
#[derive(Debug, Clone)]
pub enum Account {
    /// A system administrator.
    Admin,
    /// A user who is a member of these projects.
    User(Vec<String>),
    /// A robot account with rights in these projects: in one, a project's robot; `None`, in all.
    Robot(Option<Vec<String>>, BTreeSet<Right>),
}

/// A running Harbor.
pub struct Harbor {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<String, (String, Account)>,
    projects: BTreeMap<String, Project>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    tokens: BTreeMap<String, Token>,
    serial: u64,
    robots_see_public_only: bool,
    external_https: bool,
    blocked: Vec<(String, u16)>,
    interruptions: usize,
    requests: Vec<String>,
    violations: Vec<String>,
}

#[derive(Default)]
struct Project {
    public: bool,
    repositories: BTreeMap<String, Vec<Artifact>>,
}

struct Artifact {
    id: u64,
    digest: Digest,
    media_type: String,
    manifest: Vec<u8>,
    blobs: BTreeSet<Digest>,
    pushed: u64,
    tags: BTreeMap<String, u64>,
}

struct Token {
    /// Empty for an anonymous visitor.
    account: String,
    /// The repositories that it may pull from.
    pull: Vec<String>,
}

/// The answer to who may not; boxed, since it is large beside what a permission is.
type Refusal = Box<Response<Body>>;

/// Who sent a request, as far as Harbor can tell.
enum Visitor {
    Anonymous,
    Known(String, Account),
    Bearer { account: String, pull: Vec<String> },
}

impl Harbor {
    /// Starts one without accounts and projects.
    pub async fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        let server = Server::start(move |request: Request<Incoming>| {
            let answer = lock(&shared).answer(&request);
            async move { answer }
        })
        .await;
        Self { server, state }
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// Adds an account, by its full name: `robot$team+scan` for a robot of the project `team`.
    pub fn add_account(&self, name: &str, password: &str, account: Account) {
        lock(&self.state).accounts.insert(name.to_owned(), (password.to_owned(), account));
    }

    /// Adds a project.
    pub fn add_project(&self, name: &str, public: bool) {
        lock(&self.state).projects.entry(name.to_owned()).or_default().public = public;
    }

    /// Adds a repository without artifacts, as deleting its last one leaves it.
    pub fn add_repository(&self, repository: &str) {
        lock(&self.state).artifacts(repository);
    }

    /// Tags an artifact that is no image, only some text. The same text is the same artifact. Returns its digest and
    /// when the tag was pushed.
    pub fn tag(&self, repository: &str, tag: &str, text: &str) -> (Digest, SystemTime) {
        lock(&self.state).push(
            repository,
            tag,
            "application/vnd.oci.image.manifest.v1+json",
            text.as_bytes(),
            [],
        )
    }

    /// Pushes an image. Returns its digest and when the tag was pushed.
    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> (Digest, SystemTime) {
        let mut state = lock(&self.state);
        state.blobs.extend(image.blobs.clone());
        state.push(repository, tag, image.media_type, &image.manifest, image.blobs.keys().cloned())
    }

    /// Lets all tokens expire that were issued until now.
    pub fn expire_tokens(&self) {
        lock(&self.state).tokens.clear();
    }

    /// Shows robots nothing but public projects at `/repositories`, as older versions do.
    pub fn robots_see_public_only(&self) {
        lock(&self.state).robots_see_public_only = true;
    }

    /// Names its token service with `https://`, as behind a proxy that ends TLS; or with `http://` again.
    pub fn external_https(&self, https: bool) {
        lock(&self.state).external_https = https;
    }

    /// Answers paths that begin like this with a status, as a proxy in front may.
    pub fn block(&self, path: &str, status: u16) {
        lock(&self.state).blocked.push((path.to_owned(), status));
    }

    /// Answers so many of the next requests with 429 and `Retry-After: 0`.
    pub fn limit(&self, requests: usize) {
        lock(&self.state).interruptions = requests;
    }

    /// The requests so far: method, path and query.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }

    /// The requests so far that Harbor would refuse for their form.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.state).violations.clone()
    }
}

impl Drop for Harbor {
    fn drop(&mut self) {
        let violations = self.violations();
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "requests that Harbor would refuse:\n{}", violations.join("\n"));
        }
    }
}

impl fmt::Debug for Harbor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harbor").field("server", &self.server).finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A failed assertion of one test thread is that test's failure, not this one's.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn artifacts(&mut self, repository: &str) -> &mut Vec<Artifact> {
        let (project, rest) = repository.split_once('/').unwrap();
        self.projects.entry(project.to_owned()).or_default().repositories.entry(rest.to_owned()).or_default()
    }

    fn push(
        &mut self,
        repository: &str,
        tag: &str,
        media_type: &str,
        manifest: &[u8],
        blobs: impl IntoIterator<Item = Digest>,
    ) -> (Digest, SystemTime) {
        self.serial += 1;
        let (id, pushed) = (self.serial, FIRST_PUSH + self.serial);
        let digest = Digest::sha256(manifest);
        let artifacts = self.artifacts(repository);
        for artifact in artifacts.iter_mut() {
            artifact.tags.remove(tag);
        }
        if !artifacts.iter().any(|a| a.digest == digest) {
            artifacts.push(Artifact {
                id,
                digest: digest.clone(),
                media_type: media_type.to_owned(),
                manifest: manifest.to_vec(),
                blobs: blobs.into_iter().collect(),
                pushed,
                tags: BTreeMap::new(),
            });
        }
        let artifact = artifacts.iter_mut().find(|a| a.digest == digest).unwrap();
        artifact.tags.insert(tag.to_owned(), pushed);
        (digest, SystemTime::UNIX_EPOCH + Duration::from_secs(pushed))
    }

    fn answer(&mut self, request: &Request<Incoming>) -> Response<Body> {
        let line = format!("{} {}", request.method(), request.uri());
        self.requests.push(line);
        if self.interruptions > 0 {
            self.interruptions -= 1;
            let mut limited = error(429, "TOOMANYREQUESTS");
            limited.headers_mut().insert("retry-after", "0".parse().unwrap());
            return limited;
        }
        let path = request.uri().path();
        if let Some((_, status)) = self.blocked.iter().find(|(prefix, _)| path.starts_with(prefix)) {
            return crate::http::answer(*status, "text/html", "<html>blocked</html>");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return self.violation(request, 405, "it only reads");
        }
        if path.starts_with("/api/") {
            return self.answer_api(request);
        }
        if path == "/service/token" {
            return self.issue_token(request);
        }
        if path.starts_with("/v2/") {
            return self.answer_distribution(request);
        }
        self.violation(request, 404, "no such path")
    }

    fn violation(&mut self, request: &Request<Incoming>, status: u16, why: &str) -> Response<Body> {
        self.violations.push(format!("{} {}: {why}", request.method(), request.uri()));
        error(status, "BAD_REQUEST")
    }

    /// Who sent it. Wrong passwords and dead tokens are no error: they make an anonymous visitor.
    fn visitor(&self, request: &Request<Incoming>) -> Visitor {
        let Some(value) = request.headers().get("authorization").and_then(|v| v.to_str().ok()) else {
            return Visitor::Anonymous;
        };
        if let Some(token) = value.strip_prefix("Bearer ").and_then(|token| self.tokens.get(token)) {
            return Visitor::Bearer { account: token.account.clone(), pull: token.pull.clone() };
        }
        let decoded = value
            .strip_prefix("Basic ")
            .and_then(|pair| base64::engine::general_purpose::STANDARD.decode(pair).ok())
            .and_then(|pair| String::from_utf8(pair).ok());
        let known = decoded.as_deref().and_then(|pair| pair.split_once(':')).and_then(|(name, given)| {
            let (password, account) = self.accounts.get(name)?;
            (password == given).then(|| Visitor::Known(name.to_owned(), account.clone()))
        });
        known.unwrap_or(Visitor::Anonymous)
    }

    /// Whether a visitor who came with a name and password, or nothing, may do this in a project.
    fn may(&self, visitor: &Visitor, right: Right, project: &str) -> bool {
        let public = self.projects.get(project).is_some_and(|p| p.public);
        let is_one = |projects: &[String]| projects.iter().any(|p| p == project);
        match visitor {
            Visitor::Known(_, Account::Admin) => true,
            Visitor::Known(_, Account::User(projects)) => public || is_one(projects),
            Visitor::Known(_, Account::Robot(projects, rights)) => {
                public || (projects.as_deref().is_none_or(is_one) && rights.contains(&right))
            }
            Visitor::Anonymous => public,
            Visitor::Bearer { .. } => false,
        }
    }
}

impl Visitor {
    fn is_authenticated(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Known(..) => true,
            Self::Bearer { account, .. } => !account.is_empty(),
        }
    }
}

fn error(status: u16, code: &str) -> Response<Body> {
    answer_json(status, &json!({ "errors": [{ "code": code, "message": "a message" }] }))
}

/// The pairs of a query, decoded.
fn query(request: &Request<Incoming>) -> Vec<(String, String)> {
    url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}
