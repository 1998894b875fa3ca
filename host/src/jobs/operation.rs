//! What operations are: what was asked for, and by what name it goes.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use regent_oci::{ImageRef, Platform};
use regent_report::{Compat, Options};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::callbacks::CallbackTarget;
use crate::connection::Connection;

/// Names an operation. A UUID of version 7 (RFC 9562), so that names sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(Uuid);

/// A text that is no operation's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an operation's id is a UUID")]
pub struct InvalidOperationId;

impl OperationId {
    /// A new one.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id that these bytes are.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id as it is stored as a key: bytes that sort by time.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl Default for OperationId {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for OperationId {
    type Err = InvalidOperationId;

    fn from_str(text: &str) -> Result<Self, InvalidOperationId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidOperationId)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is to be done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Scan it; each result is its own callback, and one more says that this is all.
    Scan,
    /// Scan it; one callback of the older form carries everything.
    Discover,
    /// Bring it into the layer store. No callback.
    Pull,
}

impl OperationKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Scan, Self::Discover, Self::Pull];

    /// In one word, for answers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Discover => "discover",
            Self::Pull => "pull",
        }
    }
}

/// Whether somebody waits for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// A person does: before all bulk work, but for a share that bulk work keeps.
    Interactive,
    /// One of many.
    Bulk,
}

impl Priority {
    /// All of them, the one that goes first first.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// In one word, for requests and subjects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

/// The options of a scan: as the request gave them, which is what is stored, and as they are understood.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    given: Map<String, Value>,
    options: Options,
}

impl ScanOptions {
    /// Options as a request gave them, and the operator's choice.
    ///
    /// # Errors
    /// [`regent_report::Error`]: they can't be understood.
    pub fn parse(given: Map<String, Value>, compat: Compat) -> Result<Self, regent_report::Error> {
        let mut options = Options::parse(&given)?;
        options.compat = compat;
        // A path of this machine, which is none of the caller's.
        options.file = None;
        Ok(Self { given, options })
    }

    /// As the request gave them.
    pub fn given(&self) -> &Map<String, Value> {
        &self.given
    }
}

impl std::ops::Deref for ScanOptions {
    type Target = Options;

    fn deref(&self) -> &Options {
        &self.options
    }
}

/// What a request asks for, checked.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// The id of the request (`snyk-request-id`): another request with the same id is the same request, delivered twice.
    pub request_id: Option<String>,
    /// What is to be done.
    pub kind: OperationKind,
    /// Whether somebody waits for it.
    pub priority: Priority,
    /// With which image.
    pub image: ImageRef,
    /// The image as the request spelled it: its name in results and callbacks.
    pub requested_name: String,
    /// Which image of an index, unless the options say it.
    pub platform: Option<Platform>,
    /// Which registry.
    pub connection: Connection,
    /// Where the outcome goes; `None` for a pull.
    pub callback: Option<CallbackTarget>,
    /// Returned in every callback as it came.
    pub correlation_id: Option<String>,
    /// The scan's options, the operator's among them.
    pub options: ScanOptions,
}

/// An accepted operation that is to be run.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    /// What was asked for.
    pub request: NewOperation,
}
