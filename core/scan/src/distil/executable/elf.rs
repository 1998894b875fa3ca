//! ELF: where its segments and sections lie (System V ABI, chapters 4 and 5), of either width and byte order.

use std::io;

use super::spool::{Numbers, Spool, damaged, readable};

/// Segments and sections that are looked at, at most. Real programs have some dozens.
const MAX_SEGMENTS: u64 = 1024;
const MAX_SECTIONS: u64 = 8192;
/// The longest table of section names, in bytes.
const MAX_NAMES_BYTES: u64 = 1 << 20;
/// A segment that is loaded, and its flag for "writable".
const LOAD: u32 = 1;
const WRITABLE: u32 = 2;
/// A section without bytes in the file.
const NO_BITS: u32 = 8;

/// Whether a file begins as an executable or shared library does. Object files and core dumps don't count.
pub(super) fn is_program(start: &[u8]) -> bool {
    let Some([0x7f, b'E', b'L', b'F', class, order, ..]) = start.get(..18) else { return false };
    matches!(class, 1 | 2)
        && matches!(order, 1 | 2)
        && Numbers { is_big: *order == 2 }.read(start, 16, 2).is_ok_and(|kind| matches!(kind, 2 | 3))
}

/// Bytes that are kept before the headers of sections: linkers write the names of sections there.
const NAMES_BEFORE_HEADERS_BYTES: u64 = 64 << 10;
/// So much is kept of what is loaded for writing, in bytes.
const WRITABLE_BYTES: u64 = 64 << 10;
/// Segments that are loaded for writing, at most. Real programs have one or two.
const MAX_WRITABLE: usize = 8;

/// What has to be kept of a program that begins so, and passes once: the headers of its sections with their names, and
/// the beginning of what is loaded for writing.
pub(super) fn plan(head: &[u8]) -> Vec<Range> {
    let mut file = Spool::Memory(head.to_vec());
    let Ok(layout) = Layout::read(head) else { return Vec::new() };
    let segments = layout.segments(head, &mut file).unwrap_or_default();
    let writable = segments.into_iter().filter(|segment| segment.is_writable).take(MAX_WRITABLE);
    let mut ranges: Vec<Range> = writable
        .map(|Segment { range, .. }| Range { length: range.length.min(WRITABLE_BYTES), ..range })
        .collect();
    ranges.extend(layout.names_and_headers(head, &mut file));
    ranges
}

/// The layout of a program.
pub(super) struct Elf {
    /// How its numbers are written.
    pub(super) numbers: Numbers,
    segments: Vec<Segment>,
    /// Empty where they were stripped, or can't be read.
    sections: Vec<(Vec<u8>, Range)>,
}

/// Bytes of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    /// Where they begin.
    pub(super) offset: u64,
    /// How many.
    pub(super) length: u64,
}

struct Segment {
    address: u64,
    range: Range,
    is_writable: bool,
}

/// Where fields lie, by the width of the file.
struct Layout {
    is_64: bool,
    numbers: Numbers,
}

impl Elf {
    /// Reads the headers.
    pub(super) fn read(file: &mut Spool) -> io::Result<Self> {
        let header = file.bytes_up_to(0, 64)?;
        let layout = Layout::read(&header)?;
        let segments = layout.segments(&header, file)?;
        let sections = readable(layout.sections(&header, file))?.unwrap_or_default();
        Ok(Self { numbers: layout.numbers, segments, sections })
    }

    /// The section of that name.
    pub(super) fn section(&self, name: &[u8]) -> Option<Range> {
        self.sections.iter().find(|(own, _)| own == name).map(|(_, range)| *range)
    }

    /// What is loaded for writing.
    pub(super) fn writable(&self) -> impl Iterator<Item = Range> {
        self.segments.iter().filter(|segment| segment.is_writable).map(|segment| segment.range)
    }

    /// Where in the file the bytes at an address are.
    pub(super) fn offset(&self, address: u64) -> io::Result<u64> {
        let segment = self.segments.iter().find(|segment| {
            address.checked_sub(segment.address).is_some_and(|offset| offset < segment.range.length)
        });
        let segment = segment.ok_or_else(damaged)?;
        segment.range.offset.checked_add(address - segment.address).ok_or_else(damaged)
    }
}

impl Layout {
    fn read(header: &[u8]) -> io::Result<Self> {
        let byte = |at| header.get(at).copied().ok_or_else(damaged);
        Ok(Self { is_64: byte(4)? == 2, numbers: Numbers { is_big: byte(5)? == 2 } })
    }

