//! The place of a running operation among those that may run at once.
//!
//! One that waits for its registry keeps no core busy. When nothing has come for a while it gives its place to another, so
//! that a registry that hangs does not hold up the others' operations; as many may wait so as may run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use crate::scanning::{Progress, ProgressEvent};

/// How long nothing may come before the place is given up.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The place of one operation. Dropping it frees it.
pub(super) struct Place {
    /// Where those go that wait.
    waiting: Arc<Semaphore>,
    // std, since it is held for a few instructions and never over an await.
    state: Mutex<State>,
}

struct State {
    permit: OwnedSemaphorePermit,
    moved: Instant,
    /// It works, and no event will tell of it.
    is_busy: bool,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, waiting: Arc<Semaphore>) -> Self {
        Self { waiting, state: Mutex::new(State { permit, moved: Instant::now(), is_busy: false }) }
    }

    /// Gives the place to another once nothing comes, if there is still room among those that wait. Never returns.
    pub(super) async fn give_up_when_idle(&self) -> std::convert::Infallible {
        loop {
            sleep(LOOK_EVERY).await;
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.is_busy || state.moved.elapsed() < PATIENCE {
                continue;
            }
            if let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() {
                state.permit = permit;
                break;
            }
        }
        std::future::pending().await
    }
}

impl Progress for Place {
    fn event(&self, event: ProgressEvent<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.moved = Instant::now();
        state.is_busy = matches!(event, ProgressEvent::Analyzing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_gives_its_place_to_another_and_only_so_many_wait() {
        let (running, waiting) = (Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(1)));
        let place = || Place::new(Arc::clone(&running).try_acquire_owned().unwrap(), Arc::clone(&waiting));
        let (first, second) = (place(), place());
        let after = async |time: Duration| {
            let idle = async { tokio::join!(first.give_up_when_idle(), second.give_up_when_idle()) };
            let _ = tokio::time::timeout(time, idle).await;
            running.available_permits()
        };
        assert_eq!(after(PATIENCE / 2).await, 0);
        first.event(ProgressEvent::LayerBytes { layer: 0, n_bytes: 1 });
        second.event(ProgressEvent::Analyzing);
        assert_eq!(after(PATIENCE / 2).await, 0, "one has moved, the other is at work");
        assert_eq!(after(PATIENCE).await, 1);
        second.event(ProgressEvent::LayerDone { layer: 0, cached: false });
        assert_eq!(after(PATIENCE * 2).await, 1, "there is no more room to wait");
        drop((first, second));
        assert_eq!((running.available_permits(), waiting.available_permits()), (2, 1));
    }
}
