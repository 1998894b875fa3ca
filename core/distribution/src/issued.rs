//! Tokens that a vendor issues in a way of its own: for a login in JSON, for a signed assertion.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use regent_transport::{BoxFuture, Transport};
use secrecy::SecretString;

use crate::authorize::{Ask, Authorized, Authorizer, Proof, bearer};
use crate::cache::{Stale, TokenCache};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::scope::Scope;
use crate::token::{Token, TokenService};

/// Whoever trades the credentials for a token.
///
/// ```
/// use regent_distribution::{Error, IssuedToken, Issuer, Subject};
/// use regent_transport::{BoxFuture, Request, Transport, collect};
///
/// /// The transport, and where the vendor logs in. A real one has a key here, and signs with it.
/// struct Login<T>(T, url::Url);
///
/// impl<T: Transport> Issuer for Login<T> {
///     fn issue(&self) -> BoxFuture<'_, Result<IssuedToken, Error>> {
///         Box::pin(async {
///             let response = self.0.send(Request::get(self.1.clone())).await?;
///             let (host, subject, registry_code) = ("login.example.com".to_owned(), Subject::Token, None);
///             match response.status.as_u16() {
///                 200 => {}
///                 401 => return Err(Error::CredentialsRejected { host, registry_code }),
///                 _ => return Err(Error::UnexpectedStatus { subject, status: response.status, registry_code }),
///             }
///             let token = String::from_utf8_lossy(&collect(response.body).await?).into_owned();
///             Ok(IssuedToken { secret: token.into(), life: None })
///         })
///     }
/// }
/// # use regent_distribution::{Ask, Authorizer, Endpoint, IssuedTokens, Scope};
/// # use regent_plugin_api::testkit::{Exchange, Script};
/// # let login = Exchange::get("https://login.example.com/token").answer(http::StatusCode::OK, "t0k3n");
/// # let script = Script::new().then(login).shared();
/// # let issuer = Login(regent_plugin_api::Host::new(script.clone()), "https://login.example.com/token".parse()?);
/// # let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
/// # let tokens = IssuedTokens::new(script, endpoint, issuer);
/// # let authorized = futures_executor::block_on(tokens.authorize(&Scope::none(), Ask::Cached))?;
/// # assert_eq!(authorized.headers["authorization"], "Bearer t0k3n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Issuer: Send + Sync {
    /// Asks for a token.
    ///
    /// # Errors
    /// Why there is none; [`Error::CredentialsRejected`] for wrong credentials.
    fn issue(&self) -> BoxFuture<'_, Result<IssuedToken, Error>>;
}

/// A token as it was issued.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token.
    pub secret: SecretString,
    /// How long it lives, if the issuer says so; else the token's own `exp`, if it is a JSON web token, is believed.
    pub life: Option<Duration>,
}

/// An [`Authorizer`] that sends tokens of an [`Issuer`] as `Authorization: Bearer`, whatever the scope.
///
/// A token is kept until 90 % of its life are over or it is refused. Requests side by side make one issue and share its
/// outcome, a failure too.
pub struct IssuedTokens<I> {
    transport: Arc<dyn Transport>,
    endpoint: Endpoint,
    issuer: I,
    tokens: TokenCache,
}

impl<I: Issuer> IssuedTokens<I> {
    /// Tokens for the API at `endpoint`.
    pub fn new(transport: Arc<dyn Transport>, endpoint: Endpoint, issuer: I) -> Self {
        Self { transport, endpoint, issuer, tokens: TokenCache::default() }
    }

    async fn answer(&self, ask: Ask<'_>) -> Result<Authorized, Error> {
        let stale = match ask {
            Ask::Cached => Stale::Nothing,
            Ask::Anew => Stale::Any,
            Ask::Refused(refusal) => Stale::This(refusal.sent.get(AUTHORIZATION)),
        };
        let request = |asked: Scope| async move {
            let issued = self.issuer.issue().await?;
            Ok(Token::issued(issued.secret, issued.life, asked, self.transport.now()))
        };
        let key = TokenService { realm: self.endpoint.url().clone(), service: None };
        let now = self.transport.now();
        let token = self.tokens.token(&key, &Scope::none(), "", stale, now, request).await?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer(&self.endpoint.host(), &token.secret)?);
        Ok(Authorized { headers, expires: Some(token.expires), proof: Proof::TokenIssued })
    }
}

impl<I: Issuer> Authorizer for IssuedTokens<I> {
    fn authorize<'a>(&'a self, _: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        Box::pin(self.answer(ask))
    }
}

impl<I> std::fmt::Debug for IssuedTokens<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedTokens").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
