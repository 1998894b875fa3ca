//! The token half of Harbor's authorization.

use regent_distribution::{Ask, Authenticator, Authorized, Authorizer, Error, Refusal, Scope};
use regent_plugin_api::transport::BoxFuture;

/// Answers challenges as everywhere, but for one: Harbor refuses a token with the challenge `Basic`, whatever is wrong
/// with it. Following that would put the password in the place of tokens from then on; what is called for is a new token.
pub(crate) struct Tokens(pub(crate) Authenticator);

impl Authorizer for Tokens {
    fn authorize<'a>(&'a self, scope: &'a Scope, ask: Ask<'a>) -> BoxFuture<'a, Result<Authorized, Error>> {
        Box::pin(async move {
            match ask {
                Ask::Refused(refusal) if !refusal.sent.is_empty() => {
                    let without_challenge = Refusal { challenges: Vec::new(), ..refusal.clone() };
                    self.0.authorize(scope, Ask::Refused(&without_challenge)).await
                }
                ask => self.0.authorize(scope, ask).await,
            }
        })
    }
}
