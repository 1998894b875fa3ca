//! A file of the cache: a mark, a checksum over the file's name and its content, and the content.
//!
//! The name is part of it, so that an entry under another one's name is none.

use sha2::{Digest as _, Sha256};

/// What a file begins with.
const MARK: &[u8; 8] = b"regent\x00\x01";
/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = 32;

/// A file's bytes.
pub(super) fn framed(content: &[u8], file_name: &str) -> Vec<u8> {
    [MARK, checksum(content, file_name).as_slice(), content].concat()
}

/// The content of a file, if that is as it was written.
pub(super) fn content<'a>(file: &'a [u8], file_name: &str) -> Option<&'a [u8]> {
    let (stated, content) = file.strip_prefix(MARK)?.split_at_checked(CHECKSUM_BYTES)?;
    (*stated == checksum(content, file_name)).then_some(content)
}

fn checksum(content: &[u8], file_name: &str) -> [u8; CHECKSUM_BYTES] {
    let name_bytes = (file_name.len() as u64).to_le_bytes();
    Sha256::new().chain_update(name_bytes).chain_update(file_name).chain_update(content).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_cut_changed_or_renamed_is_none() {
        let whole = framed(b"content", "a");
        assert_eq!(content(&whole, "a"), Some(b"content".as_slice()));
        assert_eq!(content(&framed(b"", "a"), "a"), Some(b"".as_slice()));
        assert_eq!(content(&whole, "b"), None);
        for n_bytes in 0..whole.len() {
            assert_eq!(content(&whole[..n_bytes], "a"), None, "cut to {n_bytes}");
            let mut changed = whole.clone();
            changed[n_bytes] ^= 1;
            assert_eq!(content(&changed, "a"), None, "another byte at {n_bytes}");
        }
        assert_eq!(content(&[whole.as_slice(), b"x"].concat(), "a"), None);
    }
}
