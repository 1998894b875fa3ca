//! From a challenge to a token (CNCF Distribution, "Token Authentication" and "OAuth2 Token Authentication").

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use regent_transport::{Request, Response, RetryPolicy, Transport};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

use crate::answer::{Failure, read_bounded, transient};
use crate::authorize::{Credentials, basic};
use crate::endpoint::host_and_port;
use crate::error::{Error, Subject};
use crate::realm::RealmPolicy;
use crate::redirect::target;
use crate::scope::Scope;
use crate::when::parse_rfc3339;

/// The most of a token service's answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// The most redirects of a token request.
const MAX_HOPS: u32 = 3;
/// "If omitted, this defaults to 60 seconds"; smaller values are raised to it, as others do.
const SHORTEST_LIFE: Duration = Duration::from_mins(1);
/// Longer lives are not believed: a token is asked for again at least once a day.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// The name by which the POST flow knows us.
const CLIENT_ID: &str = "regent";

/// How a token service is asked, where the credentials leave a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenFlow {
    /// GET with HTTP Basic, which every token service has.
    #[default]
    Get,
    /// POST with the password in a form, and GET where that answers 404 or 405.
    Post,
}

/// A token service, its realm checked, under the name that it knows the registry by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenService {
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// A token and when it has to be renewed.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    /// What it was asked for; the server may have granted less.
    pub(crate) asked: Scope,
    /// At 90 % of its life.
    pub(crate) renew_at: SystemTime,
    pub(crate) expires: SystemTime,
}

/// All that a token request needs beside the service and the scope.
pub(crate) struct Exchange<'a> {
    pub(crate) transport: &'a dyn Transport,
    pub(crate) realms: &'a RealmPolicy,
    pub(crate) credentials: &'a Credentials,
    pub(crate) flow: TokenFlow,
    pub(crate) retry: RetryPolicy,
}

impl Exchange<'_> {
    /// Asks for a token. Proves the credentials only: the answer is the *intersection* of asked and granted scopes,
    /// with 200 even if that is empty.
    pub(crate) async fn token(&self, service: &TokenService, scope: &Scope) -> Result<Token, Error> {
        self.realms.check(&service.realm)?;
        match self.credentials {
            Credentials::IdentityToken(refresh) => {
                let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
                let response = self.send(&post(service, scope, form)).await?;
                if matches!(response.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                    let host = host_and_port(&service.realm);
                    return Err(Error::GrantUnsupported { host, status: response.status });
                }
                self.read(service, scope, response).await
            }
            Credentials::Basic { username, password } if self.flow == TokenFlow::Post => {
                let form = [
                    ("grant_type", "password"),
                    ("username", username.as_str()),
                    ("password", password.expose_secret()),
                ];
                let response = self.send(&post(service, scope, form)).await?;
                if matches!(response.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                    return self.token_by_get(service, scope).await;
                }
                self.read(service, scope, response).await
            }
            Credentials::Basic { .. } | Credentials::Anonymous | Credentials::Bearer(_) => {
                self.token_by_get(service, scope).await
            }
        }
    }

    async fn token_by_get(&self, service: &TokenService, scope: &Scope) -> Result<Token, Error> {
        let mut url = service.realm.clone();
        if service.service.is_some() || !scope.is_empty() {
            // What the realm's query holds already is kept; values are encoded, which some clients forget.
            let mut query = url.query_pairs_mut();
            if let Some(service) = &service.service {
                query.append_pair("service", service);
            }
            for scope in scope.iter() {
                query.append_pair("scope", scope);
            }
        }
        let mut request = Request::get(url);
        if let Credentials::Basic { username, password } = self.credentials {
            let value = basic(&host_and_port(&service.realm), username, password)?;
            request.headers.insert(AUTHORIZATION, value);
        }
        let response = self.send(&request).await?;
        self.read(service, scope, response).await
    }

    /// Sends, tries again, follows redirects as far as the realm's rule goes.
    async fn send(&self, request: &Request) -> Result<Response, Error> {
        self.retry.run(self.transport, |_| self.send_once(request.clone())).await
    }

    async fn send_once(&self, mut request: Request) -> Result<Response, Error> {
        request.max_body_bytes = MAX_ANSWER_BYTES;
        for _ in 0..=MAX_HOPS {
            let response = self.transport.send(request.clone()).await?;
            let host = host_and_port(&request.url);
            if let Some(error) = transient(&host, response.status, &response.headers, self.transport) {
                return Err(error);
            }
            let repeats_method = matches!(response.status.as_u16(), 307 | 308);
            let becomes_get = matches!(response.status.as_u16(), 301..=303);
            if !(repeats_method || (becomes_get && request.method == Method::GET)) {
                return Ok(response);
            }
            let url = target(&request.url, &response.headers, &Subject::Token)?;
            self.realms.check(&url)?;
            request.url = url;
        }
        let target = crate::redirect::origin_text(&request.url);
        Err(Error::RedirectRefused {
            subject: Subject::Token,
            target,
            reason: "there are too many redirects",
        })
    }

    async fn read(&self, service: &TokenService, scope: &Scope, response: Response) -> Result<Token, Error> {
        let host = host_and_port(&service.realm);
        match response.status {
            StatusCode::OK => {
                let body = read_bounded(response.body, MAX_ANSWER_BYTES, &Subject::Token).await?;
                Token::parse(&body, scope.clone(), self.transport.now())
            }
            StatusCode::UNAUTHORIZED => {
                let registry_code = Failure::read(response.body).await.code;
                Err(match self.credentials {
                    Credentials::Anonymous => {
                        Error::CredentialsMissing { host, subject: Subject::Other(described(scope)) }
                    }
                    _ => Error::CredentialsRejected { host, registry_code },
                })
            }
            // GHCR for a repository that it will not show, GitLab for a kind of token without registry rights.
            StatusCode::FORBIDDEN => Err(Error::PermissionMissing {
                subject: Subject::Other(described(scope)),
                registry_code: Failure::read(response.body).await.code,
            }),
            // The OAuth2 flow's way to say it (RFC 6749 §5.2, `invalid_grant`).
            StatusCode::BAD_REQUEST if matches!(self.credentials, Credentials::IdentityToken(_)) => {
                let registry_code = Failure::read(response.body).await.code;
                Err(Error::CredentialsRejected { host, registry_code })
            }
            status => Err(Failure::read(response.body).await.into_error(status, &Subject::Token)),
        }
    }
}

