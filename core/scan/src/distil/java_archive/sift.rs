//! An archive that is too large to be held in memory: what is asked of it is kept as it passes.
//!
//! Its directory stands at its end and decides what it has; the entries before it have headers of their own. Of those whose
//! names say that they will be asked for, header and data are kept by their place, archives among them are sifted the same
//! way, and from the directory on all is kept. What the directory asks for beyond that is found when the archive is
//! read as a whole, once more: offsets that lead elsewhere, say, or data whose end nothing tells.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use memchr::memchr;
use sha1::{Digest as _, Sha1};

use super::super::parts::Parts;
use super::super::zip::{
    DESCRIPTOR_MAGIC, END_MAGIC, END64_MAGIC, HEADER_MAGIC, LOCAL_FIXED_BYTES, LOCAL_MAGIC, LocalHeader,
    METHOD_DEFLATED, METHOD_STORED, local_length,
};
use super::passed::{End, Nested, Passed};
use super::role::Role;
use super::walk::{MAX_DEPTH, MAX_NESTED, budget_bytes};
use crate::hexadecimal::hexadecimal;

/// All that is kept of an outermost archive, in bytes. The directories of the largest and of all that is in them have some
/// MiB.
const MAX_KEPT_BYTES: usize = 16 << 20;
/// Of one entry's data, as they are stored, in bytes.
const MAX_ENTRY_BYTES: usize = 256 << 10;
/// What is inflated of an archive in another at a time.
const INFLATED_BYTES: usize = 32 << 10;
/// Bytes of a data descriptor that tell it from data: its magic, the checksum, and how much there was.
const DESCRIPTOR_BYTES: usize = 12;

/// What may still be kept and inflated of one outermost archive.
struct Room {
    kept_bytes: Cell<usize>,
    inflated_bytes: Cell<u64>,
    n_nested: Cell<u32>,
    /// Whether anything was refused.
    is_spent: Cell<bool>,
}

/// What is kept of an archive so far.
pub(super) struct Sift {
    /// Bytes that have passed.
    position: u64,
    hasher: Sha1,
    crc: Crc,
    depth: u32,
    room: Rc<Room>,
    state: State,
    kept: Vec<(u64, Vec<u8>)>,
    end: End,
    nested: HashMap<u64, Nested>,
}

/// What the next bytes are.
enum State {
    /// Anything, with what has passed of a magic.
    Between(Vec<u8>),
    /// A local header, with what has passed of it.
    Header(Vec<u8>),
    /// Data that nobody asks for.
    Skip { left: u64 },
    /// Data that are kept, with their header, and how much behind them is not.
    Keep { start: u64, bytes: Vec<u8>, left: u64, skipped: u64 },
    /// Data whose length is told by what stands behind them, kept with their header or not, with what may be the
    /// beginning of that.
    Until { data_start: u64, kept: Option<(u64, Vec<u8>)>, sign: Vec<u8> },
    /// Data of an archive.
    Nested(Box<Inner>),
    /// From the directory on.
    End,
}

/// An archive in the current one, with its data as they are stored.
struct Inner {
    data_start: u64,
    method: u16,
    /// How much of it is to come, where that is told.
    left: Option<u64>,
    n_taken: u64,
    inflater: Option<Inflater>,
    sift: Sift,
}

struct Inflater {
    state: Decompress,
    buffer: Box<[u8]>,
}

impl Sift {
    /// Of an outermost archive of that size.
    pub(super) fn new(size_bytes: u64) -> Self {
        let room = Room {
            kept_bytes: Cell::new(MAX_KEPT_BYTES),
            inflated_bytes: Cell::new(budget_bytes(size_bytes)),
            n_nested: Cell::new(MAX_NESTED),
            is_spent: Cell::new(false),
        };
        Self::at(0, Rc::new(room))
    }

    fn at(depth: u32, room: Rc<Room>) -> Self {
        Self {
            position: 0,
            hasher: Sha1::new(),
            crc: Crc::new(),
            depth,
            room,
            state: State::Between(Vec::new()),
            kept: Vec::new(),
            end: End::NoArchive,
            nested: HashMap::new(),
        }
    }

