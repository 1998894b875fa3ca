//! `/v2/` and its token service.

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::{Account, Refusal, Right, State, Token, Visitor, error, query};
use crate::http::{Body, json as answer_json, whole};

/// What a path below `/v2/` names.
enum Target<'a> {
    Login,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
}

impl<'a> Target<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix("/v2/")?;
        match path {
            "" => return Some(Self::Login),
            "_catalog" => return Some(Self::Catalog),
            _ => {}
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags(name));
        }
        let (rest, reference) = path.rsplit_once('/')?;
        if let Some(name) = rest.strip_suffix("/manifests") {
            return Some(Self::Manifest(name, reference));
        }
        rest.strip_suffix("/blobs").map(|name| Self::Blob(name, reference))
    }

    fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Login | Self::Catalog => None,
            Self::Tags(name) | Self::Manifest(name, _) | Self::Blob(name, _) => Some(name),
        }
    }
}

impl State {
    /// A token for whoever asks: only a login without any scope is refused to strangers.
    pub(super) fn issue_token(&mut self, request: &Request<Incoming>) -> Response<Body> {
        let pairs = query(request);
        let known = ["service", "scope", "account", "client_id", "offline_token"];
        if pairs.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            return self.violation(request, 400, "the token service has no such parameter");
        }
        if !pairs.iter().any(|pair| *pair == ("service".to_owned(), "harbor-registry".to_owned())) {
            return self.violation(request, 400, "the token service is harbor-registry");
        }
        let visitor = self.visitor(request);
        let scopes: Vec<&str> = pairs
            .iter()
            .filter(|(name, _)| name == "scope")
            .flat_map(|(_, value)| value.split(' '))
            .collect();
        if scopes.is_empty() && !visitor.is_authenticated() {
            return error(401, "UNAUTHORIZED");
        }
        let mut pull = Vec::new();
        for scope in scopes {
            let name = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
            let Some((name, (project, _))) = name.and_then(|name| Some((name, name.split_once('/')?))) else {
                return self.violation(request, 500, "a reader asks for repository:project/name:pull");
            };
            if self.may(&visitor, Right::PullRepository, project) {
                pull.push(name.to_owned());
            }
        }
        let account = match visitor {
            Visitor::Known(name, _) => name,
            Visitor::Anonymous | Visitor::Bearer { .. } => String::new(),
        };
        let token = uuid::Uuid::new_v4().to_string();
        self.tokens.insert(token.clone(), Token { account, pull });
        let now = time::OffsetDateTime::now_utc();
        let issued_at = now.format(&time::format_description::well_known::Rfc3339).unwrap();
        answer_json(
            200,
            &json!({ "token": token, "access_token": token, "expires_in": 1800, "issued_at": issued_at }),
        )
    }

    pub(super) fn answer_distribution(&mut self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let Some(target) = Target::parse(&path) else {
            return self.violation(request, 404, "no such path below /v2/");
        };
        let listing = matches!(target, Target::Catalog | Target::Tags(_));
        let pairs = query(request);
        if pairs.iter().any(|(name, _)| !listing || !matches!(name.as_str(), "n" | "last")) {
            return self.violation(request, 400, "no such parameter");
        }
        let visitor = self.visitor(request);
        if let Err(refusal) = self.check(request, &target, &visitor) {
            return *refusal;
        }
        match target {
            Target::Login => answer_json(200, &json!({})),
            Target::Catalog => {
                let all = self.projects.iter().flat_map(|(project, p)| {
                    let filled = p.repositories.iter().filter(|(_, artifacts)| !artifacts.is_empty());
                    filled.map(move |(name, _)| format!("{project}/{name}"))
                });
                listed(&path, &pairs, "repositories", all.collect())
            }
            Target::Tags(name) => match self.stored(name) {
                Some(artifacts) => {
                    let tags = artifacts.iter().flat_map(|a| a.tags.keys().cloned());
                    listed(&path, &pairs, "tags", tags.collect())
                }
                None => error(404, "NOT_FOUND"),
            },
            Target::Manifest(name, reference) => self.manifest(request, name, reference),
            Target::Blob(name, digest) => self.blob(request, name, digest),
        }
    }

    /// Whether it may pass; else 401 with the challenge that fits.
    fn check(
        &self,
        request: &Request<Incoming>,
        target: &Target<'_>,
        visitor: &Visitor,
    ) -> Result<(), Refusal> {
        let has_header = request.headers().contains_key("authorization");
        let Some(name) = target.repository() else {
            let permitted = match target {
                Target::Catalog => matches!(visitor, Visitor::Known(_, Account::Admin)),
                _ => visitor.is_authenticated(),
            };
            let basic = has_header || matches!(target, Target::Catalog);
            return if permitted { Ok(()) } else { Err(Box::new(self.challenge(request, basic, None))) };
        };
        if !has_header {
            return Err(Box::new(self.challenge(request, false, Some(name))));
        }
        let project = name.split('/').next().unwrap();
        if !self.projects.contains_key(project) {
            let mut refusal = error(401, "UNAUTHORIZED");
            refusal.headers_mut().insert("www-authenticate", "".parse().unwrap());
            return Err(Box::new(refusal));
        }
        let permitted = match visitor {
            Visitor::Bearer { pull, .. } => pull.iter().any(|granted| granted == name),
            other => self.may(other, Right::PullRepository, project),
        };
        if permitted { Ok(()) } else { Err(Box::new(self.challenge(request, true, None))) }
    }

    fn challenge(
        &self,
        request: &Request<Incoming>,
        basic: bool,
        repository: Option<&str>,
    ) -> Response<Body> {
        let challenge = if basic {
            "Basic realm=\"harbor\"".to_owned()
        } else {
            let scheme = if self.external_https { "https" } else { "http" };
            let host = request.headers()["host"].to_str().unwrap();
            let scope =
                repository.map(|name| format!(",scope=\"repository:{name}:pull\"")).unwrap_or_default();
            format!("Bearer realm=\"{scheme}://{host}/service/token\",service=\"harbor-registry\"{scope}")
        };
        let mut refusal = error(401, "UNAUTHORIZED");
        refusal.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
        refusal
    }

    fn stored(&self, name: &str) -> Option<&[super::Artifact]> {
        let (project, rest) = name.split_once('/')?;
        Some(self.projects.get(project)?.repositories.get(rest)?)
    }

    fn manifest(&mut self, request: &Request<Incoming>, name: &str, reference: &str) -> Response<Body> {
        let fits = |a: &&super::Artifact| a.digest.to_string() == reference || a.tags.contains_key(reference);
        let Some(artifact) = self.stored(name).and_then(|all| all.iter().find(fits)) else {
            return error(404, "NOT_FOUND");
        };
        let accepted = request.headers().get_all("accept").iter();
        let accepted: Vec<&str> =
            accepted.flat_map(|v| v.to_str().unwrap().split(',')).map(str::trim).collect();
        let (media_type, digest) = (artifact.media_type.clone(), artifact.digest.to_string());
        let content = artifact.manifest.clone();
        if !accepted.contains(&media_type.as_str()) {
            return self.violation(request, 404, &format!("{media_type} is not accepted"));
        }
        let response = Response::builder()
            .header("content-type", media_type)
            .header("docker-content-digest", digest)
            .header("content-length", content.len());
        let body = if *request.method() == Method::HEAD { Vec::new() } else { content };
        response.body(whole(body)).unwrap()
    }

    fn blob(&self, request: &Request<Incoming>, name: &str, digest: &str) -> Response<Body> {
        let digest = digest.parse().ok();
        let found = digest.filter(|digest| {
            self.stored(name).is_some_and(|all| all.iter().any(|a| a.blobs.contains(digest)))
        });
        let Some(content) = found.and_then(|digest| self.blobs.get(&digest)) else {
            return error(404, "NOT_FOUND");
        };
        let response = Response::builder()
            .header("content-type", "application/octet-stream")
            .header("content-length", content.len());
        let body = if *request.method() == Method::HEAD { Vec::new() } else { content.clone() };
        response.body(whole(body)).unwrap()
    }
}

/// A page of names: sorted, with a relative link; without `n` everything at once.
fn listed(path: &str, pairs: &[(String, String)], key: &str, mut all: Vec<String>) -> Response<Body> {
    all.sort();
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    if let Some(last) = value("last") {
        if !all.iter().any(|name| name == last) {
            return error(400, "BAD_REQUEST");
        }
        all.retain(|name| name.as_str() > last);
    }
    let n = value("n").map_or(all.len(), |n| n.parse().unwrap());
    let more = all.len() > n;
    all.truncate(n);
    let link = all.last().filter(|_| more).map(|last| {
        let encoded: String = url::form_urlencoded::byte_serialize(last.as_bytes()).collect();
        format!("<{path}?last={encoded}&n={n}>; rel=\"next\"")
    });
    let names = if all.is_empty() { Value::Null } else { Value::from(all) };
    let mut answer = answer_json(200, &json!({ "name": "name", key: names }));
    if let Some(link) = link {
        answer.headers_mut().insert("link", link.parse().unwrap());
    }
    answer
}
