//! Manifests and blobs, from wherever the driver says they are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use regent_distribution::{Client, ManifestHead, Session as ProtocolSession, Verify};
use regent_oci::{Descriptor, ImageRef, Manifest, Reference, RepositoryName};
use regent_transport::Transport;

use super::Error;
use super::authorizer::DriverAuthorizer;
use super::blob::BlobReader;
use crate::drivers::Session;

/// Repositories whose authorization is kept at once; at the limit all are forgotten.
const MAX_CLIENTS: usize = 256;

/// The data plane of one session.
pub(super) struct Contents {
    session: Arc<Session>,
    transport: Arc<dyn Transport>,
    // std, since it is held for a few instructions and never over an await.
    clients: Mutex<HashMap<RepositoryName, Client>>,
}

impl Contents {
    pub(super) fn new(session: Arc<Session>, transport: Arc<dyn Transport>) -> Self {
        Self { session, transport, clients: Mutex::default() }
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
            let manifest = self.manifest(repository, reference).await?;
            let size_bytes = Some(manifest.raw.len() as u64);
            return Ok(ManifestHead { digest: manifest.digest, media_type: manifest.media_type, size_bytes });
        }
        self.client(repository).await?.head_manifest(reference).await.map_err(|e| self.failed(e))
    }

    /// A manifest or index, verified.
    pub(super) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Manifest, Error> {
        if !self.served_by_driver() {
            return self.client(repository).await?.manifest(reference).await.map_err(|e| self.failed(e));
        }
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

    /// A whole blob, verified. The caller has looked at its size.
    pub(super) async fn whole_blob(
        &self,
        repository: &RepositoryName,
        blob: &Descriptor,
    ) -> Result<Bytes, Error> {
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