    /// Takes the next piece of the archive.
    pub(super) fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if self.depth > 0 {
            self.crc.update(piece);
        }
        let mut rest = piece;
        while !rest.is_empty() && !self.room.is_spent.get() {
            let n = self.step(rest).min(rest.len());
            self.position += n as u64;
            rest = rest.get(n..).unwrap_or_default();
        }
        self.position += rest.len() as u64;
    }

    /// What was kept.
    ///
    /// # Errors
    /// The SHA-1 alone, where there was more to be kept than may be.
    pub(super) fn finish(self) -> Result<Passed, String> {
        let sha1 = hexadecimal(&self.hasher.finalize());
        if self.room.is_spent.get() {
            return Err(sha1);
        }
        Ok(Passed {
            sha1,
            crc: self.crc.sum(),
            parts: Parts::new(self.position, self.kept),
            end: self.end,
            nested: self.nested,
        })
    }

    /// Takes some of these bytes, or goes on to another state, and says how many it has taken.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.state {
            State::Between(_) => self.between(bytes),
            State::Header(_) => self.header(bytes),
            State::Until { .. } => self.until(bytes),
            State::Nested(_) => self.inner(bytes),
            State::Skip { left } => {
                let n = at_most(*left, bytes);
                *left -= n as u64;
                if *left == 0 {
                    self.state = State::Between(Vec::new());
                }
                n
            }
            State::Keep { start, bytes: kept, left, skipped } => {
                let n = at_most(*left, bytes);
                *left -= n as u64;
                kept.extend_from_slice(bytes.get(..n).unwrap_or_default());
                self.room.keep(n);
                if *left == 0 {
                    self.kept.push((*start, std::mem::take(kept)));
                    self.state = skip(*skipped);
                }
                n
            }
            State::End => {
                if let Some((_, kept)) = self.kept.last_mut()
                    && self.room.keep(bytes.len())
                {
                    kept.extend_from_slice(bytes);
                }
                bytes.len()
            }
        }
    }

    /// Looks for the next record.
    fn between(&mut self, bytes: &[u8]) -> usize {
        let State::Between(sign) = &mut self.state else { return 0 };
        let n = extend_sign(sign, bytes, is_like_record);
        let Some(magic) = sign.first_chunk::<4>() else { return n };
        let start = self.position + n as u64 - magic.len() as u64;
        let begun = std::mem::take(sign);
        if begun == LOCAL_MAGIC {
            self.end = End::NotKept;
            self.state = State::Header(begun);
        } else {
            self.room.keep(begun.len());
            self.kept.push((start, begun));
            self.end = End::From(start);
            self.state = State::End;
        }
        n
    }

    fn header(&mut self, bytes: &[u8]) -> usize {
        let State::Header(header) = &mut self.state else { return 0 };
        let wanted = match header.len() {
            ..LOCAL_FIXED_BYTES => LOCAL_FIXED_BYTES,
            _ => local_length(header),
        };
        let n = wanted.saturating_sub(header.len()).min(bytes.len());
        header.extend_from_slice(bytes.get(..n).unwrap_or_default());
        if header.len() >= LOCAL_FIXED_BYTES && header.len() == local_length(header) {
            let header = std::mem::take(header);
            self.state = self.begin(header, self.position + n as u64);
        }
        n
    }

    /// What the data behind a header are for.
    fn begin(&mut self, header: Vec<u8>, data_start: u64) -> State {
        let start = data_start - header.len() as u64;
        let Some(local) = LocalHeader::parse(&header) else { return State::Between(Vec::new()) };
        let role = Role::of(local.name);
        if role.is_none() || local.is_encrypted {
            return pass_over(local.stored_bytes, data_start);
        }
        let LocalHeader { method, stored_bytes, .. } = local;
        self.room.keep(header.len());
        if !matches!(role, Some(Role::Archive)) {
            return match stored_bytes {
                Some(length) => {
                    let left = length.min(MAX_ENTRY_BYTES as u64);
                    State::Keep { start, bytes: header, left, skipped: length - left }
                }
                None => State::Until { data_start, kept: Some((start, header)), sign: Vec::new() },
            };
        }
        self.kept.push((start, header));
        let inflater = match (method, stored_bytes) {
            (METHOD_STORED, Some(_)) => None,
            (METHOD_DEFLATED, _) => Some(Inflater::new()),
            _ => return pass_over(stored_bytes, data_start),
        };
        if self.depth >= MAX_DEPTH || !self.room.open() {
            return pass_over(stored_bytes, data_start);
        }
        let sift = Self::at(self.depth + 1, Rc::clone(&self.room));
        let inner = Inner { data_start, method, left: stored_bytes, n_taken: 0, inflater, sift };
        if stored_bytes == Some(0) {
            self.add(inner);
            return State::Between(Vec::new());
        }
        State::Nested(Box::new(inner))
    }

    /// Looks for the end of data that don't say their length.
    fn until(&mut self, bytes: &[u8]) -> usize {
        let State::Until { data_start, kept, sign } = &mut self.state else { return 0 };
        let n = extend_sign(sign, bytes, is_like_descriptor);
        if let Some((_, kept)) = kept
            && kept.len() < MAX_ENTRY_BYTES
            && self.room.keep(n)
        {
            kept.extend_from_slice(bytes.get(..n).unwrap_or_default());
        }
        if sign.len() < DESCRIPTOR_BYTES {
            return n;
        }
        let passed_bytes = self.position + n as u64 - sign.len() as u64 - *data_start;
        let stated = sign.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if u64::from(stated) == passed_bytes & u64::from(u32::MAX) {
            self.kept.extend(kept.take());
            self.state = State::Between(Vec::new());
        } else {
            next_sign(sign, is_like_descriptor);
        }
        n
    }

    /// Hands an archive in this one its bytes.
    fn inner(&mut self, bytes: &[u8]) -> usize {
        let State::Nested(inner) = &mut self.state else { return 0 };
        let available = bytes.get(..at_most(inner.left.unwrap_or(u64::MAX), bytes)).unwrap_or_default();
        let (n, progress) = match &mut inner.inflater {
            None => {
                inner.sift.take(available);
                (available.len(), Progress::More)
            }
            Some(inflater) => inflater.take(available, &self.room, &mut inner.sift),
        };
        inner.n_taken += n as u64;
        inner.left = inner.left.map(|left| left - n as u64);
        let is_over = inner.left == Some(0);
        let is_whole = match progress {
            Progress::Ended => true,
            Progress::More if is_over => inner.inflater.is_none(),
            Progress::More if n > 0 => return n,
            Progress::More | Progress::Damaged => false,
        };
        let left = inner.left.unwrap_or(0);
        if let State::Nested(inner) = std::mem::replace(&mut self.state, skip(left))
            && is_whole
        {
            self.add(*inner);
        }
        n
    }

    fn add(&mut self, inner: Inner) {
        let Inner { data_start, method, n_taken: stored_bytes, sift, .. } = inner;
        if let Ok(archive) = sift.finish() {
            self.nested.insert(data_start, Nested { method, stored_bytes, archive });
        }
    }
}

