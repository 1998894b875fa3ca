//! A connection to NATS servers with JetStream, for what several agents share.
//!
//! Nothing newer than server 2.9 is used. A call that finds no server, or a stream without a leader, is tried again for a
//! moment, since a cluster that loses a server chooses anew within seconds; then it fails.

use std::fmt;
use std::time::Duration;

use async_nats::client::Request;
use async_nats::connection::State as Connection;
use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::kv;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, Stream};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectErrorKind};
use bytes::Bytes;
use regent_transport::{Class, Fault, Retry};
use tokio::time::{Instant, sleep};

use crate::causes::chain;
use crate::settings::NatsSettings;

mod claims;
mod options;
#[cfg(test)]
pub mod test_server;

pub use claims::{CLAIM, Claim, Claims};

/// How long a server has to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long servers remember the ids of messages, to store none twice.
pub const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// How long a cluster may take to agree on what there is.
const SETTLING: Duration = Duration::from_secs(15);
/// The wait before a call that found nobody is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A connection to NATS servers. Cheap to clone; it comes back by itself when it is lost.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    jetstream: jetstream::Context,
    servers: String,
    prefix: String,
    replicas: usize,
}

/// Why NATS can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// No server takes the agent in.
    #[error("no connection to the NATS servers {servers}: {reason}")]
    Unreachable {
        /// Their addresses.
        servers: String,
        /// The last one's word.
        reason: String,
    },
    /// The servers don't know the agent as who it says it is.
    #[error("the NATS servers {servers} do not let the agent in: {reason}")]
    Rejected {
        /// Their addresses.
        servers: String,
        /// Their word.
        reason: String,
    },
    /// A file of a setting can't be used.
    #[error("{setting}: {reason}")]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A server did not do what it was asked.
    #[error("NATS at {servers}: {what}: {reason}")]
    Refused {
        /// Their addresses.
        servers: String,
        /// What it was asked for.
        what: String,
        /// Its word.
        reason: String,
    },
}

/// What came of a message that is only to be taken while its subject's newest message is the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is stored, as this number of the stream.
    Stored(u64),
    /// Another one is the newest: this one is not stored, or was stored by an earlier try.
    Outdated,
}

