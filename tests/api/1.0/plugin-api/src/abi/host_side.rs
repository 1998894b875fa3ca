//! Inside the host: its services as a driver calls them, and a loaded session as the host calls it.

mod message;

use std::sync::Arc;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RResult, RString, RVec, Tuple2};
use async_ffi::{FfiFuture, FutureExt as _};
use bytes::Bytes;
use regent_oci::{Digest, Reference, RepositoryName, Tag};
use regent_transport::{BoxFuture, Class, TransportError};
use secrecy::ExposeSecret;

use super::values::{Wire, cut, take_error};
use super::{
    Call, DriverModuleRef, Ext, HostBox, SessionBox, WireConnect, WireContentRequest, WireDuration,
    WireEmpty, WireError, WireHost, WireHost_TO, WireRequest, WireResponse, WireTime, WireTransportError,
    WireVariable,
};
use crate::bounds::{CONTRACT_BROKEN, MAX_LOG_BYTES};
use crate::driver::{Access, Authorization, BlobHandle, Content, Page, PageRequest, TagDetail, Validation};
use crate::dyn_driver::DynDriver;
use crate::error::{Error, Result};
use crate::guard::{Guarded, Panicked, catch, drop_guarded};
use crate::host::{HostServices, LogLevel};
use crate::settings::Settings;

/// Calls the library's entry.
pub(crate) fn connect(
    module: DriverModuleRef,
    settings: &Settings,
    services: Arc<dyn HostServices>,
) -> Result<Session> {
    let values = settings.iter().map(|(n, v)| Tuple2(n.into(), v.expose_secret().into()));
    let request = WireConnect {
        registry_type: settings.registry_type().into(),
        values: values.collect::<RVec<_>>(),
        plain_http: settings.plain_http(),
        host: HostBox::from(WireHost_TO::from_value(Services(Some(services)), TD_Opaque)),
        ext: Ext::new(),
    };
    match (module.connect())(request) {
        RResult::ROk(session) => Ok(Session(Arc::new(session))),
        RResult::RErr(error) => Err(take_error(error)),
    }
}

/// The host's services, given to one session. Nothing of them may unwind into the driver.
struct Services(Option<Arc<dyn HostServices>>);

fn host_fault(panicked: Panicked) -> WireError {
    let message = format!("a service of the host panicked: {}", panicked.into_message());
    Error::new(Class::Internal, "host_panicked", message).to_wire()
}

impl Services {
    fn now<T>(&self, f: impl FnOnce(&dyn HostServices) -> T) -> RResult<T, WireError> {
        let services = self.0.as_deref();
        match catch(|| services.map(f)) {
            Ok(Some(value)) => RResult::ROk(value),
            Ok(None) => RResult::RErr(Error::unsupported("services after the end").to_wire()),
            Err(panicked) => RResult::RErr(host_fault(panicked)),
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = drop_guarded(self.0.take());
    }
}

impl WireHost for Services {
    fn http(&self, request: WireRequest) -> FfiFuture<RResult<WireResponse, WireTransportError>> {
        let services = self.0.clone();
        let work = Guarded::silent(async move {
            let request = message::take_request(request)?;
            let gone = || TransportError::Invalid { reason: "the session has ended".to_owned() };
            message::give_response(services.ok_or_else(gone)?.send(request).await?).await
        });
        async move {
            match work.await {
                Ok(Ok(response)) => RResult::ROk(response),
                Ok(Err(error)) => RResult::RErr(message::give_transport_error(error)),
                Err(panicked) => RResult::RErr(message::give_transport_error(TransportError::Broken {
                    host: "the host".to_owned(),
                    reason: format!("its HTTP client panicked: {}", panicked.into_message()),
                })),
            }
        }
        .into_ffi()
    }

    fn log(&self, level: u32, message: RString) -> RResult<WireEmpty, WireError> {
        self.now(|services| {
            services.log(LogLevel::from_number(level), &cut(message, MAX_LOG_BYTES));
            WireEmpty::default()
        })
    }

