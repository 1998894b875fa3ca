//! Local headers (APPNOTE 4.3.7), as they stand before the data of entries.

use super::{u16_at, u32_at, u64_at};

/// What each has before its texts.
pub(in super::super) const FIXED_BYTES: usize = 30;
/// The extra field with 64-bit numbers (APPNOTE 4.5.3).
const EXTRA_ZIP64: u16 = 1;
const FLAG_ENCRYPTED: u16 = 1;
/// Checksum and sizes stand behind the data.
const FLAG_DESCRIPTOR: u16 = 1 << 3;

/// A local header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct LocalHeader<'a> {
    /// As it is written there.
    pub(in super::super) name: &'a [u8],
    /// Compression method.
    pub(in super::super) method: u16,
    pub(in super::super) is_encrypted: bool,
    /// Bytes of data that follow; `None` where only what stands behind them tells.
    pub(in super::super) stored_bytes: Option<u64>,
}

/// The length of a local header with its texts, of which the fixed part is there.
pub(in super::super) fn length(fixed: &[u8]) -> usize {
    FIXED_BYTES + usize::from(u16_at(fixed, 26)) + usize::from(u16_at(fixed, 28))
}

impl<'a> LocalHeader<'a> {
    /// Reads one; `None` where it is not complete.
    pub(in super::super) fn parse(header: &'a [u8]) -> Option<Self> {
        let texts = header.get(FIXED_BYTES..length(header))?;
        let (name, extra) = texts.split_at_checked(u16_at(header, 26).into())?;
        let flags = u16_at(header, 6);
        let (mut size_bytes, mut stored_bytes) = (u32_at(header, 22).into(), u32_at(header, 18).into());
        widen(extra, [&mut size_bytes, &mut stored_bytes]);
        Some(Self {
            name,
            method: u16_at(header, 8),
            is_encrypted: flags & FLAG_ENCRYPTED != 0,
            stored_bytes: (flags & FLAG_DESCRIPTOR == 0).then_some(stored_bytes),
        })
    }
}

/// Numbers that don't fit stand in an extra field, in the order of the header.
pub(super) fn widen<const N: usize>(mut extra: &[u8], numbers: [&mut u64; N]) {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let length = usize::from(u16_at(head, 2)).min(rest.len());
        let (field, behind) = rest.split_at(length);
        if u16_at(head, 0) == EXTRA_ZIP64 {
            let mut wide = field.chunks_exact(8).map(|bytes| u64_at(bytes, 0));
            for narrow in numbers {
                if *narrow == u64::from(u32::MAX) {
                    *narrow = wide.next().unwrap_or(*narrow);
                }
            }
            return;
        }
        extra = behind;
    }
}
