//! The states of an operation, each with what is known in it.

use std::time::{Duration, SystemTime};

use regent_oci::Digest;
use serde::{Deserialize, Serialize};

use crate::api::problem::Problem;
use crate::callbacks::Part;

/// How far an operation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits.
    Queued {
        /// Until then at least.
        not_before: Option<SystemTime>,
        /// Why it is to be begun again.
        after: Option<Problem>,
    },
    /// A worker has it, or had it when it died.
    Running {
        /// Since when.
        since: SystemTime,
    },
    /// What came out is on its way to the Broker Client.
    Delivering(Outbox),
    /// What came out has been delivered, or for a pull, is there.
    Done {
        /// Since when.
        at: SystemTime,
        /// What came out.
        outcome: Outcome,
    },
    /// What came out could not be delivered: it is up to an operator.
    DeadLettered {
        /// Since when.
        at: SystemTime,
        /// Why it could not be delivered.
        reason: Problem,
        /// What is still there to be delivered.
        outbox: Outbox,
    },
}

/// An outcome on its way: what is to arrive, and what has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    /// Since when it is tried.
    pub since: SystemTime,
    /// What came out.
    pub outcome: Outcome,
    /// All parts, in their order.
    pub parts: Vec<Part>,
    /// How many of them have arrived.
    pub n_delivered: usize,
    /// How often delivery was tried since a part last arrived.
    pub n_tries: u32,
    /// When it may be tried next.
    pub not_before: Option<SystemTime>,
    /// What came of the last try.
    pub after: Option<String>,
}

impl Outbox {
    /// An outcome of which nothing has arrived.
    pub fn new(outcome: Outcome, parts: Vec<Part>, since: SystemTime) -> Self {
        Self { since, outcome, parts, n_delivered: 0, n_tries: 0, not_before: None, after: None }
    }
}

/// What came out of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What was asked for.
    Succeeded(Summary),
    /// Something else.
    Failed(Problem),
}

/// What an operation found, and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Digest of the image manifest; `None` where a driver put it together.
    pub digest: Option<Digest>,
    /// Digest of the index that led to it.
    pub index_digest: Option<Digest>,
    /// Scan results.
    pub n_results: usize,
    /// Layers of the image, each place counted.
    pub n_layers: usize,
    /// Distinct layers whose capture was at hand.
    pub n_cached_layers: usize,
    /// Layer bytes read from the registry.
    pub fetched_bytes: u64,
    /// Time in the queue.
    pub queued: Duration,
    /// Time until the image was resolved.
    pub resolving: Duration,
    /// Time to read the layers.
    pub reading: Duration,
    /// Time for overlay and analyzers.
    pub analyzing: Duration,
}

impl Outcome {
    /// The problem of a failed one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Succeeded(_) => None,
            Self::Failed(problem) => Some(problem),
        }
    }
}

impl State {
    /// In one word, for answers, logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Delivering(_) => "delivering",
            Self::Done { .. } => "done",
            Self::DeadLettered { .. } => "dead_lettered",
        }
    }

    /// Whether nothing more will happen by itself.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Done { .. } | Self::DeadLettered { .. } => true,
            Self::Queued { .. } | Self::Running { .. } | Self::Delivering(_) => false,
        }
    }

    /// What came out, once that is known.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Queued { .. } | Self::Running { .. } => None,
            Self::Delivering(outbox) | Self::DeadLettered { outbox, .. } => Some(&outbox.outcome),
            Self::Done { outcome, .. } => Some(outcome),
        }
    }

    /// When the work that it is may be taken up; `None` for at once.
    pub fn not_before(&self) -> Option<SystemTime> {
        match self {
            Self::Queued { not_before, .. } => *not_before,
            Self::Delivering(outbox) => outbox.not_before,
            Self::Running { .. } | Self::Done { .. } | Self::DeadLettered { .. } => None,
        }
    }
}
