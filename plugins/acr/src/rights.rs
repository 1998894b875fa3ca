//! What a refusal means, and what to grant.

use std::sync::Arc;

use regent_distribution::Error as ProtocolError;
use regent_plugin_api::Error;
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::transport::{Class, Fault as _, Request};

use crate::Acr;
use crate::entra::Entra;

/// A list that is empty though nothing was refused.
pub(crate) const EMPTY_LIST: &str = "the list of repositories can be read and is empty; if it should not be, the credentials \
                                     are those of a token whose scope map does not cover the repositories";

/// What to grant for one thing, by who is to be granted.
pub(crate) struct Right {
    /// The role in a registry with ABAC; in others it is `AcrPull`.
    abac: &'static str,
    /// The actions of a repository-scoped token.
    actions: &'static str,
}

/// To list repositories.
pub(crate) const LIST: Right = Right {
    abac: "Container Registry Repository Catalog Lister",
    actions: "metadata/read on all repositories (*)",
};
/// To list tags with what is known of them.
pub(crate) const METADATA: Right =
    Right { abac: "Container Registry Repository Reader", actions: "metadata/read on the repository" };
/// To read manifests and layers.
pub(crate) const PULL: Right =
    Right { abac: "Container Registry Repository Reader", actions: "content/read on the repository" };

/// With what the connection proves who it is.
pub(crate) enum Proof {
    /// The admin user, a service principal, or a repository-scoped token.
    Password,
    /// A refresh token, and whether it says that it is for a registry with ABAC.
    Refresh(Option<bool>),
    /// A token of Entra.
    Entra(Arc<Entra>),
    /// Nothing: anonymous pull.
    None,
}

impl Proof {
    fn is_abac(&self) -> Option<bool> {
        match self {
            Self::Refresh(abac) => *abac,
            Self::Entra(entra) => entra.is_abac(),
            Self::Password | Self::None => None,
        }
    }

    fn rejected(&self) -> &'static str {
        match self {
            Self::Password => {
                "does not accept the user name and password: check that the admin user is enabled, or that the secret of \
                 the service principal or the password of the token has not expired"
            }
            Self::Refresh(_) => {
                "does not accept the refresh token: it lives for some hours only, so use a service principal or a \
                 repository-scoped token"
            }
            Self::Entra(_) => {
                "does not accept the aadToken: it has expired, is for another audience or tenant, or its identity has no \
                 role on the registry"
            }
            Self::None => "wants credentials, and the connection has none",
        }
    }
}

impl Right {
    fn grant(&self, abac: Option<bool>) -> String {
        match abac {
            Some(true) => format!("grant the role {} (the registry has ABAC)", self.abac),
            Some(false) => "grant the role AcrPull on the registry".to_owned(),
            None => format!(
                "grant the role AcrPull, or {} if the registry has ABAC; for a repository-scoped token put {} into its \
                 scope map",
                self.abac, self.actions
            ),
        }
    }
}

impl Acr {
    /// That the credentials may not do `what`.
    pub(crate) fn lacks(&self, what: &str, right: &Right) -> Error {
        let grant = right.grant(self.proof.is_abac());
        Error::permission_missing(format!("the credentials may not {what}: {grant}"))
    }

    /// An error, in the terms of the registry. `what` completes "the credentials may not".
    pub(crate) async fn explained(&self, error: ProtocolError, what: &str, right: &Right) -> Error {
        let host = self.session.endpoint().host();
        match error {
            ProtocolError::PermissionMissing { .. } if self.is_shut_out().await => Error::new(
                Class::Denied,
                "network_denied",
                format!(
                    "{host} does not let this agent in, whatever its credentials: add its public address to the registry's \
                     firewall rules, or give it a private endpoint"
                ),
            ),
            ProtocolError::PermissionMissing { .. } => self.lacks(what, right),
            ProtocolError::CredentialsRejected { .. } | ProtocolError::CredentialsMissing { .. } => {
                Error::new(error.class(), error.code(), format!("{host} {}", self.proof.rejected()))
            }
            other => other.into(),
        }
    }

    /// Whether the firewall keeps this address out: it answers 403 where everyone else is challenged.
    async fn is_shut_out(&self) -> bool {
        let request = Request::get(self.session.endpoint().ping());
        let answer = self.session.transport().send(request).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::FORBIDDEN)
    }
}
