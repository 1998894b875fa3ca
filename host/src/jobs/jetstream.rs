//! A queue at NATS servers with JetStream, for several agents.
//!
//! An operation's record is in a bucket of the key-value store, where it is changed by whoever has read its newest revision:
//! a lease is such a change, and its fence tells an older holder that it has lost it. That there is work at an operation is
//! told by a message, its *sign*, in a stream from which each agent takes one at a time; one that is not renewed goes to
//! the next agent. So the stream says who may try, and the record who has it. Everything is stored in the order record, sign,
//! and whoever finds a sign that does not fit its record does what the one before has left undone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use regent_transport::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::handover::wait_for_lease;
use super::{
    Accepted, LEASE, Lease, NewOperation, OperationId, OperationView, Queue, QueueCounts, QueueError,
    Retention, Step, Wish, Work,
};
use crate::nats::{Claims, Nats, NatsError};
use crate::seal::SealKeys;

mod accepting;
mod bodies;
mod change;
mod consumers;
mod dispenser;
mod feed;
mod lane;
mod ledger;
mod mirror;
mod settling;
mod sweeper;
mod taking;
mod turns;

#[cfg(test)]
mod tests;

use bodies::BodyStore;
use dispenser::{Ask, Dispenser};
use lane::{Lane, Names};
use ledger::{Ledger, unwritable};
use mirror::Mirror;
use taking::{Held, Unopened};

/// How long a queue may take to be told all that there is, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Asks that may wait for a dispenser.
const MAX_WAITING: usize = 1024;
/// Records that are read at once for a list, and consumers that are made.
const AT_ONCE: usize = 16;
/// How often it is looked whether an operation has ended, in case that its end is not told.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a queue is made with.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// What seals connections. All agents of one queue have the same.
    pub keys: SealKeys,
    /// How many operations may wait, run or be delivered, in all agents together.
    pub capacity: usize,
    /// How long ended operations are remembered.
    pub retention: Retention,
    /// How long a lease lasts when it is not renewed.
    pub lease: Duration,
}

/// A queue at NATS servers.
pub struct JetStreamQueue {
    shared: Arc<Shared>,
    to_run: mpsc::Sender<Ask>,
    to_deliver: mpsc::Sender<Ask>,
    tasks: Mutex<JoinSet<()>>,
}

/// What all parts of a queue work with.
struct Shared {
    nats: Nats,
    names: Names,
    ledger: Ledger,
    bodies: BodyStore,
    /// The stream of signs.
    jobs: Stream,
    mirror: Mirror,
    /// What leases of this agent run on.
    held: Mutex<HashMap<OperationId, Held>>,
    unopened: Unopened,
    keys: SealKeys,
    capacity: usize,
    retention: Retention,
    lease: Duration,
    closed: watch::Sender<bool>,
}

impl JetStreamConfig {
    /// The usual bounds, with these keys.
    pub fn new(keys: SealKeys, capacity: usize) -> Self {
        Self { keys, capacity, retention: Retention::default(), lease: LEASE }
    }
}

impl JetStreamQueue {
    /// Opens the queue at these servers, and makes it where it is not there. To be called in a tokio runtime.
    ///
    /// # Errors
    /// [`QueueError::Unwritable`]: the servers can't be reached, or don't let the agent have streams.
    pub async fn open(nats: &Nats, config: JetStreamConfig) -> Result<Self, QueueError> {
        let shared = nats.patiently(async || Box::pin(Shared::open(nats, config.clone())).await).await;
        let shared = Arc::new(shared.map_err(unwritable)?);
        let claims = nats.patiently(async || Box::pin(Claims::open(nats)).await).await.map_err(unwritable)?;
        let mut tasks = JoinSet::new();
        let (ready, is_ready) = oneshot::channel();
        tasks.spawn(feed::feed(Arc::clone(&shared), ready));
        if timeout(PATIENCE, is_ready).await.is_err() {
            let reason = format!("NATS at {} does not tell what operations there are", nats.servers());
            return Err(QueueError::Unwritable { reason });
        }
        tasks.spawn(sweeper::sweep(Arc::clone(&shared), claims));
        let mut dispenser = |work| {
            let (asks, asked) = mpsc::channel(MAX_WAITING);
            tasks.spawn(Dispenser::new(Arc::clone(&shared), work).serve(asked));
            asks
        };
        let (to_run, to_deliver) = (dispenser(Work::Run), dispenser(Work::Deliver));
        Ok(Self { shared, to_run, to_deliver, tasks: Mutex::new(tasks) })
    }

    fn asks(&self, work: Work) -> &mpsc::Sender<Ask> {
        match work {
            Work::Run => &self.to_run,
            Work::Deliver => &self.to_deliver,
        }
    }

    /// A lease runs out, as if its time were over.
    #[cfg(test)]
    pub(super) async fn let_run_out(&self, id: OperationId, fence: u64) {
        let held = self.shared.held_by(id, fence);
        if let Some(held) = held {
            self.shared.give_back(&held.sign, Duration::ZERO).await;
        }
        self.shared.nats.flush().await.unwrap();
    }

    /// The same with all leases.
    #[cfg(test)]
    pub(super) async fn let_all_run_out(&self) {
        let all: Vec<_> = self.shared.held().iter().map(|(id, held)| (*id, held.fence)).collect();
        for (id, fence) in all {
            self.let_run_out(id, fence).await;
        }
        // What was said of others would also come back, but later.
        self.shared.nats.flush().await.unwrap();
    }

