//! The layer's bytes as they come: counted, hashed, and held against the descriptor.

use std::io::{ErrorKind, Read};

use regent_oci::{Descriptor, Digest, Digester};

use super::Fault;

/// Large enough to make calls to the reader rare, small enough to stay in a core's cache between hashing and
/// inflating.
const BUFFER_BYTES: usize = 128 << 10;

/// A reader with one buffer, whose bytes are hashed when they arrive.
pub(super) struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    digester: Digester,
    expected: Digest,
    expected_bytes: u64,
    read_bytes: u64,
    at_end: bool,
}

impl<R: Read> Source<R> {
    /// `buffer` is one that was used before, or empty.
    pub(super) fn new(reader: R, descriptor: &Descriptor, mut buffer: Vec<u8>) -> Self {
        buffer.resize(BUFFER_BYTES, 0);
        Self {
            reader,
            buffer,
            start: 0,
            end: 0,
            digester: descriptor.digest.algorithm().digester(),
            expected: descriptor.digest.clone(),
            expected_bytes: descriptor.size_bytes,
            read_bytes: 0,
            at_end: false,
        }
    }

    /// The buffer, for the next layer.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// How many bytes came so far.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// What is buffered; reads if that is nothing. Empty at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8], Fault> {
        self.fill_to(1)
    }

    /// What is buffered, at least `n` bytes of it unless the end comes first.
    pub(super) fn fill_to(&mut self, n: usize) -> Result<&[u8], Fault> {
        while self.end - self.start < n && !self.at_end {
            self.read_more()?;
        }
        Ok(self.buffered())
    }

    /// What is buffered, without reading.
    pub(super) fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Marks the first `n` buffered bytes as used.
    pub(super) fn consume(&mut self, n: usize) {
        self.start = self.end.min(self.start + n);
    }

    /// Reads what is left and checks size and digest.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        while !self.at_end {
            self.start = self.end;
            self.read_more()?;
        }
        if self.read_bytes != self.expected_bytes {
            return Err(self.wrong_size());
        }
        let actual = self.digester.clone().finish();
        if actual == self.expected { Ok(()) } else { Err(Fault::Digest { actual }) }
    }

    fn wrong_size(&self) -> Fault {
        Fault::Size { expected_bytes: self.expected_bytes, actual_bytes: self.read_bytes }
    }

    fn read_more(&mut self) -> Result<(), Fault> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // One byte more than expected is asked for, to see that there is none.
        let wanted = self.expected_bytes.saturating_sub(self.read_bytes).saturating_add(1);
        let room = self.buffer.len() - self.end;
        let room = usize::try_from(wanted).map_or(room, |wanted| wanted.min(room));
        let free = self.buffer.get_mut(self.end..self.end + room).unwrap_or_default();
        let n = loop {
            match self.reader.read(free) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(Fault::Read)?,
            }
        };
        // A reader that claims to have filled more than it was given.
        let Some(new) = free.get(..n) else {
            return Err(Fault::Read(ErrorKind::InvalidData.into()));
        };
        self.at_end = n == 0;
        self.digester.update(new);
        self.read_bytes += n as u64;
        self.end += n;
        if self.read_bytes > self.expected_bytes { Err(self.wrong_size()) } else { Ok(()) }
    }
}
