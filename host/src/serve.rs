//! The running agent: its parts, put together from the settings, started and stopped in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use regent_transport::{Class, Fault, Retry};
use tokio::task::JoinSet;

use crate::admission::Admission;
use crate::api::{self, Context};
use crate::breaker::{BreakerConfig, Breakers};
use crate::callbacks::{CallbackRules, Deliveries, DeliveryPolicy};
use crate::drivers::{Drivers, DriversConfig, Trust};
use crate::http::{CaBundle, HttpClient, HttpConfig, HttpError, InvalidRegistry, ProxyConfig};
use crate::jobs::{MemoryQueue, Queue};
use crate::scanning::{ScanLimits, Scanner};
use crate::server::{Server, ServerError};
use crate::settings::{DriverTrust, Settings, create_private_dir, environment};
use crate::shutdown::{self, Shutdown};
use crate::telemetry::{self, MeteredQueue, Metrics};
use crate::worker::{WorkerParts, Workers};

/// Time to connect to a registry, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the agent can't run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Authorities or proxies.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// `REGENT_INSECURE_REGISTRIES`.
    #[error("REGENT_INSECURE_REGISTRIES: {0}")]
    InsecureRegistries(#[from] InvalidRegistry),
    /// The address or the certificate.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The data directory.
    #[error("REGENT_DATA_DIR: {path} can't be made: {source}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Two counters with one name: a fault of ours.
    #[error("metrics can't be set up")]
    Metrics(#[from] prometheus::Error),
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Http(_) | Self::InsecureRegistries(_) | Self::Server(_) | Self::DataDir { .. } => {
                Class::Invalid
            }
            Self::Metrics(_) => Class::Internal,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Http(_) | Self::InsecureRegistries(_) | Self::Server(_) | Self::DataDir { .. } => {
                "setting_invalid"
            }
            Self::Metrics(_) => "internal",
        }
    }
}

/// The HTTP client that these settings describe.
///
/// # Errors
/// [`Error::Http`], naming the setting to mend.
pub fn http_client(settings: &Settings) -> Result<HttpClient, Error> {
    let network = &settings.network;
    let bundle = |path: &PathBuf| CaBundle { setting: "NODE_EXTRA_CA_CERTS", path: path.clone() };
    Ok(HttpClient::new(&HttpConfig {
        proxy: ProxyConfig {
            http: network.http_proxy.clone(),
            https: network.https_proxy.clone(),
            no_proxy: network.no_proxy.clone(),
        },
        ca_bundles: network.extra_authorities.iter().map(bundle).collect(),
        connect_timeout: CONNECT_TIMEOUT,
        log_requests: settings.log.level >= tracing::Level::DEBUG,
        ..HttpConfig::default()
    })?)
}

/// How drivers are found and run, by these settings.
///
/// # Errors
/// [`Error::InsecureRegistries`].
pub fn drivers_config(settings: &Settings) -> Result<DriversConfig, Error> {
    let mut config = DriversConfig::new(vec![settings.plugin_dir()]);
    config.trust = match settings.driver_trust {
        DriverTrust::Directory => Trust::Directory,
        DriverTrust::Pinned => Trust::Pinned,
    };
    config.bindings.clone_from(&settings.driver_bindings);
    config.insecure = settings.insecure_registries.join(",").parse()?;
    config.call_timeout = settings.driver_timeout;
    config.token_services.clone_from(&settings.token_services);
    config.environment = Arc::new(environment);
    Ok(config)
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// [`Error`]: it did not start.
pub async fn run(settings: Settings) -> Result<(), Error> {
    telemetry::start_logging(settings.log);
    let (trigger, shutdown) = shutdown::channel();
    // The rest of the grace is for requests that run.
    let trigger = trigger.with_delay(settings.shutdown_delay.min(settings.shutdown_grace / 2));
    let mut signals = JoinSet::new();
    let on_signal = trigger.clone();
    signals.spawn(async move {
        if let Err(error) = on_signal.on_signal().await {
            tracing::error!(%error, "signals can't be received; the agent stops only when it is killed");
        }
    });
    let outcome = run_until(settings, shutdown).await;
    signals.shutdown().await;
    drop(trigger);
    outcome
}

/// Runs the agent until `shutdown`: stops accepting first, then lets what runs end within the grace.
///
/// # Errors
/// [`Error`]: it did not start.
pub async fn run_until(settings: Settings, shutdown: Shutdown) -> Result<(), Error> {
    let path = settings.data_dir.clone();
    create_private_dir(&path).map_err(|source| Error::DataDir { path, source })?;
    let http = http_client(&settings)?;
    let metrics = Metrics::new(Some(http.metrics()))?;
    let drivers = Drivers::new(drivers_config(&settings)?, http.clone());
    let queue = Arc::new(MemoryQueue::new(settings.queue_length));
    let queue: Arc<dyn Queue> = Arc::new(MeteredQueue::new(queue, metrics.clone()));
    let rules = CallbackRules::new(&settings.callbacks);
    let server = Server::bind(settings.listen, settings.port, settings.certificate.as_ref()).await?;
    announce(&settings, &server, &rules);

    let deliveries = Deliveries::new(&http, DeliveryPolicy::new(settings.callbacks.timeout));
    let parts = WorkerParts {
        queue: Arc::clone(&queue),
        drivers: drivers.clone(),
        scanner: Scanner::new(Scanner::DEFAULT_CAPTURES_BYTES).matching(settings.compat),
        limits: ScanLimits { max_image_bytes: settings.max_image_size_bytes, ..ScanLimits::default() },
        deliveries: deliveries.clone(),
        delivery_deadline: settings.callbacks.deadline,
        layers_dir: settings.data_dir.join("layers"),
    };
    let workers = Workers::start(settings.max_active_operations, parts);

    let context = Context {
        drivers,
        queue,
        admission: Admission::new(settings.admission, settings.data_dir.clone()),
        breakers: Breakers::new(BreakerConfig::default()),
        metrics,
        deliveries,
        callbacks: Arc::new(rules),
        own_connection: Arc::new(settings.own_connection.clone()),
        local_root: settings.local_root.clone(),
        data_dir: settings.data_dir.clone(),
        list_disabled: settings.list_disabled,
        compat: settings.compat,
        shutdown: shutdown.clone(),
    };
    let service = TowerToHyperService::new(warp::service(api::routes(context)));
    let grace = settings.shutdown_grace;
    let mut stop = shutdown.clone();
    let serving = server.run(service, shutdown, grace);
    let working = async {
        stop.requested().await;
        workers.drain(grace).await;
    };
    tokio::join!(serving, working);
    tracing::info!("stopped");
    Ok(())
}

/// What an operator wants to know of a running agent, once.
fn announce(settings: &Settings, server: &Server, rules: &CallbackRules) {
    for (name, value) in settings.effective() {
        tracing::info!("{name}={value}");
    }
    if rules.is_open() {
        tracing::warn!(
            "neither BROKER_CLIENT_URL nor REGENT_CALLBACK_HOSTS is set: results go to whichever host a request names, \
             link-local addresses excepted"
        );
    }
    let address = server.address().map_or_else(|e| e.to_string(), |a| a.to_string());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        plugins = %settings.plugin_dir().display(),
        "listening on {}://{address}",
        server.scheme()
    );
}
