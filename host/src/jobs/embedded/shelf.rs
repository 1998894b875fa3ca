//! The embedded queue's state: the store, and beside it what need not survive: who has which lease, and what is next.
//!
//! Everything here is done by one thread at a time. The store is the truth: when it fails, the rest is made anew from it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::super::pace::Pace;
use super::super::record::Record;
use super::super::schedule::Schedule;
use super::super::{
    Accepted, LEASE, Lease, NewOperation, OperationId, OperationView, QueueCounts, QueueError, Retention,
    State, Step, Wish, Work,
};
use super::clock::Clock;
use super::command::Wanted;
use super::store::{Change, Place, Store};
use crate::api::problem::Problem;
use crate::seal::SealKeys;

/// Ended operations that are forgotten in one turn at most.
const MAX_FORGOTTEN: usize = 64;

/// What a queue is made with.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) place: Place,
    pub(super) keys: SealKeys,
    pub(super) capacity: usize,
    pub(super) retention: Retention,
    pub(super) clock: Clock,
}

pub(super) struct Shelf {
    pub(super) config: Config,
    /// `None` while it can't be opened.
    pub(super) store: Option<Store>,
    run: Schedule,
    deliver: Schedule,
    leases: HashMap<OperationId, Held>,
    done: VecDeque<(SystemTime, OperationId)>,
    dead: VecDeque<OperationId>,
    counts: QueueCounts,
    pace: Pace,
    pub(super) is_closed: bool,
}

struct Held {
    fence: u64,
    until: Instant,
}

