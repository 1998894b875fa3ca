//! The structs, objects and the module that cross, as the rules of [`abi`](super) want them.

#![expect(unsafe_code, reason = "sabi_trait and the derive write the vtables and layout constants")]
#![expect(non_local_definitions, reason = "sabi_trait implements its traits inside a constant")]
#![cfg_attr(
    not(feature = "load"),
    expect(dead_code, reason = "what the host calls is behind the feature `load`")
)]
#![expect(unreachable_pub, reason = "the derives make their own items as visible as these")]
#![expect(missing_debug_implementations, reason = "wire values hold secrets and live for one call")]
#![expect(
    clippy::expl_impl_clone_on_copy,
    clippy::mem_forget,
    clippy::trivially_copy_pass_by_ref,
    clippy::used_underscore_binding,
    reason = "what the derives and sabi_trait write"
)]

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_trait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, ROption, RResult, RString, RVec, Tuple2};
use async_ffi::FfiFuture;

/// Room for what later versions add to a struct.
pub type Ext = RVec<Tuple2<RString, RString>>;
/// What an asynchronous method returns.
pub type Call<T> = FfiFuture<RResult<T, WireError>>;
/// A session, owned by the host.
pub type SessionBox = WireSession_TO<RBox<()>>;
/// The host's services, owned by a session.
pub type HostBox = WireHost_TO<RBox<()>>;

/// The library's one entry.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = DriverModuleRef)))]
#[sabi(missing_field(panic))]
pub struct DriverModule {
    /// `Driver::connect`. No I/O; runs on the driver's thread.
    #[sabi(last_prefix_field)]
    pub connect: extern "C" fn(WireConnect) -> RResult<SessionBox, WireError>,
}

impl RootModule for DriverModuleRef {
    abi_stable::declare_root_module_statics! {DriverModuleRef}
    const BASE_NAME: &'static str = "regent_driver";
    const NAME: &'static str = "regent_driver";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// The methods of `Driver` and `DynDriver`.
#[sabi_trait]
pub trait WireSession: Send + Sync + 'static {
    fn validate(&self, request: WireEmpty) -> Call<WireValidation>;
    fn repositories(&self, page: WirePageRequest) -> Call<WireNames>;
    fn tags(&self, repository: RString, page: WirePageRequest) -> Call<WireNames>;
    fn tag_details(&self, repository: RString, page: WirePageRequest) -> Call<WireTagDetails>;
    fn authorize(&self, access: WireAccess) -> Call<WireAuthorization>;
    fn manifest(&self, request: WireContentRequest) -> Call<WireContent>;
    fn open_blob(&self, request: WireContentRequest) -> Call<WireBlob>;
    fn read_blob(&self, blob: WireBlob, max_bytes: u64) -> Call<WireBytes>;
    #[sabi(last_prefix_field)]
    fn close_blob(&self, blob: WireBlob) -> Call<WireEmpty>;
}

/// The methods of `HostServices`.
#[sabi_trait]
pub trait WireHost: Send + Sync + 'static {
    fn http(&self, request: WireRequest) -> FfiFuture<RResult<WireResponse, WireTransportError>>;
    fn log(&self, level: u32, message: RString) -> RResult<WireEmpty, WireError>;
    fn env(&self, name: RString) -> RResult<WireVariable, WireError>;
    fn sleep(&self, duration: WireDuration) -> Call<WireEmpty>;
    fn now(&self) -> RResult<WireTime, WireError>;
    #[sabi(last_prefix_field)]
    fn jitter(&self) -> RResult<f64, WireError>;
}

/// Nothing yet.
#[repr(C)]
#[derive(StableAbi, Default)]
pub struct WireEmpty {
    pub ext: Ext,
}

/// What a session is made from.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireConnect {
    pub registry_type: RString,
    /// Name and value; every value is a secret.
    pub values: RVec<Tuple2<RString, RString>>,
    pub plain_http: bool,
    pub host: HostBox,
    pub ext: Ext,
}

/// `Error`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireError {
    /// `Class::number`.
    pub class: u32,
    pub code: RString,
    pub message: RString,
    /// 0 never, 1 after the usual backoff, 2 after `retry_after`; unknown: never.
    pub retry: u32,
    pub retry_after: WireDuration,
    pub details: RVec<Tuple2<RString, RString>>,
    pub ext: Ext,
}

/// `Duration`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct WireDuration {
    pub seconds: u64,
    pub nanoseconds: u32,
}

/// `SystemTime`: since 1970, or before it.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct WireTime {
    pub before_1970: bool,
    pub distance: WireDuration,
}

/// `PageRequest`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WirePageRequest {
    pub size: u32,
    pub after: ROption<RString>,
    pub ext: Ext,
}

/// `Page` of repositories or tags.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireNames {
    pub items: RVec<RString>,
    pub next: ROption<RString>,
    pub ext: Ext,
}

/// `Page` of `TagDetail`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireTagDetails {
    pub items: RVec<WireTagDetail>,
    pub next: ROption<RString>,
    pub ext: Ext,
}

/// `TagDetail`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireTagDetail {
    pub tag: RString,
    pub digest: RString,
    pub pushed: ROption<WireTime>,
    pub size_bytes: ROption<u64>,
    pub ext: Ext,
}

/// `Validation`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireValidation {
    pub registry: RString,
    pub checks: RVec<WireCheck>,
    pub ext: Ext,
}

/// `Check`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireCheck {
    pub name: RString,
    /// 1 passed, 2 denied, 3 failed, 4 skipped; unknown: failed.
    pub outcome: u32,
    pub detail: RString,
    pub ext: Ext,
}

/// `Access`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireAccess {
    pub repository: RString,
    pub renew: bool,
    pub ext: Ext,
}

/// `Authorization`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireAuthorization {
    pub endpoint: RString,
    pub repository: RString,
    pub headers: RVec<WireHeader>,
    pub expires: ROption<WireTime>,
    pub ext: Ext,
}

/// A header.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireHeader {
    pub name: RString,
    pub value: RVec<u8>,
    pub sensitive: bool,
    pub ext: Ext,
}

/// Arguments of `manifest` and `open_blob`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireContentRequest {
    pub repository: RString,
    /// A tag or a digest.
    pub reference: RString,
    pub ext: Ext,
}

/// `Content`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireContent {
    pub media_type: RString,
    pub bytes: RVec<u8>,
    pub ext: Ext,
}

/// `BlobHandle`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireBlob {
    pub handle: u64,
    pub ext: Ext,
}

/// A piece of a blob.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireBytes {
    pub bytes: RVec<u8>,
    pub ext: Ext,
}

/// `Request`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireRequest {
    pub method: RString,
    pub url: RString,
    pub headers: RVec<WireHeader>,
    pub body: RVec<u8>,
    pub timeout: WireDuration,
    pub max_body_bytes: u64,
    pub ext: Ext,
}

/// `Response` with its whole body.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireResponse {
    pub status: u16,
    pub headers: RVec<WireHeader>,
    pub body: RVec<u8>,
    pub ext: Ext,
}

/// `TransportError`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireTransportError {
    /// 1 refused, 2 invalid, 3 connect, 4 TLS, 5 timeout, 6 broken, 7 too large; unknown: broken.
    pub kind: u32,
    pub host: RString,
    /// The rule or reason.
    pub reason: RString,
    pub limit_bytes: u64,
    pub ext: Ext,
}

/// An environment variable.
#[repr(C)]
#[derive(StableAbi)]
pub struct WireVariable {
    pub value: ROption<RString>,
    pub ext: Ext,
}
