//! The blobs that are open.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use regent_plugin_api::bytes::Bytes;

use crate::error::{Error, Result};
use crate::section::Section;

/// The most blobs that are open at a time. A host reads a few per scan; more are a leak of its own.
pub(crate) const MAX_OPEN: usize = 256;
/// The most bytes that one read returns.
pub(crate) const MAX_READ_BYTES: usize = 1 << 20;

/// Open blobs by handle, each with how far it was read.
#[derive(Debug, Default)]
pub(crate) struct OpenBlobs {
    /// A std mutex: held for a look-up or one bounded read, never over an await.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    open: HashMap<u64, (Section, u64)>,
}

impl OpenBlobs {
    /// Takes a blob in.
    ///
    /// # Errors
    /// [`Error::TooManyOpen`].
    pub(crate) fn insert(&self, blob: Section) -> Result<u64> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.open.len() >= MAX_OPEN {
            return Err(Error::TooManyOpen { limit: MAX_OPEN });
        }
        table.last += 1;
        let handle = table.last;
        table.open.insert(handle, (blob, 0));
        Ok(handle)
    }

    /// The next bytes of a blob, at least one and at most `max_bytes` or [`MAX_READ_BYTES`]; none at its end.
    ///
    /// # Errors
    /// [`Error::UnknownHandle`], [`Error::Io`], [`Error::Truncated`].
    pub(crate) fn read(&self, handle: u64, max_bytes: usize) -> Result<Bytes> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let (blob, position) = table.open.get_mut(&handle).ok_or(Error::UnknownHandle { handle })?;
        let bytes = blob.read_at(*position, max_bytes.clamp(1, MAX_READ_BYTES))?;
        *position += bytes.len() as u64;
        Ok(bytes)
    }

    /// Forgets a blob.
    ///
    /// # Errors
    /// [`Error::UnknownHandle`].
    pub(crate) fn remove(&self, handle: u64) -> Result<()> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.open.remove(&handle).map(drop).ok_or(Error::UnknownHandle { handle })
    }
}
