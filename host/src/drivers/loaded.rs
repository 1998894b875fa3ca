//! A driver whose code is in this process.

use std::sync::Arc;
use std::time::Duration;

use regent_plugin_api::load::{LibraryFile, LoadedLibrary, Refusal, load};
use regent_plugin_api::{Description, DynDriver, NativeDriver, Settings};

use super::Error;
use super::bulkhead::Bulkhead;
use super::crumbs::{Crumbs, Note, Suspect};
use super::services::SharedServices;
use super::session::Session;

/// Time to load a library: reading, relocations, initializers.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A loaded driver with its thread. Never unloaded; what is dropped is its thread and its sessions.
pub(crate) struct LoadedDriver {
    description: Description,
    code: Code,
    bulkhead: Bulkhead,
}

#[derive(Clone)]
enum Code {
    Library(Arc<LoadedLibrary>),
    Native(NativeDriver),
}

impl LoadedDriver {
    /// Loads a library, on the driver's own thread: its initializers run.
    ///
    /// # Errors
    /// The inner one: the library's refusal.
    pub(super) async fn load(
        file: LibraryFile,
        crumbs: Option<&Arc<Crumbs>>,
    ) -> Result<Result<Self, Refusal>, Error> {
        let description = file.description().clone();
        let suspect = Suspect {
            driver: description.name.clone(),
            version: description.version.to_string(),
            file: file.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            digest: file.digest().clone(),
        };
        let note = crumbs.map(|crumbs| Note { crumbs: Arc::clone(crumbs), suspect });
        let bulkhead = Bulkhead::new(&description.name).noted(note);
        let lane = bulkhead.lane()?;
        let loaded = bulkhead.run(&lane, LOAD_TIMEOUT, async move { load(&file) }).await?;
        Ok(loaded.map(|library| Self { description, code: Code::Library(Arc::new(library)), bulkhead }))
    }

    /// A driver that is linked in.
    pub(super) fn native(driver: NativeDriver) -> Self {
        let description = driver.description();
        let bulkhead = Bulkhead::new(&description.name);
        Self { description, code: Code::Native(driver), bulkhead }
    }

    /// What it says about itself.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.description.name
    }

    /// Whether its thread hung too often.
    pub(super) fn is_quarantined(&self) -> bool {
        self.bulkhead.is_quarantined()
    }

    pub(super) fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    /// A session with these settings and services.
    pub(super) async fn connect(
        self: &Arc<Self>,
        settings: Settings,
        services: SharedServices,
        deadline: Duration,
    ) -> Result<Session, Error> {
        let lane = self.bulkhead.lane()?;
        let code = self.code.clone();
        let connect = async move {
            let object: Arc<dyn DynDriver> = match code {
                Code::Library(library) => Arc::new(library.connect(&settings, services)?),
                Code::Native(driver) => driver.connect(settings, services)?,
            };
            Ok(object)
        };
        let connected: regent_plugin_api::Result<_> = self.bulkhead.run(&lane, deadline, connect).await?;
        let object = connected.map_err(|error| Error::Call { driver: self.name().to_owned(), error })?;
        Ok(Session::new(Arc::clone(self), lane, object, deadline))
    }
}

impl std::fmt::Debug for LoadedDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedDriver").field("description", &self.description).finish_non_exhaustive()
    }
}
