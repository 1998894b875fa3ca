//! Manifests and blobs, from wherever the driver says they are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use regent_distribution::{Client, ManifestHead, Session as ProtocolSession, Verify};
use regent_oci::{Descriptor, Digest, ImageRef, Manifest, Reference, RepositoryName};
use regent_transport::{Fault as _, Retry, Transport};

use super::Error;
use super::authorizer::DriverAuthorizer;
use super::blob::BlobReader;
use super::documents::{Documents, Place};
use crate::drivers::Session;

/// Repositories whose authorization is kept at once; at the limit all are forgotten.
const MAX_CLIENTS: usize = 256;

/// The data plane of one session.
pub(super) struct Contents {
    session: Arc<Session>,
    transport: Arc<dyn Transport>,
    // std, since it is held for a few instructions and never over an await.
    clients: Mutex<HashMap<RepositoryName, Client>>,
    documents: Documents,
    /// Whether a HEAD did not tell what a GET did: then there is no use in it.
    is_head_useless: AtomicBool,
}

/// What is known of a reference without fetching what it leads to.
enum Known {
    /// It leads to this, still or again.
    Manifest(Box<Manifest>),
    /// It leads elsewhere, or was never followed.
    Nothing,
    /// The registry's HEAD does not tell.
    Untold,
}

impl Contents {
    pub(super) fn new(session: Arc<Session>, transport: Arc<dyn Transport>, documents: Documents) -> Self {
        let (clients, is_head_useless) = (Mutex::default(), AtomicBool::new(false));
        Self { session, transport, clients, documents, is_head_useless }
    }

    fn served_by_driver(&self) -> bool {
        self.session.driver().description().serves_content()
    }

    fn failed(&self, error: regent_distribution::Error) -> Error {
        Error::registry(self.session.driver().name(), error)
    }

