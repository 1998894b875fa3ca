//! The mirror: what is known here of all operations, kept up to date by what the servers tell.
//!
//! It decides nothing. It says where it is worth while to look for work, how much there is, who waits for what; whoever acts
//! on it reads the record first. What this agent writes is in it at once, what others write a moment later.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::pace::Pace;
use super::super::{OperationId, QueueCounts, Retention, State, Work};
use super::lane::{BUCKETS, Lane};
use super::ledger::{Entry, Stored};

#[derive(Debug)]
pub(super) struct Mirror {
    // std, since it is held for a few instructions and never over an await.
    state: Mutex<Picture>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Picture {
    operations: HashMap<OperationId, Seen>,
    lanes: HashMap<Lane, Waiting>,
    tenants: HashMap<u64, Tenant>,
    counts: QueueCounts,
    pace: Pace,
    /// Which telling of the whole bucket is the newest.
    telling: u64,
}

/// What is known of an operation.
#[derive(Debug, Clone)]
struct Seen {
    revision: u64,
    telling: u64,
    since: Instant,
    /// `None` for one that was forgotten.
    is: Option<Is>,
}

#[derive(Debug, Clone)]
struct Is {
    lane: Option<Lane>,
    tenant: u64,
    bucket: u8,
    not_before: Option<SystemTime>,
    state: StateKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StateKind {
    Queued,
    Running,
    Delivering,
    Done(SystemTime),
    DeadLettered,
}

/// The operations of a lane.
#[derive(Debug, Default)]
struct Waiting {
    now: BTreeSet<OperationId>,
    later: BTreeSet<(SystemTime, OperationId)>,
    running: BTreeSet<OperationId>,
    /// Counts operations that became ready, and signs that were put up here.
    n_ready: u64,
}

/// The bucket of a tenant that has work, and how much it has.
#[derive(Debug, Clone, Copy)]
struct Tenant {
    bucket: u8,
    n_open: usize,
}

/// What is known of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneView {
    pub(super) lane: Lane,
    /// Operations that may be taken up now, or are delivered by someone.
    pub(super) n_waiting: usize,
    /// Operations that someone runs, or ran when they died.
    pub(super) n_running: usize,
    /// Counts operations that became ready, and signs that were put up here.
    pub(super) n_ready: u64,
}

impl Mirror {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }

    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told of each change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A record has become this.
    pub(super) fn note(&self, stored: &Stored) {
        self.see(stored.entry.record.id, stored.revision, Some(&stored.entry));
    }

    /// A record was taken out, when this was its revision.
    pub(super) fn note_removal(&self, id: OperationId, revision: u64) {
        self.see(id, revision, None);
    }

