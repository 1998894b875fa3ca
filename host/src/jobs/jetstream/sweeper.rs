//! The sweeper: puts up signs that were lost, and takes away what is no longer needed.
//!
//! One agent of the fleet sweeps at a time. Nothing depends on that: what two do is done once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::stream::Stream;
use futures_util::TryStreamExt as _;
use tokio::time::sleep;

use super::super::{OperationId, QueueError};
use super::Shared;
use super::lane::Lane;
use super::ledger::unwritable;
use crate::nats::Claims;

/// How often it is swept.
const EVERY: Duration = Duration::from_mins(1);
/// The claim of the agent that sweeps.
const CLAIM: &str = "sweeper";
/// An operation that nobody has touched for so long has a sign; in between it may be on its way.
const QUIET: Duration = Duration::from_secs(30);
/// How long marks of forgotten operations are kept, so that every agent is told of them.
const MARKS_FOR: Duration = Duration::from_mins(5);
/// Every so many sweeps bodies are looked for that no operation needs.
const BODIES_EVERY: u32 = 30;
/// What is forgotten in one sweep at most, so that it ends.
const MAX_FORGOTTEN: usize = 1000;

/// Sweeps from time to time, for ever.
pub(super) async fn sweep(shared: Arc<Shared>, claims: Claims) {
    for n in 1_u32.. {
        // Not all at once, and not all at the same time of the minute.
        sleep(EVERY.mul_f64(rand::random_range(0.5..1.5))).await;
        match claims.claim(CLAIM).await {
            Ok(Some(_claim)) => {}
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!(%error, "the queue is not swept now");
                continue;
            }
        }
        if let Err(error) = shared.sweep(QUIET, n.is_multiple_of(BODIES_EVERY)).await {
            tracing::warn!(%error, "the queue could not be swept");
        }
    }
}

impl Shared {
    /// Sweeps once: operations that are quiet for this time have to have a sign.
    pub(super) async fn sweep(&self, quiet: Duration, looks_at_bodies: bool) -> Result<(), QueueError> {
        self.make_consumers().await.map_err(unwritable)?;
        let quiet = self.mirror.quiet(quiet);
        if !quiet.is_empty() {
            self.put_up_lost_signs(quiet).await?;
            self.revive_consumers().await?;
        }
        self.forget_old().await?;
        for id in self.mirror.take_forgotten(MARKS_FOR) {
            self.ledger.remove_mark(id).await?;
        }
        if looks_at_bodies {
            self.remove_lost_bodies().await?;
        }
        Ok(())
    }

    /// A sign is lost when the agent died before it could put it up, or when somebody emptied the stream.
    async fn put_up_lost_signs(&self, quiet: Vec<(OperationId, Lane)>) -> Result<(), QueueError> {
        let signs: HashSet<String> = self.subjects(&self.jobs).await?.into_iter().collect();
        for (id, lane) in quiet {
            if signs.contains(&self.names.sign(lane, id)) {
                continue;
            }
            // It may have ended in the meantime, or have another sign.
            let Some(stored) = self.ledger.get(id).await? else { continue };
            if stored.entry.lane() == Some(lane) {
                tracing::warn!(operation = %id, "an operation had lost its sign: it is put up again");
            }
            self.mirror.note(&stored);
            self.post_anew(&stored).await?;
        }
        Ok(())
    }

    async fn forget_old(&self) -> Result<(), QueueError> {
        let (done, dead) = self.mirror.old(self.retention, SystemTime::now());
        for id in &dead {
            tracing::error!(operation = %id, "too many dead letters: the oldest is dropped");
        }
        for id in done.into_iter().chain(dead).take(MAX_FORGOTTEN) {
            match self.forget(id).await {
                Ok(()) | Err(QueueError::WrongState { .. }) => {}
                // By somebody else, of whom this agent was not told.
                Err(QueueError::Unknown { .. }) => self.mirror.note_removal(id, u64::MAX),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bodies are lost when the agent died before it could note what they belong to.
    async fn remove_lost_bodies(&self) -> Result<(), QueueError> {
        let pieces = self.subjects(self.bodies.stream()).await?;
        let owners: HashSet<_> = pieces.iter().filter_map(|piece| self.names.owner(piece)).collect();
        for id in owners.into_iter().filter(|id| !self.mirror.may_have_bodies(*id)) {
            // What the mirror does not know may be new.
            let stored = self.ledger.get(id).await?;
            if stored
                .is_none_or(|stored| matches!(stored.entry.record.state, super::super::State::Done { .. }))
            {
                self.bodies.remove(id).await?;
            }
        }
        Ok(())
    }

    /// The subjects that have messages in a stream.
    pub(super) async fn subjects(&self, stream: &Stream) -> Result<Vec<String>, QueueError> {
        let refused = |error| unwritable(self.nats.refused("the subjects of a stream".to_owned(), &error));
        let told = stream.info_with_subjects(">").await.map_err(refused)?;
        told.map_ok(|(subject, _)| subject).try_collect().await.map_err(refused)
    }
}
