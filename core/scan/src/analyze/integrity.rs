//! Subresource integrity of lock files: the hashes of what is downloaded for a package.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;

use crate::application::HashAlgorithm;
use crate::hexadecimal::hexadecimal;

/// The hashes in `text`: words of the form `sha512-BASE64`, with options behind a question mark. What is none is left
/// out.
pub(super) fn hashes(text: &str) -> BTreeSet<(HashAlgorithm, String)> {
    text.split_ascii_whitespace().filter_map(hash).collect()
}

fn hash(word: &str) -> Option<(HashAlgorithm, String)> {
    let (algorithm, value) = word.split_once('-')?;
    let (algorithm, bytes) = match algorithm {
        "md5" => (HashAlgorithm::Md5, 16),
        "sha1" => (HashAlgorithm::Sha1, 20),
        "sha256" => (HashAlgorithm::Sha256, 32),
        "sha384" => (HashAlgorithm::Sha384, 48),
        "sha512" => (HashAlgorithm::Sha512, 64),
        _ => return None,
    };
    let value = value.split('?').next()?;
    let value = STANDARD_PAD_INDIFFERENT.decode(value).ok()?;
    (value.len() == bytes).then(|| (algorithm, hexadecimal(&value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_with_a_known_algorithm_and_the_right_length_is_a_hash() {
        let sha1 = "2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
        let hex = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let rows = [
            (format!("sha1-{sha1}"), vec![(HashAlgorithm::Sha1, hex)]),
            (format!("sha1-{sha1}?opt  sha1-{sha1}"), vec![(HashAlgorithm::Sha1, hex)]),
            (format!("sha256-{sha1}"), vec![]),
            (format!("sha3-{sha1} sha1 sha1- sha1-!!"), vec![]),
            (
                format!("md5-1B2M2Y8AsgTpgAmY7PhCfg== sha1-{sha1}"),
                vec![(HashAlgorithm::Md5, "d41d8cd98f00b204e9800998ecf8427e"), (HashAlgorithm::Sha1, hex)],
            ),
        ];
        for (text, expected) in rows {
            let found = hashes(&text);
            let found: Vec<_> = found.iter().map(|(algorithm, hex)| (*algorithm, hex.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
