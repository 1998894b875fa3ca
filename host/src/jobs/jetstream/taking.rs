//! Taking up work: from a sign to a lease.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::jetstream::{AckKind, Message};

use super::super::{Lease, OperationId, QueueError, State};
use super::Shared;
use super::change::{Change, Tries};
use super::lane::{Lane, Names};
use crate::api::problem::Problem;
use crate::crash_point::{CrashPoint, reached};
use crate::seal::SealError;

/// What a lease runs on: the sign, which is given back or taken away when the lease ends.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) fence: u64,
    pub(super) lane: Lane,
    pub(super) sign: Message,
    /// What was last tried to be noted.
    pub(super) tries: Tries<()>,
}

/// The longest time for which a sign is given back. Who gets it then gives it back again.
const MAX_WAIT: Duration = Duration::from_hours(1);
/// A sign that comes by so much too early is as good as one in time.
const EARLY: Duration = Duration::from_millis(20);
/// For how long a sign is given back whose record is not what it should be, in case a server is behind.
pub(super) const STALE_WAIT: Duration = Duration::from_secs(2);
/// After how many tries a sign is believed to be a leftover.
pub(super) const STALE_TRIES: i64 = 4;
/// Operations in a row that can't be opened, after which this agent is not fit for work.
const MAX_SEALED: usize = 3;

/// What a sign led to.
#[derive(Clone)]
enum Found {
    Leased(Box<Lease>),
    /// The operation has ended.
    Ended {
        is_done: bool,
    },
    /// The operation has come to another kind of work.
    Elsewhere,
    /// It is not to be taken up before this time.
    Early(Duration),
    /// This agent does not have the key.
    Sealed(QueueError),
    /// It can't be read: it was put aside.
    Aside,
}

/// The operations that could not be opened since one last could.
#[derive(Debug, Default)]
pub(super) struct Unopened(Mutex<(HashSet<OperationId>, Option<QueueError>)>);

impl Unopened {
    fn add(&self, id: OperationId, error: QueueError) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Enough to tell that there are many.
        if state.0.len() < MAX_SEALED {
            state.0.insert(id);
        }
        state.1 = Some(error);
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (HashSet::new(), None);
    }

    /// Whether this agent can open anything at all.
    ///
    /// # Errors
    /// [`QueueError::Sealed`].
    pub(super) fn check(&self) -> Result<(), QueueError> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.1 {
            Some(error) if state.0.len() >= MAX_SEALED => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl Shared {
    /// Takes up the work that a sign stands for. `None` if there is none, and the sign is dealt with.
    ///
    /// # Errors
    /// [`QueueError::Unwritable`]: the sign is given out again when its time has run out.
    pub(super) async fn take_up(&self, lane: Lane, sign: Message) -> Result<Option<Lease>, QueueError> {
        let Some(id) = Names::operation(&sign.subject) else {
            tracing::error!(subject = %sign.subject, "a message that is no sign is dropped");
            self.acknowledge(&sign, AckKind::Term).await;
            return Ok(None);
        };
        reached(CrashPoint::JetStreamSignTaken);
        let found = self.change(id, &mut Tries::default(), |entry| Ok(self.look(lane, entry))).await;
        let (stored, found) = match found {
            Ok(found) => found,
            Err(QueueError::Unknown { .. }) => {
                if self.leftover(&sign).await {
                    tracing::warn!(subject = %sign.subject, "a sign without an operation is dropped");
                }
                return Ok(None);
            }
            Err(error @ QueueError::Damaged { .. }) => {
                tracing::error!(operation = %id, %error, "an operation can't be read: it is left alone");
                self.give_back(&sign, self.unfit_wait()).await;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match found {
            Found::Leased(lease) => {
                self.unopened.clear();
                let held = Held { fence: lease.fence, lane, sign, tries: Tries::default() };
                self.held().insert(id, held);
                return Ok(Some(*lease));
            }
            Found::Ended { is_done } => {
                if is_done {
                    self.bodies.remove(id).await?;
                }
                self.acknowledge(&sign, AckKind::Ack).await;
            }
            Found::Elsewhere if matches!(lane, Lane::Jobs(..)) => {
                self.post(&stored).await?;
                self.acknowledge(&sign, AckKind::Ack).await;
            }
            // It is to be run once more. A server that is behind would show the same.
            Found::Elsewhere => {
                if self.leftover(&sign).await {
                    self.post(&stored).await?;
                }
            }
            Found::Early(wait) => self.give_back(&sign, wait).await,
            Found::Sealed(error) => {
                tracing::error!(operation = %id, %error, "this agent can't work at an operation");
                self.unopened.add(id, error);
                self.give_back(&sign, self.unfit_wait()).await;
            }
            Found::Aside => self.acknowledge(&sign, AckKind::Ack).await,
        }
        Ok(None)
    }

    /// For how long the sign of something that can't be taken up here is given back: another agent may be able to.
    fn unfit_wait(&self) -> Duration {
        self.lease / 2
    }

    /// What is to be done with an operation whose sign was found in this lane.
    fn look(&self, lane: Lane, entry: &mut super::ledger::Entry) -> Change<Found> {
        let now = SystemTime::now();
        let record = &entry.record;
        match entry.lane() {
            None => {
                let is_done = matches!(record.state, State::Done { .. });
                return Change::Leave(Found::Ended { is_done });
            }
            Some(own) if own != lane => return Change::Leave(Found::Elsewhere),
            Some(_) => {}
        }
        let wait = record.state.not_before().and_then(|time| time.duration_since(now).ok());
        if let Some(wait) = wait.filter(|wait| *wait > EARLY) {
            return Change::Leave(Found::Early(wait));
        }
        match entry.record.lease(&self.keys, now) {
            Ok(lease) => Change::Write(Found::Leased(Box::new(lease))),
            Err(error @ QueueError::Sealed { source: SealError::UnknownKey { .. }, .. }) => {
                Change::Leave(Found::Sealed(error))
            }
            Err(error) => {
                tracing::error!(operation = %entry.record.id, %error, "an operation can't be read: it is put aside");
                entry.record.set_aside(Problem::of(&error), now);
                Change::Write(Found::Aside)
            }
        }
    }

    /// A sign that fits no record. A server that is behind would show the same, so it is looked at some more times before it is
    /// dropped. True once it is.
    async fn leftover(&self, sign: &Message) -> bool {
        let n_tries = sign.info().map_or(1, |info| info.delivered);
        let is_leftover = n_tries >= STALE_TRIES;
        if is_leftover {
            self.acknowledge(sign, AckKind::Ack).await;
        } else {
            self.give_back(sign, STALE_WAIT).await;
        }
        is_leftover
    }

    /// Gives a sign back, to be given out after this time.
    pub(super) async fn give_back(&self, sign: &Message, wait: Duration) {
        let wait = wait.min(MAX_WAIT);
        self.acknowledge(sign, AckKind::Nak((!wait.is_zero()).then_some(wait))).await;
    }

    /// Says what has become of a sign. Where that does not arrive it is given out again, and whoever gets it sees that.
    pub(super) async fn acknowledge(&self, sign: &Message, kind: AckKind) {
        // What is sent without a connection would arrive at some later time, when it may no longer be true.
        if !self.nats.is_connected() {
            return;
        }
        if let Err(error) = sign.ack_with(kind).await {
            tracing::debug!(%error, "a sign could not be acknowledged");
        }
    }
}
