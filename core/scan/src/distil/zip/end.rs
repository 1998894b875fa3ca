//! Where the central directory is: told by a record at the end of the archive, behind which a comment may stand.

use super::{
    END_MAGIC, END64_MAGIC, HEADER_MAGIC, LOCAL_MAGIC, Source, Span, Trouble, read_at, record_at, u16_at,
    u32_at, u64_at,
};
use crate::distil::parts::not_kept;

const END_BYTES: usize = 22;
const LOCATOR_MAGIC: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_BYTES: u64 = 20;
const END64_BYTES: u64 = 56;
const MAX_COMMENT_BYTES: usize = 0xffff;

/// End records that are tried: a comment may contain what looks like one.
const MAX_CANDIDATES: usize = 16;

/// The central directory's place in its archive.
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) length: u64,
    /// Added to the offsets that the archive has of its entries: a script in front of the archive moves them.
    pub(super) shift: u64,
}

/// `None`: this is no zip archive. What looks like one and has no directory is damaged.
pub(super) fn find(source: &mut dyn Source, span: Span) -> Result<Option<Place>, Trouble> {
    let mut tail = vec![0; END_BYTES + MAX_COMMENT_BYTES];
    let wanted_from = span.start + span.length.saturating_sub(tail.len() as u64);
    let Some(from) = source.end_from(wanted_from)? else { return Ok(None) };
    let tail_start = from - span.start;
    let length = read_at(source, span, tail_start, &mut tail)?;
    tail.truncate(length);
    let mut candidates = 0;
    for at in memchr::memmem::rfind_iter(&tail, &END_MAGIC) {
        let Some(record) = tail.get(at..at + END_BYTES) else { continue };
        if at + END_BYTES + usize::from(u16_at(record, 20)) > length {
            continue;
        }
        candidates += 1;
        if candidates > MAX_CANDIDATES {
            break;
        }
        let place = place(source, span, tail_start + at as u64, record)?;
        if place.is_some() {
            return Ok(place);
        }
    }
    // What was not kept may have it.
    if from > wanted_from {
        return Err(not_kept().into());
    }
    if candidates > 0 {
        return Err(Trouble::NoDirectory("its central directory is not where its end says"));
    }
    if record_at(source, span, 0)? == Some(LOCAL_MAGIC) {
        return Err(Trouble::NoDirectory("its end is missing, and its central directory with it"));
    }
    Ok(None)
}

/// The directory that an end record tells of, if there is one.
fn place(source: &mut dyn Source, span: Span, end: u64, record: &[u8]) -> Result<Option<Place>, Trouble> {
    let (count, length, offset) = (u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
    let is_full = count == u16::MAX || length == u32::MAX || offset == u32::MAX;
    if is_full && let Some((end64, record)) = end64(source, span, end)? {
        return directory(source, span, end64, u64_at(&record, 40), u64_at(&record, 48));
    }
    directory(source, span, end, length.into(), offset.into())
}

/// The record with 64-bit numbers, and where it is.
fn end64(source: &mut dyn Source, span: Span, end: u64) -> Result<Option<(u64, [u8; 56])>, Trouble> {
    let Some(locator_at) = end.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
    let locator = record_at::<20>(source, span, locator_at)?;
    let Some(locator) = locator.filter(|locator| locator.starts_with(&LOCATOR_MAGIC)) else {
        return Ok(None);
    };
    // Right in front of the locator, where something in front of the archive has moved it.
    for at in [Some(u64_at(&locator, 8)), locator_at.checked_sub(END64_BYTES)].into_iter().flatten() {
        let record = record_at::<56>(source, span, at)?;
        if let Some(record) = record.filter(|record| at < locator_at && record.starts_with(&END64_MAGIC)) {
            return Ok(Some((at, record)));
        }
    }
    Ok(None)
}

/// The directory that lies right in front of its end record, as Java looks for it, or else where the record says.
fn directory(
    source: &mut dyn Source,
    span: Span,
    end: u64,
    length: u64,
    offset: u64,
) -> Result<Option<Place>, Trouble> {
    if length == 0 {
        return Ok(Some(Place { start: end, length: 0, shift: 0 }));
    }
    let in_front = end.checked_sub(length);
    let moved = in_front.and_then(|start| Some((start, start.checked_sub(offset)?)));
    let stated = offset.checked_add(length).filter(|&behind| behind <= end).map(|_| (offset, 0));
    for (start, shift) in [moved, stated].into_iter().flatten() {
        if record_at(source, span, start)? == Some(HEADER_MAGIC) {
            return Ok(Some(Place { start, length, shift }));
        }
    }
    Ok(None)
}
