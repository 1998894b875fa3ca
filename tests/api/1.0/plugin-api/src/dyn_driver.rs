//! A connected driver behind a pointer, whether it is linked in or loaded from a library.

use bytes::Bytes;
use regent_oci::{Digest, Reference, RepositoryName, Tag};
use regent_transport::BoxFuture;

use crate::driver::{Access, Authorization, BlobHandle, Content, Page, PageRequest, TagDetail, Validation};
use crate::error::Result;

/// The methods of [`Driver`](crate::Driver) after `connect`, as an object: what the host calls.
///
/// Two things implement it with equal answers: a driver that is linked in ([`NativeDriver`](crate::NativeDriver)) and
/// the session of a loaded library. The futures own what they need; they may be sent to the driver's thread, and
/// dropping one cancels the call. A panic of the driver, wherever it happens, is an [`Error`](crate::Error) with the code
/// [`PANICKED`](crate::PANICKED).
pub trait DynDriver: Send + Sync {
    /// See [`Driver::validate`](crate::Driver::validate).
    fn validate(&self) -> BoxFuture<'static, Result<Validation>>;

    /// See [`Driver::repositories`](crate::Driver::repositories).
    fn repositories(&self, page: PageRequest) -> BoxFuture<'static, Result<Page<RepositoryName>>>;

    /// See [`Driver::tags`](crate::Driver::tags).
    fn tags(&self, repository: &RepositoryName, page: PageRequest) -> BoxFuture<'static, Result<Page<Tag>>>;

    /// See [`Driver::tag_details`](crate::Driver::tag_details).
    fn tag_details(
        &self,
        repository: &RepositoryName,
        page: PageRequest,
    ) -> BoxFuture<'static, Result<Page<TagDetail>>>;

    /// See [`Driver::authorize`](crate::Driver::authorize).
    fn authorize(&self, access: Access) -> BoxFuture<'static, Result<Authorization>>;

    /// See [`Driver::manifest`](crate::Driver::manifest).
    fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> BoxFuture<'static, Result<Content>>;

    /// See [`Driver::open_blob`](crate::Driver::open_blob).
    fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> BoxFuture<'static, Result<BlobHandle>>;

    /// See [`Driver::read_blob`](crate::Driver::read_blob).
    fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> BoxFuture<'static, Result<Bytes>>;

    /// See [`Driver::close_blob`](crate::Driver::close_blob).
    fn close_blob(&self, blob: BlobHandle) -> BoxFuture<'static, Result<()>>;
}