impl Shelf {
    /// A shelf whose store is yet to be opened.
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            store: None,
            run: Schedule::default(),
            deliver: Schedule::default(),
            leases: HashMap::new(),
            done: VecDeque::new(),
            dead: VecDeque::new(),
            counts: QueueCounts::default(),
            pace: Pace::default(),
            is_closed: false,
        }
    }

    /// Opens the store where it is not, and looks through all that is in it.
    ///
    /// # Errors
    /// [`QueueError::Damaged`], [`QueueError::Unwritable`], and [`QueueError::Sealed`] where something that has not ended is
    /// sealed with an unknown key.
    pub(super) fn open(&mut self) -> Result<(), QueueError> {
        if self.store.is_some() {
            return Ok(());
        }
        let store = self.config.place.open()?;
        let change = store.change()?;
        (self.run, self.deliver) = (Schedule::default(), Schedule::default());
        self.counts = QueueCounts { capacity: self.config.capacity, ..QueueCounts::default() };
        let (mut done, mut dead, mut fault) = (Vec::new(), VecDeque::new(), None);
        change.for_each(|record| match record {
            Ok(record) => {
                if !record.state.has_ended() {
                    fault = fault.take().or_else(|| record.check_keys(&self.config.keys).err());
                }
                *self.counts.of(&record.state) += 1;
                match record.state {
                    State::Done { at, .. } => done.push((at, record.id)),
                    State::DeadLettered { .. } => dead.push_back(record.id),
                    State::Queued { .. } | State::Running { .. } | State::Delivering(_) => {
                        self.place(&record);
                    }
                }
            }
            Err(error) => fault = fault.take().or(Some(error)),
        })?;
        change.abort()?;
        done.sort_unstable();
        (self.done, self.dead) = (done.into(), dead);
        if let Some(fault) = fault {
            return Err(fault);
        }
        self.store = Some(store);
        Ok(())
    }

    /// Puts work that nobody has where it waits for its turn; what somebody has stays with them.
    fn place(&mut self, record: &Record) {
        let is_held = self.leases.get(&record.id).is_some_and(|held| held.fence == record.fence());
        if is_held {
            return;
        }
        self.take_out(record.id);
        let Some(work) = record.work() else { return };
        let not_before = record.state.not_before();
        self.schedule(work).add(record.id, record.priority, record.tenant, not_before);
    }

    /// An operation waits for nothing, and nobody has it.
    fn take_out(&mut self, id: OperationId) {
        self.leases.remove(&id);
        self.run.remove(id);
        self.deliver.remove(id);
    }

    fn schedule(&mut self, work: Work) -> &mut Schedule {
        match work {
            Work::Run => &mut self.run,
            Work::Deliver => &mut self.deliver,
        }
    }

    pub(super) fn accept(
        &mut self,
        change: &Change,
        operation: &NewOperation,
    ) -> Result<Accepted, QueueError> {
        if let Some(request_id) = &operation.request_id
            && let Some(id) = change.by_request(request_id)?
        {
            return Ok(Accepted { id, is_repeat: true });
        }
        self.check_room()?;
        let record = Record::new(operation, &self.config.keys, self.config.clock.now());
        change.insert(&record)?;
        self.counts.queued += 1;
        self.place(&record);
        Ok(Accepted { id: record.id, is_repeat: false })
    }

    /// The next work of this kind, if there is some. What turns out to be unreadable is put aside.
    pub(super) fn lease(&mut self, change: &Change, work: Work) -> Result<Option<Lease>, QueueError> {
        let now = self.config.clock.now();
        while let Some(id) = self.schedule(work).next(now) {
            let mut record = change.record(id)?;
            let before = record.state.clone();
            match record.lease(&self.config.keys, now) {
                Ok(lease) => {
                    change.put(&record)?;
                    self.moved(&before, &record.state);
                    self.hold(id, lease.fence);
                    return Ok(Some(lease));
                }
                Err(error) => {
                    tracing::error!(operation = %id, %error, "an operation can't be read: it is put aside");
                    record.set_aside(Problem::of(&error), now);
                    self.store_end(change, &before, &record)?;
                }
            }
        }
        Ok(None)
    }

    /// Who gives a sign of life has it, also after the lease ran out, as long as nobody else has taken it: an agent that
    /// was suspended goes on with its work and does not begin it anew.
    fn hold(&mut self, id: OperationId, fence: u64) {
        self.run.remove(id);
        self.deliver.remove(id);
        self.leases.insert(id, Held { fence, until: Instant::now() + LEASE });
    }

    /// Makes a lease last longer, if it is held.
    pub(super) fn extend(&mut self, id: OperationId, fence: u64) -> bool {
        let is_held = self.leases.get(&id).is_some_and(|held| held.fence == fence);
        if is_held {
            self.hold(id, fence);
        }
        is_held
    }

    pub(super) fn renew(&mut self, change: &Change, id: OperationId, fence: u64) -> Result<Wish, QueueError> {
        let wish = change.record(id)?.wish(fence)?;
        self.hold(id, fence);
        Ok(wish)
    }

    pub(super) fn step(
        &mut self,
        change: &Change,
        (id, fence): (OperationId, u64),
        step: &Step,
        bodies: &[Vec<u8>],
    ) -> Result<(), QueueError> {
        let mut record = change.record(id)?;
        let before = record.state.clone();
        record.step(fence, step, self.config.clock.now())?;
        if !bodies.is_empty() {
            change.put_bodies(id, bodies)?;
        }
        if record.fence() == fence {
            self.hold(id, fence); // also a sign of life
        } else {
            self.leases.remove(&id);
        }
        self.store_end(change, &before, &record)
    }

    pub(super) fn redeliver(&mut self, change: &Change, id: OperationId) -> Result<(), QueueError> {
        let mut record = change.record(id)?;
        let before = record.state.clone();
        record.redeliver(self.config.clock.now())?;
        self.check_room()?;
        self.dead.retain(|dead| *dead != id);
        self.store_end(change, &before, &record)
    }

    pub(super) fn cancel(&mut self, change: &Change, id: OperationId) -> Result<(), QueueError> {
        let mut record = change.record(id)?;
        record.cancel()?;
        change.put(&record)?;
        self.place(&record);
        Ok(())
    }

    pub(super) fn forget(&mut self, change: &Change, id: OperationId) -> Result<(), QueueError> {
        let record = change.record(id)?;
        record.check_ended()?;
        self.dead.retain(|dead| *dead != id);
        self.done.retain(|(_, done)| *done != id);
        change.remove(&record)?;
        self.take_out(id);
        *self.counts.of(&record.state) -= 1;
        Ok(())
    }

    /// Stores a record in its new state, with what that means for the rest.
    fn store_end(&mut self, change: &Change, before: &State, record: &Record) -> Result<(), QueueError> {
        change.put(record)?;
        self.moved(before, &record.state);
        // Where its lease ran out, somebody was quicker than the next one, and it waits for that still.
        if record.state.has_ended() {
            self.take_out(record.id);
        }
        match record.state {
            State::Done { at, .. } => {
                change.remove_bodies(record.id)?;
                self.done.push_back((at, record.id));
                self.pace.ended();
            }
            State::DeadLettered { .. } => self.dead.push_back(record.id),
            State::Queued { .. } | State::Running { .. } | State::Delivering(_) => self.place(record),
        }
        Ok(())
    }

    fn moved(&mut self, before: &State, after: &State) {
        *self.counts.of(before) -= 1;
        *self.counts.of(after) += 1;
    }

    /// What is beyond the bounds of what is remembered goes. A dead letter that goes is an outcome that nobody has seen.
    pub(super) fn forget_old(&mut self, change: &Change) -> Result<(), QueueError> {
        let Retention { done_for, n_done, n_dead_letters } = self.config.retention;
        let now = self.config.clock.now();
        for _ in 0..MAX_FORGOTTEN {
            let Some((at, id)) = self.done.front().copied() else { break };
            let is_old = now.duration_since(at).is_ok_and(|age| age >= done_for);
            if !is_old && self.done.len() <= n_done {
                break;
            }
            self.forget(change, id)?;
        }
        for _ in 0..MAX_FORGOTTEN {
            let Some(id) = self.dead.front().copied().filter(|_| self.dead.len() > n_dead_letters) else {
                break;
            };
            tracing::error!(operation = %id, "too many dead letters: the oldest is dropped");
            self.forget(change, id)?;
        }
        Ok(())
    }

    /// Leases that ran out: their work is given to somebody else.
    pub(super) fn take_back_expired(&mut self, change: &Change) -> Result<(), QueueError> {
        let now = Instant::now();
        let expired: Vec<_> =
            self.leases.iter().filter(|(_, held)| held.until <= now).map(|(id, _)| *id).collect();
        for id in expired {
            tracing::warn!(operation = %id, "a lease ran out: its holder gave no sign of life");
            self.leases.remove(&id);
            self.place(&change.record(id)?);
        }
        Ok(())
    }

    /// When something happens by itself.
    pub(super) fn next_event(&self) -> Option<Duration> {
        let now = self.config.clock.now();
        let ripe = [&self.run, &self.deliver].into_iter().filter_map(Schedule::next_time).min();
        let ripe = ripe.map(|time| time.duration_since(now).unwrap_or_default());
        let expired = self.leases.values().map(|held| held.until).min();
        let expired = expired.map(|until| until.saturating_duration_since(Instant::now()));
        ripe.into_iter().chain(expired).min()
    }

    pub(super) fn list(change: &Change, wanted: Wanted) -> Result<Vec<OperationView>, QueueError> {
        let mut views = Vec::new();
        change.for_each(|record| {
            if let Ok(record) = record
                && (wanted == Wanted::All || matches!(record.state, State::DeadLettered { .. }))
            {
                views.push(record.view());
            }
        })?;
        Ok(views)
    }

    pub(super) fn counts(&self) -> QueueCounts {
        self.counts
    }

    fn check_room(&self) -> Result<(), QueueError> {
        if self.is_closed {
            return Err(QueueError::Closed);
        }
        let capacity = self.config.capacity;
        if self.counts.open() < capacity {
            return Ok(());
        }
        Err(QueueError::Full { capacity, retry_after: self.pace.until_room() })
    }
}
