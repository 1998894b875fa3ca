//! A tar header block (POSIX pax "ustar Interchange Format", and GNU tar's variant of it).

use super::Fault;

pub(super) const BLOCK_BYTES: usize = 512;

pub(super) type Block = [u8; BLOCK_BYTES];

/// Bits of a mode, of which one lets someone run the file.
pub(super) const RUNNABLE: u64 = 0o111;

/// The kind of a header, of those that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeFlag {
    Regular,
    /// V7's: a file, or a directory where the name ends with a slash.
    OldRegular,
    HardLink,
    Symlink,
    Directory,
    /// GNU's directory of an incremental archive, with a list of names as data.
    DumpDirectory,
    /// A character or block device or a named pipe: header only.
    Device,
    /// GNU's older sparse file: the map stands in the header.
    GnuSparse,
    /// The next entry's name, as data.
    GnuLongName,
    /// The next entry's link target, as data.
    GnuLongLink,
    /// Records for the next entry.
    Pax,
    /// Records for all that follows.
    PaxGlobal,
    /// A volume label, a part of a file of another volume: nothing that is unpacked.
    Meta,
    /// Anything else.
    Unknown,
}

/// Fields of a header block, as they stand.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) type_flag: TypeFlag,
    /// The name, its POSIX prefix in front.
    pub(super) prefix: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) link: &'a [u8],
    pub(super) size_bytes: u64,
    /// Whether its mode lets anyone run it. A mode that can't be read may.
    pub(super) is_runnable: bool,
}

impl<'a> Header<'a> {
    /// Parses a block that is not all zeros.
    pub(super) fn parse(block: &'a Block) -> Result<Self, Fault> {
        check_sum(block)?;
        let name = until_nul(field(block, 0, 100));
        let prefix: &[u8] = match field(block, 257, 8) {
            b"ustar\x0000" if field(block, 508, 4) == b"tar\0" => until_nul(field(block, 345, 131)), // star
            [b'u', b's', b't', b'a', b'r', 0, ..] => until_nul(field(block, 345, 155)),
            _ => &[],
        };
        let type_flag = match block.get(156).copied().unwrap_or_default() {
            0 => TypeFlag::OldRegular,
            b'0' | b'7' => TypeFlag::Regular,
            b'1' => TypeFlag::HardLink,
            b'2' => TypeFlag::Symlink,
            b'3' | b'4' | b'6' => TypeFlag::Device,
            b'5' => TypeFlag::Directory,
            b'D' => TypeFlag::DumpDirectory,
            b'S' => TypeFlag::GnuSparse,
            b'L' => TypeFlag::GnuLongName,
            b'K' => TypeFlag::GnuLongLink,
            b'x' | b'X' => TypeFlag::Pax,
            b'g' => TypeFlag::PaxGlobal,
            b'M' | b'N' | b'V' => TypeFlag::Meta,
            _ => TypeFlag::Unknown,
        };
        let size_bytes = number(field(block, 124, 12))
            .ok_or_else(|| Fault::undecodable("tar header has a malformed size"))?;
        let is_runnable = number(field(block, 100, 8)).is_none_or(|mode| mode & RUNNABLE != 0);
        Ok(Self { type_flag, prefix, name, link: until_nul(field(block, 157, 100)), size_bytes, is_runnable })
    }
}

/// The bytes of a field.
pub(super) fn field(block: &Block, at: usize, length: usize) -> &[u8] {
    block.get(at..at + length).unwrap_or_default()
}

/// A number of a header: octal text, or GNU's base 256 where the first bit is set. `None` if it is malformed,
/// negative, or beyond 64 bits.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if let Some((first @ 0x80.., rest)) = field.split_first() {
        // 0xff begins a negative number.
        if *first == 0xff {
            return None;
        }
        return rest.iter().try_fold(u64::from(first & 0x7f), |number, &byte| {
            (number >> 56 == 0).then_some(number << 8 | u64::from(byte))
        });
    }
    let (mut number, mut has_begun) = (0_u64, false);
    for &byte in field {
        match byte {
            b'0'..=b'7' if number >> 61 == 0 => {
                number = number << 3 | u64::from(byte - b'0');
                has_begun = true;
            }
            b' ' | 0 if has_begun => break,
            b' ' | 0 => {}
            _ => return None,
        }
    }
    Some(number)
}

fn until_nul(field: &[u8]) -> &[u8] {
    memchr::memchr(0, field).and_then(|end| field.get(..end)).unwrap_or(field)
}

/// The sum of all bytes, eight at a time: every second one is added to one of four numbers of 16 bits, which those of a
/// block don't fill.
fn sum(block: &Block) -> u64 {
    const SECONDS: u64 = 0x00ff_00ff_00ff_00ff;
    let (words, _) = block.as_chunks();
    let sums = words.iter().fold(0, |sums, word| {
        let word = u64::from_le_bytes(*word);
        sums + (word & SECONDS) + (word >> 8 & SECONDS)
    });
    [0, 16, 32, 48].into_iter().map(|bits| sums >> bits & 0xffff).sum()
}

/// The sum over all bytes, those of the sum itself taken as spaces. Old writers took bytes as signed.
fn check_sum(block: &Block) -> Result<(), Fault> {
    let stored = field(block, 148, 8);
    let expected = number(stored);
    let blanks = 8 * u64::from(b' ');
    let unsigned = sum(block) - stored.iter().map(|&b| u64::from(b)).sum::<u64>() + blanks;
    if expected == Some(unsigned) {
        return Ok(());
    }
    let high = |bytes: &[u8]| bytes.iter().map(|&b| u64::from(b >> 7)).sum::<u64>();
    let signed = unsigned.checked_sub(256 * (high(block) - high(stored)));
    if expected.is_some() && expected == signed {
        return Ok(());
    }
    Err(Fault::undecodable(
        "tar header has a wrong checksum: neither gzip, nor zstd, nor a tar archive, or damaged",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_summed_up_whatever_its_bytes() {
        for block in
            [[0; BLOCK_BYTES], [0xff; BLOCK_BYTES], std::array::from_fn(|n| (n * 7 % 251).to_le_bytes()[0])]
        {
            assert_eq!(sum(&block), block.iter().map(|&b| u64::from(b)).sum::<u64>());
        }
    }

    #[test]
    fn numbers_are_octal_or_base_256() {
        let rows: [(&[u8], Option<u64>); 12] = [
            (b"00000000017\0", Some(15)),
            (b"         17 ", Some(15)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", Some(0)),
            (b"            ", Some(0)),
            (b"0000000008\0\0", None),
            (b"-0000000017\0", None),
            (b"0x11\0\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x02", Some(258)),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", Some(u64::MAX)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", None),
        ];
        for (field, expected) in rows {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }
}
