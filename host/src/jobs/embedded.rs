//! A queue in one file of this machine.
//!
//! Each answer is on the disk before it is given. One process has the file; its leases die with it, and what was leased is
//! given out anew when the file is opened again.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use redb::StorageBackend;
use regent_transport::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};

use super::handover::wait_for_lease;
use super::{
    Accepted, Lease, NewOperation, OperationId, OperationView, Queue, QueueCounts, QueueError, Retention,
    Step, Wish, Work, packing,
};
use crate::seal::SealKeys;

mod clock;
mod command;
mod keeper;
mod shelf;
mod store;

use clock::Clock;
use command::{Command, Reply, Wanted};
use keeper::Keeper;
use shelf::{Config, Shelf};
use store::Place;

/// Commands that may wait for the keeper.
const MAX_WAITING: usize = 1024;

/// A queue in one file.
pub struct EmbeddedQueue {
    commands: mpsc::Sender<Command>,
    ended: watch::Receiver<u64>,
    description: String,
    _keeper: JoinSet<()>,
}

impl EmbeddedQueue {
    /// Opens the queue in this file, in which `capacity` operations may wait, run or be delivered. To be called in a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`QueueError::Damaged`]: the file is not as it was written. [`QueueError::Unwritable`]: it can't be opened or made, or
    /// another process has it. [`QueueError::Sealed`]: something in it is sealed with a key that is not among these.
    pub async fn open(
        path: PathBuf,
        keys: SealKeys,
        capacity: usize,
        retention: Retention,
    ) -> Result<Self, QueueError> {
        let description = format!("the file {}", path.display());
        Self::start(Place::File(path), description, keys, capacity, retention).await
    }

    /// The same over any storage: `backend` is called each time that the store is opened.
    ///
    /// # Errors
    /// As [`EmbeddedQueue::open`].
    pub async fn over(
        backend: impl Fn() -> Box<dyn StorageBackend> + Send + Sync + 'static,
        keys: SealKeys,
        capacity: usize,
        retention: Retention,
    ) -> Result<Self, QueueError> {
        let place = Place::Backend(Arc::new(backend));
        Self::start(place, "a storage backend".to_owned(), keys, capacity, retention).await
    }

    /// A queue in memory, which is gone with the process.
    ///
    /// # Errors
    /// As [`EmbeddedQueue::open`].
    pub async fn in_memory(capacity: usize) -> Result<Self, QueueError> {
        let backend = || Box::new(redb::backends::InMemoryBackend::new()) as Box<dyn StorageBackend>;
        Self::over(backend, SealKeys::generate(), capacity, Retention::default()).await
    }

    async fn start(
        place: Place,
        description: String,
        keys: SealKeys,
        capacity: usize,
        retention: Retention,
    ) -> Result<Self, QueueError> {
        let config = Config { place, keys, capacity, retention, clock: Clock::start() };
        let shelf = spawn_blocking(move || {
            let mut shelf = Shelf::new(config);
            shelf.open().map(|()| shelf)
        });
        let shelf = shelf.await.map_err(|_| keeper_gone())??;
        let (commands, received) = mpsc::channel(MAX_WAITING);
        let (count, ended) = watch::channel(0);
        let mut keeper = JoinSet::new();
        keeper.spawn(Keeper::new(shelf, count).keep(received));
        Ok(Self { commands, ended, description, _keeper: keeper })
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| keeper_gone())?;
        answer.await.map_err(|_| keeper_gone())?
    }

    async fn wait_for_end(&self, id: OperationId) -> Result<OperationView, QueueError> {
        let mut ended = self.ended.clone();
        loop {
            ended.borrow_and_update();
            let view = self.ask(|reply| Command::View(id, reply)).await?;
            if view.state.has_ended() {
                return Ok(view);
            }
            ended.changed().await.map_err(|_| keeper_gone())?;
        }
    }
}

fn keeper_gone() -> QueueError {
    QueueError::Unwritable { reason: "its keeper failed".to_owned() }
}

impl Queue for EmbeddedQueue {
    fn accept(&self, operation: NewOperation) -> BoxFuture<'_, Result<Accepted, QueueError>> {
        Box::pin(self.ask(|reply| Command::Accept(Box::new(operation), reply)))
    }

    fn lease(&self, work: Work) -> BoxFuture<'_, Result<Option<Lease>, QueueError>> {
        let ask = move |reply| Command::Lease(work, reply);
        Box::pin(wait_for_lease(&self.commands, ask, Command::Return, keeper_gone))
    }

    fn repeat_of<'a>(
        &'a self,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<OperationId>, QueueError>> {
        Box::pin(self.ask(|reply| Command::RepeatOf(request_id.to_owned(), reply)))
    }

    fn renew<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Wish, QueueError>> {
        Box::pin(self.ask(|reply| Command::Renew(lease.id, lease.fence, reply)))
    }

    fn record<'a>(&'a self, lease: &'a Lease, step: Step) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let (step, bodies) = spawn_blocking(move || pack(step)).await.map_err(|_| keeper_gone())??;
            self.ask(|reply| Command::Record(lease.id, lease.fence, Box::new(step), bodies, reply)).await
        })
    }

    fn body<'a>(&'a self, lease: &'a Lease, part: usize) -> BoxFuture<'a, Result<Bytes, QueueError>> {
        Box::pin(async move {
            let packed = self.ask(|reply| Command::Body(lease.id, lease.fence, part, reply)).await?;
            spawn_blocking(move || packing::unpack(&packed)).await.map_err(|_| keeper_gone())?
        })
    }

    fn operation(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        Box::pin(self.ask(move |reply| Command::View(id, reply)))
    }

    fn ended(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        Box::pin(self.wait_for_end(id))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        Box::pin(self.ask(|reply| Command::List(Wanted::All, reply)))
    }

    fn dead_letters(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        Box::pin(self.ask(|reply| Command::List(Wanted::DeadLetters, reply)))
    }

    fn redeliver(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.ask(move |reply| Command::Redeliver(id, reply)))
    }

    fn cancel(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.ask(move |reply| Command::Cancel(id, reply)))
    }

    fn forget(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.ask(move |reply| Command::Forget(id, reply)))
    }

    fn counts(&self) -> BoxFuture<'_, Result<QueueCounts, QueueError>> {
        Box::pin(self.ask(Command::Counts))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.commands.send(Command::Close).await;
        })
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(self.ask(Command::Stop))
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// Takes the bodies out of a step, as they are stored.
fn pack(step: Step) -> Result<(Step, Vec<Vec<u8>>), QueueError> {
    let Step::Outcome(outcome, bodies) = step else { return Ok((step, Vec::new())) };
    let packed = bodies.iter().map(|(_, body)| packing::pack(body)).collect::<Result<_, _>>()?;
    let parts = bodies.into_iter().map(|(part, _)| (part, Bytes::new())).collect();
    Ok((Step::Outcome(outcome, parts), packed))
}

impl fmt::Debug for EmbeddedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedQueue").field("place", &self.description).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod disk;
#[cfg(test)]
mod tests;
