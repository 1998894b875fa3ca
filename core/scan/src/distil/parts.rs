//! Of a file that has passed, the bytes that were kept.

use std::io::{self, ErrorKind};

/// Bytes of a file that were kept as it passed.
#[derive(Debug)]
pub(super) struct Parts {
    size_bytes: u64,
    /// By where they begin, in the file's order.
    kept: Vec<(u64, Vec<u8>)>,
}

impl Parts {
    /// Of a file of that size.
    pub(super) fn new(size_bytes: u64, mut kept: Vec<(u64, Vec<u8>)>) -> Self {
        kept.sort_by_key(|(start, _)| *start);
        Self { size_bytes, kept }
    }

    /// Bytes that the file has.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What was kept from a place on, where parts don't overlap.
    pub(super) fn at(&self, offset: u64) -> &[u8] {
        let n_before = self.kept.partition_point(|(start, _)| *start <= offset);
        let last = n_before.checked_sub(1).and_then(|last| self.kept.get(last));
        let found = last.and_then(|(start, bytes)| bytes.get(usize::try_from(offset - start).ok()?..));
        found.unwrap_or_default()
    }

    /// What was kept from a place on: of several parts that have it, the longest.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        let n_before = self.kept.partition_point(|(start, _)| *start <= offset);
        let before = self.kept.iter().take(n_before);
        let at = |start: u64| usize::try_from(offset - start).ok();
        let found = before.filter_map(|(start, bytes)| bytes.get(at(*start)?..));
        found.max_by_key(|bytes| bytes.len()).unwrap_or_default()
    }
}

/// That what is asked for was not kept: the rest of the file is needed.
pub(super) fn not_kept() -> io::Error {
    ErrorKind::Unsupported.into()
}

/// Whether reading failed since something was not kept.
pub(super) fn is_not_kept(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported
}
