//! The running agent: its parts, put together from the settings, started and stopped in order.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use regent_transport::{Class, Fault, Retry};
use tokio::task::{JoinSet, spawn_blocking};

use crate::admission::Admission;
use crate::api::{self, Context};
use crate::breaker::{BreakerConfig, Breakers};
use crate::callbacks::{CallbackRules, Deliveries, DeliveryPolicy};
use crate::crash;
use crate::crash_point;
use crate::disk_cache::{DiskCache, DiskCacheConfig};
use crate::drivers::{Crumbs, DECISIONS, Drivers, DriversConfig, Trust, TrustPolicy, read_keys};
use crate::http::{
    CaBundle, ClientCertificate, HttpClient, HttpConfig, HttpError, InvalidRegistry, ProxyConfig,
};
use crate::jobs::{EmbeddedQueue, JetStreamConfig, JetStreamQueue, Queue, QueueError, Retention};
use crate::nats::{Nats, NatsError};
use crate::registry::Documents;
use crate::scanning::{CaptureStore, DiskCaptures, FleetCaptures, Levels, ScanLimits, Scanner};
use crate::seal::{KeyError, SealKeys};
use crate::server::{Server, ServerError};
use crate::settings::{CaptureCacheSettings, DriverTrust, Settings, create_private_dir, environment};
use crate::shutdown::{self, Shutdown};
use crate::supervisor;
use crate::telemetry::{self, Metrics};
use crate::threads::Threads;
use crate::worker::{WorkerParts, Workers};

/// The directory for copies of drivers' libraries, in the data directory.
const DRIVER_COPIES: &str = "libraries";
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
    /// `REGENT_DRIVER_KEYS`.
    #[error("REGENT_DRIVER_KEYS: {0}")]
    DriverKeys(#[from] crate::drivers::KeysError),
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
    /// `REGENT_SEAL_KEY` or `REGENT_SEAL_KEY_FILE`.
    #[error("REGENT_SEAL_KEY: {0}")]
    SealKeys(#[from] KeyError),
    /// Something in the queue is sealed with a key that the agent was not given.
    #[error(
        "the queue can't be opened: {0}; give the agent that key again, behind the one that is to seal from now on (REGENT_SEAL_KEY)"
    )]
    SealKeyMissing(QueueError),
    /// The queue can't be opened.
    #[error("the queue can't be opened: {0}")]
    Queue(QueueError),
    /// A file that is named by a setting of the queue's servers.
    #[error(transparent)]
    NatsFile(NatsError),
    /// `REGENT_QUEUE`.
    #[error("REGENT_QUEUE: {0}")]
    Nats(NatsError),
    /// The agent can't be started as a child process.
    #[error("the agent can't be started as a child process: {0}")]
    Child(std::io::Error),
    /// The program was stopped while it started.
    #[error("stopped while starting")]
    Stopped,
    /// Two counters with one name: a fault of ours.
    #[error("metrics can't be set up")]
    Metrics(#[from] prometheus::Error),
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Sealed { .. } => Self::SealKeyMissing(error),
            _ => Self::Queue(error),
        }
    }
}

impl From<NatsError> for Error {
    fn from(error: NatsError) -> Self {
        match error {
            NatsError::File { .. } => Self::NatsFile(error),
            _ => Self::Nats(error),
        }
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Http(_)
            | Self::InsecureRegistries(_)
            | Self::DriverKeys(_)
            | Self::Server(_)
            | Self::DataDir { .. }
            | Self::SealKeys(_) => Class::Invalid,
            Self::SealKeyMissing(error) | Self::Queue(error) => error.class(),
            Self::NatsFile(error) | Self::Nats(error) => error.class(),
            Self::Child(_) | Self::Stopped | Self::Metrics(_) => Class::Internal,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn code(&self) -> &str {
        match self {
            Self::Http(_)
            | Self::InsecureRegistries(_)
            | Self::DriverKeys(_)
            | Self::Server(_)
            | Self::DataDir { .. }
            | Self::SealKeys(_) => "setting_invalid",
            Self::SealKeyMissing(error) | Self::Queue(error) => error.code(),
            Self::NatsFile(error) | Self::Nats(error) => error.code(),
            Self::Child(_) | Self::Stopped | Self::Metrics(_) => "internal",
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
        client_certificates: network
            .client_certificates
            .iter()
            .map(|(host, path)| ClientCertificate { host: host.clone(), path: path.clone() })
            .collect(),
        ca_bundles: network.extra_authorities.iter().map(bundle).collect(),
        connect_timeout: CONNECT_TIMEOUT,
        log_requests: settings.log.level >= tracing::Level::DEBUG,
        ..HttpConfig::default()
    })?)
}

