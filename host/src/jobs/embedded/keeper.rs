//! The task that keeps the store: all changes go through it, and those that come together are written together.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::super::{Lease, OperationId, QueueError, Step, Wish, Work};
use super::command::{Answer, Command, Reply};
use super::shelf::{Config, Shelf};
use super::store::Change;

/// The most commands that one transaction takes.
const MAX_BATCH: usize = 128;
/// How long it is waited before a store that failed is opened again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    shelf: Shelf,
    waiting_to_run: VecDeque<Reply<Option<Lease>>>,
    waiting_to_deliver: VecDeque<Reply<Option<Lease>>>,
    returned: Vec<(OperationId, u64)>,
    /// Counts operations that ended.
    ended: watch::Sender<u64>,
    /// Who waits for the store to be closed.
    stopped: Option<Reply<()>>,
}

/// What a turn does beside answering: known once it is stored.
#[derive(Default)]
struct Turn {
    answers: Vec<Answer>,
    has_changed: bool,
    has_ended: bool,
}

impl Keeper {
    pub(super) fn new(shelf: Shelf, ended: watch::Sender<u64>) -> Self {
        Self {
            shelf,
            waiting_to_run: VecDeque::new(),
            waiting_to_deliver: VecDeque::new(),
            returned: Vec::new(),
            ended,
            stopped: None,
        }
    }

    /// Serves commands until it is stopped or nobody is left to send them.
    pub(super) async fn keep(mut self, mut commands: mpsc::Receiver<Command>) {
        while self.stopped.is_none() {
            let event = self.next_event();
            let timer = async {
                match event {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => batch.push(command),
                    None => return,
                },
                () = timer => {}
            }
            while batch.len() < MAX_BATCH {
                let Ok(command) = commands.try_recv() else { break };
                batch.push(command);
            }
            let (config, ended, is_closed) =
                (self.shelf.config.clone(), self.ended.clone(), self.shelf.is_closed);
            let turned = spawn_blocking(move || {
                self.turn(batch);
                self
            });
            self = turned.await.unwrap_or_else(|_| {
                // Its callers are told by the answers that don't come. What is on the disk is whole.
                tracing::error!("the queue's keeper failed and begins anew");
                Self::anew(config, ended, is_closed)
            });
        }
        let Self { shelf, stopped, .. } = self;
        // Closing writes.
        let closed = spawn_blocking(move || drop(shelf)).await;
        if let Some(reply) = stopped {
            let failed = |_| QueueError::Unwritable { reason: "it could not be closed".to_owned() };
            let _ = reply.send(closed.map_err(failed));
        }
    }

    fn anew(config: Config, ended: watch::Sender<u64>, is_closed: bool) -> Self {
        let mut shelf = Shelf::new(config);
        shelf.is_closed = is_closed;
        Self::new(shelf, ended)
    }

    fn next_event(&self) -> Option<Duration> {
        if !self.returned.is_empty() {
            Some(Duration::ZERO)
        } else if self.shelf.store.is_none() {
            Some(REOPEN_AFTER)
        } else {
            self.shelf.next_event()
        }
    }

