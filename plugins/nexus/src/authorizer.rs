//! Who Nexus takes a request to be from.

use std::sync::Arc;

use regent_distribution::{
    Ask, Authenticator, Authorized, Authorizer, Challenge, Credentials, Endpoint, Error, Refusal, Scope,
};
use regent_plugin_api::transport::{BoxFuture, Transport};
use regent_plugin_api::url::Url;

/// Sends user name and password at once, and goes for tokens where that does not do.
///
/// At once, since a Nexus with anonymous access does not ask: it answers with what everyone may see. Nexus takes Basic
/// also where its challenge is Bearer; a proxy in front of it may not.
pub(crate) struct AtHome {
    authenticator: Authenticator,
    endpoint: Endpoint,
}

impl AtHome {
    pub(crate) fn new(transport: Arc<dyn Transport>, endpoint: &Endpoint, credentials: Credentials) -> Self {
        let authenticator = Authenticator::new(transport, endpoint, credentials).with_basic_first();
        Self { authenticator, endpoint: endpoint.clone() }
    }

    /// The challenge with a realm that the password may go to. Behind a proxy that does not forward the request's scheme
    /// and host, Nexus makes its realm of its own ones; the token service is at `/v2/token` in any case.
    fn mended(&self, challenge: &Challenge) -> Challenge {
        let mut challenge = challenge.clone();
        if let Challenge::Bearer { realm, .. } = &mut challenge {
            let home = self.endpoint.url().origin();
            if Url::parse(realm).map_or(true, |realm| realm.origin() != home) {
                *realm = self.endpoint.below(["v2", "token"]).into();
            }
        }
        challenge
    }
}

impl Authorizer for AtHome {
    fn authorize<'a>(&'a self, scope: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        Box::pin(async move {
            let Ask::Refused(refusal) = ask else { return self.authenticator.authorize(scope, ask).await };
            let challenges = refusal.challenges.iter().map(|c| self.mended(c)).collect();
            let refusal = Refusal { challenges, ..refusal.clone() };
            self.authenticator.authorize(scope, Ask::Refused(&refusal)).await
        })
    }
}
