//! The tar stream: inflated by what the bytes are, bounded, and hashed where a diff ID is to be checked.

use std::io::BufRead;

use regent_oci::{Algorithm, Digest, Digester};

use super::Fault;
use super::gzip::{self, Gzip};
use super::source::Source;
use super::zstd::{self, Zstd};
use crate::limits::Limits;

const BUFFER_BYTES: usize = 256 << 10;
/// Before that many inflated bytes the ratio says nothing: a layer of one small file is mostly zeros.
const RATIO_FROM_BYTES: u64 = 10 << 20;

/// A stream with one buffer, of which slices are lent out.
pub(super) struct Inflate<'a, R> {
    source: &'a mut Source<R>,
    coding: Coding,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    inflated_bytes: u64,
    diff: Option<Digester>,
    limits: &'a Limits,
}

enum Coding {
    Gzip(Gzip),
    Zstd(Zstd),
    Plain,
}

impl<'a, R: BufRead> Inflate<'a, R> {
    /// `diff`: the algorithm of a diff ID, if one is to be computed. `buffer` is one that was used before, or empty.
    pub(super) fn new(
        source: &'a mut Source<R>,
        limits: &'a Limits,
        diff: Option<Algorithm>,
        mut buffer: Vec<u8>,
    ) -> Result<Self, Fault> {
        let start = source.fill_to(4)?;
        let coding = if start.starts_with(&gzip::MAGIC) {
            Coding::Gzip(Gzip::new())
        } else if zstd::is_magic(start) {
            Coding::Zstd(Zstd::new()?)
        } else {
            Coding::Plain
        };
        match coding {
            Coding::Plain => {} // what the source has is lent out
            Coding::Gzip(_) | Coding::Zstd(_) => buffer.resize(BUFFER_BYTES, 0),
        }
        let diff = diff.map(Algorithm::digester);
        Ok(Self { source, coding, buffer, start: 0, end: 0, inflated_bytes: 0, diff, limits })
    }

    /// What is buffered; inflates if that is nothing. Empty at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8], Fault> {
        if let Coding::Plain = self.coding {
            return self.source.fill();
        }
        if self.start == self.end {
            let read = match &mut self.coding {
                Coding::Gzip(gzip) => gzip.read(self.source, &mut self.buffer)?,
                Coding::Zstd(zstd) => zstd.read(self.source, &mut self.buffer)?,
                Coding::Plain => 0,
            };
            (self.start, self.end) = (0, read);
            self.count(read as u64)?;
            if let Some(diff) = &mut self.diff {
                diff.update(self.buffer.get(..read).unwrap_or_default());
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Marks the first `n` bytes of what [`fill`](Self::fill) lent as used.
    pub(super) fn consume(&mut self, n: usize) -> Result<(), Fault> {
        if let Coding::Plain = self.coding {
            if let Some(diff) = &mut self.diff {
                let there = self.source.fill()?;
                diff.update(there.get(..n).unwrap_or(there));
            }
            self.source.consume(n);
            return self.count(n as u64);
        }
        self.start = self.end.min(self.start + n);
        Ok(())
    }

    /// Adds to what the layer has inflated to: also the holes of sparse files where they are expanded.
    pub(super) fn count(&mut self, bytes: u64) -> Result<(), Fault> {
        self.inflated_bytes = self.inflated_bytes.saturating_add(bytes);
        let Limits { inflated_bytes, inflation_ratio, .. } = *self.limits;
        if self.inflated_bytes > inflated_bytes {
            return Err(Fault::Limit { limit: "inflated_bytes", value: inflated_bytes });
        }
        let at_most = self.source.read_bytes().saturating_mul(inflation_ratio).max(RATIO_FROM_BYTES);
        if self.inflated_bytes > at_most {
            return Err(Fault::Limit { limit: "inflation_ratio", value: inflation_ratio });
        }
        Ok(())
    }

    /// Inflates what is left, so that damage is found wherever it is, and returns the diff ID if one was asked for,
    /// and the buffer.
    pub(super) fn finish(mut self) -> Result<(Option<Digest>, Vec<u8>), Fault> {
        loop {
            let left = self.fill()?.len();
            if left == 0 {
                return Ok((self.diff.map(Digester::finish), self.buffer));
            }
            self.consume(left)?;
        }
    }
}
