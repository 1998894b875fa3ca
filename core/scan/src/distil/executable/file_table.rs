//! The names of source files in a Go program: part of its table of program counters, `.gopclntab`
//! (golang.org/s/go12symtab, and package `debug/gosym` of Go for what came later).

use std::io;

use super::elf::{Elf, Range};
use super::spool::{Numbers, Spool, damaged};

/// Files of one program, at most. The largest have some ten thousand.
const MAX_FILES: u64 = 500_000;
/// The longest name, in bytes: longer than any path of Linux.
const MAX_NAME_BYTES: usize = 4096;
/// All names together, in bytes. Those of the largest programs have some MiB.
const MAX_NAMES_BYTES: u64 = 16 << 20;
/// So much is read at once, in bytes.
const CHUNK_BYTES: u64 = 64 << 10;
/// The longest beginning of the section that tells where the names are, in bytes.
pub(super) const HEADER_BYTES: u64 = 8 + 9 * 8;
/// Most names are shorter than this, in bytes.
const FIRST_BYTES: u64 = 256;

/// Where the names are.
pub(super) enum FileTable {
    /// One behind the other, and how many (Go 1.16 and later).
    Listed(Range, u64),
    /// Named by their places in the section (Go 1.2 to 1.15).
    Indexed {
        numbers: Numbers,
        section: Range,
        /// The index itself.
        index: Range,
    },
}

impl FileTable {
    /// Finds it in the section.
    pub(super) fn read(elf: &Elf, section: Range, file: &mut Spool) -> io::Result<Self> {
        let numbers = elf.numbers;
        let header = file.bytes_up_to(section.offset, section.length.min(HEADER_BYTES))?;
        let width = usize::from(*header.get(7).ok_or_else(damaged)?);
        if !matches!(width, 4 | 8) {
            return Err(damaged());
        }
        let word = |n: usize| numbers.read(&header, 8 + n * width, width);
        let place = |at: u64| {
            let offset = section.offset.checked_add(at).ok_or_else(damaged)?;
            let length = section.length.checked_sub(at).ok_or_else(damaged)?;
            io::Result::Ok(Range { offset, length })
        };
        let listed = |count: u64, at: u64| {
            if count > MAX_FILES {
                return Err(damaged());
            }
            let Range { offset, length } = place(at)?;
            Ok(Self::Listed(Range { offset, length: length.min(MAX_NAMES_BYTES) }, count))
        };
        let magic = numbers.u32(&header, 0)?;
        if let Some(n) = word_of_names(magic) {
            return listed(word(1)?, word(n)?);
        }
        match magic {
            0xffff_fffb => {
                // The table of functions ends with a program counter and the place of the index.
                let width = width as u64;
                let functions = word(0)?.checked_mul(2 * width).ok_or_else(damaged)?;
                let end = place(functions.checked_add(8 + 2 * width).ok_or_else(damaged)?)?;
                let at = file.bytes(end.offset, 4)?;
                let index = place(numbers.u32(&at, 0)?.into())?;
                let count = u64::from(numbers.u32(&file.bytes(index.offset, 4)?, 0)?);
                if count > MAX_FILES || count * 4 > index.length {
                    return Err(damaged());
                }
                Ok(Self::Indexed {
                    numbers,
                    section,
                    index: Range { offset: index.offset, length: count * 4 },
                })
            }
            _ => Err(damaged()),
        }
    }

    /// Shows every name, in the order of the table.
    pub(super) fn each(&self, file: &mut Spool, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        match self {
            Self::Listed(range, count) => each_listed(*range, *count, file, visit),
            Self::Indexed { numbers, section, index } => {
                each_indexed(*numbers, *section, *index, file, visit)
            }
        }
    }
}

/// The word of the section's beginning that tells where listed names are, by its first four bytes.
fn word_of_names(magic: u32) -> Option<usize> {
    match magic {
        0xffff_fffa => Some(4),
        0xffff_fff0 | 0xffff_fff1 => Some(5),
        _ => None,
    }
}

/// Names that stand one behind the other.
pub(super) struct Names {
    /// Where they are, at most.
    pub(super) range: Range,
    /// How many.
    pub(super) count: u64,
}

/// Numbers of the processors that nearly all images are for; programs of others are read when they are complete.
const LITTLE: Numbers = Numbers { is_big: false };

/// Whether a section with listed names may begin so.
pub(super) fn is_listed(start: &[u8]) -> bool {
    let is_known = LITTLE.u32(start, 0).is_ok_and(|magic| word_of_names(magic).is_some());
    is_known && matches!(start.get(4..8), Some([0, 0, 1 | 2 | 4, 4 | 8]))
}

/// Where the names are whose section begins so, at that place of the file.
pub(super) fn names(header: &[u8], offset: u64) -> Option<Names> {
    let width = usize::from(*header.get(7)?);
    let word = |n: usize| LITTLE.read(header, 8 + n * width, width).ok();
    let (count, at) = (word(1)?, word(word_of_names(LITTLE.u32(header, 0).ok()?)?)?);
    let is_plausible = (1..=MAX_FILES).contains(&count) && at >= HEADER_BYTES;
    let range = Range { offset: offset.checked_add(at)?, length: MAX_NAMES_BYTES };
    is_plausible.then_some(Names { range, count })
}

fn each_listed(range: Range, count: u64, file: &mut Spool, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut pending = Vec::new();
    let (mut read_bytes, mut shown) = (0, 0);
    while shown < count {
        let chunk = file.kept_bytes(range.offset + read_bytes, CHUNK_BYTES.min(range.length - read_bytes))?;
        if chunk.is_empty() {
            return Err(damaged());
        }
        read_bytes += chunk.len() as u64;
        pending.extend_from_slice(&chunk);
        let mut rest = pending.as_slice();
        while shown < count
            && let Some(end) = memchr::memchr(0, rest)
        {
            let (name, after) = rest.split_at(end);
            visit(&String::from_utf8_lossy(name));
            shown += 1;
            rest = after.get(1..).unwrap_or_default();
        }
        if shown < count && rest.len() > MAX_NAME_BYTES {
            return Err(damaged());
        }
        pending = rest.to_vec();
    }
    Ok(())
}

fn each_indexed(
    numbers: Numbers,
    section: Range,
    index: Range,
    file: &mut Spool,
    visit: &mut dyn FnMut(&str),
) -> io::Result<()> {
    let mut names_bytes = 0;
    // The first entry is the number of entries.
    let mut at = 4;
    while at < index.length {
        let places = file.bytes(index.offset + at, CHUNK_BYTES.min(index.length - at))?;
        at += places.len() as u64;
        for place in places.chunks(4) {
            let place = u64::from(numbers.u32(place, 0)?);
            let left = section.length.checked_sub(place).ok_or_else(damaged)?;
            let name = terminated(section.offset + place, left, file)?;
            names_bytes += name.len() as u64;
            if names_bytes > MAX_NAMES_BYTES {
                return Err(damaged());
            }
            visit(&String::from_utf8_lossy(&name));
        }
    }
    Ok(())
}

/// The bytes before the next NUL.
fn terminated(offset: u64, left: u64, file: &mut Spool) -> io::Result<Vec<u8>> {
    for length in [FIRST_BYTES, MAX_NAME_BYTES as u64 + 1] {
        let mut name = file.bytes_up_to(offset, length.min(left))?;
        if let Some(end) = memchr::memchr(0, &name) {
            name.truncate(end);
            return Ok(name);
        }
    }
    Err(damaged())
}
