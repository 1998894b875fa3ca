//! From a connection to an open session with its registry, through the driver that serves its type.
//!
//! Drivers are libraries in the plugin directories. The index reads what they say of themselves without running them
//! (`index`); a driver is loaded at the first request for one of its types, onto a thread of its own
//! (`bulkhead`), and given its services (`services`). Sessions are kept by the whole connection, secrets included,
//! so that tokens are reused and never shared between credentials.

#[cfg(test)]
pub(crate) mod bounds;
mod budget;
mod bulkhead;
mod change;
mod crumbs;
mod decisions;
mod declared;
mod document;
mod error;
mod generations;
mod index;
mod info;
mod isolation;
mod libraries;
mod loaded;
pub(crate) mod process;
mod services;
mod session;
mod sessions;
mod trust;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use regent_plugin_api::NativeDriver;
use tokio::runtime::Handle;

pub use budget::Breach;
pub use change::DriverMetrics;
pub use crumbs::{Crumbs, Line, Suspect};
pub use decisions::{Change, FILE as DECISIONS, decide};
pub use document::DriverDocument;
pub use error::{Error, FileReason};
pub use info::{DriverInfo, DriverState};
pub use isolation::{Isolation, Isolations};
pub(crate) use session::Session;
pub(crate) use trust::read_lock;
pub use trust::{KeysError, SignatureState, Trust, TrustPolicy, read_keys};
pub use watch::Watch;

use crate::connection::Connection;
use crate::http::{Egress, EgressLimit, HttpClient, InsecureRegistries, Purpose};
use crate::registry::{Documents, Registry};
use decisions::{Decided, View};
use generations::Generations;
use index::{Choice, Entry, Index, SETTLE, Snapshot};
use libraries::{Libraries, Unavailable};
use loaded::LoadedDriver;
use services::{LogWindow, Services, Turns};
use sessions::Sessions;
use trust::Judge;

/// How often a request waits for a file that is just being replaced.
const MAX_WAITS: usize = 10;

/// The field of a connection that names token services on other hosts.
const TOKEN_SERVICE: &str = "tokenService";

/// Looks up a variable of the process's environment. Given by `settings`, which alone reads it.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Which drivers there are, and how they are run.
#[derive(Clone)]
pub struct DriversConfig {
    /// Plugin directories, in order of preference. One that does not exist counts as empty.
    pub directories: Vec<PathBuf>,
    /// Which files are loaded.
    pub trust: Trust,
    /// The file of what was decided about drivers; without one nothing is.
    pub decisions: Option<PathBuf>,
    /// Lower-case connection type → name of the driver that serves it, where several claim it.
    pub bindings: BTreeMap<String, String>,
    /// Registries that may be called over plain HTTP.
    pub insecure: InsecureRegistries,
    /// What is left of the hosts that drivers declare.
    pub egress: Arc<EgressLimit>,
    /// Token services on other hosts than their registry, for connections that name none themselves.
    pub token_services: Vec<String>,
    /// Time for one call of a driver.
    pub call_timeout: Duration,
    /// How many sessions are kept.
    pub max_sessions: usize,
    /// How long an unused session is kept.
    pub session_idle: Duration,
    /// How long a driver serves on whose file was removed: that may be the first half of a replacement.
    pub removal_grace: Duration,
    /// For the variables that a driver's description declares.
    pub environment: Environment,
    /// What sessions keep of what they read.
    pub documents: Documents,
    /// Where it is noted whose code runs, if someone reads it.
    pub crumbs: Option<Arc<Crumbs>>,
    /// A directory for copies of libraries, for machines without memory that can be sealed. It is made if it is needed.
    pub copies: Option<PathBuf>,
    /// Which drivers run in processes of their own.
    pub isolations: Isolations,
}

impl DriversConfig {
    /// One call, when nobody says otherwise: longer than a slow registry with retries, shorter than a caller's
    /// patience.
    pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_mins(1);
    /// Sessions kept, when nobody says otherwise. One costs some kilobytes.
    pub const DEFAULT_MAX_SESSIONS: usize = 256;
    /// Idle time, when nobody says otherwise.
    pub const DEFAULT_SESSION_IDLE: Duration = Duration::from_mins(15);
    /// Quarantine after a first crash, when nobody says otherwise: shorter than what waits for its registry is patient.
    pub const DEFAULT_QUARANTINE: Duration = Duration::from_mins(15);
    /// Grace after a removal, when nobody says otherwise: removing and copying by hand takes less.
    pub const DEFAULT_REMOVAL_GRACE: Duration = Duration::from_secs(10);

