//! Who a connection speaks for, in the five ways that Google's registries take.

use std::sync::Arc;

use regent_distribution::{Authenticator, Authorizer, Credentials, Endpoint, FixedHeaders};
use regent_transport::Transport;
use secrecy::SecretString;

use crate::access_token::AccessTokens;
use crate::error::Error;
use crate::key::ServiceAccountKey;

/// User names that stand for a service account's key (Google, "Configure authentication to Artifact Registry for Docker").
const KEY_USERS: [&str; 2] = ["_json_key", "_json_key_base64"];
/// User names that stand for an OAuth access token; `_token` is what older tools of Google's send.
const TOKEN_USERS: [&str; 2] = ["oauth2accesstoken", "_token"];

/// The credentials of a connection.
#[derive(Debug)]
pub(crate) enum Identity {
    /// A key, which signs for access tokens of the API, and is itself a password at the registry.
    Key(Arc<ServiceAccountKey>),
    /// An access token. It can't be renewed.
    Token(SecretString),
}

impl Identity {
    /// Those that user name and password mean.
    pub(crate) fn new(username: Option<&str>, password: &SecretString) -> Result<Self, Error> {
        match username {
            Some(name) if TOKEN_USERS.contains(&name) => Ok(Self::Token(password.clone())),
            Some(name) if KEY_USERS.contains(&name) => {
                Ok(Self::Key(Arc::new(ServiceAccountKey::parse(password)?)))
            }
            _ => Err(Error::Setting {
                name: "username",
                reason: "is none that Google takes: write _json_key for a service account's key, or \
                         oauth2accesstoken for an access token"
                    .to_owned(),
            }),
        }
    }

    /// The project of the service account.
    pub(crate) fn project(&self) -> Option<&str> {
        match self {
            Self::Key(key) => key.project.as_deref(),
            Self::Token(_) => None,
        }
    }

    /// For `/v2/`: a password at the registry's own token service, which is all that a pull needs.
    pub(crate) fn at_registry(
        &self,
        transport: Arc<dyn Transport>,
        endpoint: &Endpoint,
        realm_host: Option<&str>,
    ) -> Arc<dyn Authorizer> {
        let (username, password) = match self {
            Self::Key(key) => ("_json_key", key.text.clone()),
            Self::Token(token) => ("oauth2accesstoken", token.clone()),
        };
        let credentials = Credentials::Basic { username: username.to_owned(), password };
        let authenticator = Authenticator::new(transport, endpoint, credentials);
        Arc::new(match realm_host {
            Some(host) => authenticator.with_realm_host(host),
            None => authenticator,
        })
    }

    /// For Google's APIs: access tokens.
    pub(crate) fn at_api(
        &self,
        transport: Arc<dyn Transport>,
        host: &str,
    ) -> Result<Arc<dyn Authorizer>, Error> {
        Ok(match self {
            Self::Key(key) => Arc::new(AccessTokens::new(transport, Arc::clone(key))?),
            Self::Token(token) => Arc::new(FixedHeaders::bearer(host, token)?),
        })
    }
}