/// Which driver files are loaded, by these settings.
///
/// # Errors
/// [`Error::DriverKeys`].
pub fn driver_trust(settings: &Settings) -> Result<Trust, Error> {
    let policy = match settings.driver_trust {
        DriverTrust::Directory => TrustPolicy::Directory,
        DriverTrust::Pinned => TrustPolicy::Pinned,
        DriverTrust::Signed => TrustPolicy::Signed,
    };
    Ok(Trust { policy, keys: Arc::new(read_keys(&settings.driver_keys)?) })
}

/// How drivers are found and run, by these settings, with what is kept on the disk.
///
/// # Errors
/// [`Error::InsecureRegistries`], [`Error::DriverKeys`].
pub fn drivers_config(settings: &Settings, cache: Option<&DiskCache>) -> Result<DriversConfig, Error> {
    let mut config = DriversConfig::new(vec![settings.plugin_dir()]);
    config.trust = driver_trust(settings)?;
    config.decisions = Some(settings.data_dir.join(DECISIONS));
    config.copies = Some(settings.data_dir.join(DRIVER_COPIES));
    config.bindings.clone_from(&settings.driver_bindings);
    config.insecure = settings.insecure_registries.join(",").parse()?;
    config.egress = Arc::new(settings.egress.clone());
    config.call_timeout = settings.driver_timeout;
    config.removal_grace = settings.driver_removal_grace;
    config.isolations = settings.driver_isolations.clone();
    config.token_services.clone_from(&settings.token_services);
    config.environment = Arc::new(environment);
    config.documents = cache.cloned().map(Documents::kept_in).unwrap_or_default();
    Ok(config)
}

/// Runs the agent as a child process, started anew when it crashes, until SIGTERM or SIGINT. Returns its exit code.
///
/// # Errors
/// [`Error`]: it could not be started at all.
pub async fn supervise(settings: &Settings) -> Result<u8, Error> {
    telemetry::start_logging(settings.log);
    make_data_dir(settings)?;
    let places = supervisor::Places {
        data_dir: settings.data_dir.clone(),
        plugin_dir: settings.plugin_dir(),
        quarantine: settings.driver_quarantine,
    };
    supervisor::run(&places).await.map_err(Error::Child)
}

/// What the parent gives to an agent that is its child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The file where it is noted which drivers run.
    pub running_drivers: PathBuf,
    /// The number of the pipe that is written to in a crash.
    pub crash_pipe: Option<RawFd>,
}

