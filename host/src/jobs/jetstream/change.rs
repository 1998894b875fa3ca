//! Changing a record: read, change, and write if nobody else has written.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::super::{OperationId, QueueError};
use super::Shared;
use super::ledger::{Entry, Stored};

/// How often a change is tried while the servers can't be reached or others write.
const MAX_TRIES: u32 = 8;
/// The wait before a change is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What a change of a record comes to.
pub(super) enum Change<T> {
    /// It is to be stored.
    Write(T),
    /// It stays as it was.
    Leave(T),
}

/// What was last tried to be stored. It may have been: when the answer is lost, only the store knows.
#[derive(Clone)]
pub(super) struct Tries<T> {
    last: Option<(Bytes, T)>,
}

#[cfg(test)]
impl<T> Tries<T> {
    pub(super) fn of(json: Bytes, value: T) -> Self {
        Self { last: Some((json, value)) }
    }
}

impl<T> Default for Tries<T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl Shared {
    /// Changes the record of an operation by a function, which is called anew for each revision that is tried.
    pub(super) async fn change<T>(
        &self,
        id: OperationId,
        tries: &mut Tries<T>,
        mut change: impl FnMut(&mut Entry) -> Result<Change<T>, QueueError>,
    ) -> Result<(Stored, T), QueueError> {
        let mut n_tries = 0;
        loop {
            let failed = match self.try_change(id, tries, &mut change).await {
                Ok(Some(done)) => return Ok(done),
                Ok(None) => None,
                Err(error @ QueueError::Unwritable { .. }) => Some(error),
                Err(error) => return Err(error),
            };
            n_tries += 1;
            if n_tries >= MAX_TRIES || (failed.is_some() && !self.nats.is_connected()) {
                let busy =
                    || QueueError::Unwritable { reason: format!("operation {id} is changed by others") };
                return Err(failed.unwrap_or_else(busy));
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// `None` where somebody else has written.
    async fn try_change<T>(
        &self,
        id: OperationId,
        tries: &mut Tries<T>,
        change: &mut impl FnMut(&mut Entry) -> Result<Change<T>, QueueError>,
    ) -> Result<Option<(Stored, T)>, QueueError> {
        let stored = self.ledger.get(id).await?.ok_or(QueueError::Unknown { id })?;
        if tries.last.as_ref().is_some_and(|(json, _)| *json == stored.json)
            && let Some((_, value)) = tries.last.take()
        {
            self.mirror.note(&stored);
            return Ok(Some((stored, value)));
        }
        let mut entry = stored.entry.clone();
        let value = match change(&mut entry)? {
            Change::Leave(value) => return Ok(Some((stored, value))),
            Change::Write(value) => value,
        };
        tries.last = Some((entry.to_json(), value));
        let Some(stored) = self.ledger.replace(entry, stored.revision).await? else { return Ok(None) };
        self.mirror.note(&stored);
        Ok(tries.last.take().map(|(_, value)| (stored, value)))
    }
}
