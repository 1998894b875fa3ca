//! Operations: what was accepted, and how far it is.
//!
//! A scan or pull is accepted into a [`Queue`], leased by a worker, and ends as done or as a dead letter; it never
//! disappears on the way. The one implementation, [`MemoryQueue`], lasts as long as the process. The trait is cut for
//! durable ones: everything is asynchronous and may fail, work is leased and renewed, and a queue says whether what it
//! holds survives a restart.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use regent_oci::{ImageRef, Platform};
use regent_report::Options;
use regent_transport::{BoxFuture, Class, Fault, Retry};
use uuid::Uuid;

use crate::api::problem::Problem;
use crate::callbacks::CallbackTarget;
use crate::connection::Connection;

mod memory;
mod state;

pub use memory::{MemoryQueue, Retention};
pub use state::{Outcome, State, Summary};

/// Names an operation. A UUID of version 7 (RFC 9562), so that names sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What a request asks for, checked.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// The id of the request (`snyk-request-id`): another request with the same id is the same request, delivered twice.
    pub request_id: Option<String>,
    /// What is to be done.
    pub kind: OperationKind,
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
    pub options: Options,
}

/// An accepted operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    /// What was asked for.
    pub request: NewOperation,
}

/// The answer to a request that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The operation's name.
    pub id: OperationId,
    /// Whether an earlier request with the same id made the operation.
    pub is_repeat: bool,
}

/// The right to work at an operation, until it has ended or the lease is lost.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The operation.
    pub operation: Operation,
    /// Which lease of this operation it is, from 1.
    pub attempt: u32,
}

/// How far the holder of a lease has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The outcome is known, and on its way.
    Deliver(Outcome),
    /// All is done.
    Finish(Outcome),
    /// The outcome could not be delivered, for this reason.
    DeadLetter(Outcome, Problem),
}

/// What may be told of an operation. No secret is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationView {
    /// Its name.
    pub id: OperationId,
    /// What is to be done.
    pub kind: OperationKind,
    /// The image as the request spelled it.
    pub image: String,
    /// The type of the connection.
    pub registry_type: String,
    /// As the request had it.
    pub correlation_id: Option<String>,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    /// How often it was begun.
    pub attempts: u32,
    /// How far it is.
    pub state: State,
}

/// How many operations are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Waiting.
    pub queued: usize,
    /// Scanned or pulled.
    pub running: usize,
    /// On the way to the Broker Client.
    pub delivering: usize,
    /// Done, and not yet forgotten.
    pub done: usize,
    /// Waiting for an operator.
    pub dead_lettered: usize,
    /// How many may be queued, running or delivering.
    pub capacity: usize,
}

/// Why the queue did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// As many operations wait, run or are delivered as may.
    #[error("the queue is full: {capacity} operations wait, run or are being delivered")]
    Full {
        /// How many may.
        capacity: usize,
        /// When to ask again.
        retry_after: Duration,
    },
    /// The agent is stopping.
    #[error("the agent is stopping and takes no more operations")]
    Closed,
    /// No such operation: never there, or forgotten.
    #[error("there is no operation {id}")]
    Unknown {
        /// Its name.
        id: OperationId,
    },
    /// The operation is in a state from which that can't be done; also the answer to one whose lease was lost.
    #[error("operation {id} is {state}")]
    WrongState {
        /// Its name.
        id: OperationId,
        /// [`State::as_str`].
        state: &'static str,
    },
}

/// Where operations are between being accepted and being done.
///
/// Dropping a future returned from here is safe: a lease that was not returned is not taken.
pub trait Queue: Send + Sync {
    /// Takes an operation. A request whose id was seen before gets the first one's operation.
    ///
    /// # Errors
    /// [`QueueError::Full`] and [`QueueError::Closed`]: the operation was not taken.
    fn accept(&self, operation: NewOperation) -> BoxFuture<'_, Result<Accepted, QueueError>>;

    /// The operation that waits longest, from now on running. Waits until there is one; also gives out what is left
    /// after [`Queue::close`], and `None` once nothing is.
    ///
    /// # Errors
    /// Of the store.
    fn lease(&self) -> BoxFuture<'_, Result<Option<Lease>, QueueError>>;

    /// Says that the holder of a lease is alive.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] and [`QueueError::Unknown`]: the lease is lost, and what is done has to stop.
    fn renew(&self, lease: &Lease) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Notes how far the holder of a lease has come.
    ///
    /// # Errors
    /// As [`Queue::renew`].
    fn record(&self, lease: &Lease, step: Step) -> BoxFuture<'_, Result<(), QueueError>>;

    /// How far an operation is.
    ///
    /// # Errors
    /// [`QueueError::Unknown`].
    fn operation(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>>;

    /// The same, once it has ended: as done, or as a dead letter.
    ///
    /// # Errors
    /// [`QueueError::Unknown`].
    fn ended(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>>;

    /// Every operation that is remembered, oldest first.
    ///
    /// # Errors
    /// Of the store.
    fn list(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>>;

    /// The dead letters, oldest first.
    ///
    /// # Errors
    /// Of the store.
    fn dead_letters(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>>;

    /// Queues a dead letter anew: the image is scanned again, under the same operation and idempotency keys.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for what is no dead letter; [`QueueError::Unknown`]; [`QueueError::Full`].
    fn redeliver(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Forgets an operation that has ended.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for one that has not; [`QueueError::Unknown`].
    fn forget(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>>;

    /// For metrics.
    ///
    /// # Errors
    /// Of the store: the agent is not ready while there is one.
    fn counts(&self) -> BoxFuture<'_, Result<QueueCounts, QueueError>>;

    /// Takes no operation from now on.
    fn close(&self);

    /// Whether a restarted agent finds what is in it.
    fn is_durable(&self) -> bool;
}

impl Fault for QueueError {
    fn class(&self) -> Class {
        match self {
            Self::Full { .. } => Class::Limit,
            Self::Closed => Class::Unavailable,
            Self::Unknown { .. } => Class::Absent,
            Self::WrongState { .. } => Class::Invalid,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Full { retry_after, .. } => Retry::After(*retry_after),
            Self::Closed => Retry::Backoff,
            Self::Unknown { .. } | Self::WrongState { .. } => Retry::Never,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "queue_full",
            Self::Closed => "operation_cancelled",
            Self::Unknown { .. } => "operation_unknown",
            Self::WrongState { .. } => "operation_state",
        }
    }
}