/// Runs the agent until SIGTERM or SIGINT; with a parent, as the child of one that starts it anew.
///
/// # Errors
/// [`Error`]: it did not start.
pub async fn run(settings: Settings, parent: Option<Parent>) -> Result<(), Error> {
    telemetry::start_logging(settings.log);
    if let Some(parent) = &parent {
        if let Some(Err(error)) = parent.crash_pipe.map(crash::install) {
            tracing::warn!(%error, "a crash will be reported without its stack");
        }
        // With its parent gone nobody could stop it. Where that can't be asked for, it is stopped by hand.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
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
    let running_drivers = parent.map(|parent| parent.running_drivers);
    let outcome = Box::pin(run_until(settings, running_drivers, shutdown)).await;
    signals.shutdown().await;
    drop(trigger);
    outcome
}

/// Runs the agent until `shutdown`: stops accepting first, then lets what runs end within the grace.
///
/// # Errors
/// [`Error`]: it did not start.
pub async fn run_until(
    settings: Settings,
    running_drivers: Option<PathBuf>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    make_data_dir(&settings)?;
    let http = http_client(&settings)?;
    let metrics = Metrics::new(Some(http.metrics()))?;
    let cache = DiskCacheConfig::of(&settings, CaptureCacheSettings::DEFAULT_MAX_BYTES).map(DiskCache::open);
    let mut drivers = drivers_config(&settings, cache.as_ref())?;
    if let Some(path) = running_drivers {
        let crumbs = Crumbs::create(&path).map_err(|source| Error::DataDir { path, source })?;
        drivers.crumbs = Some(Arc::new(crumbs));
    }
    let drivers = Drivers::new(drivers, http.clone());
    if let Some(point) = settings.crash_point {
        tracing::warn!(point = point.name(), "the agent kills itself when it comes to this point");
        crash_point::choose(point);
    }
    let source = settings.seal_keys.clone();
    let keys = spawn_blocking(move || source.load()).await.map_err(|_| Error::Stopped)??;
    let nats = match &settings.nats {
        Some(nats) => Some(Nats::connect(nats).await?),
        None => None,
    };
    let queue = open_queue(&settings, &keys, nats.as_ref()).await?;
    let fleet = match &nats {
        Some(nats) => fleet_captures(nats, keys, settings.shared_captures_bytes).await,
        None => None,
    };
    let scanner = Scanner::new(Scanner::DEFAULT_CAPTURES_BYTES)
        .after_answers()
        .matching(settings.compat)
        .reading_parts(settings.lazy_layers);
    let scanner = match (cache.clone().map(DiskCaptures::new), fleet) {
        (Some(disk), Some(fleet)) => scanner.sharing(Arc::new(Levels::new(disk, fleet))),
        (Some(disk), None) => scanner.sharing(Arc::new(disk)),
        (None, Some(fleet)) => scanner.sharing(fleet),
        (None, None) => scanner,
    };
    let breakers = Breakers::new(BreakerConfig::default());
    let rules = CallbackRules::new(&settings.callbacks);
    let server = Server::bind(settings.listen, settings.port, settings.certificate.as_ref()).await?;
    announce(&settings, &server, &rules);

    let callbacks = &settings.callbacks;
    let deliveries = Deliveries::new(&http, DeliveryPolicy::new(callbacks.timeout, callbacks.deadline));
    let parts = WorkerParts {
        queue: Arc::clone(&queue),
        drivers: drivers.clone(),
        breakers: breakers.clone(),
        scanner,
        limits: ScanLimits { max_image_bytes: settings.max_image_size_bytes, ..ScanLimits::default() },
        lease: settings.lease(),
        run_deadline: settings.scan_deadline,
        retry: WorkerParts::retry_for(settings.scan_retry),
        deliveries: deliveries.clone(),
        layers_dir: settings.data_dir.join("layers"),
        metrics: metrics.clone(),
        threads: Threads::own(),
    };
    let workers = Workers::start(settings.max_active_operations, parts);

    let (watching, stopping) = (drivers.clone(), drivers.clone());
    let context = Context {
        drivers,
        queue: Arc::clone(&queue),
        admission: Admission::new(settings.admission, settings.data_dir.clone()),
        breakers,
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
    let watching = watching.watch(settings.driver_watch, shutdown.clone());
    let serving = server.run(service, shutdown, grace);
    let working = async {
        stop.requested().await;
        workers.drain(grace).await;
    };
    tokio::join!(serving, working, watching);
    stopping.stop().await;
    if let Err(error) = queue.stop().await {
        tracing::error!(%error, "the queue could not be closed; what is in it is read at the next start");
    }
    if let Some(cache) = cache {
        cache.settle().await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn make_data_dir(settings: &Settings) -> Result<(), Error> {
    let path = settings.data_dir.clone();
    create_private_dir(&path).map_err(|source| Error::DataDir { path, source })
}

/// The queue, with what earlier runs left in it.
async fn open_queue(
    settings: &Settings,
    keys: &SealKeys,
    nats: Option<&Nats>,
) -> Result<Arc<dyn Queue>, Error> {
    let capacity = settings.queue_length;
    let queue: Arc<dyn Queue> = if let Some(nats) = nats {
        let config =
            JetStreamConfig { lease: settings.lease(), ..JetStreamConfig::new(keys.clone(), capacity) };
        Arc::new(JetStreamQueue::open(nats, config).await?)
    } else {
        let path = settings.data_dir.join("queue.redb");
        Arc::new(EmbeddedQueue::open(path, keys.clone(), capacity, Retention::default()).await?)
    };
    let counts = queue.counts().await?;
    tracing::info!(
        queue = queue.describe(),
        seal_keys = ?keys,
        queued = counts.queued + counts.running,
        delivering = counts.delivering,
        dead_lettered = counts.dead_lettered,
        "operations are kept"
    );
    Ok(queue)
}

/// What the fleet shares of captures. Without room for them at the servers each agent reads for itself.
async fn fleet_captures(nats: &Nats, keys: SealKeys, max_bytes: u64) -> Option<Arc<dyn CaptureStore>> {
    if max_bytes == 0 {
        return None;
    }
    let open = async || Box::pin(FleetCaptures::open(nats, keys.clone(), max_bytes)).await;
    match nats.patiently(open).await {
        Ok(captures) => Some(Arc::new(captures)),
        Err(error) => {
            tracing::warn!(%error, "captures of layers are not shared: each agent reads them for itself");
            None
        }
    }
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
