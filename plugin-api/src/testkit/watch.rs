//! Notices a driver that does not give its thread back.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long one step may take on the slowest machine. There is no network in it and nothing to wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What is being done.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Mutex<(u64, String)>>);

impl Progress {
    /// A step begins.
    pub(super) fn begins(&self, step: impl Into<String>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0.saturating_add(1), step.into());
    }

    fn now(&self) -> (u64, String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs something on a thread of its own; the step it is in when it does not come to an end, or panics.
pub(super) fn watched<T: Send + 'static>(
    work: impl FnOnce(&Progress) -> T + Send + 'static,
    patience: Duration,
) -> Result<T, String> {
    let progress = Progress::default();
    let theirs = progress.clone();
    let (done, ended) = sync_channel(1);
    std::thread::spawn(move || {
        let _ = done.send(work(&theirs));
    });
    let mut seen = progress.now().0;
    loop {
        match ended.recv_timeout(patience) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("{}: the test panicked", progress.now().1));
            }
            Err(RecvTimeoutError::Timeout) => {
                let (n, step) = progress.now();
                if n == seen {
                    return Err(format!("{step}: the driver blocks its thread; wait with `await` alone"));
                }
                seen = n;
            }
        }
    }
}
