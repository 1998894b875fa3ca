//! gzip (RFC 1952), member by member.
//!
//! Written against the raw inflater, since layers need more than a plain gzip reader gives: eStargz has a member for
//! every file, so that the inflater is reused, and after a complete member zeros and garbage are ignored as gzip(1)
//! does.

use std::io::BufRead;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::Fault;
use super::source::Source;

pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

const METHOD_DEFLATE: u8 = 8;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

pub(super) struct Gzip {
    inflater: Decompress,
    crc: Crc,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    BetweenMembers { first: bool },
    InMember,
    Ended,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            inflater: Decompress::new(false),
            crc: Crc::new(),
            state: State::BetweenMembers { first: true },
        }
    }

    /// Inflates into `out`, some bytes at least; 0 at the end.
    pub(super) fn read<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
        out: &mut [u8],
    ) -> Result<usize, Fault> {
        loop {
            match self.state {
                State::Ended => return Ok(0),
                State::BetweenMembers { first } => {
                    if !first && !source.fill_to(MAGIC.len())?.starts_with(&MAGIC) {
                        self.state = State::Ended;
                        continue;
                    }
                    read_member_header(source)?;
                    self.inflater.reset(false);
                    self.crc.reset();
                    self.state = State::InMember;
                }
                State::InMember => {
                    let n = self.inflate(source, out)?;
                    if n > 0 {
                        return Ok(n);
                    }
                }
            }
        }
    }

    fn inflate<R: BufRead>(&mut self, source: &mut Source<R>, out: &mut [u8]) -> Result<usize, Fault> {
        let input = source.fill()?;
        let at_end = input.is_empty();
        let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
        let status = self.inflater.decompress(input, out, FlushDecompress::None).map_err(|error| {
            Fault::undecodable(format!(
                "gzip data is damaged ({})",
                error.message().unwrap_or("deflate error")
            ))
        })?;
        let used = difference(self.inflater.total_in(), before_in);
        let written = difference(self.inflater.total_out(), before_out);
        self.crc.update(out.get(..written).unwrap_or_default());
        source.consume(used);
        match status {
            Status::StreamEnd => {
                self.read_trailer(source)?;
                self.state = State::BetweenMembers { first: false };
            }
            // Input and room are both there, so that no progress means that there never will be.
            Status::Ok | Status::BufError if used == 0 && written == 0 => {
                return Err(Fault::undecodable(if at_end {
                    "gzip data ends in the middle"
                } else {
                    "gzip data is damaged (no progress)"
                }));
            }
            Status::Ok | Status::BufError => {}
        }
        Ok(written)
    }

    fn read_trailer<R: BufRead>(&self, source: &mut Source<R>) -> Result<(), Fault> {
        let trailer: [u8; 8] = take(source)?;
        let [c0, c1, c2, c3, l0, l1, l2, l3] = trailer;
        if u32::from_le_bytes([c0, c1, c2, c3]) != self.crc.sum() {
            return Err(Fault::undecodable("gzip data is damaged (CRC)"));
        }
        // The trailer has the length modulo 2^32.
        if u64::from(u32::from_le_bytes([l0, l1, l2, l3])) != self.inflater.total_out() & 0xffff_ffff {
            return Err(Fault::undecodable("gzip data is damaged (length)"));
        }
        Ok(())
    }
}

fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

fn read_member_header<R: BufRead>(source: &mut Source<R>) -> Result<(), Fault> {
    let [m0, m1, method, flags, ..]: [u8; 10] = take(source)?;
    if [m0, m1] != MAGIC || method != METHOD_DEFLATE {
        return Err(Fault::undecodable("gzip header is damaged"));
    }
    if flags & FLAG_EXTRA != 0 {
        let length: [u8; 2] = take(source)?;
        skip(source, u16::from_le_bytes(length).into())?;
    }
    if flags & FLAG_NAME != 0 {
        skip_text(source)?;
    }
    if flags & FLAG_COMMENT != 0 {
        skip_text(source)?;
    }
    if flags & FLAG_HEADER_CRC != 0 {
        skip(source, 2)?;
    }
    Ok(())
}

fn ended_in_header() -> Fault {
    Fault::undecodable("gzip data ends inside a header or trailer")
}

fn take<const N: usize, R: BufRead>(source: &mut Source<R>) -> Result<[u8; N], Fault> {
    let taken = *source.fill_to(N)?.first_chunk().ok_or_else(ended_in_header)?;
    source.consume(N);
    Ok(taken)
}

fn skip<R: BufRead>(source: &mut Source<R>, n: usize) -> Result<(), Fault> {
    if source.fill_to(n)?.len() < n {
        return Err(ended_in_header());
    }
    source.consume(n);
    Ok(())
}

/// Skips a text that ends with a NUL.
fn skip_text<R: BufRead>(source: &mut Source<R>) -> Result<(), Fault> {
    loop {
        let buffered = source.fill()?;
        if buffered.is_empty() {
            return Err(ended_in_header());
        }
        let (n, found) =
            memchr::memchr(0, buffered).map_or((buffered.len(), false), |position| (position + 1, true));
        source.consume(n);
        if found {
            return Ok(());
        }
    }
}
