//! From a token of Microsoft Entra to tokens of the registry (Azure/acr, `docs/AAD-OAuth.md`).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::lock::Mutex;
use regent_distribution::{
    Ask, Authenticator, Authorized, Authorizer, Credentials, Endpoint, Error, FixedHeaders, RetryPolicy,
    Scope, Session, Subject, unverified_claims,
};
use regent_plugin_api::http::header::CONTENT_TYPE;
use regent_plugin_api::http::{HeaderValue, Method, StatusCode};
use regent_plugin_api::secrecy::{ExposeSecret, SecretString};
use regent_plugin_api::transport::{BoxFuture, Request, Transport, collect};
use regent_plugin_api::url::form_urlencoded;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// How long a refresh token is used that does not say how long it lives.
const UNKNOWN_LIFE: Duration = Duration::from_hours(1);

/// Exchanges an Entra access token for a refresh token of the registry, and that for its access tokens. The refresh token is
/// exchanged anew at 90 % of its life, and once when the registry no longer takes it.
pub(crate) struct Entra {
    transport: Arc<dyn Transport>,
    /// Sends without credentials.
    exchange: Session,
    token: SecretString,
    tenant: Option<String>,
    // An async lock, held over the exchange: who comes second takes its outcome.
    current: Mutex<Option<Arc<Exchanged>>>,
}

/// What an exchange gave.
struct Exchanged {
    tokens: Authenticator,
    renew_at: SystemTime,
    claims: Option<RefreshClaims>,
}

/// What a refresh token says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct RefreshClaims {
    exp: f64,
    #[serde(default)]
    iat: Option<f64>,
    /// Only with registries whose permissions are granted by attributes, repository by repository (ABAC).
    #[serde(default)]
    aad_identity: Option<IgnoredAny>,
}

impl RefreshClaims {
    pub(crate) fn of(refresh_token: &SecretString) -> Option<Self> {
        unverified_claims(refresh_token.expose_secret())
    }

    /// Whether the registry grants by attributes.
    pub(crate) fn is_abac(&self) -> bool {
        self.aad_identity.is_some()
    }

    fn life(&self, now: SystemTime) -> Option<Duration> {
        let from = self.iat.or_else(|| Some(now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64()))?;
        Duration::try_from_secs_f64(self.exp - from).ok()
    }
}

impl Entra {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        endpoint: &Endpoint,
        token: SecretString,
        tenant: Option<String>,
    ) -> Self {
        let nobody = FixedHeaders::new(endpoint.host(), []);
        let exchange = Session::new(Arc::clone(&transport), endpoint.clone(), Arc::new(nobody));
        Self { transport, exchange, token, tenant, current: Mutex::new(None) }
    }

    /// What the last exchange gave, unless it is about to expire or is the one that was refused.
    async fn current(&self, refused: Option<&Arc<Exchanged>>) -> Result<Arc<Exchanged>, Error> {
        let mut current = self.current.lock().await;
        if let Some(exchanged) = &*current
            && self.transport.now() < exchanged.renew_at
            && !refused.is_some_and(|refused| Arc::ptr_eq(refused, exchanged))
        {
            return Ok(Arc::clone(exchanged));
        }
        let exchanged = Arc::new(self.exchange().await?);
        *current = Some(Arc::clone(&exchanged));
        Ok(exchanged)
    }

    async fn exchange(&self) -> Result<Exchanged, Error> {
        #[derive(Deserialize)]
        struct Answer {
            refresh_token: SecretString,
        }
        let (host, request) = (self.exchange.endpoint().host(), self.request());
        let (scope, subject) = (Scope::none(), Subject::Token);
        let send = |_| self.exchange.fetch(request.clone(), &scope, &subject);
        let response = RetryPolicy::default().run(&*self.transport, send).await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST => {
                return Err(Error::CredentialsRejected { host, registry_code: None });
            }
            status => {
                return Err(Error::UnexpectedStatus { subject: Subject::Token, status, registry_code: None });
            }
        }
        let body = collect(response.body).await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| Error::AnswerInvalid {
            subject: Subject::Token,
            reason: "it holds no refresh token".to_owned(),
        })?;
        let now = self.transport.now();
        let claims = RefreshClaims::of(&answer.refresh_token);
        let life = claims.as_ref().and_then(|claims| claims.life(now));
        let credentials = Credentials::IdentityToken(answer.refresh_token);
        Ok(Exchanged {
            tokens: Authenticator::new(Arc::clone(&self.transport), self.exchange.endpoint(), credentials),
            renew_at: now.checked_add(life.unwrap_or(UNKNOWN_LIFE).mul_f64(0.9)).unwrap_or(now),
            claims,
        })
    }

    fn request(&self) -> Request {
        let service = self.exchange.endpoint().url().host_str().unwrap_or_default();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "access_token").append_pair("service", service);
        if let Some(tenant) = &self.tenant {
            form.append_pair("tenant", tenant);
        }
        form.append_pair("access_token", self.token.expose_secret());
        let mut request = Request::new(Method::POST, self.exchange.endpoint().below(["oauth2", "exchange"]))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.body = form.finish().into();
        request
    }

    /// What the last refresh token says of itself.
    pub(crate) fn is_abac(&self) -> Option<bool> {
        let current = self.current.try_lock()?;
        current.as_ref()?.claims.as_ref().map(RefreshClaims::is_abac)
    }
}

impl Authorizer for Entra {
    fn authorize<'a>(&'a self, scope: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        Box::pin(async move {
            let exchanged = self.current(None).await?;
            match exchanged.tokens.authorize(scope, ask).await {
                // The refresh token has expired before its time, or the registry has been given a new key.
                Err(Error::CredentialsRejected { .. }) => {
                    self.current(Some(&exchanged)).await?.tokens.authorize(scope, ask).await
                }
                other => other,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_tells_its_life_and_the_kind_of_its_registry() {
        // {"exp":1100,"iat":100} and {"exp":1100,"aad_identity":{}}, in the base64 of RFC 4648 §5.
        let rows = [
            ("eyJleHAiOjExMDAsImlhdCI6MTAwfQ", 1000, false),
            ("eyJleHAiOjExMDAsImFhZF9pZGVudGl0eSI6e319", 1100, true),
        ];
        for (payload, life, abac) in rows {
            let token = SecretString::from(format!("e30.{payload}.sig"));
            let claims = RefreshClaims::of(&token).unwrap();
            assert_eq!(claims.life(UNIX_EPOCH), Some(Duration::from_secs(life)));
            assert_eq!(claims.is_abac(), abac);
        }
        assert!(RefreshClaims::of(&SecretString::from("opaque")).is_none());
    }
}
