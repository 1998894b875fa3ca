//! Noting how far the holder of a lease has come.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::AckKind;
use bytes::Bytes;

use super::super::{Lease, OperationId, QueueError, State, Step, Wish};
use super::Shared;
use super::change::Change;
use super::lane::Lane;
use super::ledger::{Bodies, Stored};
use super::taking::Held;
use crate::crash_point::{CrashPoint, reached};

impl Shared {
    /// Says that the holder of a lease is alive, and asks what is wanted of it.
    pub(super) async fn renew(&self, lease: &Lease) -> Result<Wish, QueueError> {
        if let Some(held) = self.held_by(lease.id, lease.fence) {
            self.acknowledge(&held.sign, AckKind::Progress).await;
        }
        let stored = self.ledger.get(lease.id).await?.ok_or(QueueError::Unknown { id: lease.id });
        let wish = stored.and_then(|stored| stored.entry.record.wish(lease.fence));
        if wish.is_err() {
            self.let_go(lease.id, lease.fence);
        }
        wish
    }

    /// Notes a step, and then does to the sign what the step means for it.
    pub(super) async fn settle(&self, id: OperationId, fence: u64, step: Step) -> Result<(), QueueError> {
        let (step, bodies) = self.store_bodies(id, fence, step).await?;
        let held = self.held_by(id, fence);
        let mut tries = held.as_ref().map(|held| held.tries.clone()).unwrap_or_default();
        let noted = self
            .change(id, &mut tries, |entry| {
                entry.record.step(fence, &step, SystemTime::now())?;
                if let Some(bodies) = &bodies {
                    entry.bodies.clone_from(bodies);
                }
                Ok(Change::Write(()))
            })
            .await;
        match noted {
            Ok((stored, ())) => {
                if stored.entry.record.fence() != fence {
                    self.let_go(id, fence);
                }
                if let Err(error) = self.settled(&stored, fence, held).await {
                    // All is noted that counts. Who gets the sign next does the rest.
                    tracing::warn!(operation = %id, %error, "what is noted of an operation can't be followed up now");
                }
                Ok(())
            }
            Err(error @ QueueError::Unwritable { .. }) => {
                // It may have been noted all the same: the next try will see.
                if let Some(held) = self.held().get_mut(&id).filter(|held| held.fence == fence) {
                    held.tries = tries;
                }
                Err(error)
            }
            Err(error) => {
                // A step that does not fit the state is refused to one who has the lease as well.
                let stored = self.ledger.get(id).await?;
                if stored.is_none_or(|stored| stored.entry.record.wish(fence).is_err()) {
                    self.let_go(id, fence);
                }
                Err(error)
            }
        }
    }

    /// Stores the bodies of an outcome, for a holder that has not lost its lease.
    async fn store_bodies(
        &self,
        id: OperationId,
        fence: u64,
        step: Step,
    ) -> Result<(Step, Option<Bodies>), QueueError> {
        let Step::Outcome(outcome, parts) = step else { return Ok((step, None)) };
        let (names, bodies): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let bodies = if bodies.is_empty() {
            None
        } else {
            let stored = self.ledger.get(id).await?.ok_or(QueueError::Unknown { id })?;
            if stored.entry.bodies.generation == fence {
                None // noted by an earlier try
            } else {
                stored.entry.record.wish(fence)?;
                let bodies = self.bodies.put(id, fence, bodies).await?;
                reached(CrashPoint::JetStreamBodiesStored);
                Some(bodies)
            }
        };
        Ok((Step::Outcome(outcome, names.into_iter().map(|part| (part, Bytes::new())).collect()), bodies))
    }

    /// Does to the sign of an operation what its new state means.
    async fn settled(&self, stored: &Stored, fence: u64, held: Option<Held>) -> Result<(), QueueError> {
        let record = &stored.entry.record;
        if record.fence() == fence {
            if let Some(held) = held {
                self.acknowledge(&held.sign, AckKind::Progress).await; // the lease goes on
            }
            return Ok(());
        }
        match (&record.state, &held) {
            (State::Done { .. }, _) => {
                reached(CrashPoint::JetStreamEndStored);
                self.bodies.remove(record.id).await?;
                reached(CrashPoint::JetStreamBodiesRemoved);
            }
            (State::DeadLettered { .. }, _) => reached(CrashPoint::JetStreamDeadLetterStored),
            (State::Delivering(_), None | Some(Held { lane: Lane::Jobs(..), .. })) => {
                reached(CrashPoint::JetStreamOutcomeStored);
                self.post(stored).await?;
                reached(CrashPoint::JetStreamDeliveryPosted);
            }
            (State::Queued { .. }, Some(Held { lane: Lane::Deliveries(_), .. })) => self.post(stored).await?,
            (_, Some(held)) => {
                reached(CrashPoint::JetStreamWaitStored);
                let time = record.state.not_before();
                let wait = time.and_then(|time| time.duration_since(SystemTime::now()).ok());
                self.give_back(&held.sign, wait.unwrap_or(Duration::ZERO)).await;
                return Ok(());
            }
            (_, None) => {}
        }
        if let Some(held) = held {
            self.acknowledge(&held.sign, AckKind::Ack).await;
        }
        Ok(())
    }

    /// The body of a part of what is delivered.
    pub(super) async fn body(&self, lease: &Lease, part: usize) -> Result<Bytes, QueueError> {
        let stored = self.ledger.get(lease.id).await?.ok_or(QueueError::Unknown { id: lease.id })?;
        stored.entry.record.wish(lease.fence)?;
        self.bodies.get(lease.id, &stored.entry.bodies, part).await
    }

    /// What this lease runs on.
    pub(super) fn held_by(&self, id: OperationId, fence: u64) -> Option<Held> {
        self.held().get(&id).filter(|held| held.fence == fence).cloned()
    }

    /// A lease has ended.
    fn let_go(&self, id: OperationId, fence: u64) {
        let mut all = self.held();
        if all.get(&id).is_some_and(|held| held.fence == fence) {
            all.remove(&id);
        }
    }
}
