//! Accepting, cancelling and redelivering: what callers of the API do to operations.

use std::time::SystemTime;

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;

use super::super::record::Record;
use super::super::{Accepted, NewOperation, OperationId, QueueError, State};
use super::Shared;
use super::change::{Change, Tries};
use super::ledger::{Entry, Stored, unwritable};
use crate::crash_point::{CrashPoint, reached};

impl Shared {
    /// Takes an operation: the id of its request, its record and its sign are stored one after the other. Who is cut off in
    /// between makes the same request again, and it goes on from there.
    pub(super) async fn accept(&self, operation: &NewOperation) -> Result<Accepted, QueueError> {
        let (id, is_known) = if let Some(request_id) = &operation.request_id {
            self.id_of(request_id).await?
        } else {
            self.check_room()?;
            (OperationId::new(), false)
        };
        reached(CrashPoint::JetStreamRequestNoted);
        if is_known && let Some(stored) = self.ledger.get(id).await? {
            self.post(&stored).await?;
            return Ok(Accepted { id, is_repeat: true });
        }
        let record = Record::named(id, operation, &self.keys, SystemTime::now());
        let bucket = self.mirror.bucket(record.tenant);
        let entry = Entry { bucket, bodies: super::ledger::Bodies::default(), record };
        let (stored, is_repeat) = match self.ledger.insert(entry).await? {
            Some(stored) => (stored, false),
            // By a repeat that was quicker, or by an earlier try of this one.
            None => (self.ledger.get(id).await?.ok_or_else(vanished)?, is_known),
        };
        self.mirror.note(&stored);
        reached(CrashPoint::JetStreamRecordStored);
        self.post(&stored).await?;
        Ok(Accepted { id, is_repeat })
    }

    /// The operation of an earlier request that got as far as to be stored.
    pub(super) async fn repeat_of(&self, request_id: &str) -> Result<Option<OperationId>, QueueError> {
        let Some(id) = self.ledger.by_request(request_id).await? else { return Ok(None) };
        let Some(stored) = self.ledger.get(id).await? else { return Ok(None) };
        // It may have been cut off before its sign.
        self.post(&stored).await?;
        Ok(Some(id))
    }

    /// The operation of a request, and whether an earlier one has made it.
    async fn id_of(&self, request_id: &str) -> Result<(OperationId, bool), QueueError> {
        if let Err(no_room) = self.check_room() {
            return self.ledger.by_request(request_id).await?.map(|id| (id, true)).ok_or(no_room);
        }
        let own = OperationId::new();
        if self.ledger.note_request(request_id, own).await? {
            return Ok((own, false));
        }
        let id = self.ledger.by_request(request_id).await?.ok_or_else(vanished)?;
        Ok((id, id != own))
    }

    /// Puts up the sign of an operation, unless it is there or not needed.
    pub(super) async fn post(&self, stored: &Stored) -> Result<(), QueueError> {
        // Each change of the record may have a sign of its own, which is put up once, however often that is tried.
        let name = format!("{}/{}", stored.entry.record.id, stored.revision);
        self.put_up(stored, PublishMessage::build().message_id(name)).await
    }

    /// The same for a sign that may have been there, and is lost.
    pub(super) async fn post_anew(&self, stored: &Stored) -> Result<(), QueueError> {
        self.put_up(stored, PublishMessage::build()).await
    }

    async fn put_up(&self, stored: &Stored, sign: PublishMessage) -> Result<(), QueueError> {
        let Some(lane) = stored.entry.lane() else { return Ok(()) };
        let id = stored.entry.record.id;
        let sign = sign.payload(id.to_string().into()).expected_last_subject_sequence(0);
        self.nats.publish(&self.names.sign(lane, id), sign).await.map_err(unwritable)?;
        // Since its record was seen it may have been looked for in vain, and ever more rarely.
        self.mirror.note_sign(lane);
        Ok(())
    }

    /// Delivers a dead letter again.
    pub(super) async fn redeliver(&self, id: OperationId) -> Result<(), QueueError> {
        let (stored, ()) = self
            .change(id, &mut Tries::default(), |entry| {
                entry.record.redeliver(SystemTime::now())?;
                self.check_room()?;
                Ok(Change::Write(()))
            })
            .await?;
        reached(CrashPoint::JetStreamRedeliverStored);
        // Whoever gave it up may not have taken its sign away yet, and would do so later.
        self.take_down(&stored).await?;
        self.post(&stored).await
    }

    /// Notes that an operation is not wanted any more. The sign of one that waits for a time is taken out of the wait.
    pub(super) async fn cancel(&self, id: OperationId) -> Result<(), QueueError> {
        let (stored, waited) = self
            .change(id, &mut Tries::default(), |entry| {
                let waited = matches!(entry.record.state, State::Queued { not_before: Some(_), .. });
                entry.record.cancel()?;
                Ok(Change::Write(waited))
            })
            .await?;
        reached(CrashPoint::JetStreamCancelStored);
        if waited {
            self.take_down(&stored).await?;
            reached(CrashPoint::JetStreamSignRemoved);
            self.post(&stored).await?;
        }
        Ok(())
    }

    /// Takes away the sign of an operation that nobody has: one that is held back until its time, and that only its last holder
    /// could put forward, or a leftover.
    async fn take_down(&self, stored: &Stored) -> Result<(), QueueError> {
        let Some(lane) = stored.entry.lane() else { return Ok(()) };
        let subject = self.names.sign(lane, stored.entry.record.id);
        let refused = |error: &dyn std::error::Error| {
            unwritable(self.nats.refused(format!("the sign {subject}"), error))
        };
        match self.jobs.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => match self.jobs.delete_message(message.sequence).await {
                Ok(_) => Ok(()),
                Err(error) => Err(refused(&error)),
            },
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Forgets an operation that has ended. Its record goes last: until then it can be forgotten again.
    pub(super) async fn forget(&self, id: OperationId) -> Result<(), QueueError> {
        let stored = self.ledger.get(id).await?.ok_or(QueueError::Unknown { id })?;
        stored.entry.record.check_ended()?;
        self.bodies.remove(id).await?;
        if let Some(request_id) = &stored.entry.record.request_id {
            self.ledger.forget_request(request_id).await?;
        }
        reached(CrashPoint::JetStreamForgetting);
        if self.ledger.remove(id, stored.revision).await? {
            self.mirror.note_removal(id, stored.revision);
            return Ok(());
        }
        // Somebody has forgotten it as well, or wants it to be delivered again.
        match self.ledger.get(id).await? {
            None => Ok(()),
            Some(stored) => Err(stored.entry.record.wrong_state()),
        }
    }

    pub(super) fn check_room(&self) -> Result<(), QueueError> {
        if *self.closed.borrow() {
            return Err(QueueError::Closed);
        }
        if self.mirror.counts().open() < self.capacity {
            return Ok(());
        }
        Err(QueueError::Full { capacity: self.capacity, retry_after: self.mirror.until_room() })
    }
}

/// What was there a moment ago is not: somebody works at the store by hand.
fn vanished() -> QueueError {
    QueueError::Unwritable { reason: "an operation vanished while it was accepted".to_owned() }
}
