//! Operations: what was accepted, and how far it is.
//!
//! A scan or pull is accepted into a [`Queue`], leased by a worker that runs it, leased again to deliver what came out, and
//! ends as done or as a dead letter; it never disappears on the way. What is stored of it is a [`record::Record`], whose
//! functions are the ways from one [`State`] to another. [`EmbeddedQueue`] keeps records in a file of this machine,
//! [`JetStreamQueue`] at NATS servers, for several agents.

use std::time::Duration;

use bytes::Bytes;
use regent_transport::{BoxFuture, Class, Fault, Retry};

use crate::seal::SealError;

mod embedded;
#[cfg(test)]
pub(crate) mod fixtures;
mod handover;
mod jetstream;
mod lease;
mod operation;
mod pace;
mod packing;
pub mod record;
mod retention;
mod schedule;
mod state;
#[cfg(test)]
mod suite;
mod view;

pub use embedded::EmbeddedQueue;
pub use jetstream::{JetStreamConfig, JetStreamQueue};
pub use lease::{Delivery, Lease, Run, Step, Task, Wish, Work};
pub use operation::{
    InvalidOperationId, NewOperation, Operation, OperationId, OperationKind, Priority, ScanOptions,
};
pub use retention::Retention;
pub use state::{Outbox, Outcome, State, Summary};
pub use view::{OperationView, QueueCounts};

/// How long a lease lasts when it is not renewed.
pub const LEASE: Duration = Duration::from_mins(1);

/// The answer to a request that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The operation's name.
    pub id: OperationId,
    /// Whether an earlier request with the same id made the operation.
    pub is_repeat: bool,
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
    /// The store can't keep it now: no space, no permission, no connection.
    #[error("the queue's store can't be written: {reason}")]
    Unwritable {
        /// The system's word.
        reason: String,
    },
    /// What the store holds is not what was put into it.
    #[error("the queue's store is damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// What an operation needs is sealed with a key that the agent does not have.
    #[error("operation {id}: {source}")]
    Sealed {
        /// Its name.
        id: OperationId,
        /// Which key.
        #[source]
        source: SealError,
    },
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
/// What a function has answered is durable. Dropping a future returned from here is safe: what was asked for is done or it is
/// not, and a lease that was not returned is not taken for longer than [`LEASE`].
pub trait Queue: Send + Sync {
    /// Takes an operation. A request whose id was seen before gets the first one's operation.
    ///
    /// # Errors
    /// [`QueueError::Full`], [`QueueError::Closed`] and [`QueueError::Unwritable`]: it is not known whether the operation was
    /// taken; the same request may be made again.
    fn accept(&self, operation: NewOperation) -> BoxFuture<'_, Result<Accepted, QueueError>>;

    /// The operation that an earlier request with this id has made.
    ///
    /// # Errors
    /// Of the store.
    fn repeat_of<'a>(&'a self, request_id: &'a str)
    -> BoxFuture<'a, Result<Option<OperationId>, QueueError>>;

    /// The next work of this kind. Waits until there is some; `None` once the queue is closed. Interactive operations go before
    /// bulk ones, those of different connections take turns, and those of one connection go in their order.
    ///
    /// # Errors
    /// Of the store.
    fn lease(&self, work: Work) -> BoxFuture<'_, Result<Option<Lease>, QueueError>>;

    /// Says that the holder of a lease is alive, and asks what is wanted of it.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] and [`QueueError::Unknown`]: the lease is lost, and what is done has to stop.
    fn renew<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Wish, QueueError>>;

    /// Notes how far the holder of a lease has come.
    ///
    /// # Errors
    /// As [`Queue::renew`]; and [`QueueError::Unwritable`]: it is not known whether it was noted, and may be tried again.
    fn record<'a>(&'a self, lease: &'a Lease, step: Step) -> BoxFuture<'a, Result<(), QueueError>>;

    /// The stored body of a part, counted from 0, of what is being delivered.
    ///
    /// # Errors
    /// [`QueueError::Damaged`]; others of the store.
    fn body<'a>(&'a self, lease: &'a Lease, part: usize) -> BoxFuture<'a, Result<Bytes, QueueError>>;

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

    /// Delivers what a dead letter still has to deliver, as it was, under the same idempotency keys.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for what is no dead letter; [`QueueError::Unknown`]; [`QueueError::Full`].
    fn redeliver(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Asks for an operation to be stopped and reported as cancelled.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for one whose outcome is known already; [`QueueError::Unknown`].
    fn cancel(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Forgets an operation that has ended.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for one that has not; [`QueueError::Unknown`].
    fn forget(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>>;

    /// For metrics, and for readiness.
    ///
    /// # Errors
    /// Of the store: the agent is not ready while there is one.
    fn counts(&self) -> BoxFuture<'_, Result<QueueCounts, QueueError>>;

    /// Takes no operation and gives no lease from now on. What is leased can still be recorded.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Closes it, and lets go of the store once all that was asked for is done. Nothing can be asked for after that.
    ///
    /// # Errors
    /// Of the store.
    fn stop(&self) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Where operations are kept, for the log.
    fn describe(&self) -> String;
}

impl Fault for QueueError {
    fn class(&self) -> Class {
        match self {
            Self::Full { .. } => Class::Limit,
            Self::Closed | Self::Unwritable { .. } => Class::Unavailable,
            Self::Damaged { .. } => Class::Corrupt,
            Self::Sealed { .. } => Class::Refused,
            Self::Unknown { .. } => Class::Absent,
            Self::WrongState { .. } => Class::Invalid,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Full { retry_after, .. } => Retry::After(*retry_after),
            Self::Closed | Self::Unwritable { .. } => Retry::Backoff,
            Self::Damaged { .. } | Self::Sealed { .. } | Self::Unknown { .. } | Self::WrongState { .. } => {
                Retry::Never
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "queue_full",
            Self::Closed => "agent_stopping",
            Self::Unwritable { .. } => "queue_unwritable",
            Self::Damaged { .. } => "queue_damaged",
            Self::Sealed { .. } => "seal_key_unknown",
            Self::Unknown { .. } => "operation_unknown",
            Self::WrongState { .. } => "operation_state",
        }
    }
}
