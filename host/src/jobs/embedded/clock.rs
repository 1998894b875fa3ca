//! Wall-clock time that goes with tokio's clock, so that times in the store and timers agree, in tests as well.

use std::time::SystemTime;

use tokio::time::Instant;

/// The time since a start, counted without jumps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: SystemTime,
    since: Instant,
}

impl Clock {
    /// Starts at the system's time.
    pub(super) fn start() -> Self {
        Self { start: SystemTime::now(), since: Instant::now() }
    }

    /// Now.
    pub(super) fn now(&self) -> SystemTime {
        self.start + self.since.elapsed()
    }
}
