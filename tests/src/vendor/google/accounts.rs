//! Service accounts, their keys, and the token service that takes what these have signed (Google, "Using OAuth 2.0 for
//! server to server applications").

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{Google, OAUTH};
use crate::vendor::message::{Answer, Received, json as answer_json};
use crate::vendor::operation::{Kind, Operation, Parameter, Payload};

/// A key that was made for tests and opens nothing, and its public half.
const PRIVATE_KEY: &str = include_str!("../../../../core/google/test-key.pem");
const PUBLIC_KEY: &str = include_str!("public-key.pem");
/// What access tokens live: the answer says a second less.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_hours(1);
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/cloud-platform.read-only",
];

/// The token service.
pub const TOKEN: Operation = Operation {
    id: "oauth2 token",
    source: "developers.google.com/identity/protocols/oauth2/service-account; RFC 7523",
    host: OAUTH,
    methods: &["POST"],
    path: Cow::Borrowed("/token"),
    query: &[],
    headers: &[],
    body: Payload::Form(&[
        Parameter::required("grant_type", Kind::OneOf(&[GRANT])),
        Parameter::required(
            "assertion",
            Kind::Like {
                example: "a.b.c",
                counterexample: "a.b",
                fits: |value| value.split('.').filter(|part| !part.is_empty()).count() == 3,
            },
        ),
    ]),
};

/// A service account, with what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAccount {
    /// `roles/artifactregistry.reader` on the projects.
    Reader,
    /// May pull, and is shown the catalog (`roles/browser`), and may not call the API.
    Puller,
    /// May call the API, and may not pull.
    Lister,
    /// May nothing.
    Stranger,
    /// Was deleted.
    Gone,
    /// Is a reader whose key was deleted.
    KeyDeleted,
}

impl ServiceAccount {
    const ALIVE: [Self; 4] = [Self::Reader, Self::Puller, Self::Lister, Self::Stranger];

    /// Its name.
    pub fn email(self) -> String {
        let name = match self {
            Self::Reader | Self::KeyDeleted => "reader",
            Self::Puller => "puller",
            Self::Lister => "lister",
            Self::Stranger => "stranger",
            Self::Gone => "gone",
        };
        format!("{name}@acme-prod.iam.gserviceaccount.com")
    }

    fn key_id(self) -> &'static str {
        if self == Self::KeyDeleted { "0000" } else { "1f2e3d" }
    }

    /// Its key, as the console hands it out.
    pub fn key(self) -> String {
        let key = json!({
            "type": "service_account",
            "project_id": "acme-prod",
            "private_key_id": self.key_id(),
            "private_key": PRIVATE_KEY,
            "client_email": self.email(),
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": AUDIENCE,
            "universe_domain": "googleapis.com",
        });
        serde_json::to_string_pretty(&key).unwrap()
    }

    /// Whose key this is, if it is good.
    pub(super) fn of_key(text: &str) -> Option<Self> {
        let key: Value = serde_json::from_str(text).ok()?;
        (key["private_key"] == PRIVATE_KEY).then_some(())?;
        Self::ALIVE
            .into_iter()
            .find(|a| key["client_email"] == a.email() && key["private_key_id"] == a.key_id())
    }

    pub(super) fn of_email(email: &str) -> Option<Self> {
        Self::ALIVE.into_iter().find(|account| account.email() == email)
    }

    /// Whether the API answers it.
    pub(super) fn may_list(self) -> bool {
        matches!(self, Self::Reader | Self::Lister)
    }

    /// Whether it may read from a repository.
    pub(super) fn may_pull(self) -> bool {
        matches!(self, Self::Reader | Self::Puller)
    }

    /// Whether the catalog has anything for it.
    pub(super) fn sees_catalog(self) -> bool {
        self == Self::Puller
    }
}

impl Google {
    pub(super) fn issue_access_token(&mut self, request: &Received) -> Answer {
        let form = request.form();
        let assertion = form.iter().find(|(name, _)| name == "assertion").map_or("", |(_, value)| value);
        let Some(email) = signer(assertion, request.at) else {
            return answer_json(400, &json!({ "error": "invalid_grant", "error_description": "a message" }));
        };
        let token = self.access_tokens.issue(&email, Vec::new(), request.at, ACCESS_TOKEN_LIFE);
        let expires_in = ACCESS_TOKEN_LIFE.as_secs() - 1;
        answer_json(200, &json!({ "access_token": token, "expires_in": expires_in, "token_type": "Bearer" }))
    }

    /// Who an access token speaks for.
    pub(super) fn of_access_token(&self, token: &str, now: SystemTime) -> Option<ServiceAccount> {
        ServiceAccount::of_email(&self.access_tokens.get(token, now)?.account)
    }
}

/// Who has signed an assertion, if it is good at this time.
fn signer(assertion: &str, now: SystemTime) -> Option<String> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[AUDIENCE]);
    validation.required_spec_claims = HashSet::new();
    validation.validate_exp = false; // by the machine's clock, which is not the internet's
    let public = DecodingKey::from_rsa_pem(PUBLIC_KEY.as_bytes()).unwrap();
    let signed = jsonwebtoken::decode::<Value>(assertion, &public, &validation).ok()?;
    let claims = signed.claims;
    let account = ServiceAccount::of_email(claims["iss"].as_str()?)?;
    (signed.header.kid.as_deref() == Some(account.key_id())).then_some(())?;
    let (issued, expires) = (claims["iat"].as_u64()?, claims["exp"].as_u64()?);
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let is_timely = issued.abs_diff(now) <= 60 && expires > now && expires - issued <= 3600;
    let is_scoped = claims["scope"].as_str()?.split(' ').all(|scope| SCOPES.contains(&scope));
    (is_timely && is_scoped).then(|| account.email())
}
