//! Inside a driver's library: a session as the host calls it, and the host as the driver calls it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RResult, RString, Tuple2};
use async_ffi::FutureExt as _;
use regent_oci::{Digest, Reference, RepositoryName};
use regent_transport::{BoxFuture, Request, Response, Transport, TransportError};

use super::values::{Wire, answer, take_error, take_secret, take_time};
use super::{
    Call, HostBox, SessionBox, WireAccess, WireAuthorization, WireBlob, WireBytes, WireConnect, WireContent,
    WireContentRequest, WireEmpty, WireError, WireNames, WirePageRequest, WireSession, WireSession_TO,
    WireTagDetails, WireValidation, message,
};
use crate::driver::{Access, BlobHandle, PageRequest};
use crate::dyn_driver::DynDriver;
use crate::error::{Error, Result};
use crate::guard::{catch, drop_guarded, hook};
use crate::host::{HostServices, LogLevel};
use crate::native::Connect;
use crate::settings::Settings;

/// The body of the library's one entry.
pub(crate) fn open_session(request: WireConnect, connect: Connect) -> RResult<SessionBox, WireError> {
    let opened = catch(move || {
        let host: Arc<dyn HostServices> = Arc::new(RemoteHost(request.host));
        hook::install(&host);
        let values = request.values.into_iter().map(|Tuple2(n, v)| (n.into_string(), take_secret(v)));
        let settings = Settings::new(request.registry_type.into_string(), values, request.plain_http);
        connect(settings, host)
    });
    match opened {
        Ok(Ok(driver)) => RResult::ROk(WireSession_TO::from_value(Served(Some(driver)), TD_Opaque)),
        Ok(Err(error)) => RResult::RErr(error.to_wire()),
        Err(panicked) => RResult::RErr(panicked.into_error().to_wire()),
    }
}

/// A session as it is given to the host.
struct Served(Option<Arc<dyn DynDriver>>);

impl Served {
    /// One call: reads the arguments, makes the future. The driver's own code runs in the future, guarded.
    fn call<T: Wire<Form: Send> + 'static>(
        &self,
        f: impl FnOnce(&dyn DynDriver) -> Result<BoxFuture<'static, Result<T>>>,
    ) -> Call<T::Form> {
        let made = catch(|| match &self.0 {
            Some(driver) => f(&**driver),
            None => Err(Error::unsupported("calls after its end")),
        });
        let made = made.unwrap_or_else(|panicked| Err(panicked.into_error()));
        async move {
            match made {
                Ok(call) => answer(call.await),
                Err(error) => RResult::RErr(error.to_wire()),
            }
        }
        .into_ffi()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The driver's own panic was caught and logged further in.
        let _ = drop_guarded(self.0.take());
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &RString) -> Result<T> {
    let unusable = |e: T::Err| Error::new(regent_transport::Class::Invalid, "request_invalid", e.to_string());
    text.as_str().parse().map_err(unusable)
}

impl WireSession for Served {
    fn validate(&self, _: WireEmpty) -> Call<WireValidation> {
        self.call(|d| Ok(d.validate()))
    }

    fn repositories(&self, page: WirePageRequest) -> Call<WireNames> {
        self.call(|d| Ok(d.repositories(PageRequest::from_wire(page)?)))
    }

    fn tags(&self, repository: RString, page: WirePageRequest) -> Call<WireNames> {
        self.call(|d| Ok(d.tags(&parse::<RepositoryName>(&repository)?, PageRequest::from_wire(page)?)))
    }

    fn tag_details(&self, repository: RString, page: WirePageRequest) -> Call<WireTagDetails> {
        self.call(
            |d| Ok(d.tag_details(&parse::<RepositoryName>(&repository)?, PageRequest::from_wire(page)?)),
        )
    }

    fn authorize(&self, access: WireAccess) -> Call<WireAuthorization> {
        self.call(|d| Ok(d.authorize(Access::from_wire(access)?)))
    }

    fn manifest(&self, request: WireContentRequest) -> Call<WireContent> {
        self.call(|d| {
            Ok(d.manifest(
                &parse::<RepositoryName>(&request.repository)?,
                &parse::<Reference>(&request.reference)?,
            ))
        })
    }

    fn open_blob(&self, request: WireContentRequest) -> Call<WireBlob> {
        self.call(|d| {
            Ok(d.open_blob(
                &parse::<RepositoryName>(&request.repository)?,
                &parse::<Digest>(&request.reference)?,
            ))
        })
    }

    fn read_blob(&self, blob: WireBlob, max_bytes: u64) -> Call<WireBytes> {
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        self.call(|d| Ok(d.read_blob(BlobHandle::from_wire(blob)?, max_bytes)))
    }

    fn close_blob(&self, blob: WireBlob) -> Call<WireEmpty> {
        self.call(|d| Ok(d.close_blob(BlobHandle::from_wire(blob)?)))
    }
}

/// The host, seen from a driver.
struct RemoteHost(HostBox);

impl Transport for RemoteHost {
    fn send(&self, request: Request) -> BoxFuture<'_, std::result::Result<Response, TransportError>> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let answer = self.0.http(message::give_request(request));
        Box::pin(async move {
            match answer.await {
                RResult::ROk(response) => message::take_response(response, &host),
                RResult::RErr(error) => Err(message::take_transport_error(error)),
            }
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let slept = self.0.sleep(duration.into());
        Box::pin(async move {
            if let RResult::RErr(error) = slept.await {
                self.log(LogLevel::Warn, take_error(error).message());
            }
        })
    }

    fn now(&self) -> SystemTime {
        let told = self.0.now().into_result().ok().and_then(take_time);
        told.unwrap_or_else(SystemTime::now)
    }

    fn jitter(&self) -> f64 {
        self.0.jitter().into_result().ok().filter(|j| (0.0..1.0).contains(j)).unwrap_or(0.5)
    }
}

impl HostServices for RemoteHost {
    fn log(&self, level: LogLevel, message: &str) {
        // A host that can't log has no way to be told.
        let _ = self.0.log(level.number(), message.into());
    }

    fn env(&self, name: &str) -> Option<String> {
        let variable = self.0.env(name.into()).into_result().ok()?;
        variable.value.into_option().map(RString::into_string)
    }
}
