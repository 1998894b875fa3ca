//! Manifests and blobs of one repository (distribution-spec 1.1, "Pulling manifests", "Pulling blobs").

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use regent_oci::{
    Descriptor, Digest, MAX_MANIFEST_BYTES, Manifest, MediaType, Reference, RepositoryName, Tag,
};
use regent_transport::{Request, Response};

use crate::answer::{Failure, success};
use crate::blob::{BlobStream, Verify};
use crate::error::{Error, Subject};
use crate::page::{Page, PageQuery};
use crate::scope::Scope;
use crate::session::Session;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Reads from one repository.
///
/// ```
/// use regent_distribution::{Credentials, Endpoint, Session};
/// use regent_oci::{MediaType, Reference};
/// use regent_plugin_api::testkit::{Exchange, Script};
///
/// # futures_executor::block_on(async {
/// let index = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#;
/// let answer = Exchange::get("https://registry.example.com/v2/team/app/manifests/1.0");
/// let script = Script::new().then(answer.answer(http::StatusCode::OK, index)).shared();
/// let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
/// let session = Session::with_credentials(script, endpoint, Credentials::Anonymous);
/// let manifest = session.client("team/app".parse()?).manifest(&Reference::Tag("1.0".parse()?)).await?;
/// assert_eq!(manifest.media_type.as_str(), MediaType::OCI_INDEX);
/// manifest.digest.verify(index.as_bytes())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    session: Session,
    repository: RepositoryName,
}

/// What is known of a manifest without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest. From a HEAD by tag it is the registry's word; whoever fetches by it verifies it.
    pub digest: Digest,
    /// What it is: an index or an image manifest.
    pub media_type: MediaType,
    /// The length of the *manifest* in bytes, never that of the image. Left out by some registries.
    pub size_bytes: Option<u64>,
}

impl Client {
    /// A client for this repository.
    pub fn new(session: Session, repository: RepositoryName) -> Self {
        Self { session, repository }
    }

    /// Which repository.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The session that it reads over.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// One page of the tags: see [`Session::tags`].
    ///
    /// # Errors
    /// As there.
    pub async fn tags(&self, query: &PageQuery) -> Result<Page<Tag>, Error> {
        self.session.tags(&self.repository, query).await
    }

    /// What a reference leads to (`HEAD /v2/<name>/manifests/<reference>`). It does not count as a pull at Docker
    /// Hub.
    ///
    /// If the answer lacks digest or type, contradicts the digest that was asked for, is a 405, or a 404, the manifest
    /// is fetched and hashed: the digest header was not mandatory in older specifications, and not every server has
    /// HEAD.
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub async fn head_manifest(&self, reference: &Reference) -> Result<ManifestHead, Error> {
        let response = self.ask_for_head(reference).await?;
        if response.status == StatusCode::OK
            && let Some(head) = read_head(&response.headers)
            && reference.digest().is_none_or(|asked| *asked == head.digest)
        {
            return Ok(head);
        }
        let manifest = self.manifest(reference).await?;
        let size_bytes = Some(manifest.raw.len() as u64);
        Ok(ManifestHead { digest: manifest.digest, media_type: manifest.media_type, size_bytes })
    }

