//! Blobs as streams that survive a broken connection (distribution-spec 1.1, "Pulling blobs"; RFC 9110 §14, ranges).

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use regent_oci::{Descriptor, Digester, RepositoryName};
use regent_transport::{Body, Fault as _, Request, Retry, TransportError};

use crate::answer::Failure;
use crate::error::{Error, Subject};
use crate::scope::Scope;
use crate::session::Session;

/// The most times that one blob is resumed, also if each of them brings something.
const MAX_RESUMES: u32 = 100;

/// Who verifies the digest of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// The stream: its end comes only if the digest is right.
    AtEnd,
    /// Who reads it, with a [`BlobVerifier`], say on a thread that does nothing but hash. The stream checks the
    /// size alone, and **its end does not mean that the content is right**.
    ByConsumer,
}

/// Checks bytes against their descriptor as they come.
///
/// ```
/// use regent_distribution::BlobVerifier;
/// use regent_oci::{Descriptor, MediaType};
///
/// let descriptor = Descriptor::of(MediaType::OCI_CONFIG, b"{}"); // as a manifest has it
/// let mut verifier = BlobVerifier::new("team/app".parse()?, descriptor.clone());
/// verifier.update(b"{");
/// verifier.update(b"}");
/// verifier.finish()?;
///
/// let mut other = BlobVerifier::new("team/app".parse()?, descriptor);
/// other.update(b"[]");
/// assert!(other.finish().unwrap_err().to_string().contains("expected sha256:"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BlobVerifier {
    digester: Digester,
    got_bytes: u64,
    descriptor: Descriptor,
    repository: RepositoryName,
}

impl BlobVerifier {
    /// For a blob of this repository.
    pub fn new(repository: RepositoryName, descriptor: Descriptor) -> Self {
        Self { digester: descriptor.digest.algorithm().digester(), got_bytes: 0, descriptor, repository }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digester.update(bytes);
        self.got_bytes = self.got_bytes.saturating_add(bytes.len() as u64);
    }

    /// Whether the bytes so far are the blob.
    ///
    /// # Errors
    /// [`Error::BlobTruncated`], [`Error::SizeMismatch`], [`Error::DigestMismatch`].
    pub fn finish(self) -> Result<(), Error> {
        let Self { digester, got_bytes, descriptor, repository } = self;
        let subject = Subject::Blob(repository, descriptor.digest.clone());
        let expected_bytes = descriptor.size_bytes;
        if got_bytes < expected_bytes {
            return Err(Error::BlobTruncated { subject, got_bytes, expected_bytes });
        }
        if got_bytes > expected_bytes {
            return Err(Error::SizeMismatch { subject, expected_bytes });
        }
        let (expected, actual) = (descriptor.digest, digester.finish());
        if expected == actual { Ok(()) } else { Err(Error::DigestMismatch { subject, expected, actual }) }
    }
}

/// A blob, read piece by piece. Dropping it ends the request.
///
/// Redirects are followed by the session's policy. When the connection breaks, the rest is asked for with `Range`, from
/// the blob's own URL, since the signed one that it may have led to expires; so the reader sees one stream.
///
/// ```
/// use regent_distribution::Verify;
/// # use regent_distribution::{Credentials, Endpoint, Session};
/// # use regent_oci::{Descriptor, MediaType};
/// # use regent_plugin_api::testkit::{Exchange, Script};
///
/// # futures_executor::block_on(async {
/// # let descriptor = Descriptor::of(MediaType::OCI_LAYER, b"a layer");
/// # let url = format!("https://registry.example.com/v2/team/app/blobs/{}", descriptor.digest);
/// # let script = Script::new().then(Exchange::get(&url).answer(http::StatusCode::OK, "a layer")).shared();
/// # let endpoint = Endpoint::new("https://registry.example.com/".parse()?)?;
/// # let session = Session::with_credentials(script, endpoint, Credentials::Anonymous);
/// let mut stream = session.client("team/app".parse()?).blob(&descriptor, Verify::AtEnd);
/// let mut layer = Vec::new();
/// while let Some(chunk) = stream.chunk().await? {
///     layer.extend_from_slice(&chunk); // not to be believed before the end
/// }
/// assert_eq!(layer, b"a layer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct BlobStream {
    session: Session,
    scope: Scope,
    subject: Subject,
    repository: RepositoryName,
    descriptor: Descriptor,
    verifier: Option<BlobVerifier>,
    state: State,
    /// Where in the blob the reader is.
    position: u64,
    /// Where it ends for the reader.
    end: u64,
    /// Whether the reader wants a part of it, for which the whole is no answer.
    is_part: bool,
    resumes: u32,
    /// Breaks since the last byte, and when the first of them was.
    breaks: u32,
    broken_at: Option<SystemTime>,
}

