//! Parts of a layer: which are fetched together, and the reader of what comes.

use std::io::{self, BufRead, ErrorKind, Read};
use std::ops::Range;

/// Parts that lie closer to each other are fetched as one, in bytes: a request costs as much as that.
const GAP_BYTES: u64 = 64 << 10;
/// With more parts than that, those farther apart are joined, too.
const MAX_RANGES: usize = 256;

const BUFFER_BYTES: usize = 64 << 10;

/// Joins extents, which are in order, where they are close to each other.
pub(super) fn coalesced(extents: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut gap_bytes = GAP_BYTES;
    let mut ranges = joined(extents, gap_bytes);
    while ranges.len() > MAX_RANGES {
        gap_bytes *= 2;
        ranges = joined(ranges.into_iter(), gap_bytes);
    }
    ranges
}

fn joined(extents: impl Iterator<Item = Range<u64>>, gap_bytes: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for extent in extents {
        match ranges.last_mut() {
            Some(last) if extent.start <= last.end.saturating_add(gap_bytes) => {
                last.end = last.end.max(extent.end);
            }
            _ => ranges.push(extent),
        }
    }
    ranges
}

/// Reads one extent after the other from the bytes of all ranges.
pub(super) struct Ranged<'a, R> {
    parts: R,
    ranges: std::slice::Iter<'a, Range<u64>>,
    /// Where in the layer the next byte is, of those that are buffered or else of those to come.
    position: u64,
    /// Where the range ends that is being read.
    range_end: u64,
    /// Where the extent ends that is being read.
    extent_end: u64,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<'a, R: Read> Ranged<'a, R> {
    pub(super) fn new(parts: R, ranges: &'a [Range<u64>]) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into();
        let ranges = ranges.iter();
        Self { parts, ranges, position: 0, range_end: 0, extent_end: 0, buffer, start: 0, end: 0 }
    }

    /// Goes on to an extent, which lies behind the place of the last one.
    pub(super) fn open(&mut self, extent: &Range<u64>) -> io::Result<()> {
        self.extent_end = u64::MAX;
        // A range that ends in front of it has nothing more of use.
        while extent.start >= self.range_end {
            self.skip(self.range_end - self.position)?;
            let range = self.ranges.next().ok_or(ErrorKind::UnexpectedEof)?;
            (self.position, self.range_end) = (range.start, range.end);
        }
        let ahead = extent.start.checked_sub(self.position).ok_or(ErrorKind::InvalidInput)?;
        self.skip(ahead)?;
        self.extent_end = extent.end;
        Ok(())
    }

    fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        let mut left = n_bytes;
        while left > 0 {
            let buffered = self.fill_buf()?.len();
            if buffered == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffered);
            self.consume(n);
            left -= n as u64;
        }
        Ok(())
    }
}

impl<R: Read> BufRead for Ranged<'_, R> {
    /// Empty at the end of the extent.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.extent_end.min(self.range_end).saturating_sub(self.position);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if self.start == self.end && left > 0 {
            let to_come = usize::try_from(self.range_end - self.position).unwrap_or(usize::MAX);
            let room = to_come.min(self.buffer.len());
            let n = self.parts.read(self.buffer.get_mut(..room).unwrap_or_default())?;
            if n == 0 || n > room {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            (self.start, self.end) = (0, n);
        }
        let end = self.end.min(self.start.saturating_add(left));
        Ok(self.buffer.get(self.start..end).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(self.end - self.start);
        self.start += n;
        self.position += n as u64;
    }
}

impl<R: Read> Read for Ranged<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let buffered = self.fill_buf()?;
        let n = into.len().min(buffered.len());
        if let (Some(into), Some(from)) = (into.get_mut(..n), buffered.get(..n)) {
            into.copy_from_slice(from);
        }
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_parts_are_one_and_many_become_fewer() {
        let near = GAP_BYTES;
        let rows = [
            (&[10..20, 20..30, 30 + near..40 + near][..], &[(10, 40 + near)][..]),
            (&[10..20, 21 + near..30 + near], &[(10, 20), (21 + near, 30 + near)]),
            (&[10..90, 10..90, 10..90], &[(10, 90)]),
            (&[], &[]),
        ];
        for (extents, expected) in rows {
            let ranges = coalesced(extents.iter().cloned());
            assert_eq!(ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>(), expected);
        }
        let many = (0..10_000_u64).map(|i| i * 2 * GAP_BYTES..i * 2 * GAP_BYTES + 5);
        let joined = coalesced(many);
        assert!(joined.len() <= MAX_RANGES && joined.is_sorted_by(|a, b| a.end < b.start), "{joined:?}");
    }

    #[test]
    fn extents_are_read_from_the_bytes_of_all_ranges() {
        let layer: Vec<u8> = (0..=255).collect();
        let ranges = [10..40, 100..200];
        let parts: Vec<u8> = ranges.iter().flat_map(|range| layer[range.clone()].to_vec()).collect();
        let ranges = ranges.map(|range| range.start as u64..range.end as u64);
        let mut reader = Ranged::new(parts.as_slice(), &ranges);
        for (extent, taken) in [(10..12, 2), (15..30, 3), (20..40, 20), (100..101, 1), (150..200, 7)] {
            reader.open(&extent).unwrap();
            let mut bytes = vec![0; taken];
            reader.read_exact(&mut bytes).unwrap();
            let start = usize::try_from(extent.start).unwrap();
            assert_eq!(bytes, layer[start..start + taken], "{extent:?}");
        }
        assert_eq!(reader.open(&(150..151)).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(reader.open(&(200..201)).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_extent_has_an_end_and_a_stream_that_is_cut_is_an_error() {
        let ranges = std::slice::from_ref(&(0..10));
        let mut reader = Ranged::new(&b"0123"[..], ranges);
        reader.open(&(1..3)).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "12");
        reader.open(&(3..8)).unwrap();
        assert_eq!(reader.read_to_string(&mut text).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
