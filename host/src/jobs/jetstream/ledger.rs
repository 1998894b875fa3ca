//! The ledger: the records of operations, and which request made which, in buckets of the key-value store.
//!
//! A record is changed only by whoever has read its newest revision.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::kv;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::record::Record;
use super::super::{OperationId, QueueError};
use super::lane::{Lane, Names};
use crate::nats::{Nats, NatsError, Published};

/// How long the id of a request is remembered at most. Repeats come within minutes; an id whose operation is forgotten goes
/// with it, and this is for those that have none, since the agent died in between.
const REQUEST_AGE: Duration = Duration::from_hours(7 * 24);
/// The header that tells a removed key, and its value.
const REMOVED: (&str, &str) = ("KV-Operation", "DEL");

/// What is stored of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Which of the lanes of its class it waits in.
    pub(super) bucket: u8,
    /// Where its bodies are, and of how many pieces each is.
    pub(super) bodies: Bodies,
    /// The operation.
    pub(super) record: Record,
}

/// Where the bodies of an operation are. Each outcome has its own, so that none is ever changed while it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bodies {
    /// The lease that has stored them.
    pub(super) generation: u64,
    /// Of how many pieces each is.
    pub(super) n_pieces: Vec<usize>,
}

/// What is stored, and its revision.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) entry: Entry,
    pub(super) revision: u64,
    /// As it is stored.
    pub(super) json: Bytes,
}

impl Entry {
    /// Where its sign stands; `None` for one that has ended.
    pub(super) fn lane(&self) -> Option<Lane> {
        use super::super::Work;
        let lane = |work| match work {
            Work::Run => Lane::to_run(self.record.priority, self.bucket),
            Work::Deliver => Lane::to_deliver(self.bucket),
        };
        self.record.work().map(lane)
    }

    /// From what is stored.
    ///
    /// # Errors
    /// [`QueueError::Damaged`].
    pub(super) fn from_json(json: &[u8]) -> Result<Self, QueueError> {
        let entry: Self = serde_json::from_slice(json)
            .map_err(|error| QueueError::Damaged { reason: format!("a record can't be read: {error}") })?;
        entry.record.check_version()?;
        Ok(entry)
    }

    /// What is to be stored.
    pub(super) fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).expect("records have text keys and no failing parts").into()
    }
}

/// The buckets of records and of the ids of requests.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    nats: Nats,
    operations: kv::Store,
    requests: kv::Store,
}

impl Ledger {
    /// Opens the buckets, and makes them where they are not there.
    pub(super) async fn open(nats: &Nats, names: &Names) -> Result<Self, NatsError> {
        let operations = nats.bucket(names.operations(), Duration::ZERO, "Regent: records of operations");
        let requests =
            nats.bucket(names.requests(), REQUEST_AGE, "Regent: which request made which operation");
        Ok(Self { nats: nats.clone(), operations: operations.await?, requests: requests.await? })
    }

    /// The bucket of records.
    pub(super) fn operations(&self) -> &kv::Store {
        &self.operations
    }

    /// The record of an operation; `None` where there is none.
    pub(super) async fn get(&self, id: OperationId) -> Result<Option<Stored>, QueueError> {
        let found = self.operations.entry(id.to_string()).await;
        let found = found.map_err(|error| self.unwritable(&self.operations, &error))?;
        let Some(found) = found.filter(|found| found.operation == kv::Operation::Put) else {
            return Ok(None);
        };
        let entry = Entry::from_json(&found.value)?;
        Ok(Some(Stored { entry, revision: found.revision, json: found.value }))
    }

    /// Puts in a new record; `None` if there is one.
    pub(super) async fn insert(&self, entry: Entry) -> Result<Option<Stored>, QueueError> {
        self.replace(entry, 0).await
    }

    /// Puts in what a record has become; `None` if this revision is not the newest, or was written by this call before.
    pub(super) async fn replace(&self, entry: Entry, revision: u64) -> Result<Option<Stored>, QueueError> {
        let json = entry.to_json();
        let key = entry.record.id.to_string();
        let put =
            self.put(&self.operations, &key, PublishMessage::build().payload(json.clone()), revision).await?;
        Ok(match put {
            Published::Stored(revision) => Some(Stored { entry, revision, json }),
            Published::Outdated => None,
        })
    }

