//! Answers a registry's challenges with credentials.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use regent_transport::{BoxFuture, Class, Fault as _, RetryPolicy, Transport};

use crate::authorize::{Ask, Authorized, Authorizer, Credentials, Proof, Refusal, basic, bearer};
use crate::cache::{Stale, TokenCache};
use crate::challenge::Challenge;
use crate::endpoint::Endpoint;
use crate::error::{Error, Subject};
use crate::realm::RealmPolicy;
use crate::scope::Scope;
use crate::token::{Exchange, TokenFlow, TokenService};

/// An [`Authorizer`] for one credential at one registry.
///
/// The first request goes out bare and is challenged; what the challenge said is remembered, so that later ones carry
/// their token or password at once. Tokens are kept for each scope and renewed at 90 % of their life or when the
/// registry refuses one.
///
/// ```
/// use std::sync::Arc;
///
/// use regent_distribution::{Authenticator, Credentials, Endpoint, Freshness, Session};
/// # use http::{StatusCode, header::{AUTHORIZATION, WWW_AUTHENTICATE}};
/// # use regent_plugin_api::testkit::{Exchange, Script};
///
/// # futures_executor::block_on(async {
/// # let challenge = "Bearer realm=\"https://auth.example.com/token\",service=\"acme\"";
/// # let token = "https://auth.example.com/token?service=acme&scope=repository:team/app:pull";
/// # let host = regent_plugin_api::Host::new(Script::new()
/// #     .then(Exchange::get("https://registry.example.com/v2/").answer(StatusCode::UNAUTHORIZED, "{}")
/// #         .answer_header(WWW_AUTHENTICATE, challenge))
/// #     .then(Exchange::get(token).with_secret_header(AUTHORIZATION, "Basic cm9ib3Q6czNjcjN0")?
/// #         .answer(StatusCode::OK, r#"{"token": "t0k3n", "expires_in": 300}"#))
/// #     .then(Exchange::get("https://registry.example.com/v2/").with_secret_header(AUTHORIZATION, "Bearer t0k3n")?)
/// #     .shared());
/// let transport = Arc::new(host);
/// let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
/// let credentials = Credentials::Basic { username: "robot".to_owned(), password: "s3cr3t".into() };
/// // The registry's challenge names this host; to any other the password would not go.
/// let authenticator = Authenticator::new(transport.clone(), &endpoint, credentials)
///     .with_realm_host("auth.example.com");
/// let session = Session::new(transport, endpoint, Arc::new(authenticator));
/// let authorized = session.authorization(&"team/app".parse()?, Freshness::Cached).await?;
/// assert_eq!(authorized.headers["authorization"], "Bearer t0k3n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Authenticator {
    transport: Arc<dyn Transport>,
    host: String,
    credentials: Credentials,
    realms: RealmPolicy,
    flow: TokenFlow,
    own_scopes: bool,
    retry: RetryPolicy,
    basic_first: bool,
    tokens: TokenCache,
    // A std lock: it is held for a copy, never over an await.
    learned: Mutex<Option<Method>>,
    named: Mutex<Option<url::Url>>,
}

/// What a registry wants.
#[derive(Debug, Clone)]
enum Method {
    Basic,
    Bearer(TokenService),
}

/// The parts of a Bearer challenge that name a token service.
struct Offer {
    service: TokenService,
    scope: String,
}

impl Authenticator {
    /// For the registry at `endpoint`. The credentials go to it, and to token services at its own host and port.
    pub fn new(transport: Arc<dyn Transport>, endpoint: &Endpoint, credentials: Credentials) -> Self {
        Self {
            transport,
            host: endpoint.host(),
            credentials,
            realms: RealmPolicy::own_host(endpoint.url().clone()),
            flow: TokenFlow::default(),
            own_scopes: false,
            retry: RetryPolicy::default(),
            basic_first: false,
            tokens: TokenCache::default(),
            learned: Mutex::default(),
            named: Mutex::default(),
        }
    }

    /// Lets a token service at this host see the credentials too: `auth.docker.io`, `gitlab.example.com:8443`.
    #[must_use]
    pub fn with_realm_host(mut self, host: &str) -> Self {
        self.realms.allow(host);
        self
    }

    /// Asks the token service in this way.
    #[must_use]
    pub fn with_flow(mut self, flow: TokenFlow) -> Self {
        self.flow = flow;
        self
    }

    /// Asks for the scope of the request and no other, whatever a challenge names. GitHub's at `/v2/` names
    /// `repository:user/image:pull`, an example that its token service refuses.
    #[must_use]
    pub fn with_own_scopes(mut self) -> Self {
        self.own_scopes = true;
        self
    }

    /// Tries token requests again by this policy.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sends user name and password with the first request too, where it would wait for a challenge. For registries
    /// that serve a part of what they have to everyone (Artifactory with anonymous access): they challenge no one, so a
    /// listing would be of that part only, and a wrong password would go unnoticed.
    #[must_use]
    pub fn with_basic_first(mut self) -> Self {
        self.basic_first = true;
        self
    }

