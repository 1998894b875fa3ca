//! A queue that lasts as long as the process.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use regent_transport::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{
    Accepted, Lease, NewOperation, Operation, OperationId, OperationView, Queue, QueueCounts, QueueError,
    State, Step,
};

/// When a caller that finds the queue full should ask again: a scan takes some seconds.
const RETRY_AFTER: Duration = Duration::from_secs(30);

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
    /// A day, as long as callbacks are tried, and some MiB.
    fn default() -> Self {
        Self { done_for: Duration::from_hours(24), n_done: 10_000, n_dead_letters: 1_000 }
    }
}

/// The queue of an agent without a store: bounded, ordered by arrival, and gone when the process is. Leases do not run
/// out, since whoever holds one dies with the queue.
pub struct MemoryQueue {
    capacity: usize,
    retention: Retention,
    // std, since it is held for a few instructions and never over an await.
    entries: Mutex<Entries>,
    /// Someone may lease.
    queued: Notify,
    /// Counts operations that ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct Entries {
    by_id: HashMap<OperationId, Entry>,
    by_request: HashMap<String, OperationId>,
    waiting: VecDeque<OperationId>,
    done: VecDeque<(OperationId, Instant)>,
    dead: VecDeque<OperationId>,
    closed: bool,
}

struct Entry {
    view: OperationView,
    request_id: Option<String>,
    /// `None` once it is done: credentials are kept no longer than they are needed.
    operation: Option<Operation>,
}

impl MemoryQueue {
    /// A queue in which `capacity` operations may wait, run or be delivered.
    pub fn new(capacity: usize) -> Self {
        Self::with_retention(capacity, Retention::default())
    }

    /// The same, remembering what ended for this long.
    pub fn with_retention(capacity: usize, retention: Retention) -> Self {
        tracing::info!(capacity, "operations are kept in memory: a restart forgets those that are not done");
        Self {
            capacity,
            retention,
            entries: Mutex::default(),
            queued: Notify::new(),
            ended: watch::Sender::new(0),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, request: NewOperation) -> Result<Accepted, QueueError> {
        let mut entries = self.entries();
        entries.forget_old(&self.retention);
        if let Some(id) = request.request_id.as_ref().and_then(|r| entries.by_request.get(r)) {
            return Ok(Accepted { id: *id, is_repeat: true });
        }
        if entries.closed {
            return Err(QueueError::Closed);
        }
        entries.check_room(self.capacity)?;
        let operation = Operation { id: OperationId::new(), accepted_at: SystemTime::now(), request };
        let id = operation.id;
        if let Some(request_id) = &operation.request.request_id {
            entries.by_request.insert(request_id.clone(), id);
        }
        entries.by_id.insert(id, Entry::new(operation));
        entries.waiting.push_back(id);
        drop(entries);
        self.queued.notify_one();
        Ok(Accepted { id, is_repeat: false })
    }

    async fn wait_for_lease(&self) -> Option<Lease> {
        loop {
            // Asked for before looking, so that what arrives in between is not missed.
            let queued = self.queued.notified();
            {
                let mut entries = self.entries();
                if let Some(lease) = entries.lease() {
                    return Some(lease);
                }
                if entries.closed {
                    return None;
                }
            }
            queued.await;
        }
    }

    fn note(&self, lease: &Lease, step: Step) -> Result<(), QueueError> {
        let mut entries = self.entries();
        let entry = entries.leased(lease)?;
        let (state, at) = (&entry.view.state, SystemTime::now());
        let next = match step {
            Step::Deliver(outcome) => state.delivering(outcome, at),
            Step::Finish(outcome) => state.done(outcome, at),
            Step::DeadLetter(outcome, reason) => state.dead_lettered(outcome, reason, at),
        };
        let next = next.ok_or_else(|| entry.wrong_state())?;
        let has_ended = next.has_ended();
        let is_done = matches!(next, State::Done { .. });
        entry.view.state = next;
        if is_done {
            entry.operation = None;
            entries.done.push_back((lease.operation.id, Instant::now()));
        } else if has_ended {
            entries.dead.push_back(lease.operation.id);
        }
        entries.forget_old(&self.retention);
        drop(entries);
        if has_ended {
            self.ended.send_modify(|n| *n = n.wrapping_add(1));
        }
        Ok(())
    }

    async fn wait_for_end(&self, id: OperationId) -> Result<OperationView, QueueError> {
        let mut ended = self.ended.subscribe();
        loop {
            ended.borrow_and_update();
            let view = self.entries().entry(id)?.view.clone();
            if view.state.has_ended() {
                return Ok(view);
            }
            // The sender lives as long as `self`, so this can't fail.
            let _ = ended.changed().await;
        }
    }

    fn requeue(&self, id: OperationId) -> Result<(), QueueError> {
        let mut entries = self.entries();
        let next = {
            let entry = entries.entry(id)?;
            entry.view.state.requeued().ok_or_else(|| entry.wrong_state())?
        };
        if entries.closed {
            return Err(QueueError::Closed);
        }
        entries.check_room(self.capacity)?;
        entries.entry(id)?.view.state = next;
        entries.dead.retain(|dead| *dead != id);
        entries.waiting.push_back(id);
        drop(entries);
        self.queued.notify_one();
        Ok(())
    }

    fn remove(&self, id: OperationId) -> Result<(), QueueError> {
        let mut entries = self.entries();
        let entry = entries.entry(id)?;
        if !entry.view.state.has_ended() {
            return Err(entry.wrong_state());
        }
        entries.dead.retain(|dead| *dead != id);
        entries.done.retain(|(done, _)| *done != id);
        entries.remove(id);
        Ok(())
    }

    fn views(&self, wanted: impl Fn(&State) -> bool) -> Vec<OperationView> {
        let entries = self.entries();
        let views = entries.by_id.values().map(|entry| &entry.view);
        let mut found: Vec<_> = views.filter(|view| wanted(&view.state)).cloned().collect();
        found.sort_by_key(|view| view.id); // by time, as the ids are
        found
    }
}

impl Entry {
    fn new(operation: Operation) -> Self {
        let request = &operation.request;
        let view = OperationView {
            id: operation.id,
            kind: request.kind,
            image: request.requested_name.clone(),
            registry_type: request.connection.registry_type.clone(),
            correlation_id: request.correlation_id.clone(),
            accepted_at: operation.accepted_at,
            attempts: 0,
            state: State::Queued,
        };
        Self { view, request_id: request.request_id.clone(), operation: Some(operation) }
    }

