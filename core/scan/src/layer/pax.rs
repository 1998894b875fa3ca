//! pax records (POSIX pax, "pax Extended Header"): `length key=value\n`.

use super::Fault;
use super::sparse::PaxSparse;

/// Go's `archive/tar` has the same bound.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// What the records for one entry say, of what matters here.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size_bytes: Option<u64>,
    pub(super) sparse: PaxSparse,
}

impl Pax {
    /// Parses the data of a pax header. An empty value means that the header block's own value counts.
    pub(super) fn parse(data: &[u8]) -> Result<Self, Fault> {
        let mut pax = Self::default();
        let mut rest = data;
        // Some writers pad with NULs.
        while rest.first().is_some_and(|&b| b != 0) {
            let (key, value, behind) =
                split_record(rest).ok_or_else(|| Fault::undecodable("pax header has a malformed record"))?;
            rest = behind;
            let text = || (!value.is_empty()).then(|| value.to_vec());
            match key {
                b"path" => pax.path = text(),
                b"linkpath" => pax.link_path = text(),
                b"size" if value.is_empty() => pax.size_bytes = None,
                b"size" => pax.size_bytes = Some(decimal(value).ok_or_else(malformed_number)?),
                _ => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        pax.sparse.take(key, value)?;
                    }
                }
            }
        }
        Ok(pax)
    }
}

pub(super) fn malformed_number() -> Fault {
    Fault::undecodable("pax header has a malformed number")
}

/// A number without sign.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Key, value, and what comes after the record.
fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = memchr::memchr(b' ', data.get(..21.min(data.len()))?)?;
    let length = usize::try_from(decimal(data.get(..blank)?)?).ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = memchr::memchr(b'=', record)?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_by_their_length() {
        let pax =
            Pax::parse(b"14 path=a\nb=c\n20 linkpath=\xc3\xa9/../x\n10 size=7\n13 path2=x=y\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb=c"[..]));
        assert_eq!(pax.link_path.as_deref(), Some("é/../x".as_bytes()));
        assert_eq!(pax.size_bytes, Some(7));
    }

    #[test]
    fn an_empty_value_takes_a_record_back() {
        let pax = Pax::parse(b"10 path=a\n8 path=\n10 size=7\n8 size=\n").unwrap();
        assert_eq!((pax.path, pax.size_bytes), (None, None));
    }

    #[test]
    fn malformed_records_are_refused() {
        let rows: [&[u8]; 10] = [
            b"path=a\n",
            b"11 path=a\n",
            b"8 path=a\n",
            b"9 path a\n",
            b"-1 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"18446744073709551615 path=a\n",
            b"2 \n",
            b"0 path=a\n",
            b"10 size=x\n",
        ];
        for data in rows {
            assert!(Pax::parse(data).is_err(), "{}", String::from_utf8_lossy(data));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_data_makes_the_parser_panic(data in "([0-9]{1,3} )?(path|size|GNU.sparse.map)?=?[0-9,\\n]{0,20}") {
            let _ = Pax::parse(data.as_bytes());
        }
    }
}