    /// The URL of the token service, once the registry has named one that may see the credentials, whatever it thinks of
    /// them. GitLab's API is at its origin.
    pub fn token_service(&self) -> Option<url::Url> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self, scope: &Scope, ask: Ask<'_>) -> Result<Authorized, Error> {
        if let Credentials::Bearer(token) = &self.credentials {
            return match ask {
                Ask::Refused(_) => Err(self.rejected()),
                Ask::Cached | Ask::Anew => Ok(authorization(bearer(&self.host, token)?)),
            };
        }
        match ask {
            Ask::Cached => self.known(scope, Stale::Nothing).await,
            Ask::Anew => self.known(scope, Stale::Any).await,
            Ask::Refused(refusal) => self.challenged(scope, refusal).await,
        }
    }

    /// An authorization from what earlier challenges said.
    async fn known(&self, scope: &Scope, stale: Stale<'_>) -> Result<Authorized, Error> {
        match self.learned() {
            None if self.basic_first && matches!(self.credentials, Credentials::Basic { .. }) => self.basic(),
            None => Ok(Authorized::nothing()),
            Some(Method::Basic) => self.basic(),
            Some(Method::Bearer(service)) => self.token(&service, scope, "", stale).await,
        }
    }

    /// An authorization that answers a challenge. Bearer goes before Basic, as servers that offer both mean it.
    async fn challenged(&self, scope: &Scope, refusal: &Refusal) -> Result<Authorized, Error> {
        let sent = Stale::This(refusal.sent.get(AUTHORIZATION));
        let offers_basic = refusal.challenges.iter().any(|c| matches!(c, Challenge::Basic { .. }));
        let bearer = refusal.challenges.iter().find_map(|c| self.offer(c));
        match bearer {
            Some(Ok(offer)) => match self.token(&offer.service, scope, &offer.scope, sent).await {
                Ok(authorized) => {
                    self.learn(Method::Bearer(offer.service));
                    Ok(authorized)
                }
                Err(error) if offers_basic && !is_about_credentials(&error) => {
                    self.basic_after(refusal, error)
                }
                Err(error) => Err(error),
            },
            Some(Err(error)) if offers_basic => self.basic_after(refusal, error),
            Some(Err(error)) => Err(error),
            None if offers_basic => self.basic_after(refusal, self.rejected()),
            // No challenge: the body said that the token has expired, or the server forgot the header.
            None => match self.learned() {
                Some(Method::Bearer(service)) => self.token(&service, scope, "", sent).await,
                Some(Method::Basic) | None => self.basic_after(refusal, self.rejected()),
            },
        }
    }

    fn offer(&self, challenge: &Challenge) -> Option<Result<Offer, Error>> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else { return None };
        let parsed = self.realms.parse(realm);
        if let Ok(realm) = &parsed {
            *self.named.lock().unwrap_or_else(PoisonError::into_inner) = Some(realm.clone());
        }
        Some(parsed.map(|realm| Offer {
            service: TokenService { realm, service: service.clone() },
            scope: scope.clone().filter(|_| !self.own_scopes).unwrap_or_default(),
        }))
    }

    /// Basic, unless that is what was refused; then `error`.
    fn basic_after(&self, refusal: &Refusal, error: Error) -> Result<Authorized, Error> {
        let authorized = self.basic()?;
        if refusal.sent.get(AUTHORIZATION) == authorized.headers.get(AUTHORIZATION) {
            return Err(error);
        }
        self.learn(Method::Basic);
        Ok(authorized)
    }

    fn basic(&self) -> Result<Authorized, Error> {
        match &self.credentials {
            Credentials::Basic { username, password } => {
                Ok(authorization(basic(&self.host, username, password)?))
            }
            Credentials::Anonymous => {
                Err(Error::CredentialsMissing { host: self.host.clone(), subject: Subject::Registry })
            }
            // These are for token services and mean nothing as a password.
            Credentials::Bearer(_) | Credentials::IdentityToken(_) => Err(self.rejected()),
        }
    }

    async fn token(
        &self,
        service: &TokenService,
        scope: &Scope,
        challenged: &str,
        stale: Stale<'_>,
    ) -> Result<Authorized, Error> {
        let exchange = Exchange {
            transport: &*self.transport,
            realms: &self.realms,
            credentials: &self.credentials,
            flow: self.flow,
            retry: self.retry,
        };
        let now = self.transport.now();
        let request = |wanted: Scope| async move { exchange.token(service, &wanted).await };
        let token = self.tokens.token(service, scope, challenged, stale, now, request).await?;
        let mut authorized = authorization(bearer(&self.host, &token.secret)?);
        authorized.expires = Some(token.expires);
        authorized.proof = Proof::TokenIssued;
        Ok(authorized)
    }

    fn rejected(&self) -> Error {
        Error::CredentialsRejected { host: self.host.clone(), registry_code: None }
    }

    fn learned(&self) -> Option<Method> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, method: Method) {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = Some(method);
    }
}

impl Authorizer for Authenticator {
    fn authorize<'a>(&'a self, scope: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        Box::pin(self.answer(scope, ask))
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Failures that the same credentials would meet again at the registry itself, and those that may pass: Basic would
/// only count as another failed login, or be learned by accident.
fn is_about_credentials(error: &Error) -> bool {
    let class = error.class();
    matches!(
        class,
        Class::Authentication | Class::Denied | Class::Throttled | Class::Unavailable | Class::Timeout
    )
}

fn authorization(value: http::HeaderValue) -> Authorized {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    Authorized::unproven(headers)
}
