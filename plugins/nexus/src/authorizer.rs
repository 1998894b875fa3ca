//! Who Nexus takes a request to be from.

use std::sync::Arc;

use regent_distribution::{
    Ask, Authenticator, Authorized, Authorizer, Challenge, Credentials, Endpoint, Error, FixedHeaders,
    Refusal, Scope,
};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::transport::{BoxFuture, Transport};
use regent_plugin_api::url::Url;

/// Sends user name and password unasked, and answers challenges when that does not do.
///
/// Unasked, since a Nexus with anonymous access does not ask: it answers with what everyone may see. Nexus takes Basic
/// also where its challenge is Bearer; a proxy in front of it may not.
pub(crate) struct Unasked {
    basic: FixedHeaders,
    tokens: Authenticator,
    registry: Endpoint,
}

impl Unasked {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        registry: &Endpoint,
        username: &str,
        password: &SecretString,
    ) -> Result<Self, Error> {
        let credentials = Credentials::Basic { username: username.to_owned(), password: password.clone() };
        Ok(Self {
            basic: FixedHeaders::basic(&registry.host(), username, password)?,
            tokens: Authenticator::new(transport, registry, credentials),
            registry: registry.clone(),
        })
    }

    /// The challenge with a realm that the password may go to. Behind a proxy that does not forward the request's scheme
    /// and host, Nexus makes its realm of its own ones; the token service is at `/v2/token` in any case.
    fn at_home(&self, challenge: &Challenge) -> Challenge {
        let mut challenge = challenge.clone();
        if let Challenge::Bearer { realm, .. } = &mut challenge {
            let home = self.registry.url().origin();
            if Url::parse(realm).map_or(true, |realm| realm.origin() != home) {
                *realm = self.registry.below(["v2", "token"]).into();
            }
        }
        challenge
    }
}

impl Authorizer for Unasked {
    fn authorize<'a>(&'a self, scope: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        Box::pin(async move {
            if let Ask::Refused(refusal) = ask {
                let challenges = refusal.challenges.iter().map(|c| self.at_home(c)).collect();
                let refusal = Refusal { challenges, ..refusal.clone() };
                return self.tokens.authorize(scope, Ask::Refused(&refusal)).await;
            }
            let learned = self.tokens.authorize(scope, ask).await?;
            if learned.headers.is_empty() { self.basic.authorize(scope, ask).await } else { Ok(learned) }
        })
    }
}
