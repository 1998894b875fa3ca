//! A blob as it comes: over the protocol, or from a driver that serves content.

use std::sync::Arc;

use bytes::Bytes;
use regent_distribution::{BlobStream, BlobVerifier, Verify};
use regent_oci::{Descriptor, RepositoryName};
use regent_plugin_api::BlobHandle;

use super::Error;
use crate::drivers::Session;

/// Bytes asked of a driver at a time: large against the cost of a call, small against the memory of a scan.
const PIECE_BYTES: usize = 256 << 10;

/// A blob, read piece by piece. Dropping it ends the request, or gives the driver its blob back.
#[derive(Debug)]
pub struct BlobReader {
    driver: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Protocol(Box<BlobStream>),
    Driver(Box<DriverBlob>),
}

impl BlobReader {
    pub(super) fn protocol(driver: &str, stream: BlobStream) -> Self {
        Self { driver: driver.to_owned(), source: Source::Protocol(Box::new(stream)) }
    }

    /// Opens a blob that a driver serves.
    pub(super) async fn driver(
        session: &Arc<Session>,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        verify: Verify,
    ) -> Result<Self, Error> {
        let (name, digest) = (repository.clone(), descriptor.digest.clone());
        let guard = Arc::clone(session);
        // Opened and guarded in one go, such that a call given up in between closes it as well.
        let open = session
            .call(move |driver| {
                let opening = driver.open_blob(&name, &digest);
                async move { Ok(OpenBlob { session: guard, handle: opening.await? }) }
            })
            .await?;
        let verifier = match verify {
            Verify::AtEnd => Some(BlobVerifier::new(repository.clone(), descriptor.clone())),
            Verify::ByConsumer => None,
        };
        let blob = DriverBlob { open, descriptor: descriptor.clone(), got_bytes: 0, verifier, ended: false };
        Ok(Self { driver: session.driver().name().to_owned(), source: Source::Driver(Box::new(blob)) })
    }

    /// The next piece, never empty; `None` at the end. With [`Verify::ByConsumer`] the end does not mean that the content
    /// is right.
    ///
    /// # Errors
    /// [`Error::Registry`]; [`Error::Driver`]; [`Error::ContentSize`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.source {
            Source::Protocol(stream) => {
                stream.chunk().await.map_err(|error| Error::registry(&self.driver, error))
            }
            Source::Driver(blob) => blob.chunk(&self.driver).await,
        }
    }
}

/// A blob that a driver serves.
#[derive(Debug)]
struct DriverBlob {
    open: OpenBlob,
    descriptor: Descriptor,
    got_bytes: u64,
    verifier: Option<BlobVerifier>,
    ended: bool,
}

impl DriverBlob {
    async fn chunk(&mut self, driver: &str) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        let handle = self.open.handle;
        let bytes = self.open.session.call(move |driver| driver.read_blob(handle, PIECE_BYTES)).await?;
        self.got_bytes = self.got_bytes.saturating_add(bytes.len() as u64);
        let expected_bytes = self.descriptor.size_bytes;
        let wrong = self.got_bytes > expected_bytes || (bytes.is_empty() && self.got_bytes < expected_bytes);
        if wrong {
            return Err(Error::ContentSize {
                driver: driver.to_owned(),
                digest: self.descriptor.digest.clone(),
                expected_bytes,
                actual_bytes: self.got_bytes,
            });
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.update(&bytes);
        }
        if bytes.is_empty() {
            self.ended = true;
            if let Some(verifier) = self.verifier.take() {
                verifier.finish().map_err(|error| Error::registry(driver, error))?;
            }
            return Ok(None);
        }
        Ok(Some(bytes))
    }
}

/// Gives the blob back when it is dropped, wherever that is.
#[derive(Debug)]
struct OpenBlob {
    session: Arc<Session>,
    handle: BlobHandle,
}

impl Drop for OpenBlob {
    fn drop(&mut self) {
        let handle = self.handle;
        self.session.post(move |driver| driver.close_blob(handle));
    }
}
