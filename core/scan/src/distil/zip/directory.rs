//! The central directory, entry by entry.

use super::local::{self, widen};
use super::{
    Budget, HEADER_MAGIC, LOCAL_MAGIC, Source, Span, Trouble, end, read_at, record_at, u16_at, u32_at,
};

const HEADER_BYTES: usize = 46;
const BUFFER_BYTES: usize = 16 << 10;

/// A central directory that is being read.
pub(in super::super) struct Directory {
    archive: Span,
    shift: u64,
    /// Where the next header is, and where the last one ends.
    at: u64,
    end: u64,
    buffer: Box<[u8]>,
    /// The part of the archive that is in the buffer.
    buffered: Span,
    /// The current entry's name and extra fields.
    texts: Vec<u8>,
}

/// An entry of the central directory.
#[derive(Debug)]
pub(in super::super) struct Entry<'a> {
    /// As it is written there: no encoding is certain.
    pub(in super::super) name: &'a [u8],
    /// Compression method.
    pub(in super::super) method: u16,
    is_encrypted: bool,
    /// CRC-32 of the data, their size, and that of what is stored of them.
    pub(in super::super) crc: u32,
    pub(in super::super) size_bytes: u64,
    stored_bytes: u64,
    archive: Span,
    /// Where its local header is in the archive; `None` where no file can have it.
    offset: Option<u64>,
}

impl Directory {
    /// The directory of an archive. `None`: it is no zip archive.
    pub(in super::super) fn find(
        source: &mut dyn Source,
        archive: Span,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Trouble> {
        let Some(place) = end::find(source, archive)? else { return Ok(None) };
        budget.spend(place.length)?;
        Ok(Some(Self {
            archive,
            shift: place.shift,
            at: place.start,
            end: place.start.saturating_add(place.length),
            buffer: vec![0; BUFFER_BYTES].into(),
            buffered: Span { start: 0, length: 0 },
            texts: Vec::new(),
        }))
    }

    /// The next entry.
    pub(in super::super) fn next_entry(
        &mut self,
        source: &mut dyn Source,
    ) -> Result<Option<Entry<'_>>, Trouble> {
        if self.end - self.at < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        self.read(source, &mut header)?;
        if !header.starts_with(&HEADER_MAGIC) {
            return Err(Trouble::damaged("the central directory is damaged"));
        }
        let name_bytes = usize::from(u16_at(&header, 28));
        let extra_bytes = usize::from(u16_at(&header, 30));
        let comment_bytes = u64::from(u16_at(&header, 32));
        let mut texts = std::mem::take(&mut self.texts);
        texts.clear();
        texts.resize(name_bytes + extra_bytes, 0);
        self.read(source, &mut texts)?;
        self.texts = texts;
        self.at = (self.at + comment_bytes).min(self.end);
        let (name, extra) = self.texts.split_at(name_bytes);
        let mut sizes = Sizes::new(&header);
        sizes.widen(extra);
        Ok(Some(Entry {
            name,
            method: u16_at(&header, 10),
            is_encrypted: u16_at(&header, 8) & 1 != 0,
            crc: u32_at(&header, 16),
            size_bytes: sizes.size_bytes,
            stored_bytes: sizes.stored_bytes,
            archive: self.archive,
            offset: sizes.offset.checked_add(self.shift),
        }))
    }

    /// Fills `target` with what comes next.
    fn read(&mut self, source: &mut dyn Source, target: &mut [u8]) -> Result<(), Trouble> {
        if self.end - self.at < target.len() as u64 {
            return Err(Trouble::damaged("the central directory ends in the middle of an entry"));
        }
        let mut filled = 0;
        while let Some(free) = target.get_mut(filled..).filter(|free| !free.is_empty()) {
            let behind = self.at.checked_sub(self.buffered.start).filter(|&at| at < self.buffered.length);
            let Some(behind) = behind else {
                let length = read_at(source, self.archive, self.at, &mut self.buffer)? as u64;
                if length == 0 {
                    return Err(Trouble::damaged("the central directory ends behind the archive"));
                }
                self.buffered = Span { start: self.at, length };
                continue;
            };
            let from = usize::try_from(behind).unwrap_or(usize::MAX);
            let until = usize::try_from(self.buffered.length).unwrap_or(usize::MAX);
            let piece = self.buffer.get(from..until).unwrap_or_default();
            let n = piece.len().min(free.len());
            if let (Some(free), Some(piece)) = (free.get_mut(..n), piece.get(..n)) {
                free.copy_from_slice(piece);
            }
            filled += n;
            self.at += n as u64;
        }
        Ok(())
    }
}

/// The numbers that may have 64 bits.
struct Sizes {
    size_bytes: u64,
    stored_bytes: u64,
    offset: u64,
}

impl Sizes {
    fn new(header: &[u8]) -> Self {
        Self {
            size_bytes: u32_at(header, 24).into(),
            stored_bytes: u32_at(header, 20).into(),
            offset: u32_at(header, 42).into(),
        }
    }

    /// Those that don't fit stand in an extra field, in this order.
    fn widen(&mut self, extra: &[u8]) {
        widen(extra, [&mut self.size_bytes, &mut self.stored_bytes, &mut self.offset]);
    }
}

impl Entry<'_> {
    /// Where its data are, as they are stored.
    pub(in super::super) fn data(&self, source: &mut dyn Source) -> Result<Span, Trouble> {
        let outside = || Trouble::damaged("its data lie outside the archive");
        let offset = self.offset.ok_or_else(outside)?;
        let header =
            record_at::<{ local::FIXED_BYTES }>(source, self.archive, offset)?.ok_or_else(outside)?;
        if !header.starts_with(&LOCAL_MAGIC) {
            return Err(Trouble::damaged("it has no local header"));
        }
        let start = offset + local::length(&header) as u64;
        let end = start.checked_add(self.stored_bytes).filter(|&end| end <= self.archive.length);
        if end.is_none() {
            return Err(outside());
        }
        Ok(Span { start: self.archive.start + start, length: self.stored_bytes })
    }

    /// What is encrypted is not read, wherever it is.
    pub(in super::super) fn check_encryption(&self) -> Result<(), Trouble> {
        if self.is_encrypted { Err(Trouble::damaged("it is encrypted")) } else { Ok(()) }
    }

    /// Whether its data are stored as they are.
    pub(in super::super) fn is_stored(&self) -> bool {
        self.method == 0
    }
}
