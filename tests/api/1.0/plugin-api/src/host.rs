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
    /// ```
    /// use regent_plugin_api::Host;
    /// use regent_plugin_api::http::StatusCode;
    /// use regent_plugin_api::testkit::{Exchange, Script};
    /// use regent_plugin_api::transport::{Request, collect};
    /// use regent_plugin_api::url::Url;
    ///
    /// # futures_executor::block_on(async {
    /// let url = "https://registry.example.com/api/version";
    /// let host = Host::new(Script::new().then(Exchange::get(url).answer(StatusCode::OK, "2.1")).shared());
    /// let response = host.http(Request::get(Url::parse(url)?)).await?;
    /// assert_eq!(response.status, StatusCode::OK);
    /// assert_eq!(collect(response.body).await?, "2.1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`TransportError`]: no answer was had. [`TransportError::Refused`] when the driver did not declare the host.
    pub async fn http(&self, request: Request) -> Result<Response, TransportError> {
        self.0.send(request).await
    }

    /// Writes a line to the host's log. Never log a secret.
    ///
    /// ```
    /// use regent_plugin_api::testkit::Script;
    /// use regent_plugin_api::{Host, LogLevel};
    ///
    /// let script = Script::new().shared();
    /// let (host, skipped) = (Host::new(script.clone()), 3);
    /// host.log(LogLevel::Warn, format_args!("{skipped} names of the listing are no repositories"));
    /// assert_eq!(script.log_lines()[0].1, "3 names of the listing are no repositories");
    /// ```
    pub fn log(&self, level: LogLevel, message: impl fmt::Display) {
        self.0.log(level, &message.to_string());
    }

    /// The host's wall clock.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # use regent_plugin_api::{Host, testkit::Script};
    /// # let host = Host::new(Script::new().shared());
    /// // A token that the registry gives for five minutes.
    /// let expires = host.now().checked_add(Duration::from_secs(300));
    /// assert!(expires.is_some_and(|expires| host.now() < expires));
    /// ```
    pub fn now(&self) -> SystemTime {
        self.0.now()
    }

    /// Returns after `duration`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use regent_plugin_api::Host;
    /// use regent_plugin_api::testkit::Script;
    ///
    /// let script = Script::new().shared();
    /// let host = Host::new(script.clone());
    /// futures_executor::block_on(host.sleep(Duration::from_secs(30)));
    /// assert_eq!(script.slept(), Duration::from_secs(30)); // by the script's clock: a test does not wait
    /// ```
    pub async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }

    /// An environment variable of the host. `None` also for a name that the description does not declare.
    ///
    /// ```
    /// use regent_plugin_api::Host;
    /// use regent_plugin_api::testkit::Script;
    ///
    /// // The driver says `env: ["ACME_API"]` in `export_driver!`; in a test the script has the value.
    /// let host = Host::new(Script::new().variable("ACME_API", "https://api.example.com").shared());
    /// assert_eq!(host.env("ACME_API").as_deref(), Some("https://api.example.com"));
    /// assert_eq!(host.env("HOME"), None);
    /// ```
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
