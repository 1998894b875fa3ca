//! What files of the cache are called.

use std::fmt;

use regent_scan::CAPTURE_VERSION;
use sha2::{Digest as _, Sha256};

/// How a file is called until it is whole: what its name begins and ends with.
pub(super) const UNFINISHED: (&str, &str) = (".kept-", ".part");
/// What the name of an entry ends with.
const ENTRY: &str = ".kept";
/// Hexadecimal digits of an entry's name.
const DIGITS: usize = 64;

/// An entry's name: SHA-256 over its kind and what it depends on, so that whoever lists the directory learns nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct EntryName([u8; 32]);

impl EntryName {
    /// The entry of this kind that depends on these texts.
    pub(crate) fn new(kind: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in [kind].iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The file's name. Another release may write another form under the same name, so its own is part of it.
    pub(super) fn file_name(&self) -> String {
        format!("{self}{}", ending())
    }
}

/// What entries of this release end with.
fn ending() -> String {
    format!("-{CAPTURE_VERSION}-{}{ENTRY}", env!("CARGO_PKG_VERSION"))
}

/// What a file of the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// An entry of this release.
    Entry,
    /// One of another.
    OtherRelease,
    /// One that is being written, or was when its process died.
    Unfinished,
    /// Nothing of the cache's: somebody else has put it there.
    Foreign,
}

impl Found {
    /// What a file of this name is.
    pub(super) fn of(file_name: &str) -> Self {
        if file_name.starts_with(UNFINISHED.0) && file_name.ends_with(UNFINISHED.1) {
            return Self::Unfinished;
        }
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match file_name.split_at_checked(DIGITS) {
            Some((digits, rest)) if digits.bytes().all(is_digit) => match rest {
                rest if rest == ending() => Self::Entry,
                rest if rest.starts_with('-') && rest.ends_with(ENTRY) => Self::OtherRelease,
                _ => Self::Foreign,
            },
            _ => Self::Foreign,
        }
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_with_the_kind_and_each_text() {
        let mut names: Vec<String> =
            [("a", ["b", "c"]), ("a", ["bc", ""]), ("ab", ["", "c"]), ("a", ["", "bc"]), ("b", ["b", "c"])]
                .iter()
                .map(|(kind, parts)| EntryName::new(kind, parts).file_name())
                .collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn files_of_others_are_told_from_files_of_the_cache() {
        let own = EntryName::new("a", &[]).file_name();
        let (digits, _) = own.split_at(DIGITS);
        let rows = [
            (own.clone(), Found::Entry),
            (format!("{digits}-5-0.0.1.kept"), Found::OtherRelease),
            (".kept-aB3x.part".to_owned(), Found::Unfinished),
            (digits.to_owned(), Found::Foreign),
            (format!("{digits}.kept"), Found::Foreign),
            (own.to_uppercase(), Found::Foreign),
            ("notes.kept".to_owned(), Found::Foreign),
            (".bashrc".to_owned(), Found::Foreign),
            ("ä".repeat(40), Found::Foreign),
        ];
        for (name, expected) in rows {
            assert_eq!(Found::of(&name), expected, "{name}");
        }
    }
}
