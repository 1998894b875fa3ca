//! Requirements: lines of `requirements.txt` and values of `Requires-Dist`, as the scanner being replaced reads them.

use super::version::Range;

/// One requirement. Markers other than extras are passed over: it counts if it is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement<'a> {
    /// The name as written.
    pub(super) name: &'a str,
    /// The extras that it asks for.
    pub(super) extras: Vec<&'a str>,
    /// The first specifier; none where it is missing or can't be read.
    pub(super) range: Option<Range>,
    /// What may be extras in its marker, if that is about extras at all.
    pub(super) only_for: Vec<&'a str>,
}

impl<'a> Requirement<'a> {
    /// A line of `requirements.txt`. Options are taken for names, which nothing has.
    pub(crate) fn of_line(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let (name, extras, rest) = name_and_extras(line)?;
        Some(Self { name, extras, range: range(rest), only_for: Vec::new() })
    }

    /// A value of `Requires-Dist`: a blank and a parenthesis may stand before the specifier.
    pub(crate) fn of_metadata(value: &'a str) -> Option<Self> {
        let value = value.trim();
        let (requirement, marker) = value.split_once(';').unwrap_or((value, ""));
        let (name, extras, rest) = name_and_extras(requirement)?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let rest = rest.strip_prefix('(').unwrap_or(rest);
        Some(Self { name, extras, range: range(rest), only_for: quoted_behind_extra(marker) })
    }
}

/// The name, the extras in brackets directly behind it, and the rest.
fn name_and_extras(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    let end = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    let Some((extras, rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return Some((name, Vec::new(), rest));
    };
    Some((name, extras.split(',').map(str::trim).filter(|extra| !extra.is_empty()).collect(), rest))
}

/// The specifier at the beginning: the operator, and directly behind it the version.
fn range(text: &str) -> Option<Range> {
    const OPERATORS: [&str; 8] = ["===", "==", "!=", "<=", ">=", "~=", "<", ">"];
    let operator = OPERATORS.into_iter().find(|operator| text.starts_with(operator))?;
    let version = text.get(operator.len()..)?;
    let is_version = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    let end = version.find(|letter| !is_version(letter)).unwrap_or(version.len());
    let version = version.get(..end).filter(|version| !version.is_empty())?;
    Some(Range::new(operator, version))
}

/// The quoted texts behind the first `extra` of a marker.
fn quoted_behind_extra(marker: &str) -> Vec<&str> {
    let Some((_, mut rest)) = marker.split_once("extra") else { return Vec::new() };
    let mut texts = Vec::new();
    let is_quote = |letter| matches!(letter, '"' | '\'');
    while let Some((text, behind)) =
        rest.split_once(is_quote).and_then(|(_, behind)| behind.split_once(is_quote))
    {
        texts.push(text);
        rest = behind;
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a str, Option<(&'a str, &'a [&'a str], Option<Range>)>);

    #[test]
    fn lines_begin_with_a_name_and_options_are_names_of_nothing() {
        let exact = |major, minor, patch| {
            Some(Range::Between([major, minor, patch], Some([major, minor, patch + 1])))
        };
        let rows: [Row<'_>; 12] = [
            ("flask==3.0.0", Some(("flask", &[], exact(3, 0, 0)))),
            ("  Flask[async, dotenv]==3.0.0  ", Some(("Flask", &["async", "dotenv"], exact(3, 0, 0)))),
            ("flask == 3.0.0", Some(("flask", &[], None))),
            ("flask== 3.0.0", Some(("flask", &[], None))),
            ("flask==3.0.0,<4 ; python_version > '3' --hash=sha256:ab", Some(("flask", &[], exact(3, 0, 0)))),
            ("flask==3.0.0+local", Some(("flask", &[], exact(3, 0, 0)))),
            ("flask!=3.0.0", Some(("flask", &[], Some(Range::Never)))),
            ("-r other.txt", Some(("-r", &[], None))),
            ("git+https://example.org/x.git#egg=x", Some(("git", &[], None))),
            ("# a comment", None),
            ("", None),
            ("@ file", None),
        ];
        for (line, expected) in rows {
            let found = Requirement::of_line(line).map(|r| (r.name, r.extras, r.range));
            assert_eq!(found, expected.map(|(name, extras, range)| (name, extras.to_vec(), range)), "{line}");
        }
    }

    #[test]
    fn metadata_may_have_a_blank_a_parenthesis_and_a_marker_about_extras() {
        let below = |minor| Some(Range::Between([0; 3], Some([1, minor, 0])));
        let rows = [
            ("urllib3 (<1.27,>=1.21.1)", below(27), &[][..]),
            ("urllib3 <1.27", below(27), &[]),
            ("urllib3<1.27", below(27), &[]),
            ("urllib3 < 1.27", None, &[]),
            ("urllib3; python_version < '3'", None, &[]),
            ("urllib3<1.27 ; extra == 'socks' and os_name == \"nt\"", below(27), &["socks", "nt"]),
            ("urllib3 ; (python_version < '3') and extra == 'a' or extra == 'b'", None, &["a", "b"]),
        ];
        for (value, range, only_for) in rows {
            let found = Requirement::of_metadata(value).unwrap();
            assert_eq!(
                (found.name, found.range, found.only_for.as_slice()),
                ("urllib3", range, only_for),
                "{value}"
            );
        }
    }
}
