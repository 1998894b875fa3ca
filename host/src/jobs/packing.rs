//! Bodies of callbacks as they are stored: compressed, since they are JSON of some MiB.

use bytes::Bytes;

use super::QueueError;

/// The largest body that is unpacked: twice what a callback may have.
const MAX_BODY_BYTES: usize = 20 << 20;

/// A body as it is stored. Blocking, for some milliseconds a MiB.
pub(super) fn pack(body: &Bytes) -> Result<Vec<u8>, QueueError> {
    zstd::bulk::compress(body, 1).map_err(|error| QueueError::Unwritable { reason: error.to_string() })
}

/// The body that was packed.
pub(super) fn unpack(packed: &[u8]) -> Result<Bytes, QueueError> {
    let body = zstd::bulk::decompress(packed, MAX_BODY_BYTES);
    body.map(Bytes::from).map_err(|error| QueueError::Damaged { reason: format!("a body: {error}") })
}

/// The thread that packs has failed.
pub(super) fn failed() -> QueueError {
    QueueError::Unwritable { reason: "a body could not be packed or unpacked".to_owned() }
}
