//! What makes a document unique, derived from what it says.

use std::io;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A UUID for this content: the same content has the same, and other content another one (RFC 9562, 5.8: version 8,
/// whose bits are the first of the content's SHA-256).
pub(super) fn uuid(content: &impl Serialize) -> String {
    let mut hashing = Hashing(Sha256::new());
    // Nothing that is written here fails to be: it is text, lists and structures.
    let _ = serde_json::to_writer(&mut hashing, content);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hashing.0.finalize()) {
        *to = from;
    }
    let bits = (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62)) | (0x8 << 76) | (0x2 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        (bits >> 80) & 0xffff,
        (bits >> 64) & 0xffff,
        (bits >> 48) & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

/// Takes what is written into the hash.
struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_the_same_uuid_of_version_8() {
        let (one, two) = (uuid(&["a", "b"]), uuid(&["a", "c"]));
        assert_eq!(one, uuid(&vec!["a", "b"]));
        assert_ne!(one, two);
        for uuid in [one, two] {
            let parts: Vec<_> = uuid.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{uuid}");
            assert!(parts[2].starts_with('8') && parts[3].starts_with(['8', '9', 'a', 'b']), "{uuid}");
        }
    }
}
