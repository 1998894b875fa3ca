//! The notation of yarn 1's lock files: it looks like YAML and is none.
//!
//! Lines are indented by two spaces a level. On the first level stand the keys of an entry, on the second its fields,
//! on the third what a field such as `dependencies` holds. Deeper levels say nothing that counts.

use std::borrow::Cow;

use super::super::Unreadable;

/// Entries of one file, at most: a bound on memory. The largest real files have some ten thousand.
const MAX_ENTRIES: usize = 60_000;
/// Keys and dependencies of one file, at most.
const MAX_ITEMS: usize = 400_000;

/// A locked package.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// What it is locked for: `name@range`, at least one.
    pub(super) keys: Vec<Cow<'a, str>>,
    pub(super) version: Option<Cow<'a, str>>,
    /// Where it is downloaded from.
    pub(super) resolved: Option<Cow<'a, str>>,
    pub(super) integrity: Option<Cow<'a, str>>,
    /// Names with ranges.
    pub(super) dependencies: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Likewise.
    pub(super) optional_dependencies: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Which map of an entry is being read.
#[derive(Debug, Clone, Copy)]
enum Section {
    None,
    Dependencies,
    OptionalDependencies,
    Other,
}

/// The entries of a lock file, in order.
pub(super) fn parse(text: &str) -> Result<Vec<Entry<'_>>, Unreadable> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut section = Section::None;
    let mut items = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let body = line.trim_start_matches(' ');
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        let broken = || Unreadable::lock(format_args!("line {number} is no line of a lock file"));
        let spaces = line.len() - body.len();
        let Line { names, value, is_map } = Line::parse(body).ok_or_else(broken)?;
        if !spaces.is_multiple_of(2) || is_map == value.is_some() {
            return Err(broken());
        }
        // The names of fields aren't kept.
        items += if spaces == 2 { 0 } else { names.len() };
        if items > MAX_ITEMS || entries.len() > MAX_ENTRIES {
            return Err(Unreadable::limit("the file has more packages than are read of one file"));
        }
        match (spaces / 2, entries.last_mut()) {
            // A text in place of an entry is one that says nothing.
            (0, _) => {
                entries.push(Entry { keys: names, ..Entry::default() });
                section = Section::None;
            }
            (1, Some(entry)) => {
                for name in names {
                    section = entry.set(&name, value.clone());
                }
            }
            (2, Some(entry)) => {
                let list = match section {
                    Section::None => return Err(broken()),
                    Section::Dependencies => &mut entry.dependencies,
                    Section::OptionalDependencies => &mut entry.optional_dependencies,
                    Section::Other => continue,
                };
                if let Some(value) = value {
                    list.extend(names.into_iter().map(|name| (name, value.clone())));
                }
            }
            (_, Some(_)) if !matches!(section, Section::None) => {}
            _ => return Err(broken()),
        }
    }
    Ok(entries)
}

impl<'a> Entry<'a> {
    /// Sets a field; which map follows, when it has no value.
    fn set(&mut self, name: &str, value: Option<Cow<'a, str>>) -> Section {
        let Some(value) = value else {
            return match name {
                "dependencies" => Section::Dependencies,
                "optionalDependencies" => Section::OptionalDependencies,
                _ => Section::Other,
            };
        };
        match name {
            "version" => self.version = Some(value),
            "resolved" => self.resolved = Some(value),
            "integrity" => self.integrity = Some(value),
            _ => {}
        }
        Section::None
    }
}

/// `name, name:` or `name value`.
struct Line<'a> {
    names: Vec<Cow<'a, str>>,
    value: Option<Cow<'a, str>>,
    /// Whether it ends with a colon, so that more indented lines follow.
    is_map: bool,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut names = Vec::new();
        let mut rest = line;
        loop {
            let (name, behind) = name(rest)?;
            if name.is_empty() {
                return None;
            }
            names.push(name);
            rest = behind.trim_start_matches(' ');
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind.trim_start_matches(' '),
                None => break,
            }
        }
        let behind_colon = rest.strip_prefix(':');
        rest = behind_colon.unwrap_or(rest).trim_start_matches(' ');
        let value = if rest.is_empty() || rest.starts_with('#') {
            None
        } else {
            let (value, behind) = name(rest).or_else(|| number(rest))?;
            rest = behind.trim_start_matches(' ');
            Some(value)
        };
        let is_map = behind_colon.is_some() && value.is_none();
        (rest.is_empty() || rest.starts_with('#')).then_some(Self { names, value, is_map })
    }
}

