//! Go's build information, as package `debug/buildinfo` of Go reads it: the version of the toolchain, and a text
//! about modules.

use std::io;

use super::elf::{Elf, Range};
use super::markers::GO;
use super::spool::{Numbers, Spool, damaged};

/// So much of a section or segment is searched, in bytes, as by Go itself.
const SEARCHED_BYTES: u64 = 64 << 10;
/// The start of the information is a multiple of this.
const ALIGNMENT: usize = 16;
/// The longest version and the longest module text, in bytes. A text has some 100 bytes for each module.
const MAX_VERSION_BYTES: u64 = 1024;
const MAX_TEXT_BYTES: u64 = 4 << 20;
/// The text stands between two marks of this length.
const MARK_BYTES: usize = 16;

/// So much is kept of a program from the start of the information on, in bytes: what is searched, and nearly always all
/// of it.
pub(super) const LEAST_BYTES: u64 = SEARCHED_BYTES;

/// Bytes that the information has which begins so, and at least [`LEAST_BYTES`].
pub(super) fn length(start: &[u8]) -> u64 {
    let mut start = Spool::Memory(start.to_vec());
    let text = prefix(32, MAX_VERSION_BYTES, &mut start)
        .and_then(|(at, length)| prefix(at + length, MAX_TEXT_BYTES, &mut start));
    text.map_or(LEAST_BYTES, |(at, length)| LEAST_BYTES.max(at + length))
}

/// What the linker wrote.
pub(super) struct BuildInfo {
    /// E.g. `go1.21.13`.
    pub(super) version: String,
    /// Lines about modules; empty for a program built without them.
    pub(super) text: String,
}

/// Finds and reads it. `None` if there is none.
pub(super) fn read(elf: &Elf, file: &mut Spool) -> io::Result<Option<BuildInfo>> {
    let section = elf.section(b".go.buildinfo");
    for Range { offset, length } in section.into_iter().chain(elf.writable()) {
        let searched = file.bytes_up_to(offset, length.min(SEARCHED_BYTES))?;
        let found = searched.chunks(ALIGNMENT).position(|chunk| chunk.starts_with(GO));
        if let Some(chunk) = found {
            return read_at(offset + (chunk * ALIGNMENT) as u64, elf, file).map(Some);
        }
    }
    Ok(None)
}

fn read_at(offset: u64, elf: &Elf, file: &mut Spool) -> io::Result<BuildInfo> {
    let header = file.bytes(offset, 32)?;
    let (Some(&pointer_bytes), Some(&flags)) = (header.get(14), header.get(15)) else {
        return Err(damaged());
    };
    let (version, text) = if flags & 2 == 0 {
        let pointers = Pointers { numbers: Numbers { is_big: flags & 1 != 0 }, width: pointer_bytes.into() };
        if !matches!(pointer_bytes, 4 | 8) {
            return Err(damaged());
        }
        let version = pointers.text(&header, 16, MAX_VERSION_BYTES, elf, file)?;
        (version, pointers.text(&header, 16 + pointers.width, MAX_TEXT_BYTES, elf, file)?)
    } else {
        let (version, end) = prefixed(offset + 32, MAX_VERSION_BYTES, file)?;
        (version, prefixed(end, MAX_TEXT_BYTES, file)?.0)
    };
    Ok(BuildInfo {
        version: String::from_utf8_lossy(&version).into_owned(),
        text: String::from_utf8_lossy(between_marks(&text)).into_owned(),
    })
}

/// Text behind its length (Go 1.18 and later), and where it ends.
fn prefixed(offset: u64, at_most: u64, file: &mut Spool) -> io::Result<(Vec<u8>, u64)> {
    let (start, length) = prefix(offset, at_most, file)?;
    Ok((file.bytes(start, length)?, start + length))
}

/// Where such a text begins, and its length.
fn prefix(offset: u64, at_most: u64, file: &mut Spool) -> io::Result<(u64, u64)> {
    let prefix = file.bytes_up_to(offset, 5)?;
    let mut length = 0;
    let mut length_bytes = 0;
    for byte in prefix {
        length |= u64::from(byte & 0x7f) << (7 * length_bytes);
        length_bytes += 1;
        if byte & 0x80 == 0 {
            if length > at_most {
                break;
            }
            return Ok((offset + length_bytes, length));
        }
    }
    Err(damaged())
}

/// Text behind two pointers (before Go 1.18): to Go's own form of a string, and from there to its bytes.
struct Pointers {
    numbers: Numbers,
    width: usize,
}

impl Pointers {
    fn text(
        &self,
        header: &[u8],
        at: usize,
        at_most: u64,
        elf: &Elf,
        file: &mut Spool,
    ) -> io::Result<Vec<u8>> {
        let address = self.numbers.read(header, at, self.width)?;
        if address == 0 {
            return Ok(Vec::new());
        }
        let string = file.bytes(elf.offset(address)?, 2 * self.width as u64)?;
        let length = self.numbers.read(&string, self.width, self.width)?;
        if length == 0 {
            return Ok(Vec::new());
        }
        if length > at_most {
            return Err(damaged());
        }
        file.bytes(elf.offset(self.numbers.read(&string, 0, self.width)?)?, length)
    }
}

/// The text without its marks; nothing where they are missing, as Go itself takes it.
fn between_marks(text: &[u8]) -> &[u8] {
    let Some(end) = text.len().checked_sub(MARK_BYTES) else { return &[] };
    text.get(MARK_BYTES..end).filter(|text| text.ends_with(b"\n")).unwrap_or_default()
}