    /// Takes out a record of this revision; false if it is not the newest. A mark stays, which tells everyone.
    pub(super) async fn remove(&self, id: OperationId, revision: u64) -> Result<bool, QueueError> {
        let mut headers = HeaderMap::new();
        headers.insert(REMOVED.0, REMOVED.1);
        let mark = PublishMessage::build().headers(headers);
        let put = self.put(&self.operations, &id.to_string(), mark, revision).await?;
        Ok(matches!(put, Published::Stored(_)))
    }

    /// Takes away the mark of a record that was taken out.
    pub(super) async fn remove_mark(&self, id: OperationId) -> Result<(), QueueError> {
        self.purge(&self.operations, &id.to_string()).await
    }

    /// The operation that a request with this id has made.
    pub(super) async fn by_request(&self, request_id: &str) -> Result<Option<OperationId>, QueueError> {
        let found = self.requests.entry(request_key(request_id)).await;
        let Some(found) = found.map_err(|error| self.unwritable(&self.requests, &error))? else {
            return Ok(None);
        };
        let id = std::str::from_utf8(&found.value).ok().and_then(|text| text.parse().ok());
        id.map(Some).ok_or_else(|| QueueError::Damaged {
            reason: "the id of a request leads to no operation".to_owned(),
        })
    }

    /// Notes which operation a request makes. False: another one was noted.
    pub(super) async fn note_request(&self, request_id: &str, id: OperationId) -> Result<bool, QueueError> {
        let message = PublishMessage::build().payload(id.to_string().into());
        let put = self.put(&self.requests, &request_key(request_id), message, 0).await?;
        Ok(matches!(put, Published::Stored(_)))
    }

    /// Forgets a request.
    pub(super) async fn forget_request(&self, request_id: &str) -> Result<(), QueueError> {
        self.purge(&self.requests, &request_key(request_id)).await
    }

    async fn put(
        &self,
        bucket: &kv::Store,
        key: &str,
        message: PublishMessage,
        revision: u64,
    ) -> Result<Published, QueueError> {
        let subject = format!("$KV.{}.{key}", bucket.name);
        self.nats
            .publish(&subject, message.expected_last_subject_sequence(revision))
            .await
            .map_err(unwritable)
    }

    async fn purge(&self, bucket: &kv::Store, key: &str) -> Result<(), QueueError> {
        purge(&self.nats, &bucket.stream, format!("$KV.{}.{key}", bucket.name)).await
    }

    fn unwritable(&self, bucket: &kv::Store, error: &dyn std::error::Error) -> QueueError {
        unwritable(self.nats.refused(format!("bucket {}", bucket.name), error))
    }
}

/// Takes all messages of a subject out of a stream.
pub(super) async fn purge(nats: &Nats, stream: &Stream, subject: String) -> Result<(), QueueError> {
    let purged = stream.purge().filter(&subject).await;
    purged.map(drop).map_err(|error| unwritable(nats.refused(format!("the removal of {subject}"), &error)))
}

/// What a fault of NATS is to the queue.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unwritable(error: NatsError) -> QueueError {
    QueueError::Unwritable { reason: error.to_string() }
}

/// Keys have few characters, and ids of requests any.
fn request_key(request_id: &str) -> String {
    regent_oci::Digest::sha256(request_id.as_bytes()).hex().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::super::fixtures::scan;
    use super::*;
    use crate::seal::SealKeys;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let record = Record::new(&scan("ada"), &SealKeys::generate(), SystemTime::now());
        let bodies = Bodies { generation: 3, n_pieces: vec![1, 0, 7] };
        let entry = Entry { bucket: 15, bodies, record };
        let json = entry.to_json();
        assert_eq!(Entry::from_json(&json), Ok(entry));
        let newer = String::from_utf8(json.into()).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(matches!(Entry::from_json(newer.as_bytes()), Err(QueueError::Damaged { .. })));
    }
}
