//! Versions as the scanner being replaced reads them: pressed into three numbers, and compared as npm does.
//!
//! Results repeat that. The true versions are in the components.

/// The largest number that a version may have there: what JavaScript counts exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;
/// The most digits that are looked at as one number.
const MAX_DIGITS: usize = 16;

/// Three numbers.
type Triple = [u64; 3];

/// An installed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coerced {
    /// As reported.
    pub(super) text: String,
    /// Its numeric parts, by which several versions are sorted.
    pub(super) numbers: Vec<u64>,
    /// What ranges are compared with. None for a version of more than three numbers: it satisfies no range.
    triple: Option<Triple>,
}

impl Coerced {
    /// Takes the first number in the text, with up to two more behind dots: `6.1` is `6.1.0`, `1.0.0rc1` is `1.0.0`.
    /// A text of numbers and dots alone that continues the three, as `2023.3.1.4`, stays as it is.
    pub(super) fn new(version: &str) -> Option<Self> {
        let triple = first_triple(version)?;
        let [major, minor, patch] = triple;
        let text = format!("{major}.{minor}.{patch}");
        let is_plain = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_plain && version.len() > text.len() && version.starts_with(&text) {
            let numbers = version.split('.').filter_map(|number| number.parse().ok()).collect();
            return Some(Self { text: version.to_owned(), numbers, triple: None });
        }
        Some(Self { text, numbers: triple.to_vec(), triple: Some(triple) })
    }
}

/// The first place where one to three numbers stand that are not part of a longer one.
fn first_triple(text: &str) -> Option<Triple> {
    let mut rest = text;
    loop {
        rest = rest.get(rest.find(|letter: char| letter.is_ascii_digit())?..)?;
        let run = digits(rest);
        let behind = rest.get(run.len()..)?;
        if run.len() > MAX_DIGITS {
            rest = behind;
            continue;
        }
        let (minor, behind) = next_number(behind);
        let patch = minor.and_then(|_| next_number(behind).0);
        let numbers = [run, minor.unwrap_or("0"), patch.unwrap_or("0")];
        let [Some(major), Some(minor), Some(patch)] = numbers.map(number) else { return None };
        return Some([major, minor, patch]);
    }
}

/// The digits at the beginning.
fn digits(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The number behind a dot, unless it is too long, and what follows.
fn next_number(text: &str) -> (Option<&str>, &str) {
    let run = text.strip_prefix('.').map_or("", digits);
    if run.is_empty() || run.len() > MAX_DIGITS {
        return (None, text);
    }
    (Some(run), text.get(run.len() + 1..).unwrap_or_default())
}

/// A number without zeros in front.
fn number(text: &str) -> Option<u64> {
    if text.len() > 1 && text.starts_with('0') {
        return None;
    }
    text.parse().ok().filter(|&number| number <= MAX_NUMBER)
}

/// What a requirement asks of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Versions from the first on, up to before the second.
    Between(Triple, Option<Triple>),
    /// None: `!=`, and what npm can't read.
    Never,
}

impl Range {
    /// The operator and version of a requirement, as npm understands them. `~=` with two numbers is a caret, with
    /// three a tilde.
    pub(super) fn new(operator: &str, version: &str) -> Self {
        let Some(partial) = Partial::new(version) else { return Self::Never };
        let (first, behind) = (partial.first(), partial.behind());
        match (operator, partial.count) {
            // `<*` and `>*` hold nothing.
            ("!=", _) | ("<" | ">", 0) => Self::Never,
            ("==" | "===", _) => Self::Between(first, behind),
            ("<", _) => Self::Between([0; 3], Some(first)),
            ("<=", _) => Self::Between([0; 3], behind),
            (">", _) => behind.map_or(Self::Never, |behind| Self::Between(behind, None)),
            (">=", _) => Self::Between(first, None),
            ("~=", 3) => Self::Between(first, Some(partial.next_minor())),
            ("~=", _) => Self::Between(first, partial.next_caret()),
            _ => Self::Never,
        }
    }

    /// Whether an installed version is in it.
    pub(super) fn holds(self, version: &Coerced) -> bool {
        match (self, version.triple) {
            (Self::Between(first, behind), Some(version)) => {
                version >= first && behind.is_none_or(|behind| version < behind)
            }
            _ => false,
        }
    }
}

/// A version of up to three numbers.
struct Partial {
    numbers: Triple,
    /// How many of the numbers are given.
    count: usize,
}

