//! The layer's bytes as they come: counted, hashed, and held against the descriptor.

use std::io::{BufRead, ErrorKind};

use regent_oci::{Descriptor, Digest, Digester};

use super::Fault;

/// A reader whose bytes are hashed when they arrive, and lent out where they lie: a copy would cost as much as the tar.
pub(super) struct Source<R> {
    reader: R,
    /// How much of what the reader has was hashed and not used.
    hashed: usize,
    /// Bytes that were asked for together and came in several pieces, and how many of them were used.
    joined: Vec<u8>,
    joined_used: usize,
    digester: Digester,
    expected: Digest,
    expected_bytes: u64,
    read_bytes: u64,
    at_end: bool,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(reader: R, descriptor: &Descriptor) -> Self {
        Self {
            reader,
            hashed: 0,
            joined: Vec::new(),
            joined_used: 0,
            digester: descriptor.digest.algorithm().digester(),
            expected: descriptor.digest.clone(),
            expected_bytes: descriptor.size_bytes,
            read_bytes: 0,
            at_end: false,
        }
    }

    /// How many bytes came so far.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// What is there; reads if that is nothing. Empty at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8], Fault> {
        if self.n_joined() > 0 { Ok(self.joined()) } else { self.piece() }
    }

    /// What is there, at least `n` bytes of it unless the end comes first.
    pub(super) fn fill_to(&mut self, n: usize) -> Result<&[u8], Fault> {
        if self.n_joined() == 0 {
            if self.piece()?.len() >= n {
                return self.piece();
            }
            self.joined.clear();
            self.joined_used = 0;
        }
        while self.n_joined() < n {
            let n_more = self.piece()?.len().min(n - self.n_joined());
            if n_more == 0 {
                break;
            }
            let there = self.reader.fill_buf().map_err(Fault::Read)?;
            self.joined.extend_from_slice(there.get(..n_more).unwrap_or(there));
            self.use_up(n_more);
        }
        Ok(self.joined())
    }

    /// Marks the first `n` bytes of what was lent as used.
    pub(super) fn consume(&mut self, n: usize) {
        match self.n_joined() {
            0 => self.use_up(n),
            left => self.joined_used += n.min(left),
        }
    }

    /// Reads what is left and checks size and digest.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.joined.clear();
        self.joined_used = 0;
        while !self.at_end {
            let n = self.piece()?.len();
            self.use_up(n);
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

    fn joined(&self) -> &[u8] {
        self.joined.get(self.joined_used..).unwrap_or_default()
    }

    fn n_joined(&self) -> usize {
        self.joined.len() - self.joined_used
    }

    /// What the reader has, hashed. Empty at the end.
    fn piece(&mut self) -> Result<&[u8], Fault> {
        if self.hashed == 0 && !self.at_end {
            self.read_more()?;
        }
        if self.hashed == 0 {
            return Ok(&[]);
        }
        let there = self.reader.fill_buf().map_err(Fault::Read)?;
        Ok(there.get(..self.hashed).unwrap_or(there))
    }

    fn read_more(&mut self) -> Result<(), Fault> {
        let new = loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(Fault::Read)?,
            }
        };
        self.at_end = new.is_empty();
        self.digester.update(new);
        self.hashed = new.len();
        self.read_bytes += new.len() as u64;
        if self.read_bytes > self.expected_bytes { Err(self.wrong_size()) } else { Ok(()) }
    }

    fn use_up(&mut self, n: usize) {
        let n = n.min(self.hashed);
        self.reader.consume(n);
        self.hashed -= n;
    }
}
