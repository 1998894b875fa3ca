//! What goes wrong with Artifactory, in words.

use regent_distribution::Error as ProtocolError;
use regent_plugin_api::Error;
use regent_plugin_api::http::StatusCode;
use regent_plugin_api::transport::{Class, Fault as _, Retry};

use crate::Artifactory;

/// Where JFrog sends the visitors of instances that it has switched off.
const DEACTIVATED: &str = "landing.jfrog.com";
/// A list that is empty though nothing was refused.
pub(crate) const EMPTY_LIST: &str = "the list of repositories can be read and is empty; if it should not be, give the account \
                                     Read on the repository; a remote repository lists what its upstream lists";

impl Artifactory {
    /// An error, in the terms of Artifactory. `what` completes "the account may not".
    pub(crate) fn explained(&self, error: ProtocolError, what: &str) -> Error {
        let host = self.registry.endpoint().host();
        let repository = match &self.key {
            Some(key) => format!("the Docker repository {key}"),
            None => "the Docker repository".to_owned(),
        };
        let with =
            |message: String| Error::new(error.class(), error.code(), message).with_retry(error.retry());
        match &error {
            ProtocolError::PermissionMissing { .. } => Error::permission_missing(format!(
                "the account may not {what}: give it a permission with Read on {repository}"
            )),
            ProtocolError::CredentialsRejected { .. } => with(format!(
                "{host} does not accept the credentials; accounts with single sign-on need an identity token in place of the \
                 password"
            )),
            ProtocolError::CredentialsMissing { .. } => {
                with(format!("{error}; anonymous access is switched off or does not cover {repository}"))
            }
            ProtocolError::RedirectRefused { target, .. } if is_at(target, DEACTIVATED) => Error::new(
                Class::Unavailable,
                "registry_deactivated",
                format!(
                    "{host} has been deactivated by JFrog: reactivate the instance, or renew its subscription"
                ),
            )
            .with_retry(Retry::Never),
            ProtocolError::RedirectRefused { target, .. } => with(format!(
                "{host} redirects to {target}: make that the registryBase if it is the registry"
            )),
            ProtocolError::RealmRefused { .. } => with(format!(
                "{error}; set Artifactory's custom base URL, or have the proxy pass X-JFrog-Override-Base-Url, such that it \
                 names https://{host}"
            )),
            ProtocolError::UnexpectedStatus { status: StatusCode::BAD_REQUEST, .. } => with(format!(
                "{host} does not take the request for {repository}: the registryBase should be <host>/artifactory/api/docker/\
                 <repository key>, or a host that is the repository's own"
            )),
            ProtocolError::UnexpectedStatus { status: StatusCode::NOT_FOUND, .. }
            | ProtocolError::CatalogUnsupported { status: StatusCode::NOT_FOUND, .. }
                if self.key.is_some() =>
            {
                Error::not_found(format!(
                    "{host} does not have {repository}, or hides it from the account: check the repository key, which is \
                     case-sensitive"
                ))
            }
            _ => error.into(),
        }
    }
}

/// Whether an origin is this host.
fn is_at(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, rest)| rest == host)
}
