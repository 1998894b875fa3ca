//! Claims: who of several agents does something that one is enough for.
//!
//! A claim is an entry of a bucket whose entries vanish by themselves, so that nothing stays claimed by an agent that died.

use std::time::Duration;

use async_nats::jetstream::kv;
use async_nats::jetstream::message::PublishMessage;

use super::{Nats, NatsError, Published};

/// How long a claim lasts.
pub const CLAIM: Duration = Duration::from_secs(45);

/// The bucket of claims.
#[derive(Debug, Clone)]
pub struct Claims {
    nats: Nats,
    bucket: kv::Store,
}

/// Something that this agent does.
#[derive(Debug, Clone)]
pub struct Claim {
    key: String,
    revision: u64,
}

impl Claims {
    /// Opens the bucket, and makes it where it is not there.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn open(nats: &Nats) -> Result<Self, NatsError> {
        let name = format!("{}-claims", nats.prefix());
        let bucket = nats.bucket(name, CLAIM, "Regent: what one agent does, so that others need not").await?;
        Ok(Self { nats: nats.clone(), bucket })
    }

    /// Claims something for [`CLAIM`]; `None` if somebody has it.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn claim(&self, key: &str) -> Result<Option<Claim>, NatsError> {
        self.put(key, 0).await
    }

    /// Claims it for longer; `None` if it ran out, and somebody else has it.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn renew(&self, claim: &Claim) -> Result<Option<Claim>, NatsError> {
        self.put(&claim.key, claim.revision).await
    }

    /// Gives it up before it runs out.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn give_up(&self, claim: Claim) -> Result<(), NatsError> {
        let stream = &self.bucket.stream;
        let deleted = stream.delete_message(claim.revision).await;
        deleted.map(drop).map_err(|error| self.nats.refused(format!("claim {}", claim.key), &error))
    }

    async fn put(&self, key: &str, revision: u64) -> Result<Option<Claim>, NatsError> {
        let message = PublishMessage::build().expected_last_subject_sequence(revision);
        let put = self.nats.publish(&format!("$KV.{}.{key}", self.bucket.name), message).await?;
        Ok(match put {
            Published::Stored(revision) => Some(Claim { key: key.to_owned(), revision }),
            Published::Outdated => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_server::NatsServer;
    use super::*;

    async fn is_claimed(claims: &Claims, key: &str) -> bool {
        claims.bucket.entry(key).await.unwrap().is_some()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_has_a_claim_until_it_is_given_up() {
        let server = NatsServer::start().await;
        let nats = Nats::connect(&server.settings("t")).await.unwrap();
        let (one, two) = (Claims::open(&nats).await.unwrap(), Claims::open(&nats).await.unwrap());
        let claim = one.claim("x").await.unwrap().unwrap();
        assert!(two.claim("x").await.unwrap().is_none());
        assert!(two.claim("y").await.unwrap().is_some());
        let renewed = one.renew(&claim).await.unwrap().unwrap();
        assert!(one.renew(&claim).await.unwrap().is_none(), "an old claim is not renewed");
        assert!(is_claimed(&two, "x").await);
        one.give_up(renewed).await.unwrap();
        assert!(!is_claimed(&two, "x").await);
        assert!(two.claim("x").await.unwrap().is_some());
    }
}
