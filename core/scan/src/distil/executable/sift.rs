//! A program that is too large to be held in memory: what is asked of it is kept as it passes.
//!
//! Linkers write the headers of sections and the names of these at the end of the file, so that nothing tells in
//! advance where a section is. What Go leaves in a program is told by how it begins instead: its build information, and
//! the table with the names of source files, each at a multiple of sixteen bytes. What the headers at the beginning of
//! the file name is kept by its place. A program of whom something else is asked says so, and is read once more.

use memchr::memmem;

use super::super::parts::Parts;
use super::build_info;
use super::elf::{self, Range};
use super::file_table::{self, Names};
use super::markers::{CRATES, GO, Markers};

/// The beginning of the file, in which its headers are, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// Beginnings of Go's data are multiples of this.
const ALIGNMENT: u64 = 16;
/// Bytes that tell such a beginning; one that is cut off after fewer is looked at when more has come.
const SIGN_BYTES: usize = GO.len();
/// Places that look like such a beginning, at most: a program that looks for them has some.
const MAX_SIGNS: usize = 32;
/// All that is kept of one program, in bytes. The largest have some MiB of names.
pub(super) const MAX_KEPT_BYTES: usize = 24 << 20;

/// What is kept of a program so far.
pub(super) struct Sift {
    /// Bytes that have passed.
    position: u64,
    head: Vec<u8>,
    parts: Vec<Part>,
    kept_bytes: usize,
    n_signs: usize,
    /// The last bytes that have passed, for signs that go on in the next piece.
    seam: Vec<u8>,
    has_crates: bool,
}

/// Bytes of the file, as far as they have passed.
struct Part {
    range: Range,
    bytes: Vec<u8>,
    kind: Kind,
}

/// What a part is, and so where it ends.
enum Kind {
    /// Bytes at a known place.
    Plain,
    /// Build information, whose length stands in it.
    BuildInfo,
    /// The beginning of Go's table of program counters, which tells where names are.
    LineTable,
    /// Names, so many of them.
    Names { left: u64 },
}

impl Sift {
    pub(super) fn new() -> Self {
        Self {
            position: 0,
            head: Vec::new(),
            parts: Vec::new(),
            kept_bytes: 0,
            n_signs: 0,
            seam: Vec::new(),
            has_crates: false,
        }
    }

    /// Takes the next piece of the file.
    pub(super) fn take(&mut self, piece: &[u8]) {
        let missing = HEAD_BYTES.saturating_sub(self.head.len()).min(piece.len());
        let (first, rest) = piece.split_at_checked(missing).unwrap_or((piece, &[]));
        if !first.is_empty() {
            self.head.extend_from_slice(first);
            self.pass(first);
            if self.head.len() == HEAD_BYTES {
                self.plan();
            }
        }
        if !rest.is_empty() {
            self.pass(rest);
        }
    }

    /// What was kept, and what is to be read in it.
    pub(super) fn finish(self) -> (Parts, Markers) {
        let has_go = self.parts.iter().any(|part| matches!(part.kind, Kind::BuildInfo));
        let markers = Markers::found(has_go, self.has_crates);
        let parts = self.parts.into_iter().map(|part| (part.range.offset, part.bytes));
        (Parts::new(self.position, std::iter::once((0, self.head)).chain(parts).collect()), markers)
    }

    /// Bytes that are kept so far.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// What the headers ask for.
    fn plan(&mut self) {
        for range in elf::plan(&self.head) {
            let passed = usize::try_from(range.offset).ok().and_then(|at| self.head.get(at..));
            let begun = passed.unwrap_or_default().to_vec();
            self.begin(range, begun, Kind::Plain);
        }
    }

    fn pass(&mut self, piece: &[u8]) {
        self.look_for_signs(piece);
        let mut n = 0;
        // Those that others name are looked at as well.
        while let Some(part) = self.parts.get_mut(n) {
            n += 1;
            if self.kept_bytes >= MAX_KEPT_BYTES {
                break; // what is missing is read when the whole is there
            }
            let before = part.bytes.len();
            let found = part.take(self.position, piece);
            self.kept_bytes += part.bytes.len() - before;
            if let Some(Names { range, count }) = found {
                self.begin(range, Vec::new(), Kind::Names { left: count });
            }
        }
        self.position += piece.len() as u64;
        self.seam.extend(piece.get(piece.len().saturating_sub(SIGN_BYTES)..).unwrap_or(piece));
        self.seam.drain(..self.seam.len().saturating_sub(SIGN_BYTES - 1));
    }

