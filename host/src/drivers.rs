//! From a connection to an open session with its registry, through the driver that serves its type.
//!
//! Drivers are libraries in the plugin directories. The index reads what they say of themselves without running them
//! (`index`); a driver is loaded at the first request for one of its types, onto a thread of its own
//! (`bulkhead`), and given its services (`services`). Sessions are kept by the whole connection, secrets included,
//! so that tokens are reused and never shared between credentials.

mod bulkhead;
mod decisions;
mod declared;
mod document;
mod error;
mod index;
mod info;
mod loaded;
mod services;
mod session;
mod sessions;
mod trust;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regent_plugin_api::NativeDriver;
use regent_plugin_api::load::{FilePolicy, LibraryFile};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

pub use decisions::{Change, FILE as DECISIONS, decide};
pub use document::DriverDocument;
pub use error::{Error, FileReason};
pub use info::{DriverInfo, DriverState};
pub(crate) use session::Session;
pub(crate) use trust::read_lock;
pub use trust::{KeysError, SignatureState, Trust, TrustPolicy, read_keys};

use crate::connection::Connection;
use crate::http::{Egress, EgressLimit, HttpClient, InsecureRegistries, Purpose};
use crate::registry::{Documents, Registry};
use decisions::{Decided, View};
use index::{Choice, Entry, Index, Key, Snapshot, Source};
use loaded::LoadedDriver;
use services::{LogWindow, Services};
use sessions::Sessions;
use trust::Judge;

/// Libraries that one process loads. Each stays for ever, so this many upgrades need a restart.
const MAX_LOADED: usize = 64;

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
    /// For the variables that a driver's description declares.
    pub environment: Environment,
    /// What sessions keep of what they read.
    pub documents: Documents,
}

impl DriversConfig {
    /// One call, when nobody says otherwise: longer than a slow registry with retries, shorter than a caller's
    /// patience.
    pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_mins(1);
    /// Sessions kept, when nobody says otherwise. One costs some kilobytes.
    pub const DEFAULT_MAX_SESSIONS: usize = 256;
    /// Idle time, when nobody says otherwise.
    pub const DEFAULT_SESSION_IDLE: Duration = Duration::from_mins(15);

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
            environment: Arc::new(|_| None),
            documents: Documents::default(),
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
    // std, since it is held for a few instructions; the cells are awaited outside of it.
    loaded: Mutex<HashMap<Key, LoadCell>>,
    sessions: Sessions,
}

/// Filled by the first request for the driver, while others wait. An error of the library itself is kept: the same
/// bytes will not load better the next time.
type LoadCell = Arc<OnceCell<Result<Arc<LoadedDriver>, FileReason>>>;

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
        Self { shared: Arc::new(Shared { config, http, index, decided, loaded: Mutex::default(), sessions }) }
    }

    /// An open session for this connection: a kept one, or a new one. Sends no request. To be called in a tokio runtime:
    /// the driver's requests will run there.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Call`] when the driver does not take the settings.
    pub async fn open(&self, connection: &Connection) -> Result<Arc<Registry>, Error> {
        let shared = &self.shared;
        let (snapshot, decided) = self.snapshot().await;
        let choice = Choice { snapshot: &snapshot, bindings: &shared.config.bindings, decided: &decided };
        let entry = choice.of(&connection.registry_type)?;
        let Some(key) = entry.key() else { return Err(unloadable(connection, entry, "it was refused")) };
        let fingerprint = connection.fingerprint();
        if let Some(registry) = shared.sessions.find(fingerprint, &key) {
            return Ok(registry);
        }
        let driver = shared.load(connection, entry, &key).await?;
        let registry = Arc::new(shared.connect(connection, &driver).await?);
        Ok(shared.sessions.keep(fingerprint, key, registry))
    }

    /// Every file looked at, loaded or not, with the reason. Reads the directories if they changed: blocking.
    pub fn list(&self) -> Vec<DriverInfo> {
        let shared = &self.shared;
        let (snapshot, decided) = (shared.index.snapshot(), shared.decided.now());
        let choice = Choice { snapshot: &snapshot, bindings: &shared.config.bindings, decided: &decided };
        let with_state = |entry: &Arc<Entry>| {
            let mut info = choice.info(entry);
            if let Some(state) = self.shared.loaded_state(entry, &info.state) {
                info.state = state;
            }
            info
        };
        snapshot.entries.iter().map(with_state).collect()
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

    async fn snapshot(&self) -> (Arc<Snapshot>, Arc<View>) {
        let shared = Arc::clone(&self.shared);
        let look = move || (shared.index.snapshot(), shared.decided.now());
        let looked = tokio::task::spawn_blocking(look).await;
        looked.unwrap_or_default() // the runtime is shutting down: there are no drivers any more
    }
}

