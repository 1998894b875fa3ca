//! A file that has passed, to be read at any place.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::super::parts::{Parts, not_kept};
use super::super::scratch;

/// The file.
pub(super) enum Spool {
    /// All of it.
    Memory(Vec<u8>),
    /// In a temporary file.
    Disk(scratch::Spool),
    /// Some of it.
    Parts(Parts),
}

/// That the file is not what it should be: told apart from a disk that fails by [`readable`].
pub(super) fn damaged() -> io::Error {
    ErrorKind::InvalidData.into()
}

/// `None` for a file that is damaged; an error for a disk that fails.
pub(super) fn readable<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Spool {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Memory(content) => content.len() as u64,
            Self::Disk(spool) => spool.length(),
            Self::Parts(parts) => parts.size_bytes(),
        }
    }

    /// Bytes in the middle of the file. What lies beyond its end is damage, found before memory is set aside.
    pub(super) fn bytes(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(length).filter(|end| *end <= self.size_bytes()).ok_or_else(damaged)?;
        let place = |at: u64| usize::try_from(at).map_err(|_| damaged());
        match self {
            Self::Memory(content) => {
                content.get(place(offset)?..place(end)?).map(<[u8]>::to_vec).ok_or_else(damaged)
            }
            Self::Disk(spool) => {
                let mut bytes = vec![0; place(length)?];
                spool.seek(SeekFrom::Start(offset))?;
                spool.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            Self::Parts(parts) => {
                let bytes = parts.from(offset).get(..place(length)?);
                bytes.map(<[u8]>::to_vec).ok_or_else(not_kept)
            }
        }
    }

    /// Bytes in the middle of the file, at most so many, of what was kept of it.
    pub(super) fn kept_bytes(&mut self, offset: u64, at_most: u64) -> io::Result<Vec<u8>> {
        let Self::Parts(parts) = self else { return self.bytes(offset, at_most) };
        let there = parts.from(offset).len() as u64;
        if there == 0 && at_most > 0 {
            return Err(not_kept());
        }
        self.bytes(offset, at_most.min(there))
    }

    /// The same, or as much of it as there is.
    pub(super) fn bytes_up_to(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        self.bytes(offset, length.min(self.size_bytes().saturating_sub(offset)))
    }
}

/// A number in the middle of bytes, in the byte order and width of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// Whether the most significant byte comes first.
    pub(super) is_big: bool,
}

impl Numbers {
    /// A number of `width` bytes, at most 8.
    pub(super) fn read(self, bytes: &[u8], at: usize, width: usize) -> io::Result<u64> {
        let bytes = at.checked_add(width).and_then(|end| bytes.get(at..end)).filter(|bytes| bytes.len() <= 8);
        let bytes = bytes.ok_or_else(damaged)?;
        let add = |number: u64, &byte: &u8| (number << 8) | u64::from(byte);
        Ok(if self.is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    /// A number of four bytes.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> io::Result<u32> {
        u32::try_from(self.read(bytes, at, 4)?).map_err(|_| damaged())
    }
}
