//! A driver that can be called: its code is in this process, or in one of its own.

use std::sync::Arc;
use std::time::Duration;

use regent_plugin_api::load::{LibraryFile, LoadedLibrary, SealedLibrary, load};
use regent_plugin_api::{Description, DynDriver, NativeDriver, Settings};

use super::Error;
use super::bulkhead::Bulkhead;
use super::crumbs::{Crumbs, Note, Suspect};
use super::isolation::{Isolation, Isolations};
use super::process::Launch;
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
    /// In the process that the bulkhead keeps.
    Apart,
}

impl LoadedDriver {
    /// Loads a library where it is to run: its initializers do.
    ///
    /// # Errors
    /// The inner one: why the library is refused.
    pub(super) async fn load(
        file: LibraryFile,
        isolations: &Isolations,
        crumbs: Option<&Arc<Crumbs>>,
    ) -> Result<Result<Self, String>, Error> {
        match isolations.of(&file.description().name) {
            Isolation::Thread => Self::load_here(file, crumbs).await,
            Isolation::Process => Self::load_apart(&file, isolations).await,
        }
    }

    /// Into a process of its own.
    async fn load_apart(file: &LibraryFile, isolations: &Isolations) -> Result<Result<Self, String>, Error> {
        let description = file.description().clone();
        let library = match SealedLibrary::of(file) {
            Ok(library) => library,
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        let bulkhead = Bulkhead::apart(Launch {
            driver: description.name.clone(),
            program: isolations.program.clone(),
            library,
            memory_bytes: isolations.memory_bytes,
        });
        let lane = bulkhead.lane()?;
        let link = lane.link().cloned().unwrap_or_default();
        let waiting = link.clone();
        let loaded = bulkhead.run(&lane, LOAD_TIMEOUT, async move { waiting.ready().await }).await;
        match (loaded, link.refusal()) {
            (Ok(Err(reason)), _) | (Err(_), Some(reason)) => Ok(Err(reason)),
            (Ok(Ok(())), _) => Ok(Ok(Self { description, code: Code::Apart, bulkhead })),
            // Initializers that crash would do so again.
            (Err(error @ Error::Crashed { .. }), None) => Ok(Err(error.to_string())),
            (Err(error), None) => Err(error),
        }
    }

    /// Into this process, on the driver's own thread.
    async fn load_here(
        file: LibraryFile,
        crumbs: Option<&Arc<Crumbs>>,
    ) -> Result<Result<Self, String>, Error> {
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
        let loaded = loaded.map_err(|refusal| refusal.to_string());
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

    /// Where its code runs.
    pub(super) fn isolation(&self) -> Isolation {
        match self.code {
            Code::Library(_) | Code::Native(_) => Isolation::Thread,
            Code::Apart => Isolation::Process,
        }
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
        // One that crashes as soon as it runs shall not be started again and again without a pause.
        let rest = self.bulkhead.rest();
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        let lane = self.bulkhead.lane()?;
        let code = self.code.clone();
        let link = lane.link().cloned().unwrap_or_default();
        if matches!(code, Code::Apart) {
            // What it takes to start a process and to load the library is no part of a call's time.
            let waiting = link.clone();
            let loaded = self.bulkhead.run(&lane, LOAD_TIMEOUT, async move { waiting.ready().await }).await?;
            loaded.map_err(|how| Error::Crashed { driver: self.name().to_owned(), how })?;
        }
        let declared = self.description.env.iter();
        let variables = declared.filter_map(|name| Some((name.clone(), services.env(name)?))).collect();
        let connect = async move {
            let object: Arc<dyn DynDriver> = match code {
                Code::Library(library) => Arc::new(library.connect(&settings, services)?),
                Code::Native(driver) => driver.connect(settings, services)?,
                Code::Apart => link.connect(settings, services, variables).await?,
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
