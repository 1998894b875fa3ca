//! The right to work at an operation, and what its holder notes.

use std::time::Duration;

use bytes::Bytes;

use super::{Operation, OperationId, OperationKind, Outcome};
use crate::api::problem::Problem;
use crate::callbacks::{About, CallbackTarget, Part};

/// The two kinds of work that operations are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// To scan or pull an image.
    Run,
    /// To bring what came of it to the Broker Client.
    Deliver,
}

/// The right to work at an operation, until its holder notes how it ended, or it runs out.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The operation's name.
    pub id: OperationId,
    /// Which of the operation's leases it is. Only the newest holds.
    pub fence: u64,
    /// What there is to do.
    pub task: Task,
}

/// What there is to do.
#[derive(Debug, Clone)]
pub enum Task {
    /// To scan or pull an image.
    Run(Box<Run>),
    /// To deliver what came of it.
    Deliver(Box<Delivery>),
}

/// An operation that is to be run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was asked for.
    pub operation: Operation,
    /// How often it was begun, this time included.
    pub attempt: u32,
    /// How many of the attempts before ended in [`Step::Again`]. The agent died in the others.
    pub n_failures: u32,
    /// Why the last of these did.
    pub last_failure: Option<Problem>,
    /// The time since it was first begun.
    pub elapsed: Duration,
    /// It is not wanted any more: all that is left to do is to say so.
    pub is_cancelled: bool,
}

/// An outcome that is to be delivered.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What was done.
    pub kind: OperationKind,
    /// What every callback's body begins with.
    pub about: About,
    /// Where the callbacks go.
    pub target: CallbackTarget,
    /// What came out.
    pub outcome: Outcome,
    /// All parts, in the order in which they are to arrive. Their bodies are in the queue.
    pub parts: Vec<Part>,
    /// How many of them have arrived.
    pub n_delivered: usize,
    /// How often delivery was tried since a part last arrived.
    pub n_tries: u32,
    /// The time since it was first tried.
    pub elapsed: Duration,
    /// What came of the last try.
    pub last_failure: Option<String>,
    /// Whether [`Step::Anew`] is possible.
    pub may_run_anew: bool,
}

/// How far the holder of a lease has come. But for [`Step::Delivered`] each ends the lease.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A run has come to this outcome, which is to be delivered in these parts; the bodies are stored with it. Also for an
    /// outcome that turned out worse while it was delivered. Without parts the operation is done.
    Outcome(Outcome, Vec<(Part, Bytes)>),
    /// A run has failed in a way that passes: it is to be begun again after this time.
    Again(Duration, Problem),
    /// What the work needs is known to be out of order: it is to be looked at again after this time. It counts as not begun.
    Defer(Duration, Problem),
    /// It is not its turn: a run is to be looked at again after this time. It counts as not begun, and if it was never begun
    /// otherwise, neither does the time so far.
    Yield(Duration, Problem),
    /// This many parts have arrived. The lease goes on.
    Delivered(usize),
    /// All parts have arrived.
    Finish,
    /// A part did not arrive; the next try is after this time.
    Postpone(Duration, String),
    /// The outcome could not be delivered, for this reason: it waits for an operator.
    DeadLetter(Problem),
    /// What was to be delivered is not there any more, for this reason: the operation is to be run once more.
    Anew(Problem),
    /// The work is given back, to be taken up by someone else at once. It counts as not begun.
    HandBack,
}

/// What is wanted of the holder of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To go on.
    GoOn,
    /// To stop, and report the operation as cancelled.
    Cancel,
}

impl Task {
    /// Which kind of work it is.
    pub fn work(&self) -> Work {
        match self {
            Self::Run(_) => Work::Run,
            Self::Deliver(_) => Work::Deliver,
        }
    }
}