/// The resource of the first scope, for messages: `repository:team/app:pull` → `repository team/app`.
fn described(scope: &Scope) -> String {
    let first = scope.iter().next().unwrap_or_default();
    match first.split_once(':').and_then(|(kind, rest)| Some((kind, rest.rsplit_once(':')?.0))) {
        Some(("repository", name)) => format!("repository {name}"),
        Some(("registry", "catalog")) => "the list of repositories".to_owned(),
        _ => "the registry".to_owned(),
    }
}

fn post<'a>(
    service: &TokenService,
    scope: &Scope,
    grant: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Request {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(grant);
    if let Some(service) = &service.service {
        form.append_pair("service", service);
    }
    form.append_pair("client_id", CLIENT_ID);
    if !scope.is_empty() {
        form.append_pair("scope", &scope.to_string());
    }
    let mut request = Request::new(Method::POST, service.realm.clone())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request.body = form.finish().into();
    request
}

impl Token {
    /// Reads a token service's answer at the time `now`.
    pub(crate) fn parse(body: &[u8], asked: Scope, now: SystemTime) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            token: Option<SecretString>,
            #[serde(default)]
            access_token: Option<SecretString>,
            #[serde(default)]
            expires_in: Option<serde_json::Value>,
            #[serde(default)]
            issued_at: Option<serde_json::Value>,
        }
        let fail = |reason: &str| Error::AnswerInvalid { subject: Subject::Token, reason: reason.to_owned() };
        let answer: Answer =
            serde_json::from_slice(body).map_err(|_| fail("it is not the JSON of a token"))?;
        let present = |token: Option<SecretString>| token.filter(|t| !t.expose_secret().is_empty());
        let secret = present(answer.token)
            .or_else(|| present(answer.access_token))
            .ok_or_else(|| fail("it holds no token"))?;

        // Numbers come as numbers, as text, and with a fraction.
        let stated = answer.expires_in.as_ref().and_then(|v| v.as_f64().or_else(|| v.as_str()?.parse().ok()));
        let stated = stated.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let issued_at = answer.issued_at.as_ref().and_then(|v| v.as_str()).and_then(parse_rfc3339);
        Ok(Self::with_life(secret, stated, issued_at, asked, now))
    }

    /// A token that has just been issued, with the life that its issuer states.
    pub(crate) fn issued(
        secret: SecretString,
        stated: Option<Duration>,
        asked: Scope,
        now: SystemTime,
    ) -> Self {
        Self::with_life(secret, stated, None, asked, now)
    }

    fn with_life(
        secret: SecretString,
        stated: Option<Duration>,
        issued_at: Option<SystemTime>,
        asked: Scope,
        now: SystemTime,
    ) -> Self {
        let hinted = || life_hint(secret.expose_secret(), now);
        let life = stated.or_else(hinted).unwrap_or_default().clamp(SHORTEST_LIFE, LONGEST_LIFE);
        // A token is as old as the server says, but not so old that it would have to be renewed at once: that is
        // a clock that is wrong, and would be a token request for every request.
        let age = issued_at.and_then(|at| now.duration_since(at).ok()).filter(|age| *age < life / 2);
        let left = life.saturating_sub(age.unwrap_or_default());
        let after = |d: Duration| now.checked_add(d).unwrap_or(now);
        let renew_at = after(left.saturating_sub(life / 10));
        Self { secret, asked, renew_at, expires: after(left) }
    }
}