/// A text at the start of `line`, quoted or bare, and what follows.
fn name(line: &str) -> Option<(Cow<'_, str>, &str)> {
    match line.chars().next()? {
        '"' => quoted(line),
        first if first.is_ascii_alphabetic() || matches!(first, '/' | '-' | '.') => {
            let end = line.find([':', ' ', ',']).unwrap_or(line.len());
            let (name, rest) = line.split_at_checked(end)?;
            Some((Cow::Borrowed(name), rest))
        }
        _ => None,
    }
}

/// A text in quotation marks, written as in JSON.
fn quoted(line: &str) -> Option<(Cow<'_, str>, &str)> {
    let inside = line.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = inside.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    let (text, rest) = (inside.get(..end)?, inside.get(end + 1..)?);
    if !text.contains('\\') {
        return Some((Cow::Borrowed(text), rest));
    }
    let text: String = serde_json::from_str(line.get(..end + 2)?).ok()?;
    Some((Cow::Owned(text), rest))
}

/// A number: digits, of which leading zeros don't count.
fn number(line: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at_checked(end)?;
    let significant = digits.trim_start_matches('0');
    let text = if significant.is_empty() { digits.get(..1)? } else { significant };
    Some((Cow::Borrowed(text), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_with_a_value_or_with_a_colon() {
        let rows = [
            ("a@^1:", Some((vec!["a@^1"], None, true))),
            (
                r#""@a/b@^1", a@2 , "c\"d@>= 1 < 2":"#,
                Some((vec!["@a/b@^1", "a@2", "c\"d@>= 1 < 2"], None, true)),
            ),
            (r#"version "1.0.0""#, Some((vec!["version"], Some("1.0.0"), false))),
            ("version 007 # seven", Some((vec!["version"], Some("7"), false))),
            ("optional true", Some((vec!["optional"], Some("true"), false))),
            ("version: 0", Some((vec!["version"], Some("0"), false))),
            ("version", Some((vec!["version"], None, false))),
            ("a b c", None),
            ("a,", None),
            ("\"a", None),
            ("\"\\x\":", None),
            ("\"\":", None),
            ("<<<<<<< HEAD", None),
            (": a", None),
        ];
        for (text, expected) in rows {
            let line = Line::parse(text);
            let line = line.as_ref().map(|line| {
                (
                    line.names.iter().map(|name| &**name).collect::<Vec<_>>(),
                    line.value.as_deref(),
                    line.is_map,
                )
            });
            assert_eq!(line, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_lock_file_is_refused_with_its_line() {
        for text in
            ["a:\n b 1\n", "  version \"1\"\n", "a:\n  b \"1\"\n    c \"1\"\n", "a:\n    c \"1\"\n", "a\n"]
        {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code, "node_file_unreadable", "{text}");
            assert!(error.reason.contains("line "), "{}", error.reason);
        }
    }

    #[test]
    fn more_entries_than_are_read_are_refused() {
        let text = "a@1:\n".repeat(MAX_ENTRIES + 2);
        assert_eq!(parse(&text).unwrap_err().code, "dependency_limit_reached");
    }

    #[test]
    fn deeper_levels_and_other_fields_are_passed_over() {
        let text = "# a comment\n\na@1:\r\n  version \"1\"\r\n  other:\n    x y\n      z 1\n  dependencies:\n    b \"2\"\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].version.as_deref(), Some("1"));
        assert_eq!(entries[0].dependencies, [("b".into(), "2".into())]);
    }
}
