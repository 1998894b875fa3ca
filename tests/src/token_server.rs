//! A token server whose JWTs the real registry verifies (distribution `docs/spec/auth/token.md` and `jwt.md`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use hyper::Request;
use hyper::body::Incoming;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::http::{Server, json as answer_json};
use crate::registry::basic;

/// A running token server for one user.
#[derive(Debug)]
pub struct TokenServer {
    server: Server,
    certificate: String,
    requests: Arc<Mutex<Vec<TokenRequest>>>,
}

/// One token request that was answered or refused.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// Whether the right password came along.
    pub authenticated: bool,
}

impl TokenServer {
    /// Starts one. `grants` maps a repository (or `catalog` for the catalog) to what the user may do there;
    /// `lifetime_seconds` is what the tokens live.
    pub async fn start(
        username: &str,
        password: &str,
        grants: &[(&str, &[&str])],
        lifetime_seconds: u64,
    ) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["token.test".into()]).unwrap().self_signed(&key).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let issuer = Issuer {
            key: EncodingKey::from_ec_der(&key.serialize_der()),
            x5c: base64::engine::general_purpose::STANDARD.encode(certificate.der()),
            expected: basic(username, password),
            username: username.to_owned(),
            grants: grants
                .iter()
                .map(|(name, actions)| {
                    ((*name).to_owned(), actions.iter().map(|a| (*a).to_owned()).collect())
                })
                .collect(),
            lifetime_seconds,
            requests: requests.clone(),
        };
        let issuer = Arc::new(issuer);
        let server = Server::start(move |request| {
            let issuer = issuer.clone();
            async move { issuer.answer(&request) }
        })
        .await;
        Self { server, certificate: certificate.pem(), requests }
    }

    /// URL of the token endpoint.
    pub fn realm(&self) -> String {
        format!("{}/token", self.server.url())
    }

    /// `127.0.0.1:port`.
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// The certificate for the registry's `rootcertbundle`.
    pub fn certificate(&self) -> String {
        self.certificate.clone()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.requests.lock().unwrap().clone()
    }
}

struct Issuer {
    key: EncodingKey,
    x5c: String,
    expected: String,
    username: String,
    grants: BTreeMap<String, Vec<String>>,
    lifetime_seconds: u64,
    requests: Arc<Mutex<Vec<TokenRequest>>>,
}

impl Issuer {
    fn answer(&self, request: &Request<Incoming>) -> hyper::Response<crate::http::Body> {
        if request.method() != hyper::Method::GET || request.uri().path() != "/token" {
            return answer_json(404, &json!({}));
        }
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let service = query.iter().find(|(k, _)| k == "service").map(|(_, v)| v.as_str());
        assert_eq!(service, Some("regent-tests"), "the challenge's service comes back unchanged");
        let scopes: Vec<String> =
            query.iter().filter(|(k, _)| k == "scope").map(|(_, v)| v.clone()).collect();
        let given = request.headers().get("authorization").and_then(|v| v.to_str().ok());
        let authenticated = given == Some(self.expected.as_str());
        self.requests.lock().unwrap().push(TokenRequest { scopes: scopes.clone(), authenticated });
        if !authenticated {
            return answer_json(401, &json!({ "errors": [{ "code": "UNAUTHORIZED" }] }));
        }
        answer_json(200, &json!({ "token": self.token(&scopes), "expires_in": self.lifetime_seconds }))
    }

    /// The intersection of what is asked and what is granted, as the specification has it.
    fn token(&self, scopes: &[String]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let access: Vec<Value> = scopes
            .iter()
            .filter_map(|scope| {
                let (rest, actions) = scope.rsplit_once(':')?;
                let (kind, name) = rest.split_once(':')?;
                let granted = self.grants.get(name)?;
                let actions: Vec<&str> =
                    actions.split(',').filter(|a| granted.iter().any(|g| g == a)).collect();
                Some(json!({ "type": kind, "name": name, "actions": actions }))
            })
            .collect();
        let claims = json!({
            "iss": "regent-tests", "sub": self.username, "aud": "regent-tests", "jti": uuid::Uuid::new_v4(),
            "iat": now, "nbf": now - 5, "exp": now + self.lifetime_seconds, "access": access,
        });
        let mut header = Header::new(Algorithm::ES256);
        header.x5c = Some(vec![self.x5c.clone()]);
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}
