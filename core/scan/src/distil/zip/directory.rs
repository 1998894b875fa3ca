//! The central directory, entry by entry.

use super::{Budget, Span, Spool, Trouble, end, read_at, record_at, u16_at, u32_at, u64_at};

pub(super) const HEADER_MAGIC: [u8; 4] = *b"PK\x01\x02";
const HEADER_BYTES: usize = 46;
pub(super) const LOCAL_MAGIC: [u8; 4] = *b"PK\x03\x04";
const LOCAL_BYTES: u64 = 30;
const EXTRA_ZIP64: u16 = 1;
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
    pub(super) method: u16,
    pub(super) is_encrypted: bool,
    /// CRC-32 of the data, and their size.
    pub(super) crc: u32,
    pub(in super::super) size_bytes: u64,
    stored_bytes: u64,
    archive: Span,
    /// Where its local header is in the archive; `None` where no file can have it.
    offset: Option<u64>,
}

impl Directory {
    /// The directory of an archive. `None`: it is no zip archive.
    pub(in super::super) fn find(
        spool: &mut Spool,
        archive: Span,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Trouble> {
        let Some(place) = end::find(spool, archive)? else { return Ok(None) };
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
    pub(in super::super) fn next_entry(&mut self, spool: &mut Spool) -> Result<Option<Entry<'_>>, Trouble> {
        if self.end - self.at < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        self.read(spool, &mut header)?;
        if !header.starts_with(&HEADER_MAGIC) {
            return Err(Trouble::damaged("the central directory is damaged"));
        }
        let name_bytes = usize::from(u16_at(&header, 28));
        let extra_bytes = usize::from(u16_at(&header, 30));
        let comment_bytes = u64::from(u16_at(&header, 32));
        let mut texts = std::mem::take(&mut self.texts);
        texts.clear();
        texts.resize(name_bytes + extra_bytes, 0);
        self.read(spool, &mut texts)?;
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
    fn read(&mut self, spool: &mut Spool, target: &mut [u8]) -> Result<(), Trouble> {
        if self.end - self.at < target.len() as u64 {
            return Err(Trouble::damaged("the central directory ends in the middle of an entry"));
        }
        let mut filled = 0;
        while let Some(free) = target.get_mut(filled..).filter(|free| !free.is_empty()) {
            let behind = self.at.checked_sub(self.buffered.start).filter(|&at| at < self.buffered.length);
            let Some(behind) = behind else {
                let length = read_at(spool, self.archive, self.at, &mut self.buffer)? as u64;
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
    fn widen(&mut self, mut extra: &[u8]) {
        while let Some((head, rest)) = extra.split_at_checked(4) {
            let length = usize::from(u16_at(head, 2)).min(rest.len());
            let (field, behind) = rest.split_at(length);
            if u16_at(head, 0) == EXTRA_ZIP64 {
                let mut wide = field.chunks_exact(8).map(|bytes| u64_at(bytes, 0));
                for narrow in [&mut self.size_bytes, &mut self.stored_bytes, &mut self.offset] {
                    if *narrow == u64::from(u32::MAX) {
                        *narrow = wide.next().unwrap_or(*narrow);
                    }
                }
                return;
            }
            extra = behind;
        }
    }
}

impl Entry<'_> {
    /// Where its data are, as they are stored.
    pub(in super::super) fn data(&self, spool: &mut Spool) -> Result<Span, Trouble> {
        let outside = || Trouble::damaged("its data lie outside the archive");
        let offset = self.offset.ok_or_else(outside)?;
        let local = record_at::<30>(spool, self.archive, offset)?.ok_or_else(outside)?;
        if !local.starts_with(&LOCAL_MAGIC) {
            return Err(Trouble::damaged("it has no local header"));
        }
        let texts_bytes = u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        let start = offset + LOCAL_BYTES + texts_bytes;
        let end = start.checked_add(self.stored_bytes).filter(|&end| end <= self.archive.length);
        if end.is_none() {
            return Err(outside());
        }
        Ok(Span { start: self.archive.start + start, length: self.stored_bytes })
    }

    /// Whether its data are stored as they are.
    pub(in super::super) fn is_stored(&self) -> bool {
        self.method == 0
    }
}
