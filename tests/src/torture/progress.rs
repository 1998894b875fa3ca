//! How far a run is, for those who wait for it to get further.

use std::sync::Arc;

use tokio::sync::watch;

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered 202.
    pub accepted: usize,
    /// Callbacks that were tried, taken or not.
    pub callbacks: usize,
    /// Operations whose last callback was taken.
    pub ended: usize,
}

/// Counts what happens. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    counts: Arc<watch::Sender<Counts>>,
}

impl Progress {
    /// The counts.
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Counts something more.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// Returns once the counts are as wanted.
    pub async fn reached(&self, wanted: impl FnMut(&Counts) -> bool) {
        // The sender is ours, so it is not gone.
        let _ = self.counts.subscribe().wait_for(wanted).await;
    }

    /// For those who look at every change.
    pub fn subscribe(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }
}
