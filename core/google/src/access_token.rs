//! From a service account's key to access tokens (RFC 7523 §2.1; Google, "Using OAuth 2.0 for server to server
//! applications").

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::lock::Mutex;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use regent_distribution::{
    Ask, Authorized, Authorizer, Credentials, Endpoint, Error as ProtocolError, Proof, RetryPolicy, Scope,
    Session, Subject,
};
use regent_transport::{BoxFuture, Class, Fault as _, Request, Transport, collect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::error::Error;
use crate::key::ServiceAccountKey;

/// The one place that an assertion is sent to, whatever the key says.
const TOKEN_SERVICE: &str = "https://oauth2.googleapis.com/";
/// The scope that lets one read and nothing else; the Artifact Registry API takes it for all that is called here.
const READ_ONLY: &str = "https://www.googleapis.com/auth/cloud-platform.read-only";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that an assertion may live.
const ASSERTION_LIFE: Duration = Duration::from_hours(1);
/// Tokens live an hour; a longer life is not believed.
const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// For so long a key that was rejected is not tried again: a listing side by side must not become as many failed
/// logins.
const REJECTION_HOLDS: Duration = Duration::from_secs(5);

/// Access tokens of one key, one at a time, renewed at 90 % of their life or when one is refused.
pub(crate) struct AccessTokens {
    key: Arc<ServiceAccountKey>,
    service: Session,
    // An async lock, held over the request: who comes second takes its outcome.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    rejected: Option<(SystemTime, Error)>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    renew_at: SystemTime,
    expires: SystemTime,
}

impl AccessTokens {
    pub(crate) fn new(transport: Arc<dyn Transport>, key: Arc<ServiceAccountKey>) -> Result<Self, Error> {
        let endpoint = Endpoint::new(parsed(TOKEN_SERVICE)?)?;
        // A POST is tried once by a session; asking for a token changes nothing, so `obtain` repeats it.
        let service = Session::with_credentials(transport, endpoint, Credentials::Anonymous);
        Ok(Self { key, service, state: Mutex::default() })
    }

    async fn answer(&self, ask: Ask<'_>) -> Result<Token, Error> {
        let mut state = self.state.lock().await;
        let now = self.service.transport().now();
        if let Some(token) = &state.token
            && now < token.renew_at
            && match ask {
                Ask::Cached => true,
                Ask::Anew => false,
                Ask::Refused(refusal) => refusal.sent.get(AUTHORIZATION) != Some(&token.header),
            }
        {
            return Ok(token.clone());
        }
        if let Some((at, error)) = &state.rejected
            && now.duration_since(*at).is_ok_and(|age| age < REJECTION_HOLDS)
        {
            return Err(error.clone());
        }
        let outcome = self.obtain(now).await;
        *state = match &outcome {
            Ok(token) => State { token: Some(token.clone()), rejected: None },
            Err(error @ Error::KeyRejected { .. }) => {
                State { token: None, rejected: Some((now, error.clone())) }
            }
            Err(_) => State { token: None, rejected: None },
        };
        outcome
    }

    async fn obtain(&self, now: SystemTime) -> Result<Token, Error> {
        let request = self.request(now)?;
        let (service, none) = (&self.service, Scope::none());
        let response = RetryPolicy::default()
            .run(service.transport(), |_| service.fetch(request.clone(), &none, &Subject::Token))
            .await
            .map_err(|error| match error.class() {
                Class::Authentication | Class::Denied => Error::KeyRejected { code: None },
                _ => error.into(),
            })?;
        let status = response.status;
        let body = collect(response.body).await.map_err(ProtocolError::from)?;
        match status {
            StatusCode::OK => Token::parse(&body, now),
            StatusCode::BAD_REQUEST => Err(Error::KeyRejected { code: error_code(&body) }),
            status => {
                Err(ProtocolError::UnexpectedStatus { subject: Subject::Token, status, registry_code: None }
                    .into())
            }
        }
    }

    fn request(&self, now: SystemTime) -> Result<Request, Error> {
        let assertion = self.assertion(now)?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", GRANT).append_pair("assertion", assertion.expose_secret());
        let url = self.service.endpoint().below(["token"]);
        let mut request = Request::new(Method::POST, url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.body = form.finish().into();
        Ok(request)
    }

    /// A JWT that says who asks for what (RFC 7519), signed.
    fn assertion(&self, now: SystemTime) -> Result<SecretString, Error> {
        let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key.id });
        let claims = json!({
            "iss": self.key.email,
            "scope": READ_ONLY,
            "aud": format!("{TOKEN_SERVICE}token"),
            "iat": issued.as_secs(),
            "exp": (issued + ASSERTION_LIFE).as_secs(),
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&signed)?;
        Ok(format!("{signed}.{signature}").into())
    }
}

impl Token {
    fn parse(body: &[u8], now: SystemTime) -> Result<Self, Error> {
        let fail = |reason: &str| {
            Error::from(ProtocolError::AnswerInvalid { subject: Subject::Token, reason: reason.to_owned() })
        };
        let answer: Value =
            serde_json::from_slice(body).map_err(|_| fail("it is not the JSON of an access token"))?;
        let token = answer.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| fail("it holds no access token"))?;
        let bearer = SecretString::from(format!("Bearer {token}"));
        let mut header = HeaderValue::from_str(bearer.expose_secret())
            .map_err(|_| fail("its token fits into no header"))?;
        header.set_sensitive(true);
        let life = answer.get("expires_in").and_then(Value::as_u64);
        let life = life.map_or(LONGEST_LIFE, Duration::from_secs).min(LONGEST_LIFE);
        let after = |life: Duration| now.checked_add(life).unwrap_or(now);
        Ok(Self { header, renew_at: after(life.mul_f64(0.9)), expires: after(life) })
    }
}

/// The code of an OAuth error; no other text of the answer.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let code = body.get("error")?.as_str()?;
    let wellformed = code.len() <= 40 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (wellformed && !code.is_empty()).then(|| code.to_owned())
}

pub(crate) fn parsed(url: &'static str) -> Result<Url, Error> {
    Url::parse(url).map_err(|e| ProtocolError::Endpoint { reason: format!("is no URL: {e}") }.into())
}

impl Authorizer for AccessTokens {
    fn authorize<'a>(
        &'a self,
        _: &'a Scope,
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Authorized, ProtocolError>> {
        Box::pin(async move {
            let token = self.answer(ask).await.map_err(|error| match error {
                Error::Protocol(error) => error,
                error => ProtocolError::Authorizer(Arc::new(error)),
            })?;
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, token.header);
            Ok(Authorized { headers, expires: Some(token.expires), proof: Proof::TokenIssued })
        })
    }
}
