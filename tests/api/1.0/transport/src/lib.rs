//! The one thing Regent's protocol code asks of the world: send an HTTP request, read its answer.
//!
//! [`Transport`] is implemented twice: by the host's HTTP client (pools, TLS, proxies, egress rules), and by the
//! `Host` that a driver is given, which passes requests to the former. `core/distribution` speaks to registries
//! over either. A transport does **not** follow redirects and does **not** retry: those are decisions of the
//! protocol, made by its caller, the latter with [`RetryPolicy`].

mod fault;
mod message;
mod retry;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

pub use fault::{Class, Fault, Retry};
pub use message::{Body, BodySource, Request, Response};
pub use retry::{Backoff, Pause, RetryPolicy, Until};

/// A boxed future that may be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends requests and tells the time. Dropping a future returned from here cancels what it was doing.
pub trait Transport: Send + Sync {
    /// Sends one request and returns when the head of the answer is there. Any status is an `Ok`.
    ///
    /// # Errors
    /// [`TransportError`]: no answer was had.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>>;

    /// Returns after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// The wall clock.
    fn now(&self) -> SystemTime;

    /// A number from 0 (inclusive) to 1 (exclusive), for jitter.
    fn jitter(&self) -> f64;
}

/// Why no answer, or not the whole of it, was had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The egress rules forbid the host. Never worth a retry.
    #[error("{host} may not be reached: {rule}")]
    Refused {
        /// Host and port.
        host: String,
        /// The rule that forbids it, in words.
        rule: String,
    },
    /// The request can't be sent by anyone: no host in the URL, a header with a line break.
    #[error("the request can't be sent: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// No connection: name not found, refused, unreachable.
    #[error("can't connect to {host}: {reason}")]
    Connect {
        /// Host and port.
        host: String,
        /// The cause, without secrets.
        reason: String,
    },
    /// The TLS handshake failed: unknown authority, wrong name, expired.
    #[error("no trusted TLS connection to {host}: {reason}")]
    Tls {
        /// Host and port.
        host: String,
        /// The cause, without secrets.
        reason: String,
    },
    /// No answer in time.
    #[error("{host} did not answer in time")]
    Timeout {
        /// Host and port.
        host: String,
    },
    /// The connection broke.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Host and port.
        host: String,
        /// The cause, without secrets.
        reason: String,
    },
    /// The answer's body is larger than the request allowed.
    #[error("{host} sent more than the {limit_bytes} bytes allowed")]
    TooLarge {
        /// Host and port.
        host: String,
        /// [`Request::max_body_bytes`].
        limit_bytes: u64,
    },
}

impl Fault for TransportError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } => Class::Refused,
            Self::Invalid { .. } => Class::Invalid,
            Self::Connect { .. } | Self::Tls { .. } | Self::Broken { .. } => Class::Unavailable,
            Self::Timeout { .. } => Class::Timeout,
            Self::TooLarge { .. } => Class::Limit,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } => Retry::Backoff,
            Self::Refused { .. } | Self::Invalid { .. } | Self::Tls { .. } | Self::TooLarge { .. } => {
                Retry::Never
            }
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Refused { .. } => "egress_refused",
            Self::Invalid { .. } => "request_invalid",
            Self::Connect { .. } => "registry_unreachable",
            Self::Tls { .. } => "tls_untrusted",
            Self::Timeout { .. } => "registry_timeout",
            Self::Broken { .. } => "connection_broken",
            Self::TooLarge { .. } => "body_too_large",
        }
    }
}

/// Reads a whole body.
///
/// # Errors
/// [`TransportError`]; the limit is the request's own.
pub async fn collect(mut body: Body) -> Result<Bytes, TransportError> {
    let Some(first) = body.chunk().await? else { return Ok(Bytes::new()) };
    let Some(second) = body.chunk().await? else { return Ok(first) };
    let mut whole = Vec::with_capacity(first.len() + second.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(chunk) = body.chunk().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}
