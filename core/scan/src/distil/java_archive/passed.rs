//! An archive that has passed: what was kept of it, and the archives in it.

use std::collections::HashMap;
use std::io;

use super::super::parts::{Parts, not_kept};
use super::super::scratch::Spool;
use super::super::zip::{Entry, Source, Span};

/// An archive to be read at any place.
pub(super) trait Archive: Source {
    /// Whether it has passed, and archives in it were read then.
    fn has_passed(&self) -> bool;

    /// The archive that an entry with data at this place is, if this one has passed.
    ///
    /// # Errors
    /// Where it was not kept.
    fn take_nested(&mut self, entry: &Entry<'_>, data: Span) -> io::Result<Passed>;
}

impl Archive for Spool {
    fn has_passed(&self) -> bool {
        false
    }

    fn take_nested(&mut self, _: &Entry<'_>, _: Span) -> io::Result<Passed> {
        Err(not_kept())
    }
}

/// What was kept of an archive as it passed.
#[derive(Debug)]
pub(super) struct Passed {
    /// SHA-1 of its bytes, in lower-case hexadecimal.
    pub(super) sha1: String,
    /// Their CRC-32.
    pub(super) crc: u32,
    pub(super) parts: Parts,
    pub(super) end: End,
    /// Archives in it, by where their data begin.
    pub(super) nested: HashMap<u64, Nested>,
}

/// What an archive ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What is kept from there on.
    From(u64),
    /// Something that was not kept.
    NotKept,
    /// Nothing in it is of an archive.
    NoArchive,
}

/// An archive in another, with what its local header says.
#[derive(Debug)]
pub(super) struct Nested {
    pub(super) method: u16,
    pub(super) stored_bytes: u64,
    pub(super) archive: Passed,
}

impl Source for Passed {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if at >= self.parts.size_bytes() || buffer.is_empty() {
            return Ok(0);
        }
        let there = self.parts.at(at);
        let n = there.len().min(buffer.len());
        match (buffer.get_mut(..n), there.get(..n)) {
            (Some(buffer), Some(there)) if n > 0 => buffer.copy_from_slice(there),
            _ => return Err(not_kept()),
        }
        Ok(n)
    }

    fn end_from(&self, at: u64) -> io::Result<Option<u64>> {
        match self.end {
            End::From(end) => Ok(Some(end.max(at))),
            End::NotKept => Err(not_kept()),
            End::NoArchive => Ok(None),
        }
    }
}

impl Archive for Passed {
    fn has_passed(&self) -> bool {
        true
    }

    /// What differs from the directory is judged when the whole is there.
    fn take_nested(&mut self, entry: &Entry<'_>, data: Span) -> io::Result<Passed> {
        let nested = self.nested.remove(&data.start).ok_or_else(not_kept)?;
        let Nested { method, stored_bytes, archive } = nested;
        let is_as_listed = (method, stored_bytes) == (entry.method, data.length)
            && (archive.parts.size_bytes(), archive.crc) == (entry.size_bytes, entry.crc);
        if is_as_listed { Ok(archive) } else { Err(not_kept()) }
    }
}