impl Nats {
    /// Connects to one of the servers.
    ///
    /// # Errors
    /// [`NatsError::Unreachable`], [`NatsError::Rejected`] and [`NatsError::File`].
    pub async fn connect(settings: &NatsSettings) -> Result<Self, NatsError> {
        let servers = settings.servers.to_string();
        let options = options::options(settings).await?;
        let connected = options.connect(settings.servers.addresses.as_slice()).await;
        let client = connected.map_err(|error| {
            let (servers, reason) = (servers.clone(), chain(&error));
            match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    NatsError::Rejected { servers, reason }
                }
                _ => NatsError::Unreachable { servers, reason },
            }
        })?;
        let jetstream = ContextBuilder::new().timeout(ANSWER).build(client.clone());
        let (prefix, replicas) = (settings.prefix.clone(), settings.replicas);
        Ok(Self { client, jetstream, servers, prefix, replicas })
    }

    /// What the names of streams and subjects begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The servers' addresses, without user and password.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// The API of streams.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == Connection::Connected
    }

    /// The largest message that servers take, in bytes.
    pub fn max_message_bytes(&self) -> usize {
        self.client.max_payload()
    }

    /// A stream with this configuration. One that is there is taken as it is, but for the number of its replicas.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn stream(&self, mut config: StreamConfig) -> Result<Stream, NatsError> {
        config.num_replicas = self.replicas;
        let name = config.name.clone();
        let refused = |error: &dyn std::error::Error| self.refused(format!("stream {name}"), error);
        match self.jetstream.get_stream(&name).await {
            Ok(stream) if stream.cached_info().config.num_replicas == self.replicas => Ok(stream),
            Ok(stream) => {
                let found = stream.cached_info().config.clone();
                tracing::info!(
                    stream = name,
                    from = found.num_replicas,
                    to = self.replicas,
                    "replicas change"
                );
                let wanted = StreamConfig { num_replicas: self.replicas, ..found };
                self.jetstream.update_stream(wanted).await.map_err(|error| refused(&error))?;
                self.jetstream.get_stream(&name).await.map_err(|error| refused(&error))
            }
            Err(error) if is_absent(&error.kind()) => {
                self.jetstream.create_stream(config).await.map_err(|error| refused(&error))
            }
            Err(error) => Err(refused(&error)),
        }
    }

    /// A bucket of the key-value store, made where it is not there, whose entries are kept for `max_age`; zero for ever. Unlike
    /// those of usual buckets its values are read from the leader, which knows the newest.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn bucket(
        &self,
        name: String,
        max_age: Duration,
        description: &str,
    ) -> Result<kv::Store, NatsError> {
        let config = StreamConfig {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            max_age,
            // Longer than things are kept is not allowed; zero is the server's own.
            duplicate_window: max_age.min(DUPLICATE_WINDOW),
            discard: DiscardPolicy::New,
            allow_rollup: true,
            description: Some(description.to_owned()),
            ..StreamConfig::default()
        };
        self.stream(config).await?;
        let opened = self.jetstream.get_key_value(&name).await;
        opened.map_err(|error| self.refused(format!("bucket {name}"), &error))
    }

    /// Does what needs several answers, as opening a bucket that was just made: in a cluster one server may not know yet what
    /// another has done. What is refused for good is refused at the end.
    ///
    /// # Errors
    /// Of what is done.
    pub async fn patiently<T>(&self, what: impl AsyncFn() -> Result<T, NatsError>) -> Result<T, NatsError> {
        let end = Instant::now() + SETTLING;
        loop {
            match what().await {
                Err(NatsError::Refused { .. }) if Instant::now() < end => sleep(AGAIN_AFTER).await,
                done => return done,
            }
        }
    }

    /// Stores a message, where the newest one of its subject is the expected one, if it expects one.
    ///
    /// # Errors
    /// [`NatsError::Refused`]: it is not known whether it is stored.
    pub async fn publish(&self, subject: &str, message: PublishMessage) -> Result<Published, NatsError> {
        let end = Instant::now() + ANSWER;
        loop {
            let stored =
                async { self.jetstream.send_publish(subject.to_owned(), message.clone()).await?.await };
            let error: PublishError = match stored.await {
                Ok(stored) => return Ok(Published::Stored(stored.sequence)),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                    return Ok(Published::Outdated);
                }
                Err(error) => error,
            };
            if error.kind() != PublishErrorKind::StreamNotFound || Instant::now() >= end {
                return Err(self.refused(format!("a message to {subject}"), &error));
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// The next message of a pull consumer, if there is one now.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn pull(&self, stream: &str, consumer: &str) -> Result<Option<jetstream::Message>, NatsError> {
        // A message arrives under its own subject, so it needs an inbox that nothing else goes to.
        let request = Request::new()
            .payload(Bytes::from_static(br#"{"batch":1,"no_wait":true}"#))
            .inbox(self.client.new_inbox())
            .timeout(Some(ANSWER));
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let message = match self.client.send_request(subject, request).await {
            Ok(message) => message,
            // Its servers choose a leader, or it has been deleted: whoever keeps the streams makes it anew.
            Err(error) if error.kind() == async_nats::RequestErrorKind::NoResponders => return Ok(None),
            Err(error) => return Err(self.refused(format!("consumer {consumer}"), &error)),
        };
        match message.status.map(|status| status.as_u16()) {
            None => Ok(Some(jetstream::Message { message, context: self.jetstream.clone() })),
            // Nothing there; all that is there is held; a new leader.
            Some(404 | 408 | 409) => Ok(None),
            Some(status) => Err(self.refused(format!("consumer {consumer}"), &UnknownStatus(status))),
        }
    }

    /// Returns once all that was sent so far has gone out.
    ///
    /// # Errors
    /// [`NatsError::Refused`].
    pub async fn flush(&self) -> Result<(), NatsError> {
        let flushed = tokio::time::timeout(ANSWER, self.client.flush()).await;
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.refused("flush".to_owned(), &error)),
            Err(error) => Err(self.refused("flush".to_owned(), &error)),
        }
    }

    /// The error of something that was not done.
    pub fn refused(&self, what: String, error: &dyn std::error::Error) -> NatsError {
        NatsError::Refused { servers: self.servers.clone(), what, reason: chain(error) }
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("servers", &self.servers)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Fault for NatsError {
    fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Invalid,
            Self::Rejected { .. } => Class::Authentication,
            Self::Unreachable { .. } | Self::Refused { .. } => Class::Unavailable,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::File { .. } | Self::Rejected { .. } => Retry::Never,
            Self::Unreachable { .. } | Self::Refused { .. } => Retry::Backoff,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "setting_invalid",
            Self::Rejected { .. } => "credentials_rejected",
            Self::Unreachable { .. } | Self::Refused { .. } => "queue_unwritable",
        }
    }
}

/// An answer that is none of those that servers are known to give.
#[derive(Debug, thiserror::Error)]
#[error("status {0}")]
struct UnknownStatus(u16);

fn is_absent(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

#[cfg(test)]
mod tests;