    fn wrong_state(&self) -> QueueError {
        QueueError::WrongState { id: self.view.id, state: self.view.state.as_str() }
    }

    fn start(&mut self) -> Option<Lease> {
        let operation = self.operation.clone()?;
        self.view.state = self.view.state.started(SystemTime::now())?;
        self.view.attempts = self.view.attempts.saturating_add(1);
        Some(Lease { operation, attempt: self.view.attempts })
    }
}

impl Entries {
    fn entry(&mut self, id: OperationId) -> Result<&mut Entry, QueueError> {
        self.by_id.get_mut(&id).ok_or(QueueError::Unknown { id })
    }

    fn leased(&mut self, lease: &Lease) -> Result<&mut Entry, QueueError> {
        let entry = self.entry(lease.operation.id)?;
        if entry.view.state.is_leased() && entry.view.attempts == lease.attempt {
            Ok(entry)
        } else {
            Err(entry.wrong_state())
        }
    }

    fn lease(&mut self) -> Option<Lease> {
        while let Some(id) = self.waiting.pop_front() {
            if let Some(lease) = self.by_id.get_mut(&id).and_then(Entry::start) {
                return Some(lease);
            }
        }
        None
    }

    fn check_room(&self, capacity: usize) -> Result<(), QueueError> {
        let open = self.by_id.len() - self.done.len() - self.dead.len();
        if open >= capacity { Err(QueueError::Full { capacity, retry_after: RETRY_AFTER }) } else { Ok(()) }
    }

    /// What is beyond the bounds goes. A dead letter that goes is an outcome that nobody has seen, so it is logged.
    fn forget_old(&mut self, retention: &Retention) {
        let now = Instant::now();
        while let Some((id, at)) = self.done.front().copied() {
            if self.done.len() <= retention.n_done && now.duration_since(at) < retention.done_for {
                break;
            }
            self.done.pop_front();
            self.remove(id);
        }
        while self.dead.len() > retention.n_dead_letters {
            let Some(id) = self.dead.pop_front() else { break };
            tracing::error!(operation = %id, "too many dead letters: the oldest is dropped");
            self.remove(id);
        }
    }

    fn remove(&mut self, id: OperationId) {
        let Some(entry) = self.by_id.remove(&id) else { return };
        if let Some(request_id) = entry.request_id {
            self.by_request.remove(&request_id);
        }
    }
}

impl Queue for MemoryQueue {
    fn accept(&self, operation: NewOperation) -> BoxFuture<'_, Result<Accepted, QueueError>> {
        Box::pin(async move { self.take(operation) })
    }

    fn lease(&self) -> BoxFuture<'_, Result<Option<Lease>, QueueError>> {
        Box::pin(async move { Ok(self.wait_for_lease().await) })
    }

    fn renew(&self, lease: &Lease) -> BoxFuture<'_, Result<(), QueueError>> {
        let renewed = self.entries().leased(lease).map(|_| ());
        Box::pin(async move { renewed })
    }

    fn record(&self, lease: &Lease, step: Step) -> BoxFuture<'_, Result<(), QueueError>> {
        let noted = self.note(lease, step);
        Box::pin(async move { noted })
    }

    fn operation(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        Box::pin(async move { self.entries().entry(id).map(|entry| entry.view.clone()) })
    }

    fn ended(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        Box::pin(self.wait_for_end(id))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        Box::pin(async move { Ok(self.views(|_| true)) })
    }

    fn dead_letters(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        Box::pin(async move { Ok(self.views(|state| matches!(state, State::DeadLettered { .. }))) })
    }

    fn redeliver(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(async move { self.requeue(id) })
    }

    fn forget(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(async move { self.remove(id) })
    }

    fn counts(&self) -> BoxFuture<'_, Result<QueueCounts, QueueError>> {
        Box::pin(async move {
            let mut counts = QueueCounts { capacity: self.capacity, ..QueueCounts::default() };
            for entry in self.entries().by_id.values() {
                let count = match entry.view.state {
                    State::Queued => &mut counts.queued,
                    State::Running { .. } => &mut counts.running,
                    State::Delivering { .. } => &mut counts.delivering,
                    State::Done { .. } => &mut counts.done,
                    State::DeadLettered { .. } => &mut counts.dead_lettered,
                };
                *count += 1;
            }
            Ok(counts)
        })
    }

    fn close(&self) {
        self.entries().closed = true;
        // Everyone who waits has to look again; whoever comes later sees it before waiting.
        self.queued.notify_waiters();
    }

    fn is_durable(&self) -> bool {
        false
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
