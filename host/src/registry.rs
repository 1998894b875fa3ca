//! One registry through one open session: what the API, the worker and the command line call.
//!
//! Listings are the driver's, page by page, with guards against one that has no end. Manifests and blobs are read over
//! the distribution protocol as the driver authorizes, or from the driver itself where it serves content; either way
//! nothing is returned before its digest was verified. Manifests and configurations are kept ([`Documents`]). Parts of blobs are for who verifies them by other digests.

mod authorizer;
mod blob;
mod content;
mod documents;
mod error;
mod resolve;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use regent_distribution::{ManifestHead, PageLimits, Pages, Verify};
use regent_oci::{Descriptor, ImageRef, Manifest, Platform, Reference, RepositoryName, Tag};
use regent_plugin_api::{Cursor, Description, Page, PageRequest, TagDetail, Validation};
use regent_transport::{Class, Fault as _, Transport};

pub use blob::BlobReader;
pub use documents::Documents;
pub use error::Error;
pub use resolve::ResolvedImage;

use crate::connection::Connection;
use crate::drivers::{self, Session};
use content::Contents;

/// Tags whose digest is asked for at once, where the registry has no listing with digests.
const HEADS_AT_ONCE: usize = 16;
/// Items asked for with each page of a listing that is wanted whole: as many as any registry gives. A driver asks for
/// as many of them as its registry takes.
const PAGE_SIZE: u32 = 1000;

/// An open session with one registry. Calls may run side by side; dropping a call's future cancels it.
pub struct Registry {
    type_as_spelled: String,
    host: String,
    session: Arc<Session>,
    contents: Contents,
}

impl Registry {
    pub(crate) fn new(
        connection: &Connection,
        session: Session,
        transport: Arc<dyn Transport>,
        documents: Documents,
    ) -> Self {
        let session = Arc::new(session);
        let contents = Contents::new(Arc::clone(&session), transport, documents);
        let (type_as_spelled, host) = (connection.registry_type.clone(), connection.host());
        Self { type_as_spelled, host, session, contents }
    }

    /// What the driver says about itself.
    pub fn driver(&self) -> &Description {
        self.session.driver().description()
    }

    /// The connection's type, as it spelled it.
    pub fn registry_type(&self) -> &str {
        &self.type_as_spelled
    }

    /// [`Connection::host`].
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether calls can still be made: not, once its driver hung and was started anew.
    pub fn is_alive(&self) -> bool {
        self.session.is_alive()
    }

    /// Tests the connection, check by check. One driver call.
    ///
    /// # Errors
    /// [`Error::Driver`]: not reached, or not authenticated.
    pub async fn validate(&self) -> Result<Validation, Error> {
        Ok(self.session.call(|driver| driver.validate()).await?)
    }

