//! The end of an eStargz layer, which says where its table of contents is (`docs/estargz.md`, "Footer"): an empty gzip
//! member with the place in its extra field (RFC 1952, 2.3.1.1).

/// Length of the footer, in bytes.
pub(super) const BYTES: usize = 51;
/// The same of stargz, the format that eStargz was made from, which has no name in front of its extra field.
const LEGACY_BYTES: usize = 47;

/// gzip, deflate, with an extra field.
const GZIP: [u8; 4] = [0x1f, 0x8b, 8, 4];
/// The rest of the header.
const HEADER_BYTES: usize = 10;
/// The length of the extra field, then its name and the length of what the name is for.
const EXTRA: [u8; 6] = [26, 0, b'S', b'G', 22, 0];
const LEGACY_EXTRA: [u8; 2] = [22, 0];
/// What stands behind the place.
const MARK: &[u8] = b"STARGZ";

/// Where the table of contents begins, and the length of the footer. `None` for a layer that ends with neither.
pub(super) fn read(tail: &[u8]) -> Option<(u64, usize)> {
    let place = |footer_bytes: usize, extra: &[u8]| {
        let footer = tail.get(tail.len().checked_sub(footer_bytes)?..)?;
        let behind = footer.strip_prefix(&GZIP)?.get(HEADER_BYTES - GZIP.len()..)?.strip_prefix(extra)?;
        let (digits, behind) = behind.split_at_checked(16)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !behind.starts_with(MARK) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        Some((u64::from_str_radix(digits, 16).ok()?, footer_bytes))
    };
    place(BYTES, &EXTRA).or_else(|| place(LEGACY_BYTES, &LEGACY_EXTRA))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer as the formats' own writers make it.
    fn footer(extra: &[u8], place: &str) -> Vec<u8> {
        let behind = [1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        [&GZIP[..], &[0, 0, 0, 0, 0, 255], extra, place.as_bytes(), MARK, &behind].concat()
    }

    #[test]
    fn both_footers_tell_the_place() {
        let (own, legacy) = (footer(&EXTRA, "00000000000012ab"), footer(&LEGACY_EXTRA, "00000000000012AB"));
        assert_eq!((own.len(), legacy.len()), (BYTES, LEGACY_BYTES));
        assert_eq!(read(&own), Some((0x12ab, BYTES)));
        assert_eq!(read(&[b"before", &own[..]].concat()), Some((0x12ab, BYTES)));
        assert_eq!(read(&[b"before", &legacy[..]].concat()), Some((0x12ab, LEGACY_BYTES)));
    }

    #[test]
    fn what_is_no_footer_tells_none() {
        let whole = footer(&EXTRA, "00000000000012ab");
        let rows = [
            Vec::new(),
            whole[1..].to_vec(),
            whole[..50].to_vec(),
            footer(&EXTRA, "+0000000000012ab"),
            footer(&EXTRA, "0x000000000012ab"),
            footer(&[26, 0, b'S', b'H', 22, 0], "00000000000012ab"),
            [&whole[..], b"behind"].concat(),
            vec![0; 51],
        ];
        for tail in rows {
            assert_eq!(read(&tail), None, "{tail:?}");
        }
    }
}