    fn env(&self, name: RString) -> RResult<WireVariable, WireError> {
        self.now(|services| WireVariable {
            value: services.env(&name).map(RString::from).into(),
            ext: Ext::new(),
        })
    }

    fn sleep(&self, duration: WireDuration) -> Call<WireEmpty> {
        let services = self.0.clone();
        let work = Guarded::silent(async move {
            if let Some(services) = services {
                services.sleep(duration.into()).await;
            }
        });
        async move {
            match work.await {
                Ok(()) => RResult::ROk(WireEmpty::default()),
                Err(panicked) => RResult::RErr(host_fault(panicked)),
            }
        }
        .into_ffi()
    }

    fn now(&self) -> RResult<WireTime, WireError> {
        self.now(|services| services.now().into())
    }

    fn jitter(&self) -> RResult<f64, WireError> {
        self.now(|services| services.jitter())
    }
}

/// A connected driver of a loaded library: [`DynDriver`] over the ABI.
///
/// All that comes back is checked: names and digests are parsed, texts cut, counts bounded; an answer that breaks the
/// contract is an error with the code `driver_contract_broken`.
pub struct Session(Arc<SessionBox>);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// One call. The session is held until its end: the driver's object outlives its calls.
    fn call<T>(&self, call: Call<T::Form>) -> BoxFuture<'static, Result<T>>
    where
        T: Wire<Form: 'static> + Send + 'static,
    {
        let session = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = call.await;
            drop(session);
            match answer {
                RResult::ROk(form) => T::from_wire(form),
                RResult::RErr(error) => Err(take_error(error)),
            }
        })
    }
}

impl DynDriver for Session {
    fn validate(&self) -> BoxFuture<'static, Result<Validation>> {
        self.call(self.0.validate(WireEmpty::default()))
    }

    fn repositories(&self, page: PageRequest) -> BoxFuture<'static, Result<Page<RepositoryName>>> {
        self.call(self.0.repositories(page.to_wire()))
    }

    fn tags(&self, repository: &RepositoryName, page: PageRequest) -> BoxFuture<'static, Result<Page<Tag>>> {
        self.call(self.0.tags(repository.as_str().into(), page.to_wire()))
    }

    fn tag_details(
        &self,
        repository: &RepositoryName,
        page: PageRequest,
    ) -> BoxFuture<'static, Result<Page<TagDetail>>> {
        self.call(self.0.tag_details(repository.as_str().into(), page.to_wire()))
    }

    fn authorize(&self, access: Access) -> BoxFuture<'static, Result<Authorization>> {
        self.call(self.0.authorize(access.to_wire()))
    }

    fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> BoxFuture<'static, Result<Content>> {
        self.call(self.0.manifest(content_request(repository, reference.as_str())))
    }

    fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> BoxFuture<'static, Result<BlobHandle>> {
        self.call(self.0.open_blob(content_request(repository, digest.as_str())))
    }

    fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> BoxFuture<'static, Result<Bytes>> {
        let call = self.call::<Bytes>(self.0.read_blob(blob.to_wire(), max_bytes as u64));
        Box::pin(async move {
            let bytes = call.await?;
            if bytes.len() > max_bytes {
                return Err(Error::new(
                    Class::Internal,
                    CONTRACT_BROKEN,
                    format!("the driver broke its contract: {} bytes, at most {max_bytes}", bytes.len()),
                ));
            }
            Ok(bytes)
        })
    }

    fn close_blob(&self, blob: BlobHandle) -> BoxFuture<'static, Result<()>> {
        self.call(self.0.close_blob(blob.to_wire()))
    }
}

fn content_request(repository: &RepositoryName, reference: &str) -> WireContentRequest {
    WireContentRequest {
        repository: repository.as_str().into(),
        reference: reference.into(),
        ext: Ext::new(),
    }
}
