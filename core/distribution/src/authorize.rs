//! Who may read what: the trait that gives requests their authorization, and its simplest implementation.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use regent_transport::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use crate::challenge::Challenge;
use crate::error::Error;
use crate::scope::Scope;

/// How a connection proves who it is.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Not at all.
    Anonymous,
    /// With user name and password, at the registry or at its token service.
    Basic {
        /// The user name.
        username: String,
        /// The password, or a token in its place.
        password: SecretString,
    },
    /// With a bearer token that the registry takes as it is.
    Bearer(SecretString),
    /// With a refresh token, which the token service takes by POST (CNCF Distribution, "OAuth2 Token
    /// Authentication"; ACR).
    IdentityToken(SecretString),
}

/// Gives requests to one registry their authorization. Called side by side.
///
/// Implemented by [`Authenticator`](crate::Authenticator), which answers challenges with credentials; by
/// [`FixedHeaders`]; and by whoever gets headers from elsewhere, as the host does from a driver.
pub trait Authorizer: Send + Sync {
    /// The headers for a request that needs this scope.
    ///
    /// # Errors
    /// Why there are none. An implementation with errors of its own wraps them in [`Error::Authorizer`].
    fn authorize<'a>(&'a self, scope: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>>;
}

/// How fresh an authorization has to be.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// What is at hand will do.
    Cached,
    /// Nothing from a cache.
    Anew,
    /// The registry has refused what was given before: anything but that. If a request at the side has renewed it in
    /// the meantime (compare [`Refusal::sent`]), that will do.
    Refused(&'a Refusal),
}

impl Ask<'_> {
    /// Whether what is at hand will not do.
    pub fn is_renewal(&self) -> bool {
        !matches!(self, Self::Cached)
    }
}

/// The registry's refusal of a request.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// 401; or 403 or 400 with a body that says that the authorization has expired (ECR).
    pub status: StatusCode,
    /// What it asks for.
    pub challenges: Vec<Challenge>,
    /// The headers it refused, as [`Authorizer::authorize`] gave them.
    pub sent: HeaderMap,
}

/// An authorization.
#[derive(Debug, Clone)]
pub struct Authorized {
    /// Headers, with secrets marked sensitive. None if the registry asks for nothing.
    pub headers: HeaderMap,
    /// When they stop to work, if that is known.
    pub expires: Option<SystemTime>,
    /// What a refusal would mean.
    pub proof: Proof,
}

/// What is known of the credentials behind an authorization, and so what another refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// No one has checked them yet: a refusal means that they are wrong.
    Unproven,
    /// A token service has just taken them: a refusal means that they do not permit this.
    TokenIssued,
}

impl Authorized {
    /// No headers.
    pub fn nothing() -> Self {
        Self::unproven(HeaderMap::new())
    }

    /// These headers, which no one has checked.
    pub fn unproven(headers: HeaderMap) -> Self {
        Self { headers, expires: None, proof: Proof::Unproven }
    }
}

/// Headers that never change.
///
/// ```
/// use http::{HeaderName, HeaderValue};
/// use regent_distribution::{Ask, Authorizer, FixedHeaders, Scope};
///
/// # futures_executor::block_on(async {
/// let key = (HeaderName::from_static("x-api-key"), HeaderValue::from_static("s3cr3t"));
/// let headers = FixedHeaders::new("registry.example.com", [key]);
/// let authorized = headers.authorize(&Scope::none(), Ask::Cached).await?;
/// assert!(authorized.headers["x-api-key"].is_sensitive());
/// # Ok::<(), regent_distribution::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct FixedHeaders {
    host: String,
    headers: HeaderMap,
}

impl FixedHeaders {
    /// These headers, for a registry that error messages call `host`. All values are treated as secrets.
    pub fn new(
        host: impl Into<String>,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Self {
        let mut map = HeaderMap::new();
        for (name, mut value) in headers {
            value.set_sensitive(true);
            map.append(name, value);
        }
        Self { host: host.into(), headers: map }
    }

    /// `Authorization: Basic`.
    ///
    /// # Errors
    /// [`Error::CredentialsUnusable`].
    pub fn basic(host: &str, username: &str, password: &SecretString) -> Result<Self, Error> {
        Ok(Self::new(host, [(AUTHORIZATION, basic(host, username, password)?)]))
    }

    /// `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Error::CredentialsUnusable`].
    pub fn bearer(host: &str, token: &SecretString) -> Result<Self, Error> {
        Ok(Self::new(host, [(AUTHORIZATION, bearer(host, token)?)]))
    }
}

impl Authorizer for FixedHeaders {
    fn authorize<'a>(&'a self, _: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        let answer = match ask {
            Ask::Refused(_) => {
                Err(Error::CredentialsRejected { host: self.host.clone(), registry_code: None })
            }
            Ask::Cached | Ask::Anew => Ok(Authorized::unproven(self.headers.clone())),
        };
        Box::pin(async move { answer })
    }
}

/// The value of `Authorization` for HTTP Basic (RFC 7617), in UTF-8.
pub(crate) fn basic(host: &str, username: &str, password: &SecretString) -> Result<HeaderValue, Error> {
    let pair = SecretString::from(format!("{username}:{}", password.expose_secret()));
    let value = SecretString::from(format!("Basic {}", STANDARD.encode(pair.expose_secret())));
    secret_value(host, &value)
}

/// The value of `Authorization` for a bearer token (RFC 6750 §2.1).
pub(crate) fn bearer(host: &str, token: &SecretString) -> Result<HeaderValue, Error> {
    secret_value(host, &SecretString::from(format!("Bearer {}", token.expose_secret())))
}

fn secret_value(host: &str, value: &SecretString) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value.expose_secret())
        .map_err(|_| Error::CredentialsUnusable { host: host.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}