#[derive(Debug)]
enum State {
    /// No request runs.
    Closed,
    /// The body of a running one, of which so many bytes are still to be dropped: the server does not know ranges and
    /// began at the beginning.
    Open { body: Body, skip: u64 },
    /// All was given and, if that is on us, verified.
    Ended,
    /// It failed for good.
    Failed(Error),
}

impl BlobStream {
    pub(crate) fn new(
        session: Session,
        repository: RepositoryName,
        descriptor: Descriptor,
        verify: Verify,
    ) -> Self {
        let verifier = match verify {
            Verify::AtEnd => Some(BlobVerifier::new(repository.clone(), descriptor.clone())),
            Verify::ByConsumer => None,
        };
        Self {
            session,
            scope: Scope::pull(&repository),
            subject: Subject::Blob(repository.clone(), descriptor.digest.clone()),
            repository,
            end: descriptor.size_bytes,
            descriptor,
            verifier,
            state: State::Closed,
            position: 0,
            is_part: false,
            resumes: 0,
            breaks: 0,
            broken_at: None,
        }
    }

    pub(crate) fn part(
        session: Session,
        repository: RepositoryName,
        descriptor: Descriptor,
        part: Range<u64>,
    ) -> Self {
        let whole = Self::new(session, repository, descriptor, Verify::ByConsumer);
        Self { position: part.start, end: part.end.min(whole.end), is_part: true, ..whole }
    }

    /// What is read.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Where in the blob the reader is: of a whole one, how many bytes have been given out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// A verifier for this blob, to go with [`Verify::ByConsumer`].
    pub fn verifier(&self) -> BlobVerifier {
        BlobVerifier::new(self.repository.clone(), self.descriptor.clone())
    }