    async fn end(&self) -> Result<(), QueueError> {
        self.shared.closed.send_replace(true);
        for asks in [&self.to_run, &self.to_deliver] {
            let _ = asks.send(Ask::Stop).await;
            // What it is about to give out goes back first.
            let _ = timeout(PATIENCE, asks.closed()).await;
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        self.shared.nats.flush().await.map_err(unwritable)
    }
}

impl Shared {
    async fn open(nats: &Nats, config: JetStreamConfig) -> Result<Self, NatsError> {
        let names = Names::new(nats.prefix());
        let JetStreamConfig { keys, capacity, retention, lease } = config;
        let shared = Self {
            jobs: nats.stream(names.jobs_config()).await?,
            bodies: BodyStore::open(nats, &names).await?,
            ledger: Ledger::open(nats, &names).await?,
            nats: nats.clone(),
            names,
            mirror: Mirror::new(),
            held: Mutex::default(),
            unopened: Unopened::default(),
            keys,
            capacity,
            retention,
            lease,
            closed: watch::Sender::new(false),
        };
        shared.make_consumers().await?;
        Ok(shared)
    }

    /// The next sign of a lane, if there is one now.
    async fn pull(&self, lane: Lane) -> Result<Option<Message>, QueueError> {
        self.nats.pull(&self.names.jobs(), &lane.consumer()).await.map_err(unwritable)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<OperationId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn view(&self, id: OperationId) -> Result<OperationView, QueueError> {
        Ok(self.ledger.get(id).await?.ok_or(QueueError::Unknown { id })?.entry.record.view())
    }

    async fn wait_for_end(&self, id: OperationId) -> Result<OperationView, QueueError> {
        let mut changes = self.mirror.changes();
        loop {
            let stored = self.ledger.get(id).await?.ok_or(QueueError::Unknown { id })?;
            if stored.entry.record.state.has_ended() {
                return Ok(stored.entry.record.view());
            }
            let changed =
                changes.wait_for(|_| self.mirror.revision(id).is_none_or(|newest| newest > stored.revision));
            let _ = timeout(LOOK_EVERY, changed).await;
        }
    }

    async fn list(&self, only_dead_letters: bool) -> Result<Vec<OperationView>, QueueError> {
        let ids = self.mirror.ids(only_dead_letters);
        let records = stream::iter(ids).map(|id| self.ledger.get(id)).buffered(AT_ONCE);
        let is_wanted = |view: &OperationView| {
            !only_dead_letters || matches!(view.state, super::State::DeadLettered { .. })
        };
        let views = records.try_filter_map(|stored| async move {
            Ok(stored.map(|stored| stored.entry.record.view()).filter(is_wanted))
        });
        views.try_collect().await
    }

    /// Asks the servers, so that it is seen when they can't be used; counts what is known here.
    async fn counts(&self) -> Result<QueueCounts, QueueError> {
        let told = self.ledger.operations().stream.get_info().await;
        told.map_err(|error| unwritable(self.nats.refused("the bucket of operations".to_owned(), &error)))?;
        self.unopened.check()?;
        Ok(QueueCounts { capacity: self.capacity, ..self.mirror.counts() })
    }
}

impl Queue for JetStreamQueue {
    fn accept(&self, operation: NewOperation) -> BoxFuture<'_, Result<Accepted, QueueError>> {
        Box::pin(async move { self.shared.accept(&operation).await })
    }

    fn repeat_of<'a>(
        &'a self,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<OperationId>, QueueError>> {
        Box::pin(self.shared.repeat_of(request_id))
    }

    fn lease(&self, work: Work) -> BoxFuture<'_, Result<Option<Lease>, QueueError>> {
        Box::pin(wait_for_lease(self.asks(work), Ask::Lease, Ask::Return, || QueueError::Closed))
    }

    fn renew<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Wish, QueueError>> {
        Box::pin(self.shared.renew(lease))
    }

    fn record<'a>(&'a self, lease: &'a Lease, step: Step) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(self.shared.settle(lease.id, lease.fence, step))
    }

    fn body<'a>(&'a self, lease: &'a Lease, part: usize) -> BoxFuture<'a, Result<Bytes, QueueError>> {
        Box::pin(self.shared.body(lease, part))
    }

    fn operation(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        Box::pin(self.shared.view(id))
    }

    fn ended(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        Box::pin(self.shared.wait_for_end(id))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        Box::pin(self.shared.list(false))
    }

    fn dead_letters(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        Box::pin(self.shared.list(true))
    }

    fn redeliver(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.shared.redeliver(id))
    }

    fn cancel(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.shared.cancel(id))
    }

    fn forget(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.shared.forget(id))
    }

    fn counts(&self) -> BoxFuture<'_, Result<QueueCounts, QueueError>> {
        Box::pin(self.shared.counts())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.shared.closed.send_replace(true);
        })
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.end())
    }

    fn describe(&self) -> String {
        format!("NATS at {}, under the prefix {}", self.shared.nats.servers(), self.shared.nats.prefix())
    }
}

impl fmt::Debug for JetStreamQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamQueue").field("nats", &self.shared.nats).finish_non_exhaustive()
    }
}
