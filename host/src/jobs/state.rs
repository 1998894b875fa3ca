//! The states of an operation, each with what is known in it, and the ways from one to another.

use std::time::{Duration, SystemTime};

use regent_oci::Digest;

use crate::api::problem::Problem;

/// How far an operation is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It waits.
    Queued,
    /// A worker has it.
    Running {
        /// Since when.
        since: SystemTime,
    },
    /// What came out is on its way to the Broker Client.
    Delivering {
        /// Since when.
        since: SystemTime,
        /// What came out.
        outcome: Outcome,
    },
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
        /// What came out.
        outcome: Outcome,
        /// Why it could not be delivered.
        reason: Problem,
    },
}

/// What came out of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// What was asked for.
    Succeeded(Summary),
    /// Something else.
    Failed(Problem),
}

/// What an operation found, and what it cost.
#[derive(Debug, Clone, Default, PartialEq)]
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
            Self::Queued => "queued",
            Self::Running { .. } => "running",
            Self::Delivering { .. } => "delivering",
            Self::Done { .. } => "done",
            Self::DeadLettered { .. } => "dead_lettered",
        }
    }

    /// Whether nothing more will happen by itself.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Done { .. } | Self::DeadLettered { .. } => true,
            Self::Queued | Self::Running { .. } | Self::Delivering { .. } => false,
        }
    }

    /// What came out, once that is known.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Queued | Self::Running { .. } => None,
            Self::Delivering { outcome, .. }
            | Self::Done { outcome, .. }
            | Self::DeadLettered { outcome, .. } => Some(outcome),
        }
    }

    /// A worker takes what waits. `None`, here and below: this is not the way from where it is.
    pub(super) fn started(&self, at: SystemTime) -> Option<Self> {
        matches!(self, Self::Queued).then_some(Self::Running { since: at })
    }

    /// What runs has come to an outcome; one that is being delivered may turn out worse.
    pub(super) fn delivering(&self, outcome: Outcome, at: SystemTime) -> Option<Self> {
        match self {
            Self::Running { .. } => Some(Self::Delivering { since: at, outcome }),
            Self::Delivering { since, .. } => Some(Self::Delivering { since: *since, outcome }),
            Self::Queued | Self::Done { .. } | Self::DeadLettered { .. } => None,
        }
    }

    /// The outcome has arrived, or nobody waits for it.
    pub(super) fn done(&self, outcome: Outcome, at: SystemTime) -> Option<Self> {
        self.is_leased().then_some(Self::Done { at, outcome })
    }

    /// The outcome could not be delivered.
    pub(super) fn dead_lettered(&self, outcome: Outcome, reason: Problem, at: SystemTime) -> Option<Self> {
        self.is_leased().then_some(Self::DeadLettered { at, outcome, reason })
    }

    /// An operator wants another try.
    pub(super) fn requeued(&self) -> Option<Self> {
        matches!(self, Self::DeadLettered { .. }).then_some(Self::Queued)
    }

    /// Whether a worker has it.
    pub(super) fn is_leased(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Delivering { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_way_through_the_states() {
        let at = SystemTime::UNIX_EPOCH;
        let outcome = || Outcome::Succeeded(Summary::default());
        let reason = || Problem::new("callback_undeliverable", "x");
        let states = [
            State::Queued,
            State::Running { since: at },
            State::Delivering { since: at, outcome: outcome() },
            State::Done { at, outcome: outcome() },
            State::DeadLettered { at, outcome: outcome(), reason: reason() },
        ];
        // Which of started, delivering, done, dead-lettered, requeued can follow.
        let expected = ["10000", "01110", "01110", "00000", "00001"];
        for (state, expected) in states.iter().zip(expected) {
            let ways = [
                state.started(at),
                state.delivering(outcome(), at),
                state.done(outcome(), at),
                state.dead_lettered(outcome(), reason(), at),
                state.requeued(),
            ];
            let found: String = ways.iter().map(|way| if way.is_some() { '1' } else { '0' }).collect();
            assert_eq!(found, expected, "{}", state.as_str());
            assert_eq!(state.has_ended(), matches!(state.as_str(), "done" | "dead_lettered"));
        }
    }
}