    /// A field that is as wide as the file's addresses.
    fn word(&self, bytes: &[u8], in_32: usize, in_64: usize) -> io::Result<u64> {
        let (at, width) = if self.is_64 { (in_64, 8) } else { (in_32, 4) };
        self.numbers.read(bytes, at, width)
    }

    fn half(&self, bytes: &[u8], in_32: usize, in_64: usize) -> io::Result<u64> {
        self.numbers.read(bytes, if self.is_64 { in_64 } else { in_32 }, 2)
    }

    /// The entries of a table: its place, the size of an entry and their number.
    fn table(&self, file: &mut Spool, at: u64, entry: u64, count: u64) -> io::Result<Vec<Vec<u8>>> {
        let least = if self.is_64 { 56 } else { 32 };
        if count == 0 || at == 0 {
            return Ok(Vec::new());
        }
        if !(least..=256).contains(&entry) {
            return Err(damaged());
        }
        let table = file.bytes(at, count * entry)?;
        let entry = usize::try_from(entry).map_err(|_| damaged())?;
        Ok(table.chunks(entry).map(<[u8]>::to_vec).collect())
    }

    fn segments(&self, header: &[u8], file: &mut Spool) -> io::Result<Vec<Segment>> {
        let at = self.word(header, 28, 32)?;
        let count = self.half(header, 44, 56)?.min(MAX_SEGMENTS);
        let mut segments = Vec::new();
        for entry in self.table(file, at, self.half(header, 42, 54)?, count)? {
            if self.numbers.u32(&entry, 0)? != LOAD {
                continue;
            }
            let flags = self.numbers.u32(&entry, if self.is_64 { 4 } else { 24 })?;
            segments.push(Segment {
                address: self.word(&entry, 8, 16)?,
                range: Range { offset: self.word(&entry, 4, 8)?, length: self.word(&entry, 16, 32)? },
                is_writable: flags & WRITABLE != 0,
            });
        }
        Ok(segments)
    }

    /// Where the headers of sections are, with what is in front of them; where they are at hand, their names.
    fn names_and_headers(&self, header: &[u8], file: &mut Spool) -> io::Result<Range> {
        let at = self.word(header, 32, 40)?;
        let (entry, count) = (self.half(header, 46, 58)?, self.half(header, 48, 60)?.min(MAX_SECTIONS));
        if let Ok(entries) = self.table(file, at, entry, count) {
            return self.names(header, &entries);
        }
        let offset = at.saturating_sub(NAMES_BEFORE_HEADERS_BYTES);
        let length = (at - offset).checked_add(entry.min(256) * count).ok_or_else(damaged)?;
        Ok(Range { offset, length })
    }

    /// The table of the sections' names.
    fn names(&self, header: &[u8], entries: &[Vec<u8>]) -> io::Result<Range> {
        let names = usize::try_from(self.half(header, 50, 62)?).ok().and_then(|index| entries.get(index));
        let names = self.range(names.ok_or_else(damaged)?)?;
        Ok(Range { length: names.length.min(MAX_NAMES_BYTES), ..names })
    }

    /// The bytes of a section.
    fn range(&self, entry: &[u8]) -> io::Result<Range> {
        let length = self.word(entry, 20, 32)?;
        let length = if self.numbers.u32(entry, 4)? == NO_BITS { 0 } else { length };
        Ok(Range { offset: self.word(entry, 16, 24)?, length })
    }

    fn sections(&self, header: &[u8], file: &mut Spool) -> io::Result<Vec<(Vec<u8>, Range)>> {
        let at = self.word(header, 32, 40)?;
        let count = self.half(header, 48, 60)?.min(MAX_SECTIONS);
        let entries = self.table(file, at, self.half(header, 46, 58)?, count)?;
        let Ok(names) = self.names(header, &entries) else { return Ok(Vec::new()) };
        let names = file.bytes(names.offset, names.length)?;
        let mut sections = Vec::new();
        for entry in &entries {
            let name = usize::try_from(self.numbers.u32(entry, 0)?).ok().and_then(|at| names.get(at..));
            // A name that is longer than any asked for is cut, so that many long ones cost nothing.
            let name = name.unwrap_or_default().iter().take(64).take_while(|byte| **byte != 0);
            sections.push((name.copied().collect(), self.range(entry)?));
        }
        Ok(sections)
    }
}