/// How long a JSON web token lives by its own claims. A hint only: nothing is verified.
fn life_hint(token: &str, now: SystemTime) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
        #[serde(default)]
        iat: Option<f64>,
    }
    let claims: Claims = unverified_claims(token)?;
    // With the time of issue there is no need to compare two clocks.
    let from = claims.iat.or_else(|| Some(now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64()))?;
    Duration::try_from_secs_f64(claims.exp - from).ok()
}

/// What a JSON web token says of itself (RFC 7519), **unverified**: a hint for the one it was issued to, such as when to
/// ask for the next one. `None` if it is none, or lacks a claim that `T` needs.
///
/// ```
/// use regent_distribution::unverified_claims;
///
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     exp: u64,
/// }
///
/// let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjE3NjcyMjU2MDB9.";
/// assert_eq!(unverified_claims(token).map(|claims: Claims| claims.exp), Some(1_767_225_600));
/// assert!(unverified_claims::<Claims>("opaque").is_none());
/// ```
pub fn unverified_claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn life(body: &str) -> Option<(u64, u64)> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let token = Token::parse(body.as_bytes(), Scope::none(), now).ok()?;
        let after = |t: SystemTime| t.duration_since(now).unwrap().as_secs();
        Some((after(token.renew_at), after(token.expires)))
    }

    fn jwt(claims: &str) -> String {
        format!(r#"{{"token":"e30.{}.sig"}}"#, URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_renewed_at_nine_tenths_of_its_life() {
        let rows = [
            (r#"{"token":"t","expires_in":300}"#.to_owned(), Some((270, 300))),
            (r#"{"access_token":"t","expires_in":"300"}"#.to_owned(), Some((270, 300))),
            (r#"{"token":"","access_token":"t","expires_in":300.5}"#.to_owned(), Some((270, 300))),
            (r#"{"token":"t"}"#.to_owned(), Some((54, 60))),
            (r#"{"token":"t","expires_in":null,"issued_at":null}"#.to_owned(), Some((54, 60))),
            (r#"{"token":"t","expires_in":0}"#.to_owned(), Some((54, 60))),
            (r#"{"token":"t","expires_in":-5}"#.to_owned(), Some((54, 60))),
            (r#"{"token":"t","expires_in":1e300}"#.to_owned(), Some((54, 60))),
            (r#"{"token":"t","expires_in":9999999999}"#.to_owned(), Some((77_760, 86_400))),
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2023-11-14T22:13:00Z"}"#.to_owned(),
                Some((250, 280)),
            ),
            // A server whose clock is years off does not make us ask for every request.
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2015-01-01T00:00:00Z"}"#.to_owned(),
                Some((270, 300)),
            ),
            (
                r#"{"token":"t","expires_in":300,"issued_at":"2035-01-01T00:00:00Z"}"#.to_owned(),
                Some((270, 300)),
            ),
            (r#"{"token":"t","expires_in":300,"issued_at":"yesterday"}"#.to_owned(), Some((270, 300))),
            (jwt(&format!(r#"{{"exp":{}}}"#, NOW + 1000)), Some((900, 1000))),
            (jwt(r#"{"iat":100,"exp":1100}"#), Some((900, 1000))),
            (jwt(r#"{"iat":1100,"exp":100}"#), Some((54, 60))),
            (jwt(r#"{"exp":"soon"}"#), Some((54, 60))),
            (r#"{"token":"a.b.c"}"#.to_owned(), Some((54, 60))),
            (r#"{"token":null}"#.to_owned(), None),
            (r#"{"token":7}"#.to_owned(), None),
            ("{}".to_owned(), None),
            ("<html>".to_owned(), None),
        ];
        for (body, expected) in rows {
            assert_eq!(life(&body), expected, "{body}");
        }
    }

    #[test]
    fn claims_are_read_from_what_has_the_form_of_a_token_only() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Claims {
            aud: String,
        }
        let encoded = URL_SAFE_NO_PAD.encode(r#"{"aud":"x","other":1}"#);
        let claims = |token: &str| unverified_claims::<Claims>(token);
        assert_eq!(claims(&format!("e30.{encoded}.sig")), Some(Claims { aud: "x".to_owned() }));
        for token in
            ["", "opaque", "e30.e30.sig", "a.b.c", &format!("e30.{encoded}"), &format!("a.{encoded}.c.d")]
        {
            assert_eq!(claims(token), None, "{token}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(token in "[a-zA-Z0-9.]{0,30}", n: f64, at in "\\PC{0,30}") {
            let body = serde_json::json!({ "token": token, "expires_in": n, "issued_at": at });
            let _ = life(&body.to_string());
        }
    }
}
