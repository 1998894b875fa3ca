//! Zip archives of anyone's making (APPNOTE.TXT 6.3.10), read in bounded memory.
//!
//! Own code and not the `zip` crate, which keeps the whole central directory in memory: of an archive with millions of
//! entries that is more than a scan may take. Here the directory passes through a small buffer, entry by entry, and
//! all that is read counts against a [`Budget`], so that entries that overlap, or inflate without end, come to an end.

mod data;
mod directory;
mod end;
mod local;

use std::io;

pub(super) use data::{METHOD_DEFLATED, METHOD_STORED, read_data};
pub(super) use directory::{Directory, Entry};
pub(super) use local::{FIXED_BYTES as LOCAL_FIXED_BYTES, LocalHeader, length as local_length};

/// Records of an archive by how they begin: a local header, a header of the central directory, and what may stand behind
/// that.
pub(super) const LOCAL_MAGIC: [u8; 4] = *b"PK\x03\x04";
pub(super) const HEADER_MAGIC: [u8; 4] = *b"PK\x01\x02";
pub(super) const END_MAGIC: [u8; 4] = *b"PK\x05\x06";
pub(super) const END64_MAGIC: [u8; 4] = *b"PK\x06\x06";
/// What may stand behind an entry's data, with its checksum and its sizes.
pub(super) const DESCRIPTOR_MAGIC: [u8; 4] = *b"PK\x07\x08";

/// Bytes that are read at any place.
pub(super) trait Source {
    /// Reads at a place, and returns how much that was: nothing at the end.
    ///
    /// # Errors
    /// Where the disk fails, or where what is asked for was not kept.
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// From where on an archive's end is looked for, if not from there on; `None` where it is known to be no archive.
    ///
    /// # Errors
    /// Where nothing of its end was kept.
    fn end_from(&self, at: u64) -> io::Result<Option<u64>> {
        Ok(Some(at))
    }
}

/// A part of a [`Source`]: an archive, or an entry's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it begins.
    pub(super) start: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

/// What stands in the way of reading an archive, or an entry of it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The disk failed.
    Disk(io::Error),
    /// The bytes are not what they should be.
    Damaged(String),
    /// It begins or ends as an archive does, and has no directory.
    NoDirectory(&'static str),
    /// This entry is more than is read of its kind.
    TooLarge(&'static str),
    /// Nothing more is read of the archive, however harmless.
    Spent(&'static str),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Trouble {
    fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }
}

/// Bytes that may still be read: of directories, of stored data, and inflated ones.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Takes some of it.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), Trouble> {
        self.0 = self.0.checked_sub(bytes).ok_or(Trouble::Spent("its entries inflate to too many bytes"))?;
        Ok(())
    }
}

/// Reads at a place of a span until `buffer` is full or the span ends, and returns how much that was.
fn read_at(source: &mut dyn Source, span: Span, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let left = usize::try_from(span.length.saturating_sub(at)).unwrap_or(usize::MAX);
    let wanted = buffer.len().min(left);
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..wanted).filter(|free| !free.is_empty()) {
        let n = source.read_at(span.start.saturating_add(at).saturating_add(filled as u64), free)?;
        if n == 0 {
            break;
        }
        filled += n;
    }
    Ok(filled)
}

/// All of a record with a fixed length; `None` where the span ends before.
fn record_at<const N: usize>(source: &mut dyn Source, span: Span, at: u64) -> io::Result<Option<[u8; N]>> {
    let mut record = [0; N];
    Ok((read_at(source, span, at, &mut record)? == N).then_some(record))
}

fn u16_at(record: &[u8], at: usize) -> u16 {
    bytes_at(record, at).map_or(0, u16::from_le_bytes)
}

fn u32_at(record: &[u8], at: usize) -> u32 {
    bytes_at(record, at).map_or(0, u32::from_le_bytes)
}

fn u64_at(record: &[u8], at: usize) -> u64 {
    bytes_at(record, at).map_or(0, u64::from_le_bytes)
}

/// Callers know that the record is long enough.
fn bytes_at<const N: usize>(record: &[u8], at: usize) -> Option<[u8; N]> {
    record.get(at..)?.first_chunk().copied()
}
