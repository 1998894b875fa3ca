//! A driver that is linked into the program.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use regent_oci::{Digest, Reference, RepositoryName, Tag};
use regent_transport::BoxFuture;

use crate::description::Description;
use crate::driver::{
    Access, Authorization, BlobHandle, Content, Driver, Page, PageRequest, TagDetail, Validation,
};
use crate::dyn_driver::DynDriver;
use crate::error::Result;
use crate::guard::{Guard, Guarded, catch};
use crate::host::{Host, HostServices};
use crate::settings::Settings;

/// [`Driver::connect`] of some driver, guarded.
pub(crate) type Connect = fn(Settings, Arc<dyn HostServices>) -> Result<Arc<dyn DynDriver>>;

/// A driver of this very program: [`export_driver!`](crate::export_driver) makes one, called `DRIVER`, next to the
/// exported symbols. For tests, and for programs that link their drivers in.
#[derive(Clone, Copy)]
pub struct NativeDriver {
    description: &'static str,
    crate_name: &'static str,
    connect: Connect,
}

impl NativeDriver {
    /// For [`export_driver!`](crate::export_driver), which checks the JSON as it compiles.
    #[doc(hidden)]
    pub const fn new<D: Driver>(description: &'static str, crate_name: &'static str) -> Self {
        Self { description, crate_name, connect: connect::<D> }
    }

    /// The crate that it is in, as the compiler names it: part of the name of its library's file.
    pub fn crate_name(&self) -> &'static str {
        self.crate_name
    }

    /// What the driver says about itself: the same that is read from its library.
    pub fn description(&self) -> Description {
        serde_json::from_str(self.description).expect("export_driver! writes valid JSON")
    }

    /// Connects, as a loaded library would.
    ///
    /// # Errors
    /// What [`Driver::connect`] returns; a panic of it has the code [`PANICKED`](crate::PANICKED).
    pub fn connect(&self, settings: Settings, host: Arc<dyn HostServices>) -> Result<Arc<dyn DynDriver>> {
        (self.connect)(settings, host)
    }
}

impl fmt::Debug for NativeDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NativeDriver").field(&self.description).finish()
    }
}

/// Connects a driver and puts guards around all that it does.
pub(crate) fn connect<D: Driver>(
    settings: Settings,
    services: Arc<dyn HostServices>,
) -> Result<Arc<dyn DynDriver>> {
    let host = Host::new(services);
    let given = host.clone();
    match catch(move || D::connect(settings, given)) {
        Ok(Ok(driver)) => Ok(Arc::new(Session { driver: Arc::new(Guard::new(driver, host.clone())), host })),
        Ok(Err(error)) => Err(error),
        Err(panicked) => Err(panicked.report(&host).into_error()),
    }
}

/// A connected driver. The futures hold the driver, so that the last of them to end frees it.
struct Session<D: Driver> {
    driver: Arc<Guard<D>>,
    host: Host,
}

impl<D: Driver> Session<D> {
    /// Runs one call of the driver under guard, from its first statement to the drop of its last local.
    fn call<T, F, Fut>(&self, f: F) -> BoxFuture<'static, Result<T>>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Guard<D>>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let driver = Arc::clone(&self.driver);
        let guarded = Guarded::new(async move { f(driver).await }, self.host.clone());
        Box::pin(async move { guarded.await.unwrap_or_else(|panicked| Err(panicked.into_error())) })
    }
}

impl<D: Driver> DynDriver for Session<D> {
    fn validate(&self) -> BoxFuture<'static, Result<Validation>> {
        self.call(|d| async move { d.validate().await })
    }

    fn repositories(&self, page: PageRequest) -> BoxFuture<'static, Result<Page<RepositoryName>>> {
        self.call(|d| async move { d.repositories(page).await })
    }

    fn tags(&self, repository: &RepositoryName, page: PageRequest) -> BoxFuture<'static, Result<Page<Tag>>> {
        let repository = repository.clone();
        self.call(|d| async move { d.tags(&repository, page).await })
    }

    fn tag_details(
        &self,
        repository: &RepositoryName,
        page: PageRequest,
    ) -> BoxFuture<'static, Result<Page<TagDetail>>> {
        let repository = repository.clone();
        self.call(|d| async move { d.tag_details(&repository, page).await })
    }

    fn authorize(&self, access: Access) -> BoxFuture<'static, Result<Authorization>> {
        self.call(|d| async move { d.authorize(access).await })
    }

    fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> BoxFuture<'static, Result<Content>> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.call(|d| async move { d.manifest(&repository, &reference).await })
    }

    fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> BoxFuture<'static, Result<BlobHandle>> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.call(|d| async move { d.open_blob(&repository, &digest).await })
    }

    fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> BoxFuture<'static, Result<Bytes>> {
        self.call(move |d| async move { d.read_blob(blob, max_bytes).await })
    }

    fn close_blob(&self, blob: BlobHandle) -> BoxFuture<'static, Result<()>> {
        self.call(move |d| async move { d.close_blob(blob).await })
    }
}