    /// The digest that a reference leads to, by the registry's word (`HEAD`), for who has the content of that digest. That it
    /// states one also says that these credentials may read it. `None` where it states none, or contradicts the digest that
    /// was asked for: then the manifest has to be fetched.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub async fn stated_digest(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let response = self.ask_for_head(reference).await?;
        if response.status != StatusCode::OK {
            return Ok(None);
        }
        let stated = read_digest(&response.headers);
        Ok(match reference.digest() {
            Some(asked) => stated.is_none_or(|stated| stated == *asked).then(|| asked.clone()),
            None => stated,
        })
    }

    /// Asks whether a manifest may be read (`HEAD`), and for nothing else: for the check of a right. A driver that does
    /// without [`Client::head_manifest`], which fetches and hashes where HEAD does not do, is a good deal smaller.
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub async fn may_read(&self, reference: &Reference) -> Result<(), Error> {
        let response = self.ask_for_head(reference).await?;
        if response.status == StatusCode::OK {
            return Ok(());
        }
        Err(Failure::read(response.body).await.into_error(response.status, &self.subject(reference)))
    }

    /// A manifest or index, verified (`GET /v2/<name>/manifests/<reference>`, end-3).
    ///
    /// By digest its bytes must have that digest. By tag they must have the digest of the `Docker-Content-Digest`
    /// header, if there is one. At most [`MAX_MANIFEST_BYTES`] are read.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::DigestMismatch`], [`Error::Manifest`], [`Error::TooLarge`], else as
    /// [`Session::send`].
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifest, Error> {
        let request = self.manifest_request(Method::GET, reference);
        let (scope, subject) = (Scope::pull(&self.repository), self.subject(reference));
        let response = self.session.fetch(request, &scope, &subject).await?;
        let content_type = text(&response.headers, &CONTENT_TYPE).map(str::to_owned);
        let stated = read_digest(&response.headers);
        let raw = success(response, MAX_MANIFEST_BYTES as u64, &subject).await?;
        let expected = reference.digest().cloned().or(stated);
        if let Some(expected) = &expected {
            verify(expected, &raw, &subject)?;
        }
        let mut manifest = Manifest::parse(raw, content_type.as_deref())
            .map_err(|source| Error::Manifest { subject, source })?;
        if let Some(expected) = expected {
            manifest.digest = expected; // the same bytes; of the algorithm that was asked for
        }
        Ok(manifest)
    }

    /// A blob as a stream (`GET /v2/<name>/blobs/<digest>`, end-2). No request is made until it is read.
    pub fn blob(&self, descriptor: &Descriptor, verify: Verify) -> BlobStream {
        BlobStream::new(self.session.clone(), self.repository.clone(), descriptor.clone(), verify)
    }

    /// A part of a blob as a stream, by `Range`. No one verifies it but who reads it. No request is made until it is read.
    pub fn blob_part(&self, descriptor: &Descriptor, part: Range<u64>) -> BlobStream {
        BlobStream::part(self.session.clone(), self.repository.clone(), descriptor.clone(), part)
    }

    /// A whole blob, verified, such as an image's configuration.
    ///
    /// ```
    /// # use regent_distribution::{Credentials, Endpoint, Session};
    /// use regent_oci::{Descriptor, MediaType};
    /// # use regent_plugin_api::testkit::{Exchange, Script};
    ///
    /// # futures_executor::block_on(async {
    /// let descriptor = Descriptor::of(MediaType::OCI_CONFIG, b"{}"); // as a manifest has it
    /// # let url = format!("https://registry.example.com/v2/team/app/blobs/{}", descriptor.digest);
    /// # let script = Script::new().then(Exchange::get(&url).answer(http::StatusCode::OK, "[]")).shared();
    /// # let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
    /// # let session = Session::with_credentials(script, endpoint, Credentials::Anonymous);
    /// let client = session.client("team/app".parse()?);
    /// let changed = client.small_blob(&descriptor, 4 << 20).await; // the registry answers `[]`
    /// assert!(matches!(changed, Err(regent_distribution::Error::DigestMismatch { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the descriptor says that it has more than `max_bytes`; else as [`BlobStream::chunk`].
    pub async fn small_blob(&self, descriptor: &Descriptor, max_bytes: u64) -> Result<Bytes, Error> {
        if descriptor.size_bytes > max_bytes {
            let subject = Subject::Blob(self.repository.clone(), descriptor.digest.clone());
            return Err(Error::TooLarge { subject, limit_bytes: max_bytes });
        }
        let mut stream = self.blob(descriptor, Verify::AtEnd);
        let mut whole = BytesMut::new();
        while let Some(chunk) = stream.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    async fn ask_for_head(&self, reference: &Reference) -> Result<Response, Error> {
        let request = self.manifest_request(Method::HEAD, reference);
        let (scope, subject) = (Scope::pull(&self.repository), self.subject(reference));
        self.session.send(request, &scope, &subject).await
    }

    fn manifest_request(&self, method: Method, reference: &Reference) -> Request {
        let url = self.session.endpoint().manifest(&self.repository, reference);
        let mut request =
            Request::new(method, url).header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for media_type in MediaType::MANIFESTS {
            request = request.header(ACCEPT, HeaderValue::from_static(media_type));
        }
        request.max_body_bytes = MAX_MANIFEST_BYTES as u64;
        request
    }

    fn subject(&self, reference: &Reference) -> Subject {
        Subject::Manifest(self.repository.clone(), reference.clone())
    }
}

fn read_head(headers: &HeaderMap) -> Option<ManifestHead> {
    let media_type = MediaType::new(text(headers, &CONTENT_TYPE)?);
    if !media_type.is_index() && !media_type.is_manifest() {
        return None; // `application/json` and the like say nothing
    }
    let size_bytes = text(headers, &CONTENT_LENGTH).and_then(|v| v.parse().ok()).filter(|n| *n > 0);
    Some(ManifestHead { digest: read_digest(headers)?, media_type, size_bytes })
}

fn read_digest(headers: &HeaderMap) -> Option<Digest> {
    text(headers, &DOCKER_CONTENT_DIGEST)?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim)
}

/// Checks content against the digest that names it.
pub(crate) fn verify(expected: &Digest, content: &[u8], subject: &Subject) -> Result<(), Error> {
    let actual = Digest::of(expected.algorithm(), content);
    if actual == *expected {
        return Ok(());
    }
    Err(Error::DigestMismatch { subject: subject.clone(), expected: expected.clone(), actual })
}