    fn begin(&mut self, range: Range, bytes: Vec<u8>, kind: Kind) {
        self.kept_bytes += bytes.len();
        if self.kept_bytes < MAX_KEPT_BYTES {
            self.parts.push(Part { range, bytes, kind });
        }
    }

    fn look_for_signs(&mut self, piece: &[u8]) {
        let mut seam = std::mem::take(&mut self.seam);
        let seam_start = self.position - seam.len() as u64;
        let n_passed = seam.len();
        seam.extend(piece.iter().take(SIGN_BYTES - 1));
        for part in [seam.as_slice(), piece] {
            self.has_crates = self.has_crates || memmem::find(part, CRATES).is_some();
        }
        self.look_at_aligned(&seam, seam_start, n_passed);
        self.look_at_aligned(piece, self.position, 0);
        seam.truncate(n_passed);
        self.seam = seam;
    }

    /// Looks at all places in `bytes` where Go's data may begin. `n_passed` of them will not come again.
    fn look_at_aligned(&mut self, bytes: &[u8], start: u64, n_passed: usize) {
        let step = usize::try_from(ALIGNMENT).unwrap_or(usize::MAX);
        let first = usize::try_from(start.next_multiple_of(ALIGNMENT) - start).unwrap_or(usize::MAX);
        let Some(aligned) = bytes.get(first..) else { return };
        for (n, chunk) in aligned.chunks(step).enumerate() {
            // All but one place in some thousand end with the first two bytes.
            let kind = match chunk {
                [0xff, b' ', ..] if chunk.starts_with(GO) => Kind::BuildInfo,
                [0xf0..=0xfa, 0xff, ..] if chunk.len() >= SIGN_BYTES && file_table::is_listed(chunk) => {
                    Kind::LineTable
                }
                _ => continue,
            };
            self.n_signs += 1;
            if self.n_signs > MAX_SIGNS {
                return;
            }
            let at = first + n * step;
            let begun = bytes.get(at..n_passed).unwrap_or_default().to_vec();
            let length = match kind {
                Kind::BuildInfo => build_info::LEAST_BYTES,
                _ => file_table::HEADER_BYTES,
            };
            self.begin(Range { offset: start + at as u64, length }, begun, kind);
        }
    }
}

impl Part {
    /// Takes its bytes from a piece of the file that begins there. The names that it leads to, where it is complete.
    fn take(&mut self, position: u64, piece: &[u8]) -> Option<Names> {
        loop {
            let have = self.bytes.len() as u64;
            if have >= self.range.length {
                return None;
            }
            let at = usize::try_from((self.range.offset + have).checked_sub(position)?).ok()?;
            let there = piece.get(at..).filter(|there| !there.is_empty())?;
            let n = usize::try_from(self.range.length - have).unwrap_or(usize::MAX).min(there.len());
            let taken = there.get(..n)?;
            if let Kind::Names { left } = &mut self.kind {
                let mut ends = memchr::memchr_iter(0, taken);
                let last = usize::try_from(*left - 1).ok().and_then(|n| ends.nth(n));
                match last {
                    Some(end) => {
                        self.bytes.extend_from_slice(taken.get(..=end)?);
                        self.range.length = self.bytes.len() as u64;
                        return None;
                    }
                    None => *left -= memchr::memchr_iter(0, taken).count() as u64,
                }
            }
            self.bytes.extend_from_slice(taken);
            if (self.bytes.len() as u64) < self.range.length {
                return None;
            }
            match self.kind {
                Kind::BuildInfo => self.range.length = build_info::length(&self.bytes),
                Kind::LineTable => return file_table::names(&self.bytes, self.range.offset),
                Kind::Plain | Kind::Names { .. } => {}
            }
        }
    }
}
