//! The way out: every request of this process to a registry, its token service, its blob store or the Broker Client.
//!
//! [`HttpClient`] holds what is the same for all of them (TLS roots, proxies, connection pools, counters);
//! [`HttpClient::with`] adds the [`Egress`] rules of one session and makes a [`Transport`](regent_transport::Transport).
//! Nothing here follows a redirect or tries again: those are decisions of the protocol, made by its caller.
//!
//! What a name resolves to is judged when the connection is made, by the resolver of the pool that the request goes
//! to, so a name that resolves to something else the second time (DNS rebinding) gains nothing. Through a proxy the
//! proxy resolves, and only names and literal addresses are judged here.

mod address;
mod debug_log;
mod egress;
mod failure;
mod insecure;
mod limit;
mod metrics;
mod pool;
mod proxy;
mod resolver;
mod transport;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

pub use egress::{Declared, Egress};
pub(crate) use insecure::authority;
pub use insecure::{InsecureRegistries, InvalidRegistry};
pub use limit::{EgressLimit, InvalidEgress};
pub use metrics::HttpMetrics;
pub use pool::Purpose;
pub use proxy::ProxyConfig;
pub use transport::HttpTransport;

use pool::Pools;

/// Time to connect, TLS included, when nobody says otherwise.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How this process goes out.
#[derive(Clone)]
pub struct HttpConfig {
    /// The proxies.
    pub proxy: ProxyConfig,
    /// Certificates to trust besides the system's.
    pub ca_bundles: Vec<CaBundle>,
    /// Certificates that are shown to registries.
    pub client_certificates: Vec<ClientCertificate>,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Whether each request is logged at debug level, without secrets (`DEBUG=*` or the scanner's namespaces).
    pub log_requests: bool,
    /// The `User-Agent`.
    pub user_agent: String,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            proxy: ProxyConfig::default(),
            ca_bundles: Vec::new(),
            client_certificates: Vec::new(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            log_requests: false,
            user_agent: concat!("regent/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("proxy", &self.proxy)
            .field("ca_bundles", &self.ca_bundles)
            .field("connect_timeout", &self.connect_timeout)
            .field("log_requests", &self.log_requests)
            .finish_non_exhaustive()
    }
}

/// A file of PEM certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaBundle {
    /// The setting that names it, for messages: `NODE_EXTRA_CA_CERTS` or `CA_CERT`.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// A certificate of ours for one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The registry, lower case: `host`, for all its ports, or `host:port`.
    pub host: String,
    /// The certificate's chain and its private key, PEM.
    pub path: PathBuf,
}

impl ClientCertificate {
    /// The setting that names it.
    const SETTING: &str = "REGENT_CLIENT_CERTIFICATES";
}

/// A configuration that no client can be made from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// A bundle that can't be read.
    #[error("{setting}: {path} can't be read")]
    BundleUnreadable {
        /// Which setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
    /// A bundle without a single certificate, or with a broken one.
    #[error("{setting}: {path} {reason}")]
    BundleInvalid {
        /// Which setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A proxy whose address is none. It is not shown: it may hold a password.
    #[error("{setting} is no proxy address of the form http://host:port")]
    ProxyInvalid {
        /// Which setting.
        setting: &'static str,
    },
    /// The TLS library refuses the configuration.
    #[error("no HTTP client can be made: {reason}")]
    Unusable {
        /// Its reason.
        reason: String,
    },
}

/// The HTTP client of this process. Cheap to clone.
#[derive(Clone)]
pub struct HttpClient {
    shared: Arc<Shared>,
}

struct Shared {
    pools: Pools,
    proxies: proxy::Proxies,
    metrics: HttpMetrics,
    log_requests: bool,
}

impl HttpClient {
    /// A client for this configuration. Reads the bundles; makes no connection.
    ///
    /// # Errors
    /// [`HttpError`], naming the setting to mend. Without any TLS root (a minimal image without `ca-certificates` and no
    /// bundle) there is still a client, for registries over plain HTTP; each of its HTTPS requests fails and names the
    /// settings that help.
    pub fn new(config: &HttpConfig) -> Result<Self, HttpError> {
        install_tls_provider();
        let proxies = proxy::Proxies::new(&config.proxy)?;
        let pools = Pools::new(config, &proxies)?;
        let shared =
            Shared { pools, proxies, metrics: HttpMetrics::new(), log_requests: config.log_requests };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A transport that obeys these rules.
    pub fn with(&self, egress: Egress, purpose: Purpose) -> HttpTransport {
        HttpTransport::new(self.shared.clone(), egress, purpose)
    }

    /// Counters over all requests.
    pub fn metrics(&self) -> &HttpMetrics {
        &self.shared.metrics
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// Makes `ring` the process's TLS provider. Later calls, and those of other parts of the program, change nothing.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only if one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