impl Partial {
    fn new(text: &str) -> Option<Self> {
        let mut partial = Self { numbers: [0; 3], count: 0 };
        let mut is_open = false;
        for (place, part) in text.trim_start_matches('v').split('.').enumerate() {
            let slot = partial.numbers.get_mut(place)?;
            is_open |= matches!(part, "x" | "X");
            if !is_open {
                *slot = number(part)?;
                partial.count = place + 1;
            } else if !matches!(part, "x" | "X") {
                number(part)?;
            }
        }
        Some(partial)
    }

    fn first(&self) -> Triple {
        self.numbers
    }

    /// The first version behind all that begin so.
    fn behind(&self) -> Option<Triple> {
        let [major, minor, patch] = self.numbers;
        match self.count {
            0 => None,
            1 => Some([major + 1, 0, 0]),
            2 => Some([major, minor + 1, 0]),
            _ => Some([major, minor, patch + 1]),
        }
    }

    fn next_minor(&self) -> Triple {
        let [major, minor, _] = self.numbers;
        [major, minor + 1, 0]
    }

    /// The first version that npm holds incompatible.
    fn next_caret(&self) -> Option<Triple> {
        let [major, minor, _] = self.numbers;
        match (self.count, major) {
            (0, _) => None,
            (2.., 0) => Some([0, minor + 1, 0]),
            _ => Some([major + 1, 0, 0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_pressed_into_three_numbers() {
        let rows = [
            ("6.1", Some("6.1.0")),
            ("3", Some("3.0.0")),
            ("1.0.0rc1", Some("1.0.0")),
            ("2.8.2.post1", Some("2.8.2")),
            ("2023.3.post1", Some("2023.3.0")),
            ("2023.3.1.4", Some("2023.3.1.4")),
            ("1.2.3.4rc1", Some("1.2.3")),
            ("1!2.3", Some("1.0.0")),
            ("v1.2", Some("1.2.0")),
            ("2004d", Some("2004.0.0")),
            ("1.22222222222222222.3", Some("1.0.0")),
            ("11111111111111111.2.3", Some("2.3.0")),
            ("2023.07.22", None),
            ("9999999999999999", None),
            ("unknown", None),
            ("", None),
        ];
        for (version, expected) in rows {
            assert_eq!(Coerced::new(version).map(|coerced| coerced.text).as_deref(), expected, "{version}");
        }
    }

    #[test]
    fn ranges_hold_what_npm_says() {
        let rows = [
            ("==1.2.3", &["1.2.3"][..], &["1.2.4", "1.2.2", "1.2.3.4"][..]),
            ("==1.2", &["1.2.0", "1.2.9"], &["1.3.0"]),
            ("===2", &["2.9.0"], &["3"]),
            ("<1.27", &["1.26.20"], &["1.27.0"]),
            ("<=1.27", &["1.27.9"], &["1.28.0"]),
            (">1.2.3", &["1.2.4"], &["1.2.3"]),
            (">1.2", &["1.3.0"], &["1.2.9"]),
            (">=1.2", &["1.2.0", "9"], &["1.1.9"]),
            ("~=1.4.2", &["1.4.2", "1.4.9"], &["1.5.0", "1.4.1"]),
            ("~=1.4", &["1.4.0", "1.9.0"], &["2.0.0", "1.3.0"]),
            ("~=0.4", &["0.4.1"], &["0.5.0"]),
            ("~=0", &["0.9.0"], &["1"]),
            ("!=1.0", &[], &["2.0", "1.0"]),
            ("==1.x", &["1.7.0"], &["2.0"]),
            (">=x", &["1"], &[]),
            (">x", &[], &["1"]),
            ("==2.", &[], &["2.0"]),
            ("==1.2.3.4", &[], &["1.2.3", "1.2.3.4"]),
            (">=2023.07.22", &[], &["2024.1.1"]),
            ("==1.0.0rc1", &[], &["1.0.0"]),
        ];
        for (range, inside, outside) in rows {
            let split = range.find(|letter: char| letter.is_ascii_alphanumeric()).unwrap();
            let (operator, asked) = range.split_at(split);
            let holds = |version: &&str| Range::new(operator, asked).holds(&Coerced::new(version).unwrap());
            assert!(inside.iter().all(holds), "{range}");
            assert!(!outside.iter().any(holds), "{range}");
        }
    }
}