    /// All repositories, every page followed, in the registry's order, each once.
    ///
    /// # Errors
    /// [`Error::Driver`], with code `catalog_unsupported` where there is no such listing; [`Error::Registry`] with
    /// `paging_loop` or `paging_limit` for a listing without end.
    pub async fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        let fetch = |after: Option<String>| async move {
            let page = page_request(PAGE_SIZE, after.map(Cursor));
            parts(self.session.call(move |driver| driver.repositories(page)).await)
        };
        self.walk("the list of repositories", RepositoryName::clone, fetch).await
    }

    /// All tags of a repository, in the registry's order, each once.
    ///
    /// # Errors
    /// As [`Registry::repositories`]; class absent where there is no such repository.
    pub async fn tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let fetch = |after: Option<String>| async move {
            self.tags_page(repository, PAGE_SIZE, after.map(Cursor))
                .await
                .map(|page| (page.items, next(page.next)))
        };
        self.walk(&format!("the tags of {repository}"), Tag::clone, fetch).await
    }

    /// One page of a repository's tags, of about `size`; `after` is the [`Page::next`] of the page before.
    ///
    /// # Errors
    /// [`Error::Driver`].
    pub async fn tags_page(
        &self,
        repository: &RepositoryName,
        size: u32,
        after: Option<Cursor>,
    ) -> Result<Page<Tag>, Error> {
        let (repository, page) = (repository.clone(), page_request(size, after));
        Ok(self.session.call(move |driver| driver.tags(&repository, page)).await?)
    }

    /// All tags with what the registry itself knows of each: the driver's listing, or else the tags and one HEAD for each.
    /// A tag that is deleted meanwhile is left out.
    ///
    /// # Errors
    /// As [`Registry::tags`].
    pub async fn tag_details(&self, repository: &RepositoryName) -> Result<Vec<TagDetail>, Error> {
        let fetch = |after: Option<String>| async move {
            let (repository, page) = (repository.clone(), page_request(PAGE_SIZE, after.map(Cursor)));
            parts(self.session.call(move |driver| driver.tag_details(&repository, page)).await)
        };
        let listed =
            self.walk(&format!("the tags of {repository}"), |d: &TagDetail| d.tag.clone(), fetch).await;
        match listed {
            Err(Error::Driver(error)) if error.class() == Class::Unsupported => {
                self.details_by_head(repository).await
            }
            other => other,
        }
    }

    async fn details_by_head(&self, repository: &RepositoryName) -> Result<Vec<TagDetail>, Error> {
        let tags = self.tags(repository).await?;
        let heads = stream::iter(tags).map(|tag| async move {
            match self.contents.head(repository, &Reference::Tag(tag.clone())).await {
                Ok(head) => Ok(Some(TagDetail { tag, digest: head.digest, pushed: None, size_bytes: None })),
                Err(error) if error.class() == Class::Absent => Ok(None),
                Err(error) => Err(error),
            }
        });
        heads.buffered(HEADS_AT_ONCE).try_filter_map(|detail| async move { Ok(detail) }).try_collect().await
    }

    /// What a reference leads to (the index, if it is one), by one HEAD where the registry allows it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn head(&self, image: &ImageRef) -> Result<ManifestHead, Error> {
        self.contents.head(image.repository(), image.reference()).await
    }

    /// A manifest that the indexes of an image refer to, verified.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn referred_manifest(
        &self,
        image: &ResolvedImage,
        manifest: &Descriptor,
    ) -> Result<Manifest, Error> {
        self.contents.referred(&image.repository, &manifest.digest).await
    }

    /// A whole blob that a manifest of an image refers to, verified, for callers that have looked at its size.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn referred_blob(
        &self,
        image: &ResolvedImage,
        blob: &Descriptor,
    ) -> Result<Bytes, Error> {
        self.contents.whole_blob(&image.repository, blob).await
    }

    /// The image that a reference leads to: indexes are descended by platform ([`regent_oci::Index::choose`]), and every
    /// digest on the way is verified. Reads manifests and the configuration, no layer. Of an image that is known it costs one
    /// HEAD, by which the registry says that this is still the image, and that this connection may read it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn resolve(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
    ) -> Result<ResolvedImage, Error> {
        resolve::resolve(&self.contents, image, platform).await
    }

    /// A blob as a stream. With [`Verify::ByConsumer`] the reader has to verify what it uses.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open_blob(
        &self,
        repository: &RepositoryName,
        blob: &Descriptor,
        verify: Verify,
    ) -> Result<BlobReader, Error> {
        self.contents.blob(repository, blob, verify).await
    }

    /// A part of a blob as a stream. No one has verified what comes. `None` where blobs come from the driver: it reads them
    /// from a disk, from their beginning to their end.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn open_part(
        &self,
        repository: &RepositoryName,
        blob: &Descriptor,
        part: Range<u64>,
    ) -> Result<Option<BlobReader>, Error> {
        self.contents.blob_part(repository, blob, part).await
    }

    async fn walk<T, Id, Fut>(
        &self,
        listing: &str,
        key: impl Fn(&T) -> Id,
        fetch: impl FnMut(Option<String>) -> Fut,
    ) -> Result<Vec<T>, Error>
    where
        Id: Eq + std::hash::Hash,
        Fut: Future<Output = Result<(Vec<T>, Option<String>), Error>>,
    {
        let mut fetch = fetch;
        let wrapped = |after| {
            let page = fetch(after);
            async move { page.await.map_err(Walk::Page) }
        };
        let walked = Pages::new(listing, PageLimits::default(), key, wrapped).collect().await;
        walked.map_err(|error| match error {
            Walk::Page(error) => error,
            Walk::Guard(error) => Error::registry(&self.driver().name, error),
        })
    }
}

/// What ends a walk: a page, or the guard against a listing without end.
enum Walk {
    Page(Error),
    Guard(regent_distribution::Error),
}

impl From<regent_distribution::Error> for Walk {
    fn from(error: regent_distribution::Error) -> Self {
        Self::Guard(error)
    }
}

fn page_request(size: u32, after: Option<Cursor>) -> PageRequest {
    PageRequest { size, after }
}

fn parts<T>(page: Result<Page<T>, drivers::Error>) -> Result<(Vec<T>, Option<String>), Error> {
    let page = page?;
    Ok((page.items, next(page.next)))
}

fn next(cursor: Option<Cursor>) -> Option<String> {
    cursor.map(|Cursor(text)| text)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("registry_type", &self.type_as_spelled)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