    fn turn(&mut self, batch: Vec<Command>) {
        let mut turn = Turn::default();
        let mut batch = VecDeque::from(batch);
        let outcome = self.shelf.open().and_then(|()| self.serve(&mut batch, &mut turn));
        if let Err(error) = &outcome {
            tracing::error!(%error, "the queue's store failed");
            self.shelf.store = None;
            for command in batch {
                match command {
                    // Whoever waits for work goes on waiting.
                    Command::Lease(work, reply) => self.waiting(work).push_back(reply),
                    // A sign of life needs no store.
                    Command::Renew(id, fence, reply) if self.shelf.extend(id, fence) => {
                        let _ = reply.send(Ok(Wish::GoOn));
                    }
                    command => command.refuse(error),
                }
            }
        }
        for answer in turn.answers {
            match (answer, &outcome) {
                (Answer::Settled(send), outcome) => send(outcome.clone()),
                (Answer::Leased(lease, reply), Ok(())) => {
                    let (id, fence) = (lease.id, lease.fence);
                    if reply.send(Ok(Some(*lease))).is_err() {
                        self.returned.push((id, fence));
                    }
                }
                (Answer::Leased(lease, reply), Err(_)) => self.waiting(lease.task.work()).push_front(reply),
            }
        }
        if outcome.is_ok() && turn.has_ended {
            self.ended.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    fn waiting(&mut self, work: Work) -> &mut VecDeque<Reply<Option<Lease>>> {
        match work {
            Work::Run => &mut self.waiting_to_run,
            Work::Deliver => &mut self.waiting_to_deliver,
        }
    }

    /// Serves a batch in one transaction. An error is one of the store, and concerns all of it.
    fn serve(&mut self, batch: &mut VecDeque<Command>, turn: &mut Turn) -> Result<(), QueueError> {
        let Some(store) = &self.shelf.store else { return Ok(()) };
        let change = store.change()?;
        for (id, fence) in std::mem::take(&mut self.returned) {
            self.hand_back(&change, id, fence, turn)?;
        }
        while let Some(command) = batch.pop_front() {
            self.command(&change, command, turn)?;
        }
        self.shelf.take_back_expired(&change)?;
        for work in [Work::Run, Work::Deliver] {
            self.give_out(&change, work, turn)?;
        }
        if !turn.has_changed {
            return change.abort();
        }
        self.shelf.forget_old(&change)?;
        change.commit()
    }

    /// A lease that nobody took. That it was lost already is as good.
    fn hand_back(
        &mut self,
        change: &Change,
        id: OperationId,
        fence: u64,
        turn: &mut Turn,
    ) -> Result<(), QueueError> {
        turn.has_changed = true;
        fault_of(&self.shelf.step(change, (id, fence), &Step::HandBack, &[]))
    }

    fn give_out(&mut self, change: &Change, work: Work, turn: &mut Turn) -> Result<(), QueueError> {
        while let Some(reply) = self.waiting(work).pop_front() {
            if reply.is_closed() {
                continue;
            }
            if self.shelf.is_closed {
                turn.answers.push(Answer::of(reply, Ok(None)));
                continue;
            }
            let leased = self.shelf.lease(change, work);
            let Ok(Some(lease)) = leased else {
                self.waiting(work).push_front(reply);
                return leased.map(drop);
            };
            turn.has_changed = true;
            turn.answers.push(Answer::Leased(Box::new(lease), reply));
        }
        Ok(())
    }

    /// One command. What is wrong with it is its caller's to know; an error is one of the store.
    fn command(&mut self, change: &Change, command: Command, turn: &mut Turn) -> Result<(), QueueError> {
        let shelf = &mut self.shelf;
        turn.has_changed |= command.is_change();
        match command {
            Command::Accept(operation, reply) => turn.answer(reply, shelf.accept(change, &operation)),
            Command::RepeatOf(request_id, reply) => turn.answer(reply, change.by_request(&request_id)),
            Command::Lease(work, reply) => {
                self.waiting(work).push_back(reply);
                Ok(())
            }
            Command::Return(id, fence) => self.hand_back(change, id, fence, turn),
            Command::Renew(id, fence, reply) => turn.answer(reply, shelf.renew(change, id, fence)),
            Command::Record(id, fence, step, bodies, reply) => {
                turn.has_ended = true;
                turn.answer(reply, shelf.step(change, (id, fence), &step, &bodies))
            }
            Command::Body(id, fence, part, reply) => {
                let held = change.record(id).and_then(|record| record.wish(fence));
                turn.answer(reply, held.and_then(|_| change.body(id, part)))
            }
            Command::View(id, reply) => turn.answer(reply, change.record(id).map(|record| record.view())),
            Command::List(wanted, reply) => turn.answer(reply, Shelf::list(change, wanted)),
            Command::Redeliver(id, reply) => turn.answer(reply, shelf.redeliver(change, id)),
            Command::Cancel(id, reply) => turn.answer(reply, shelf.cancel(change, id)),
            Command::Forget(id, reply) => turn.answer(reply, shelf.forget(change, id)),
            Command::Counts(reply) => turn.answer(reply, Ok(shelf.counts())),
            Command::Close => {
                shelf.is_closed = true;
                Ok(())
            }
            Command::Stop(reply) => {
                shelf.is_closed = true;
                self.stopped = Some(reply);
                Ok(())
            }
        }
    }
}

impl Turn {
    fn answer<T: Send + 'static>(
        &mut self,
        reply: Reply<T>,
        result: Result<T, QueueError>,
    ) -> Result<(), QueueError> {
        let fault = fault_of(&result);
        self.answers.push(Answer::of(reply, result));
        fault
    }
}

/// The error, if it is one of the store.
fn fault_of<T>(result: &Result<T, QueueError>) -> Result<(), QueueError> {
    match result {
        Err(error @ QueueError::Unwritable { .. }) => Err(error.clone()),
        _ => Ok(()),
    }
}
