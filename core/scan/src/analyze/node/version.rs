//! Versions as npm understands them (semver.org 2.0.0, read as strictly as npm reads installed versions).

use std::cmp::Ordering;

/// Longest version that is one, as for npm.
const MAX_LENGTH: usize = 256;

/// Largest number in a version: what JavaScript counts without gaps.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A version. What stands behind `+` says nothing of its order and is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// Major, minor, patch.
    pub(super) numbers: [u64; 3],
    /// What stands behind `-`; empty for a release.
    pub(super) pre: Vec<Identifier>,
}

/// A part of what marks a prerelease. Numbers come before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identifier {
    /// Digits only.
    Number(u64),
    /// Anything else, by its bytes.
    Word(String),
}

impl Version {
    /// Reads `1.2.3-beta.1+build`, also with a `v` in front.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return None;
        }
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        if build.is_some_and(|build| !build.split('.').all(is_word)) {
            return None;
        }
        let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
        let mut parts = core.split('.').map(number);
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        if parts.next().is_some() {
            return None;
        }
        Some(Self { numbers, pre: pre.map_or(Some(Vec::new()), prerelease)? })
    }

    /// Whether both are versions or prereleases of the same release.
    pub(super) fn is_same_release(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (false, false) => self.pre.cmp(&other.pre),
            (none, other_none) => none.cmp(&other_none),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Digits without a leading zero.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok().filter(|&number| number <= MAX_NUMBER)
}

/// The next number, unless it is too large.
pub(super) fn next(number: u64) -> Option<u64> {
    (number < MAX_NUMBER).then_some(number + 1)
}

/// What stands behind `-`.
pub(super) fn prerelease(text: &str) -> Option<Vec<Identifier>> {
    text.split('.')
        .map(|part| {
            if part.bytes().all(|b| b.is_ascii_digit()) {
                number(part).map(Identifier::Number)
            } else {
                is_word(part).then(|| Identifier::Word(part.to_owned()))
            }
        })
        .collect()
}

fn is_word(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_the_specification_orders_them() {
        let ordered = [
            "0.9.9",
            "1.0.0-0",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "v2.0.0",
        ];
        for pair in ordered.windows(2) {
            assert!(Version::parse(pair[0]).unwrap() < Version::parse(pair[1]).unwrap(), "{pair:?}");
        }
        assert_eq!(Version::parse("1.0.0+a.1"), Version::parse(" 1.0.0 "));
    }

    #[test]
    fn what_is_no_version_is_none() {
        let long = format!("1.0.0-{}", "a".repeat(MAX_LENGTH));
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-01",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3+",
            "=1.2.3",
            "latest",
            "1.2.x",
            "9007199254740992.0.0",
            "-1.2.3",
            &long,
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert!(Version::parse("9007199254740991.0.0").is_some());
    }
}