impl Shared {
    async fn load(
        &self,
        connection: &Connection,
        entry: &Arc<Entry>,
        key: &Key,
    ) -> Result<Arc<LoadedDriver>, Error> {
        let cell = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if !loaded.contains_key(key) && loaded.len() >= MAX_LOADED {
                let reason = "too many libraries were loaded since the start: restart the agent";
                return Err(unloadable(connection, entry, reason));
            }
            Arc::clone(loaded.entry(key.clone()).or_default())
        };
        let outcome = cell.get_or_try_init(|| self.load_now(connection, entry, key)).await?;
        outcome.clone().map_err(|reason| Error::Unloadable {
            registry_type: connection.registry_type.clone(),
            looked_at: vec![reason],
        })
    }

    /// The outer error is of the moment, the inner one of the library.
    async fn load_now(
        &self,
        connection: &Connection,
        entry: &Arc<Entry>,
        key: &Key,
    ) -> Result<Result<Arc<LoadedDriver>, FileReason>, Error> {
        let (path, directory) = match &entry.source {
            Source::Native(driver) => return Ok(Ok(Arc::new(LoadedDriver::native(*driver)))),
            Source::File { path, directory } => (path.clone(), directory.clone()),
        };
        // The bytes are read again, and have to be the ones that were judged.
        let read = move || LibraryFile::read(&path, &FilePolicy::in_directory(directory));
        let file = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(file)) if Key::Bytes(file.digest().clone()) == *key => file,
            _ => return Err(unloadable(connection, entry, "the file is being replaced: try again")),
        };
        let name = file.description().name.clone();
        let refusal = match LoadedDriver::load(file).await {
            Ok(Ok(driver)) => {
                tracing::info!(driver = %name, version = %driver.description().version, "driver loaded");
                return Ok(Ok(Arc::new(driver)));
            }
            Ok(Err(refusal)) => refusal.to_string(),
            // Its initializers hang: another try would cost another thread.
            Err(error @ Error::TimedOut { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        tracing::warn!(driver = %name, reason = %refusal, "driver refused");
        Ok(Err(FileReason { file: entry.label(), reason: refusal }))
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
        };
        let settings = connection.settings(plain_http);
        let session = driver.connect(settings, Arc::new(services), self.config.call_timeout).await?;
        let transport = Arc::new(self.http.with(content, Purpose::Registry));
        Ok(Registry::new(connection, session, transport, self.config.documents.clone()))
    }

    /// What is known of an entry since it was loaded.
    fn loaded_state(&self, entry: &Entry, now: &DriverState) -> Option<DriverState> {
        if matches!(now, DriverState::Disabled { .. } | DriverState::Quarantined { .. }) {
            return None;
        }
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded.get(&entry.key()?)?.get()? {
            Ok(driver) if driver.is_quarantined() => {
                Some(DriverState::Quarantined { reason: "it hung too often".to_owned(), since: None })
            }
            Ok(_) => (*now == DriverState::Ready).then_some(DriverState::Loaded),
            Err(refused) => {
                Some(DriverState::Refused { code: "load_failed".to_owned(), reason: refused.reason.clone() })
            }
        }
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