    fn see(&self, id: OperationId, revision: u64, entry: Option<&Entry>) {
        if self.picture().see(id, revision, entry) {
            self.changes.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// A sign was put up in a lane: it is worth while to look there again.
    pub(super) fn note_sign(&self, lane: Lane) {
        self.picture().lanes.entry(lane).or_default().n_ready += 1;
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The servers are about to tell all that there is.
    pub(super) fn begin_telling(&self) {
        self.picture().telling += 1;
    }

    /// They have told all that there is: what they did not name is gone.
    pub(super) fn end_telling(&self) {
        let mut picture = self.picture();
        let telling = picture.telling;
        let gone: Vec<_> = picture
            .operations
            .iter()
            .filter(|(_, seen)| seen.telling != telling)
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            picture.take(id);
        }
        drop(picture);
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The newest known revision of a record.
    pub(super) fn revision(&self, id: OperationId) -> Option<u64> {
        self.picture().operations.get(&id).map(|seen| seen.revision)
    }

    /// The lanes of one kind of work at this time, and when the next operation becomes ready.
    pub(super) fn lanes(&self, work: Work, now: SystemTime) -> (Vec<LaneView>, Option<SystemTime>) {
        let mut picture = self.picture();
        let mut views = Vec::new();
        let mut next: Option<SystemTime> = None;
        for lane in Lane::of(work) {
            let waiting = picture.lanes.entry(lane).or_default();
            waiting.ripen(now);
            if let Some((time, _)) = waiting.later.first() {
                next = Some(next.map_or(*time, |next| next.min(*time)));
            }
            let (n_waiting, n_running) = (waiting.now.len(), waiting.running.len());
            views.push(LaneView { lane, n_waiting, n_running, n_ready: waiting.n_ready });
        }
        (views, next)
    }

    /// The bucket for an operation of a tenant that is accepted now. A tenant that has work stays with it, so that its
    /// operations go in their order; another one gets the bucket that its number says, or where somebody else has that, the
    /// emptiest. So tenants share a bucket only where there are more of them than buckets.
    pub(super) fn bucket(&self, tenant: u64) -> u8 {
        let picture = self.picture();
        if let Some(tenant) = picture.tenants.get(&tenant) {
            return tenant.bucket;
        }
        let mut n_open = [0_usize; BUCKETS as usize];
        for tenant in picture.tenants.values() {
            if let Some(n) = n_open.get_mut(usize::from(tenant.bucket)) {
                *n += tenant.n_open;
            }
        }
        // The remainder is less than `BUCKETS`.
        let own = u8::try_from(tenant % u64::from(BUCKETS)).unwrap_or_default();
        let turned = (own..BUCKETS).chain(0..own);
        turned.min_by_key(|bucket| n_open.get(usize::from(*bucket)).copied()).unwrap_or(own)
    }

    /// How many operations are in which state.
    pub(super) fn counts(&self) -> QueueCounts {
        self.picture().counts
    }

    /// When there will be room again, as things go.
    pub(super) fn until_room(&self) -> Duration {
        self.picture().pace.until_room()
    }

    /// All operations, oldest first; or the dead letters alone.
    pub(super) fn ids(&self, only_dead_letters: bool) -> Vec<OperationId> {
        let picture = self.picture();
        let wanted = |is: &Is| !only_dead_letters || is.state == StateKind::DeadLettered;
        let mut ids: Vec<_> = picture.known().filter(|(_, is)| wanted(is)).map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Operations that have not ended and have not changed for so long, with the lane of their sign.
    pub(super) fn quiet(&self, time: Duration) -> Vec<(OperationId, Lane)> {
        let picture = self.picture();
        let quiet = picture.operations.iter().filter(|(_, seen)| seen.since.elapsed() >= time);
        quiet.filter_map(|(id, seen)| Some((*id, seen.is.as_ref()?.lane?))).collect()
    }

    /// Done operations, and dead letters, that are beyond the bounds of what is remembered.
    pub(super) fn old(&self, retention: Retention, now: SystemTime) -> (Vec<OperationId>, Vec<OperationId>) {
        let picture = self.picture();
        let (mut done, mut dead) = (Vec::new(), Vec::new());
        for (id, is) in picture.known() {
            match is.state {
                StateKind::Done(at) => done.push((at, id)),
                StateKind::DeadLettered => dead.push(id),
                StateKind::Queued | StateKind::Running | StateKind::Delivering => {}
            }
        }
        drop(picture);
        done.sort_unstable();
        dead.sort_unstable();
        let n_over = done.len().saturating_sub(retention.n_done);
        let is_old = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age >= retention.done_for);
        let done = done.into_iter().enumerate().filter(|(n, (at, _))| *n < n_over || is_old(*at));
        dead.truncate(dead.len().saturating_sub(retention.n_dead_letters));
        (done.map(|(_, (_, id))| id).collect(), dead)
    }

    /// Whether bodies of an operation may still be needed.
    pub(super) fn may_have_bodies(&self, id: OperationId) -> bool {
        let picture = self.picture();
        let is = picture.operations.get(&id).and_then(|seen| seen.is.as_ref());
        is.is_some_and(|is| !matches!(is.state, StateKind::Done(_)))
    }

    /// Operations that were forgotten at least so long ago, and are no longer told of from now on.
    pub(super) fn take_forgotten(&self, time: Duration) -> Vec<OperationId> {
        let mut picture = self.picture();
        let is_old = |seen: &Seen| seen.is.is_none() && seen.since.elapsed() >= time;
        let ids: Vec<_> =
            picture.operations.iter().filter(|(_, seen)| is_old(seen)).map(|(id, _)| *id).collect();
        for id in &ids {
            picture.operations.remove(id);
        }
        ids
    }
}

impl Picture {
    fn known(&self) -> impl Iterator<Item = (OperationId, &Is)> {
        self.operations.iter().filter_map(|(id, seen)| Some((*id, seen.is.as_ref()?)))
    }

    /// False for what was known.
    fn see(&mut self, id: OperationId, revision: u64, entry: Option<&Entry>) -> bool {
        if let Some(seen) = self.operations.get_mut(&id) {
            seen.telling = self.telling;
            let is_newer = if entry.is_some() { revision > seen.revision } else { seen.is.is_some() };
            if !is_newer {
                return false;
            }
        }
        let before = self.take(id);
        let is = entry.map(Is::of);
        if let Some(is) = &is {
            if matches!(is.state, StateKind::Done(_)) && before.is_some_and(|before| before.lane.is_some()) {
                self.pace.ended();
            }
            self.put(id, is);
        }
        self.operations.insert(id, Seen { revision, telling: self.telling, since: Instant::now(), is });
        true
    }

    fn put(&mut self, id: OperationId, is: &Is) {
        *is.count(&mut self.counts) += 1;
        let Some(lane) = is.lane else { return };
        let waiting = self.lanes.entry(lane).or_default();
        match (is.state, is.not_before) {
            (StateKind::Running, _) => _ = waiting.running.insert(id),
            (_, Some(time)) => _ = waiting.later.insert((time, id)),
            (_, None) => {
                waiting.now.insert(id);
                waiting.n_ready += 1;
            }
        }
        let tenant = self.tenants.entry(is.tenant).or_insert(Tenant { bucket: is.bucket, n_open: 0 });
        tenant.n_open += 1;
        tenant.bucket = is.bucket;
    }

    /// Takes out all that is known of an operation.
    fn take(&mut self, id: OperationId) -> Option<Is> {
        let is = self.operations.remove(&id)?.is?;
        *is.count(&mut self.counts) -= 1;
        let Some(lane) = is.lane else { return Some(is) };
        if let Some(waiting) = self.lanes.get_mut(&lane) {
            waiting.now.remove(&id);
            waiting.running.remove(&id);
            if let Some(time) = is.not_before {
                waiting.later.remove(&(time, id));
            }
        }
        if let Some(tenant) = self.tenants.get_mut(&is.tenant) {
            tenant.n_open -= 1;
            if tenant.n_open == 0 {
                self.tenants.remove(&is.tenant);
            }
        }
        Some(is)
    }
}

impl Waiting {
    fn ripen(&mut self, now: SystemTime) {
        while let Some((time, id)) = self.later.first().copied() {
            if time > now {
                break;
            }
            self.later.pop_first();
            self.now.insert(id);
            self.n_ready += 1;
        }
    }
}

impl Is {
    fn of(entry: &Entry) -> Self {
        let record = &entry.record;
        let state = match &record.state {
            State::Queued { .. } => StateKind::Queued,
            State::Running { .. } => StateKind::Running,
            State::Delivering(_) => StateKind::Delivering,
            State::Done { at, .. } => StateKind::Done(*at),
            State::DeadLettered { .. } => StateKind::DeadLettered,
        };
        let not_before = record.state.not_before();
        Self { lane: entry.lane(), tenant: record.tenant, bucket: entry.bucket, not_before, state }
    }

    fn count<'a>(&self, counts: &'a mut QueueCounts) -> &'a mut usize {
        match self.state {
            StateKind::Queued => &mut counts.queued,
            StateKind::Running => &mut counts.running,
            StateKind::Delivering => &mut counts.delivering,
            StateKind::Done(_) => &mut counts.done,
            StateKind::DeadLettered => &mut counts.dead_lettered,
        }
    }
}

#[cfg(test)]
mod tests;
