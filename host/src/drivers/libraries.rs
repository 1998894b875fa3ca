//! The libraries of this process: each is loaded once, and stays.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use regent_plugin_api::load::{FilePolicy, LibraryFile};
use tokio::sync::OnceCell;

use super::crumbs::Crumbs;
use super::error::{Error, FileReason};
use super::index::{Entry, Key, Source};
use super::isolation::Isolations;
use super::loaded::LoadedDriver;

/// Libraries that one process loads. Each stays for ever, so this many upgrades need a restart.
pub(super) const MAX_LOADED: usize = 64;

/// What was loaded so far, by the bytes.
pub(super) struct Libraries {
    /// Where it is noted whose code runs.
    crumbs: Option<Arc<Crumbs>>,
    /// Where they are copied to if there is no memory that can be sealed.
    copies: Option<PathBuf>,
    /// Which of them run in processes of their own.
    isolations: Isolations,
    // std, since it is held for a few instructions; the cells are awaited outside of it.
    loaded: Mutex<HashMap<Key, LoadCell>>,
}

/// Filled by the first request for the driver, while others wait. An error of the library itself is kept: the same
/// bytes will not load better the next time.
type LoadCell = Arc<OnceCell<Result<Arc<LoadedDriver>, FileReason>>>;

/// Why there is no driver now.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// The file is not any more, or not yet, what was judged.
    Replaced,
    /// There is no room for another library in this process.
    TooMany,
    /// These bytes are refused, and will be.
    Refused(FileReason),
    /// Something else failed.
    Failed(Error),
}

impl Unavailable {
    /// What a request for that type is told.
    pub(super) fn into_error(self, registry_type: &str, entry: &Entry) -> Error {
        let told = |reason: &str| FileReason { file: entry.label(), reason: reason.to_owned() };
        let reason = match self {
            Self::Failed(error) => return error,
            Self::Refused(reason) => reason,
            Self::Replaced => told("the file is being replaced: try again"),
            Self::TooMany => told(TOO_MANY),
        };
        Error::Unloadable { registry_type: registry_type.to_owned(), looked_at: vec![reason] }
    }
}

/// What to do when there is no room.
pub(super) const TOO_MANY: &str =
    "too many libraries were loaded since the start: restart the agent to have this one";

impl Libraries {
    pub(super) fn new(crumbs: Option<Arc<Crumbs>>, copies: Option<PathBuf>, isolations: Isolations) -> Self {
        Self { crumbs, copies, isolations, loaded: Mutex::default() }
    }

    /// The driver of an entry, loaded now if it was not before.
    pub(super) async fn get(&self, entry: &Entry, key: &Key) -> Result<Arc<LoadedDriver>, Unavailable> {
        let cell = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if !loaded.contains_key(key) && loaded.len() >= MAX_LOADED {
                return Err(Unavailable::TooMany);
            }
            Arc::clone(loaded.entry(key.clone()).or_default())
        };
        let outcome = cell.get_or_try_init(|| self.load(entry, key)).await?;
        outcome.clone().map_err(Unavailable::Refused)
    }

    /// What came of loading these bytes, if that was tried.
    pub(super) fn known(&self, key: &Key) -> Option<Result<Arc<LoadedDriver>, FileReason>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.get().cloned()
    }

    /// How many libraries are in memory.
    pub(super) fn count(&self) -> usize {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.iter().filter(|(key, cell)| matches!(key, Key::Bytes(_)) && cell.initialized()).count()
    }

    /// All that were loaded.
    pub(super) fn all(&self) -> Vec<Arc<LoadedDriver>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.values().filter_map(|cell| cell.get()?.as_ref().ok().cloned()).collect()
    }

    /// The outer error is of the moment, the inner one of the library.
    async fn load(
        &self,
        entry: &Entry,
        key: &Key,
    ) -> Result<Result<Arc<LoadedDriver>, FileReason>, Unavailable> {
        let (path, directory) = match &entry.source {
            Source::Native(driver) => return Ok(Ok(Arc::new(LoadedDriver::native(*driver)))),
            Source::File { path, directory } => (path.clone(), directory.clone()),
        };
        // The bytes are read again, and have to be the ones that were judged.
        let read = move || LibraryFile::read(&path, &FilePolicy::in_directory(directory));
        let file = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(file)) if Key::Bytes(file.digest().clone()) == *key => {
                file.with_copies_in(self.copies.clone())
            }
            _ => return Err(Unavailable::Replaced),
        };
        let name = file.description().name.clone();
        let refusal = match LoadedDriver::load(file, &self.isolations, self.crumbs.as_ref()).await {
            Ok(Ok(driver)) => {
                let (version, isolation) = (&driver.description().version, driver.isolation().as_str());
                tracing::info!(driver = %name, %version, isolation, "driver loaded");
                return Ok(Ok(Arc::new(driver)));
            }
            Ok(Err(refusal)) => refusal,
            // Its initializers hang: another try would cost another thread.
            Err(error @ Error::TimedOut { .. }) => error.to_string(),
            Err(error) => return Err(Unavailable::Failed(error)),
        };
        tracing::warn!(driver = %name, reason = %refusal, "driver refused");
        Ok(Err(FileReason { file: entry.label(), reason: refusal }))
    }
}
