//! What a driver may ask of its host.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use regent_transport::{BoxFuture, Request, Response, Transport, TransportError};

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// The number that stands for it across the ABI: 1 for trace to 5 for error. Never reused.
    pub fn number(self) -> u32 {
        match self {
            Self::Trace => 1,
            Self::Debug => 2,
            Self::Info => 3,
            Self::Warn => 4,
            Self::Error => 5,
        }
    }

    /// The level with this number; an unknown one is [`LogLevel::Info`].
    pub fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Trace,
            2 => Self::Debug,
            4 => Self::Warn,
            5 => Self::Error,
            _ => Self::Info,
        }
    }
}

/// The services behind a [`Host`]. Implemented by the host process, and by test kits.
pub trait HostServices: Transport {
    /// Writes a line to the host's log, under the driver's name.
    fn log(&self, level: LogLevel, message: &str);

    /// An environment variable of the host, if the driver's description declares its name.
    fn env(&self, name: &str) -> Option<String>;
}

/// A driver's way to the world. Cheap to clone; implements [`Transport`], so that everything in
/// `regent-distribution` works over it.
///
/// Requests are bounded and their bodies are read whole before they are handed over: this is the control plane. The
/// host adds TLS roots and proxies, enforces the egress that the driver declared, and meters. It does not retry and
/// does not follow redirects.
#[derive(Clone)]
pub struct Host(Arc<dyn HostServices>);

impl Host {
    /// A host over these services.
    pub fn new(services: Arc<dyn HostServices>) -> Self {
        Self(services)
    }

    /// Sends one request. Any status is an `Ok`.
    ///
    /// # Errors
    /// [`TransportError`]: no answer was had. [`TransportError::Refused`] when the driver did not declare the host.
    pub async fn http(&self, request: Request) -> Result<Response, TransportError> {
        self.0.send(request).await
    }

    /// Writes a line to the host's log. Never log a secret.
    pub fn log(&self, level: LogLevel, message: impl fmt::Display) {
        self.0.log(level, &message.to_string());
    }

    /// The host's wall clock.
    pub fn now(&self) -> SystemTime {
        self.0.now()
    }

    /// Returns after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }

    /// An environment variable of the host. `None` also for a name that the description does not declare.
    pub fn env(&self, name: &str) -> Option<String> {
        self.0.env(name)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl Transport for Host {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        self.0.send(request)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }

    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn jitter(&self) -> f64 {
        self.0.jitter()
    }
}
