//! Bringing what serves in line with the files: new generations are loaded and tried before they serve.
//!
//! Requests see a change as one step from one view to the next. Sessions of the old generation are let go: those in use
//! end with their last call, and only then is the driver's object dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decisions::View;
use super::error::FileReason;
use super::generations::{Serving, Step};
use super::index::{Entry, Key, Refused};
use super::libraries::{MAX_LOADED, TOO_MANY, Unavailable};
use super::loaded::LoadedDriver;
use super::{Drivers, Error, Shared};
use crate::connection::Connection;

/// Connections that a new generation is tried with.
const MAX_TRIED: usize = 8;

/// What happened to drivers so far, and what is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverMetrics {
    /// Libraries in memory.
    pub libraries: usize,
    /// Libraries that there is room for.
    pub max_libraries: usize,
    /// Driver, change, how often.
    pub changes: Vec<(String, &'static str, u64)>,
    /// Driver, and how often its thread hung or its process ended.
    pub restarts: Vec<(String, u64)>,
}

impl Drivers {
    /// What `/metrics` tells.
    pub fn metrics(&self) -> DriverMetrics {
        DriverMetrics {
            libraries: self.shared.libraries.count(),
            max_libraries: MAX_LOADED,
            changes: self.shared.generations().changes(),
            restarts: self.restarts(),
        }
    }

    fn restarts(&self) -> Vec<(String, u64)> {
        let mut restarts = BTreeMap::new();
        for driver in self.shared.libraries.all() {
            // Generations of a driver are one driver here.
            *restarts.entry(driver.name().to_owned()).or_default() += driver.bulkhead().replaced_in_all();
        }
        restarts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Looks at the files and makes what has to be made of it. Waits for new generations to be loaded.
    pub(super) async fn change(&self) {
        let shared = &self.shared;
        let _turn = shared.changing.lock().await;
        let looking = Arc::clone(shared);
        let look = move || {
            let index = &looking.index;
            let found = if looking.is_watched() { index.look_now() } else { index.snapshot() };
            (found, looking.decided.now())
        };
        // An error means that the runtime shuts down.
        let Ok((found, decided)) = tokio::task::spawn_blocking(look).await else { return };
        shared.generations().see(&found);
        // Each try either changes what serves or takes a file out of it.
        while shared.take_steps(&decided).await {}
        shared.show();
    }
}

impl Shared {
    /// Requests see what was decided.
    fn show(&self) {
        let view = self.generations().view();
        self.view.store(Arc::new(view));
    }

    /// A file that is refused as it is loaded for a request: another may serve.
    pub(super) fn refuse(&self, entry: &Entry, key: Key, reason: &FileReason) {
        self.generations().fail_alone(key, entry, load_failed(reason), false);
        self.show();
    }

    /// Whether a file was tried.
    async fn take_steps(&self, decided: &View) -> bool {
        let steps = self.generations().steps(decided);
        let mut tried = false;
        for (name, step) in steps {
            match step {
                Step::Stay => self.generations().stay(&name),
                Step::Keep(why) => {
                    if self.generations().keep(&name, why.clone()) {
                        tracing::error!(driver = %name, reason = %why, "the driver's upgrade is refused; the old one serves on");
                    }
                }
                Step::Leave(why) => {
                    let left = self.generations().leave(&name, why.clone(), self.config.removal_grace);
                    if let Some(left) = left {
                        self.show();
                        self.drain(&left);
                        tracing::warn!(driver = %name, reason = %why, "the driver serves no more");
                    }
                }
                Step::Try(entry) => {
                    tried = true;
                    self.advance(&name, &entry).await;
                }
            }
        }
        tried
    }

    /// Lets a file serve under a name, if it can.
    async fn advance(&self, name: &str, entry: &Arc<Entry>) {
        let Some(key) = entry.key() else { return };
        match self.tried(name, entry, &key).await {
            Ok(driver) => {
                let version = driver.description().version.clone();
                let old = self.generations().switch(name, entry, &key, &driver);
                self.show();
                if let Some(old) = old {
                    let from = &old.driver.description().version;
                    tracing::info!(driver = name, %from, to = %version, "driver upgraded");
                    self.drain(&old);
                }
            }
            Err((refused, passes)) => {
                let (file, reason) = (entry.label(), &refused.reason);
                tracing::error!(driver = name, file, %reason, "the driver's upgrade is refused; the old one serves on");
                self.generations().fail(name, entry, refused, passes);
            }
        }
    }

    /// A file's driver, after it took the connections that the one that serves has. Or why not, and whether another try
    /// may end better.
    async fn tried(
        &self,
        name: &str,
        entry: &Entry,
        key: &Key,
    ) -> Result<Arc<LoadedDriver>, (Refused, bool)> {
        let refused = Refused::new;
        let driver = self.libraries.get(entry, key).await.map_err(|unavailable| match unavailable {
            Unavailable::Refused(reason) => (load_failed(&reason), false),
            Unavailable::TooMany => (refused("too_many_libraries", TOO_MANY.to_owned()), true),
            Unavailable::Replaced => (refused("unreadable", "it is being replaced".to_owned()), true),
            Unavailable::Failed(error) => (refused("load_failed", error.to_string()), true),
        })?;
        let live = self.generations().serving(name).map(|serving| serving.key.clone());
        let connections = live.map(|key| self.sessions.connections(&key, MAX_TRIED)).unwrap_or_default();
        if let Err(error) = self.try_connections(&driver, &connections).await {
            driver.bulkhead().retire();
            let reason = format!("it can't connect as the one that serves: {error}");
            return Err((refused("connect_failed", reason), true));
        }
        Ok(driver)
    }

    /// Connects without a call. With no connection at hand it must only not panic or hang.
    async fn try_connections(&self, driver: &Arc<LoadedDriver>, known: &[Connection]) -> Result<(), Error> {
        for connection in known {
            // The same settings are good for the driver that serves.
            self.connect(connection, driver).await?;
        }
        if known.is_empty() {
            let some_type = driver.description().types.first().map_or("", String::as_str);
            match self.connect(&Connection::new(some_type, []), driver).await {
                Err(Error::Call { error, .. }) if error.code() != regent_plugin_api::PANICKED => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Lets go of what a driver has that serves no more. Its code stays.
    fn drain(&self, old: &Serving) {
        self.sessions.forget(&old.key);
        old.driver.bulkhead().retire();
    }
}

fn load_failed(reason: &FileReason) -> Refused {
    Refused::new("load_failed", reason.reason.clone())
}