    /// Drivers of these directories, with everything else as nobody said otherwise, and no environment.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            trust: Trust::default(),
            decisions: None,
            bindings: BTreeMap::new(),
            insecure: InsecureRegistries::default(),
            egress: Arc::default(),
            token_services: Vec::new(),
            call_timeout: Self::DEFAULT_CALL_TIMEOUT,
            max_sessions: Self::DEFAULT_MAX_SESSIONS,
            session_idle: Self::DEFAULT_SESSION_IDLE,
            removal_grace: Self::DEFAULT_REMOVAL_GRACE,
            environment: Arc::new(|_| None),
            documents: Documents::default(),
            crumbs: None,
            copies: None,
            isolations: Isolations::default(),
        }
    }
}

/// The drivers of this process, and the open sessions. Cheap to clone.
#[derive(Clone)]
pub struct Drivers {
    shared: Arc<Shared>,
}

struct Shared {
    config: DriversConfig,
    http: HttpClient,
    index: Index,
    decided: Decided,
    libraries: Libraries,
    sessions: Sessions,
    // std, since it is held for a few instructions.
    generations: Mutex<Generations>,
    /// What may serve, as requests see it.
    view: ArcSwap<Snapshot>,
    /// Whether someone else looks for changes: requests then never wait for one.
    is_watched: AtomicBool,
    /// Changes are made one after the other.
    changing: tokio::sync::Mutex<()>,
}

impl Drivers {
    /// Drivers by this configuration. Nothing is read before the first request.
    pub fn new(config: DriversConfig, http: HttpClient) -> Self {
        Self::with_native(config, http, &[])
    }

