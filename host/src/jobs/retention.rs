//! How long ended operations are remembered.

use std::time::Duration;

/// How long ended operations are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Done ones: time.
    pub done_for: Duration,
    /// Done ones: number.
    pub n_done: usize,
    /// Dead letters: number. They have no time limit: an operator's weekend may be long.
    pub n_dead_letters: usize,
}

impl Default for Retention {
    /// A day, as long as callbacks are tried.
    fn default() -> Self {
        Self { done_for: Duration::from_hours(24), n_done: 10_000, n_dead_letters: 1_000 }
    }
}
