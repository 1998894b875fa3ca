//! What the two ends say to each other.

use bytes::Bytes;
use regent_oci::{Digest, Reference, RepositoryName};
use regent_plugin_api::{Access, Cursor, DynDriver, PageRequest, Result as CallResult, Settings};
use regent_transport::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::frame::{Broken, Frames, Message};
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::values::{Answer, Carried, Failure};

/// What the agent says to the driver's process.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToDriver {
    /// Open a session.
    Connect { call: u64, session: u64, with: With },
    /// Make a call.
    Call { call: u64, session: u64, ask: Ask },
    /// Nobody waits for this call any more.
    Cancel { call: u64 },
    /// The session has had its last call.
    Close { session: u64 },
    /// What came of a request of the driver's.
    Answer { request: u64, answer: Result<HttpAnswer, HttpFailure> },
    /// To be said again by the driver's own thread.
    Ping { number: u64 },
}

/// What the driver's process says to the agent.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToAgent {
    /// The library is loaded.
    Ready,
    /// The library can't be loaded.
    Refused { reason: String },
    /// What came of a call.
    Answer { call: u64, answer: Result<Answer, Failure> },
    /// A session and all of its calls are gone.
    Closed { session: u64 },
    /// The driver wants a request to be sent, in a call that is to answer for it, if it is in one.
    Request { request: u64, session: u64, ask: HttpRequest, call: Option<u64> },
    /// The driver does not wait for this request any more.
    Forget { request: u64 },
    /// A line for the log.
    Log { session: u64, level: u32, line: String },
    /// The driver's thread moves.
    Pong { number: u64 },
}

impl Message for ToDriver {
    fn is_content(&self) -> bool {
        false
    }
}

impl Message for ToAgent {
    fn is_content(&self) -> bool {
        matches!(self, Self::Answer { answer: Ok(Answer::Content { .. } | Answer::Bytes(_)), .. })
    }
}

/// What a session is opened with.
#[derive(Serialize, Deserialize)]
pub(crate) struct With {
    registry_type: String,
    values: Vec<(String, Hidden)>,
    plain_http: bool,
    /// Those of the agent's environment that the driver declares.
    pub(crate) variables: Vec<(String, String)>,
}

impl With {
    pub(crate) fn new(settings: &Settings, variables: Vec<(String, String)>) -> Self {
        Self {
            registry_type: settings.registry_type().to_owned(),
            values: settings.iter().map(|(name, value)| (name.to_owned(), Hidden(value.clone()))).collect(),
            plain_http: settings.plain_http(),
            variables,
        }
    }

    pub(crate) fn settings(self) -> Settings {
        let values = self.values.into_iter().map(|(name, Hidden(value))| (name, value));
        Settings::new(self.registry_type, values, self.plain_http)
    }
}

/// A secret on its way.
struct Hidden(SecretString);

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|value| Self(value.into()))
    }
}

/// A call.
#[derive(Serialize, Deserialize)]
pub(crate) enum Ask {
    Validate,
    Repositories(Paging),
    Tags(RepositoryName, Paging),
    TagDetails(RepositoryName, Paging),
    Authorize { repository: RepositoryName, renew: bool },
    Manifest(RepositoryName, Reference),
    OpenBlob(RepositoryName, Digest),
    ReadBlob { handle: u64, max_bytes: u64 },
    CloseBlob { handle: u64 },
}

/// Which page.
#[derive(Serialize, Deserialize)]
pub(crate) struct Paging {
    size: u32,
    after: Option<String>,
}

impl From<PageRequest> for Paging {
    fn from(page: PageRequest) -> Self {
        Self { size: page.size, after: page.after.map(|Cursor(text)| text) }
    }
}

impl From<Paging> for PageRequest {
    fn from(page: Paging) -> Self {
        Self { size: page.size, after: page.after.map(Cursor) }
    }
}

impl Ask {
    /// Makes the call of a driver.
    pub(crate) fn of(self, driver: &dyn DynDriver) -> BoxFuture<'static, CallResult<Answer>> {
        use regent_plugin_api::BlobHandle;
        match self {
            Self::Validate => carried(driver.validate()),
            Self::Repositories(page) => carried(driver.repositories(page.into())),
            Self::Tags(repository, page) => carried(driver.tags(&repository, page.into())),
            Self::TagDetails(repository, page) => carried(driver.tag_details(&repository, page.into())),
            Self::Authorize { repository, renew } => carried(driver.authorize(Access { repository, renew })),
            Self::Manifest(repository, reference) => carried(driver.manifest(&repository, &reference)),
            Self::OpenBlob(repository, digest) => carried(driver.open_blob(&repository, &digest)),
            Self::ReadBlob { handle, max_bytes } => {
                let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
                carried::<Bytes>(driver.read_blob(BlobHandle(handle), max_bytes))
            }
            Self::CloseBlob { handle } => carried(driver.close_blob(BlobHandle(handle))),
        }
    }
}

fn carried<T: Carried + 'static>(
    call: BoxFuture<'static, CallResult<T>>,
) -> BoxFuture<'static, CallResult<Answer>> {
    Box::pin(async move { call.await.map(T::give) })
}

/// Reads bytes as the agent reads them from a driver's process, as far as they can be read, and takes each answer for each
/// thing that it may be. Returns how many messages there were. For fuzzing.
pub fn read_from_a_driver(bytes: &[u8]) -> usize {
    let mut frames = Frames::default();
    let mut count = 0;
    for piece in bytes.chunks(1 << 10) {
        frames.feed(piece);
        loop {
            match frames.next::<ToAgent>() {
                Ok(Some(message)) => {
                    count += 1;
                    match message {
                        ToAgent::Answer { answer: Ok(answer), .. } => crate::values::take_all(&answer),
                        ToAgent::Answer { answer: Err(failure), .. } => drop(failure.take()),
                        ToAgent::Request { ask, .. } => drop(ask.take()),
                        _ => {}
                    }
                }
                Ok(None) => break,
                Err(Broken::TooLong { .. } | Broken::Unreadable | Broken::CutOff | Broken::Failed { .. }) => {
                    return count;
                }
            }
        }
    }
    count
}
