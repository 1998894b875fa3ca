//! The bodies of callbacks, in pieces that fit into messages.
//!
//! They are in a stream of their own rather than in an object store, which keeps a mark of each object that was ever in it:
//! here all that an operation has is removed by one call, and nothing stays.

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::sleep;

use super::super::packing::pack;
use super::super::{OperationId, QueueError, packing};
use super::lane::Names;
use super::ledger::{Bodies, purge, unwritable};
use super::taking::{STALE_TRIES, STALE_WAIT};
use crate::nats::{Nats, NatsError};

/// The largest piece, in bytes. Less where servers take less.
const PIECE_BYTES: usize = 256 << 10;
/// What a message has besides its piece, in bytes.
const HEADERS_BYTES: usize = 4 << 10;
/// Pieces that are on the way at once.
const AT_ONCE: usize = 8;

/// The stream of bodies.
#[derive(Debug, Clone)]
pub(super) struct BodyStore {
    nats: Nats,
    names: Names,
    stream: Stream,
}

impl BodyStore {
    /// Opens the stream, and makes it where it is not there.
    pub(super) async fn open(nats: &Nats, names: &Names) -> Result<Self, NatsError> {
        let stream = nats.stream(names.bodies_config()).await?;
        Ok(Self { nats: nats.clone(), names: names.clone(), stream })
    }

    /// The stream.
    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Stores the bodies of an outcome for the lease that brings it.
    pub(super) async fn put(
        &self,
        id: OperationId,
        generation: u64,
        bodies: Vec<Bytes>,
    ) -> Result<Bodies, QueueError> {
        let packed =
            tokio::task::spawn_blocking(move || bodies.iter().map(pack).collect::<Result<Vec<_>, _>>());
        let packed = packed.await.map_err(|_| packing::failed())??;
        let piece_bytes = PIECE_BYTES.min(self.nats.max_message_bytes().saturating_sub(HEADERS_BYTES)).max(1);
        let mut n_pieces = Vec::with_capacity(packed.len());
        let mut pieces = Vec::new();
        for (part, body) in packed.into_iter().enumerate() {
            let mut body = Bytes::from(body);
            let mut n = 0;
            while !body.is_empty() {
                let piece = body.split_to(body.len().min(piece_bytes));
                pieces.push((self.names.piece(id, generation, part, n), piece));
                n += 1;
            }
            n_pieces.push(n);
        }
        stream::iter(pieces)
            .map(|(subject, piece)| async move {
                self.nats.publish(&subject, PublishMessage::build().payload(piece)).await.map(drop)
            })
            .buffered(AT_ONCE)
            .try_collect::<()>()
            .await
            .map_err(unwritable)?;
        Ok(Bodies { generation, n_pieces })
    }

    /// The body of a part.
    pub(super) async fn get(
        &self,
        id: OperationId,
        bodies: &Bodies,
        part: usize,
    ) -> Result<Bytes, QueueError> {
        let missing = || QueueError::Damaged { reason: format!("operation {id}: body {part} is not there") };
        let n_pieces = *bodies.n_pieces.get(part).ok_or_else(missing)?;
        let pieces: Vec<Bytes> = stream::iter(0..n_pieces)
            .map(|piece| async move {
                let subject = self.names.piece(id, bodies.generation, part, piece);
                self.piece(&subject).await?.ok_or_else(missing)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut packed = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        for piece in &pieces {
            packed.extend_from_slice(piece);
        }
        let unpacked = tokio::task::spawn_blocking(move || packing::unpack(&packed));
        unpacked.await.map_err(|_| packing::failed())?
    }

    /// A piece. A server that has just become the leader may not have it yet, so it is asked for some more times.
    async fn piece(&self, subject: &str) -> Result<Option<Bytes>, QueueError> {
        for n_tries in 1..=STALE_TRIES {
            if n_tries > 1 {
                sleep(STALE_WAIT).await;
            }
            match self.stream.get_last_raw_message_by_subject(subject).await {
                Ok(message) => return Ok(Some(message.payload)),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                    tracing::warn!(subject, n_tries, "a piece of a body is not there, or not yet");
                }
                Err(error) => return Err(unwritable(self.nats.refused("a stored body".to_owned(), &error))),
            }
        }
        Ok(None)
    }

    /// Removes all bodies of an operation.
    pub(super) async fn remove(&self, id: OperationId) -> Result<(), QueueError> {
        purge(&self.nats, &self.stream, self.names.all_pieces(id)).await
    }
}