    /// The same, with drivers that are linked into this program; among equal versions they come first.
    pub fn with_native(config: DriversConfig, http: HttpClient, native: &[NativeDriver]) -> Self {
        let mut index = Index::new(config.directories.clone(), config.trust.clone());
        let decided = Decided::new(config.decisions.clone());
        for driver in native {
            index.add_native(*driver);
        }
        let sessions = Sessions::new(config.max_sessions, config.session_idle);
        let libraries =
            Libraries::new(config.crumbs.clone(), config.copies.clone(), config.isolations.clone());
        let shared = Shared {
            config,
            http,
            index,
            decided,
            libraries,
            sessions,
            generations: Mutex::default(),
            view: ArcSwap::default(),
            is_watched: AtomicBool::new(false),
            changing: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// An open session for this connection: a kept one, or a new one. Sends no request. To be called in a tokio runtime:
    /// the driver's requests will run there.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Call`] when the driver does not take the settings.
    pub async fn open(&self, connection: &Connection) -> Result<Arc<Registry>, Error> {
        let shared = &self.shared;
        let registry_type = &connection.registry_type;
        let fingerprint = connection.fingerprint();
        let mut failure = None;
        for _ in 0..MAX_WAITS {
            let (view, decided) = self.view().await;
            let choice = Choice { snapshot: &view, bindings: &shared.config.bindings, decided: &decided };
            let entry = match choice.of(registry_type) {
                Ok(entry) => entry,
                // Of several files the last one's words tell more than that there is none.
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            let Some(key) = entry.key() else { return Err(unloadable(connection, entry, "it was refused")) };
            if let Some(registry) = shared.sessions.find(fingerprint, &key) {
                return Ok(registry);
            }
            let driver = match shared.libraries.get(entry, &key).await {
                Ok(driver) => driver,
                Err(unavailable) => {
                    let is_replaced = matches!(unavailable, Unavailable::Replaced);
                    if let Unavailable::Refused(reason) = &unavailable {
                        shared.refuse(entry, key, reason);
                    }
                    let is_refused = matches!(unavailable, Unavailable::Refused(_));
                    let error = unavailable.into_error(registry_type, entry);
                    if !is_replaced && !is_refused {
                        return Err(error);
                    }
                    failure = Some(error);
                    if is_replaced {
                        tokio::time::sleep(SETTLE).await;
                        self.change().await;
                    }
                    continue;
                }
            };
            shared.generations().begin(entry, &key, &driver);
            let registry = Arc::new(shared.connect(connection, &driver).await?);
            return Ok(shared.sessions.keep(fingerprint, key, connection, registry));
        }
        Err(failure.unwrap_or_else(|| Error::Unloadable {
            registry_type: registry_type.clone(),
            looked_at: Vec::new(),
        }))
    }

    /// Lets go of all sessions, and waits for the end of the drivers' own processes. For the end of the agent: a process of
    /// a driver is killed with it otherwise.
    pub async fn stop(&self) {
        self.shared.sessions.forget_all();
        let drivers = self.shared.libraries.all();
        futures_util::future::join_all(drivers.iter().map(|driver| driver.bulkhead().stop())).await;
    }

    /// Every file looked at, loaded or not, with the reason. Reads the directories if they changed: blocking.
    pub fn list(&self) -> Vec<DriverInfo> {
        let shared = &self.shared;
        let view = if shared.is_watched() {
            shared.view.load_full()
        } else {
            let found = shared.index.snapshot();
            let mut generations = shared.generations();
            generations.see(&found);
            Arc::new(generations.view())
        };
        let decided = shared.decided.now();
        let choice = Choice { snapshot: &view, bindings: &shared.config.bindings, decided: &decided };
        view.entries.iter().map(|entry| shared.since_loaded(entry, choice.info(entry))).collect()
    }

    /// What one file is, without running it, and whether it is trusted. A refusal is a state. Blocking.
    pub fn inspect(path: &Path, trust: &Trust) -> DriverInfo {
        let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let snapshot =
            Snapshot { entries: vec![Arc::new(Entry::read(path, directory, &Judge::new(trust, directory)))] };
        let bindings = BTreeMap::new();
        let choice = Choice { snapshot: &snapshot, bindings: &bindings, decided: &View::default() };
        let mut infos: Vec<DriverInfo> = snapshot.entries.iter().map(|e| choice.info(e)).collect();
        infos.pop().expect("there is one entry")
    }

    /// What may serve, and what was decided about it. Where nobody watches the directories, they are looked at.
    async fn view(&self) -> (Arc<Snapshot>, Arc<View>) {
        if !self.shared.is_watched() {
            self.change().await;
        }
        let shared = Arc::clone(&self.shared);
        let look = move || (shared.view.load_full(), shared.decided.now());
        let looked = tokio::task::spawn_blocking(look).await;
        looked.unwrap_or_default() // the runtime is shutting down: there are no drivers any more
    }
}

impl Shared {
    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    async fn connect(&self, connection: &Connection, driver: &Arc<LoadedDriver>) -> Result<Registry, Error> {
        let connection =
            &connection.clone().with_default(TOKEN_SERVICE, &self.config.token_services.join(","));
        let (description, base) = (driver.description(), connection.base());
        let declared = declared::hosts(&description.egress, connection, &*self.config.environment);
        let insecure = &self.config.insecure;
        let plain_http = base.is_some_and(|base| insecure.contains_base(base));
        let (name, limit) = (&description.name, &self.config.egress);
        let control = Egress::control(base, &declared, insecure).of_driver(name, limit);
        let content = Egress::content(base, &declared, insecure).of_driver(name, limit);
        let services = Services {
            driver: description.name.clone(),
            transport: self.http.with(control, Purpose::Registry),
            runtime: Handle::current(),
            environment: Arc::clone(&self.config.environment),
            declared: description.env.clone(),
            lines: LogWindow::default(),
            turns: Turns::default(),
        };
        let settings = connection.settings(plain_http);
        let session = driver.connect(settings, Arc::new(services), self.config.call_timeout).await?;
        let transport = Arc::new(self.http.with(content, Purpose::Registry));
        Ok(Registry::new(connection, session, transport, self.config.documents.clone()))
    }

    /// What an operator sees of an entry, with what is known since it was loaded.
    fn since_loaded(&self, entry: &Entry, mut info: DriverInfo) -> DriverInfo {
        let known = entry.key().and_then(|key| self.libraries.known(&key));
        if let (Some(_), Some(description)) = (&info.file, &info.description) {
            info.isolation = self.config.isolations.of(&description.name);
        }
        let Some(Ok(driver)) = known else { return info };
        let bulkhead = driver.bulkhead();
        (info.pid, info.restarts) = (bulkhead.pid(), bulkhead.replaced());
        info.state = match (info.state, bulkhead.quarantined()) {
            (state @ (DriverState::Disabled { .. } | DriverState::Quarantined { .. }), _) => state,
            (_, Some(reason)) => DriverState::Quarantined { reason, since: None, until: None },
            (DriverState::Ready, None) => match self.generations().kept(entry) {
                Some(why) => DriverState::Retained { why: why.to_owned() },
                None => DriverState::Loaded,
            },
            (state, None) => state,
        };
        info
    }
}

fn unloadable(connection: &Connection, entry: &Entry, reason: &str) -> Error {
    Error::Unloadable {
        registry_type: connection.registry_type.clone(),
        looked_at: vec![FileReason { file: entry.label(), reason: reason.to_owned() }],
    }
}

impl fmt::Debug for Drivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drivers").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for DriversConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriversConfig")
            .field("directories", &self.directories)
            .field("trust", &self.trust)
            .field("bindings", &self.bindings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod library_fixture;
#[cfg(test)]
mod tests;
