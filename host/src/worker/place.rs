//! The places of operations: which run, which wait for their registries, and how many there are of each registry.
//!
//! One that waits for its registry keeps no core busy. When little or nothing has come for a while it gives its place to
//! another, so that a registry that hangs, drips or asks for patience does not hold up the others' operations. Only so many
//! may wait; and of a registry for which some wait already, only so many are taken up, however many there are: the others come
//! back later, in turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use crate::scanning::{Progress, ProgressEvent};

/// How long too little may come before the place is given up.
const PATIENCE: Duration = Duration::from_secs(2);
/// Less than this in that time is too little, in bytes: a registry that drips is one that does not answer.
const LEAST_BYTES: u64 = 128 << 10;
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// For each operation that may run so many may wait. Each has buffers, of up to some MiB.
const WAITING_FOR_EACH: usize = 4;
/// For each operation that may run so many may be under way at one registry while some of them wait: as many as may run, and
/// as many that wait for what those read.
const AT_ONE_REGISTRY_FOR_EACH: usize = 2;
/// When the first of those comes back that were not taken up, and how long after the one before each of the others does.
const FIRST_TURN: Duration = Duration::from_secs(2);
const BETWEEN_TURNS: Duration = Duration::from_millis(250);
/// The latest turn. What is far behind looks again by then.
const LATEST_TURN: Duration = Duration::from_mins(2);

/// As many of a registry's operations as may be are under way, and some of them wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("as many operations as may be are under way at this registry, and it is slow to answer them")]
pub(super) struct Crowded {
    /// When to come back.
    pub(super) turn: Duration,
}

/// All places. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Places {
    shared: Arc<Shared>,
}

struct Shared {
    max_at_one_registry: usize,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    // std, since it is held for a few instructions and never over an await.
    registries: Mutex<HashMap<Arc<str>, Count>>,
}

/// The operations of one registry. There is an entry while there are some, or a turn is still to come.
#[derive(Debug, Default)]
struct Count {
    /// With a place of either kind.
    n_active: usize,
    n_waiting: usize,
    /// The last turn that was given out.
    last_turn: Option<Instant>,
}

/// The place of one operation. Dropping it frees it.
pub(super) struct Place {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    permit: OwnedSemaphorePermit,
    is_waiting: bool,
    registry: Option<Arc<str>>,
    /// When enough had come, and what came since.
    moved: Instant,
    fresh_bytes: u64,
    /// It works, and no event will tell of it.
    is_busy: bool,
}

impl Places {
    /// Places for so many that run at once.
    pub(super) fn new(n_running: usize) -> Self {
        let n_running = n_running.clamp(1, Semaphore::MAX_PERMITS / WAITING_FOR_EACH);
        let shared = Shared {
            max_at_one_registry: n_running * AT_ONE_REGISTRY_FOR_EACH,
            running: Arc::new(Semaphore::new(n_running)),
            waiting: Arc::new(Semaphore::new(n_running * WAITING_FOR_EACH)),
            registries: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A place to run, once there is one. Cancel-safe.
    pub(super) async fn free(&self) -> Option<Place> {
        // Never `None`: it is not closed.
        let permit = Arc::clone(&self.shared.running).acquire_owned().await.ok()?;
        Some(Place {
            shared: Arc::clone(&self.shared),
            state: Mutex::new(State {
                permit,
                is_waiting: false,
                registry: None,
                moved: Instant::now(),
                fresh_bytes: 0,
                is_busy: false,
            }),
        })
    }
}

impl Place {
    /// Says which registry's operation has it. To be called once.
    ///
    /// # Errors
    /// [`Crowded`]: the place is to be left.
    pub(super) fn belong_to(&self, registry: &str) -> Result<(), Crowded> {
        self.state().registry = Some(self.shared.enter(registry.into())?);
        Ok(())
    }

    /// Gives the place to another while too little comes. Returns when there is no room among those that wait.
    pub(super) async fn stalled(&self) {
        while self.is_bearable() {
            sleep(LOOK_EVERY).await;
        }
    }

    fn is_bearable(&self) -> bool {
        let mut state = self.state();
        let is_idle = !state.is_busy && state.moved.elapsed() >= PATIENCE;
        let others = match (is_idle, state.is_waiting) {
            (true, false) => &self.shared.waiting,
            (false, true) => &self.shared.running,
            _ => return true,
        };
        let Ok(permit) = Arc::clone(others).try_acquire_owned() else { return state.is_waiting };
        state.permit = permit;
        state.is_waiting = is_idle;
        let mut registries = self.shared.registries();
        if let Some(count) = state.registry.as_ref().and_then(|registry| registries.get_mut(registry)) {
            count.n_waiting = if is_idle { count.n_waiting + 1 } else { count.n_waiting.saturating_sub(1) };
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn enter(&self, registry: Arc<str>) -> Result<Arc<str>, Crowded> {
        let now = Instant::now();
        let mut registries = self.registries();
        registries.retain(|_, count| count.n_active > 0 || count.last_turn.is_some_and(|turn| turn > now));
        let count = registries.entry(Arc::clone(&registry)).or_default();
        if count.n_waiting > 0 && count.n_active >= self.max_at_one_registry {
            let after_last = count.last_turn.map_or(now, |turn| turn + BETWEEN_TURNS);
            let turn = after_last.clamp(now + FIRST_TURN, now + LATEST_TURN);
            count.last_turn = Some(turn);
            return Err(Crowded { turn: turn.saturating_duration_since(now) });
        }
        count.n_active += 1;
        Ok(registry)
    }

    fn leave(&self, state: &State) {
        let Some(registry) = &state.registry else { return };
        let mut registries = self.registries();
        let Some(count) = registries.get_mut(registry) else { return };
        count.n_active = count.n_active.saturating_sub(1);
        count.n_waiting = count.n_waiting.saturating_sub(usize::from(state.is_waiting));
        if count.n_active == 0 && count.last_turn.is_none() {
            registries.remove(registry);
        }
    }

    fn registries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Count>> {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.leave(&self.state());
    }
}

impl Progress for Place {
    fn event(&self, event: ProgressEvent<'_>) {
        let mut state = self.state();
        state.is_busy = matches!(event, ProgressEvent::LayerHeld { .. } | ProgressEvent::Analyzing);
        if let ProgressEvent::LayerBytes { n_bytes, .. } = event {
            state.fresh_bytes = state.fresh_bytes.saturating_add(n_bytes);
            if state.fresh_bytes < LEAST_BYTES {
                return;
            }
        }
        (state.moved, state.fresh_bytes) = (Instant::now(), 0);
    }
}

#[cfg(test)]
mod tests;