/// How far inflating has come.
enum Progress {
    /// More is needed.
    More,
    /// The data are complete.
    Ended,
    Damaged,
}

impl Inflater {
    fn new() -> Self {
        Self { state: Decompress::new(false), buffer: vec![0; INFLATED_BYTES].into() }
    }

    /// Inflates what can be of these bytes, and says how many of them that took.
    fn take(&mut self, bytes: &[u8], room: &Room, sift: &mut Sift) -> (usize, Progress) {
        let Self { state, buffer } = self;
        let mut n_used = 0;
        loop {
            let (n_in, n_out) = (state.total_in(), state.total_out());
            let rest = bytes.get(n_used..).unwrap_or_default();
            let Ok(status) = state.decompress(rest, buffer, FlushDecompress::None) else {
                return (n_used, Progress::Damaged);
            };
            let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let (n_in, n_out) = (count(state.total_in() - n_in), count(state.total_out() - n_out));
            n_used += n_in;
            if !room.inflate(n_out) {
                return (n_used, Progress::Damaged);
            }
            sift.take(buffer.get(..n_out).unwrap_or_default());
            if status == Status::StreamEnd {
                return (n_used, Progress::Ended);
            }
            // What is left in the inflater goes out before more comes in.
            if n_out < buffer.len() && (n_used == bytes.len() || n_in == 0) {
                return (n_used, Progress::More);
            }
        }
    }
}

impl Room {
    /// Takes room for what is kept. False, and all is over, where there is less.
    fn keep(&self, n_bytes: usize) -> bool {
        let left = self.kept_bytes.get().checked_sub(n_bytes);
        self.kept_bytes.set(left.unwrap_or(0));
        self.is_spent.set(self.is_spent.get() || left.is_none());
        left.is_some()
    }

    fn inflate(&self, n_bytes: usize) -> bool {
        let left = self.inflated_bytes.get().checked_sub(n_bytes as u64);
        self.inflated_bytes.set(left.unwrap_or(0));
        self.is_spent.set(self.is_spent.get() || left.is_none());
        left.is_some()
    }

    /// Whether one more archive may be opened.
    fn open(&self) -> bool {
        let left = self.n_nested.get().checked_sub(1);
        self.n_nested.set(left.unwrap_or(0));
        left.is_some()
    }
}

fn skip(left: u64) -> State {
    if left == 0 { State::Between(Vec::new()) } else { State::Skip { left } }
}

/// Data that nobody asks for, of known length or not.
fn pass_over(stored_bytes: Option<u64>, data_start: u64) -> State {
    stored_bytes.map_or(State::Until { data_start, kept: None, sign: Vec::new() }, skip)
}

/// How many of these bytes are among the next `left`.
fn at_most(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
}

/// Adds bytes to what may be the beginning of a record, or looks for one, and says how many it has taken.
fn extend_sign(sign: &mut Vec<u8>, bytes: &[u8], fits: fn(&[u8]) -> bool) -> usize {
    if sign.is_empty() {
        let Some(at) = memchr(b'P', bytes) else { return bytes.len() };
        sign.push(b'P');
        return at + 1;
    }
    let Some(&next) = bytes.first() else { return 0 };
    sign.push(next);
    if !fits(sign) {
        next_sign(sign, fits);
    }
    1
}

/// Goes on to what may be the beginning of the next record in it.
fn next_sign(sign: &mut Vec<u8>, fits: fn(&[u8]) -> bool) {
    loop {
        let next = sign.get(1..).and_then(|rest| memchr(b'P', rest));
        sign.drain(..next.map_or(sign.len(), |at| at + 1));
        if sign.is_empty() || fits(sign) {
            return;
        }
    }
}

fn is_like_record(sign: &[u8]) -> bool {
    [LOCAL_MAGIC, HEADER_MAGIC, END_MAGIC, END64_MAGIC].iter().any(|magic| magic.starts_with(sign))
}

fn is_like_descriptor(sign: &[u8]) -> bool {
    DESCRIPTOR_MAGIC.starts_with(sign) || sign.starts_with(&DESCRIPTOR_MAGIC)
}