    /// The next piece, never empty; `None` at the end.
    ///
    /// A future that is dropped loses no bytes; the next call goes on. After an error every call returns it.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] in place of the end, with [`Verify::AtEnd`]; [`Error::SizeMismatch`] as soon as there
    /// are more bytes than the descriptor says; [`Error::BlobTruncated`] or the transport's error when resuming
    /// has not helped; [`Error::NotFound`]; [`Error::AnswerInvalid`] for a part, where the server has no ranges; else as
    /// [`Session::send`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.advance().await {
            Ok(chunk) => Ok(chunk),
            Err(error) => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let (body, skip) = match &mut self.state {
                State::Ended => return Ok(None),
                State::Failed(error) => return Err(error.clone()),
                State::Closed => {
                    self.open().await?;
                    continue;
                }
                State::Open { body, skip } => (body, skip),
            };
            match body.chunk().await {
                Ok(Some(mut chunk)) => {
                    let dropped = usize::try_from(*skip).unwrap_or(usize::MAX).min(chunk.len());
                    *skip -= dropped as u64;
                    let _ = chunk.split_to(dropped);
                    if !chunk.is_empty() {
                        return self.take(chunk).map(Some);
                    }
                }
                Err(TransportError::TooLarge { .. }) => return Err(self.size_mismatch()),
                // Also if the connection broke behind the last byte: all that was wanted is here.
                Ok(None) | Err(_) if self.position == self.end => return self.end(),
                Ok(None) => self.broken(None).await?,
                Err(error) => self.broken(Some(error)).await?,
            }
        }
    }

    fn take(&mut self, chunk: Bytes) -> Result<Bytes, Error> {
        let position = self.position.saturating_add(chunk.len() as u64);
        if position > self.end {
            return Err(self.size_mismatch());
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.update(&chunk);
        }
        self.position = position;
        self.breaks = 0;
        self.broken_at = None;
        Ok(chunk)
    }

    fn end(&mut self) -> Result<Option<Bytes>, Error> {
        self.state = State::Ended;
        match self.verifier.take() {
            Some(verifier) => verifier.finish().map(|()| None),
            None => Ok(None),
        }
    }

    /// Sends the request for what is still missing.
    async fn open(&mut self) -> Result<(), Error> {
        let mut ranged = self.position > 0 || self.is_part;
        loop {
            let response = self.session.send(self.request(ranged), &self.scope, &self.subject).await?;
            let skip = match response.status {
                StatusCode::PARTIAL_CONTENT if ranged => {
                    let range = range(&response.headers);
                    let is_asked_for = range.is_some_and(|(start, last)| {
                        let is_whole_part = last.is_some_and(|last| last.checked_add(1) == Some(self.end));
                        start == self.position && (!self.is_part || is_whole_part)
                    });
                    if !is_asked_for {
                        return Err(self.invalid("it is another range than the one asked for"));
                    }
                    0
                }
                StatusCode::OK if self.is_part => {
                    return Err(self.invalid("it is the whole blob and not the part asked for"));
                }
                StatusCode::OK => {
                    let length = number(&response.headers);
                    if length.is_some_and(|n| n > self.descriptor.size_bytes) {
                        return Err(self.size_mismatch());
                    }
                    self.position
                }
                // The server can't continue; from the beginning it may.
                StatusCode::RANGE_NOT_SATISFIABLE if ranged && !self.is_part => {
                    ranged = false;
                    continue;
                }
                status => return Err(Failure::read(response.body).await.into_error(status, &self.subject)),
            };
            self.state = State::Open { body: response.body, skip };
            return Ok(());
        }
    }

    fn request(&self, ranged: bool) -> Request {
        let url = self.session.endpoint().blob(&self.repository, &self.descriptor.digest);
        // A proxy that compresses on the way would change the bytes that the digest is over.
        let mut request = Request::get(url).header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let last = if self.is_part { self.end.saturating_sub(1).to_string() } else { String::new() };
        let range = format!("bytes={}-{last}", self.position);
        if ranged && let Ok(range) = HeaderValue::from_str(&range) {
            request = request.header(RANGE, range);
        }
        request.max_body_bytes =
            if self.is_part { self.end.saturating_sub(self.position) } else { self.descriptor.size_bytes };
        request
    }

    /// The body ended early, with an error or as if it were whole. Waits, if another request makes sense.
    async fn broken(&mut self, cause: Option<TransportError>) -> Result<(), Error> {
        self.state = State::Closed;
        self.resumes += 1;
        self.breaks += 1;
        let (got_bytes, expected_bytes) = (self.position, self.descriptor.size_bytes);
        let retry = cause.as_ref().map_or(Retry::Backoff, TransportError::retry);
        let transport = self.session.transport();
        let now = transport.now();
        let elapsed = now.duration_since(*self.broken_at.get_or_insert(now)).unwrap_or_default();
        let wait = self.session.retry_policy().next(self.breaks, elapsed, retry, transport.jitter());
        match wait.filter(|_| self.resumes <= MAX_RESUMES) {
            Some(wait) => {
                transport.sleep(wait).await;
                Ok(())
            }
            None => Err(match cause {
                Some(error) if error.retry() == Retry::Never => error.into(),
                _ => Error::BlobTruncated { subject: self.subject.clone(), got_bytes, expected_bytes },
            }),
        }
    }

    fn size_mismatch(&self) -> Error {
        Error::SizeMismatch { subject: self.subject.clone(), expected_bytes: self.descriptor.size_bytes }
    }

    fn invalid(&self, reason: &str) -> Error {
        Error::AnswerInvalid { subject: self.subject.clone(), reason: reason.to_owned() }
    }
}

/// The first byte of `Content-Range: bytes 100-199/200`, and the last one where it is told (RFC 9110 §14.4).
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, rest) = text.trim().strip_prefix("bytes")?.split_once('-')?;
    let last = rest.split('/').next().and_then(|last| last.trim().parse().ok());
    Some((first.trim().parse().ok()?, last))
}

fn number(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