    /// Reads over the protocol, as the driver authorizes.
    async fn client(&self, repository: &RepositoryName) -> Result<Client, Error> {
        if let Some(client) = self.clients().get(repository) {
            return Ok(client.clone());
        }
        let (authorizer, there) = DriverAuthorizer::first(Arc::clone(&self.session), repository).await?;
        let endpoint = authorizer.endpoint().clone();
        let session = ProtocolSession::new(Arc::clone(&self.transport), endpoint, Arc::new(authorizer));
        let client = session.client(there);
        let mut clients = self.clients();
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(repository.clone(), client.clone());
        Ok(client)
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<RepositoryName, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a reference leads to.
    pub(super) async fn head(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestHead, Error> {
        if self.served_by_driver() {
            let manifest = self.served(repository, reference).await?;
            let size_bytes = Some(manifest.raw.len() as u64);
            return Ok(ManifestHead { digest: manifest.digest, media_type: manifest.media_type, size_bytes });
        }
        self.client(repository).await?.head_manifest(reference).await.map_err(|e| self.failed(e))
    }

    /// What a reference leads to now, verified. One that was followed before costs a HEAD, and a GET as well where it leads to
    /// something that is not known.
    ///
    /// **Rights.** What is known is used only after the registry has answered a HEAD for this very reference, sent with this
    /// connection's authorization, with the digest of what is known. So it can refuse a connection what it gave to another
    /// one, or to this one before; a reference by digest is asked for like any other.
    pub(super) async fn current(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Manifest, Error> {
        if self.served_by_driver() {
            return self.served(repository, reference).await;
        }
        let client = self.client(repository).await?;
        let place = Place::of(&client);
        let known = self.known(&client, &place, reference).await?;
        if let Known::Manifest(manifest) = known {
            return Ok(*manifest);
        }
        let manifest = client.manifest(reference).await.map_err(|error| self.failed(error))?;
        if matches!(known, Known::Untold) {
            self.is_head_useless.store(true, Ordering::Relaxed);
        }
        self.documents.keep_manifest(&place, &manifest);
        self.documents.note(&place, reference, &manifest.digest);
        Ok(manifest)
    }

    async fn known(&self, client: &Client, place: &Place, reference: &Reference) -> Result<Known, Error> {
        if self.is_head_useless.load(Ordering::Relaxed) {
            return Ok(Known::Nothing);
        }
        // Without what it led to the last time a HEAD would be a request more than before.
        let Some(before) = self.documents.led_to(place, reference).await else { return Ok(Known::Nothing) };
        let Some(manifest) = self.documents.manifest(place, &before).await else { return Ok(Known::Nothing) };
        let now = match client.stated_digest(reference).await {
            Ok(Some(now)) => now,
            Ok(None) => return Ok(Known::Untold),
            // Not every registry allows what it need not: the GET decides.
            Err(error) if error.retry() == Retry::Never => return Ok(Known::Untold),
            Err(error) => return Err(self.failed(error)),
        };
        if now == before {
            return Ok(Known::Manifest(Box::new(manifest)));
        }
        let Some(manifest) = self.documents.manifest(place, &now).await else { return Ok(Known::Nothing) };
        self.documents.note(place, reference, &now);
        Ok(Known::Manifest(Box::new(manifest)))
    }

    /// The manifest or index of a digest that a document of this repository refers to, verified. To be called only for what
    /// [`Contents::current`] has led to: whoever may read a document may read what it refers to in its repository.
    pub(super) async fn referred(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Manifest, Error> {
        let reference = Reference::Digest(digest.clone());
        if self.served_by_driver() {
            return self.served(repository, &reference).await;
        }
        let client = self.client(repository).await?;
        let place = Place::of(&client);
        if let Some(manifest) = self.documents.manifest(&place, digest).await {
            return Ok(manifest);
        }
        let manifest = client.manifest(&reference).await.map_err(|error| self.failed(error))?;
        self.documents.keep_manifest(&place, &manifest);
        Ok(manifest)
    }

    /// A manifest or index of a driver that serves content, verified.
    async fn served(&self, repository: &RepositoryName, reference: &Reference) -> Result<Manifest, Error> {
        let (name, wanted) = (repository.clone(), reference.clone());
        let content = self.session.call(move |driver| driver.manifest(&name, &wanted)).await?;
        let digest = reference.digest();
        if let Some(regent_oci::Error::DigestMismatch { expected, actual }) =
            digest.and_then(|digest| digest.verify(&content.bytes).err())
        {
            return Err(Error::Content { driver: self.session.driver().name().to_owned(), expected, actual });
        }
        let image = ImageRef::new(repository.clone(), reference.clone()).to_string();
        let mut manifest = Manifest::parse(content.bytes, Some(content.media_type.as_str()))
            .map_err(|error| Error::Image { image, error })?;
        if let Some(digest) = digest {
            manifest.digest = digest.clone(); // the same bytes; of the algorithm that was asked for
        }
        Ok(manifest)
    }

    /// A blob as a stream. Over the protocol no request is made until it is read.
    pub(super) async fn blob(
        &self,
        repository: &RepositoryName,
        blob: &Descriptor,
        verify: Verify,
    ) -> Result<BlobReader, Error> {
        if self.served_by_driver() {
            return BlobReader::driver(&self.session, repository, blob, verify).await;
        }
        let client = self.client(repository).await?;
        Ok(BlobReader::protocol(self.session.driver().name(), client.blob(blob, verify)))
    }

    /// A part of a blob as a stream, verified by no one. `None` where the driver serves content, as a whole.
    pub(super) async fn blob_part(
        &self,
        repository: &RepositoryName,
        blob: &Descriptor,
        part: Range<u64>,
    ) -> Result<Option<BlobReader>, Error> {
        if self.served_by_driver() {
            return Ok(None);
        }
        let client = self.client(repository).await?;
        Ok(Some(BlobReader::protocol(self.session.driver().name(), client.blob_part(blob, part))))
    }

    /// A whole blob that a document of this repository refers to, verified; the same holds for it as for
    /// [`Contents::referred`]. The caller has looked at its size.
    pub(super) async fn whole_blob(
        &self,
        repository: &RepositoryName,
        blob: &Descriptor,
    ) -> Result<Bytes, Error> {
        if self.served_by_driver() {
            return self.read_whole(repository, blob).await;
        }
        let place = Place::of(&self.client(repository).await?);
        if let Some(content) = self.documents.blob(&place, blob).await {
            return Ok(content);
        }
        let content = self.read_whole(repository, blob).await?;
        self.documents.keep_blob(&place, blob, &content);
        Ok(content)
    }

    async fn read_whole(&self, repository: &RepositoryName, blob: &Descriptor) -> Result<Bytes, Error> {
        let mut reader = self.blob(repository, blob, Verify::AtEnd).await?;
        let mut whole = BytesMut::new();
        while let Some(chunk) = reader.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Whether annotations of Regent's own may be believed: only a driver that serves content makes them.
    pub(super) fn is_trusted_for_annotations(&self) -> bool {
        self.served_by_driver()
    }
}
