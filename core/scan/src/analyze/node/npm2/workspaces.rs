//! Patterns of `workspaces`: `packages/*`, `apps/**`, `{a,b}`.

/// Patterns of one project, at most, alternatives in braces counted.
const MAX_PATTERNS: usize = 1000;

/// Longest pattern and longest path, in bytes.
const MAX_LENGTH: usize = 4096;

/// The patterns of a project.
#[derive(Debug)]
pub(super) struct Patterns(Vec<String>);

impl Patterns {
    pub(super) fn new(patterns: &[String]) -> Self {
        let mut found = Vec::new();
        for pattern in patterns {
            let pattern = pattern.replace('\\', "/");
            let pattern = pattern.strip_prefix("./").unwrap_or(&pattern).trim_end_matches('/');
            expand(pattern, &mut found);
        }
        Self(found)
    }

    /// Whether a path relative to the project is a workspace.
    pub(super) fn match_path(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.len() <= MAX_LENGTH && self.0.iter().any(|pattern| is_match(pattern, path))
    }
}

/// Takes braces apart: `a/{b,c}` → `a/b`, `a/c`.
fn expand(pattern: &str, found: &mut Vec<String>) {
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        if found.len() + open.len() >= MAX_PATTERNS || pattern.len() > MAX_LENGTH {
            return;
        }
        // The innermost braces: the first closing one, and the last opening one in front of it.
        let braces = pattern.split_once('}').and_then(|(before, after)| {
            let (before, inner) = before.rsplit_once('{')?;
            Some((before, inner, after))
        });
        match braces {
            Some((before, inner, after)) => {
                open.extend(inner.split(',').rev().map(|choice| format!("{before}{choice}{after}")));
            }
            None => found.push(pattern),
        }
    }
}

/// A table over both texts: `reach[j]` tells whether the pattern so far can match the first `j` bytes of the path.
fn is_match(pattern: &str, path: &str) -> bool {
    let path = path.as_bytes();
    let mut reach = vec![false; path.len() + 1];
    if let Some(start) = reach.first_mut() {
        *start = true;
    }
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let (token, after) = if let Some(after) = rest.strip_prefix("**/") {
            (Token::Directories, after)
        } else if let Some(after) = rest.strip_prefix("**") {
            (Token::Everything, after)
        } else if let Some(after) = rest.strip_prefix('*') {
            (Token::Some, after)
        } else {
            rest = rest.strip_prefix(c).unwrap_or_default();
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                reach = step(&reach, path, |b| if c == '?' { b != b'/' } else { b == byte });
            }
            continue;
        };
        rest = after;
        reach = spread(&reach, path, &token);
    }
    reach.last() == Some(&true)
}

enum Token {
    /// `*`: anything but a slash.
    Some,
    /// `**`: anything.
    Everything,
    /// `**/`: nothing, or directories.
    Directories,
}

fn step(reach: &[bool], path: &[u8], takes: impl Fn(u8) -> bool) -> Vec<bool> {
    let moved = reach.iter().zip(path).map(|(&can, &byte)| can && takes(byte));
    std::iter::once(false).chain(moved).collect()
}

fn spread(reach: &[bool], path: &[u8], token: &Token) -> Vec<bool> {
    let mut is_open = false;
    let mut spread = Vec::with_capacity(reach.len());
    let before = std::iter::once(None).chain(path.iter().copied().map(Some));
    for (&can, byte) in reach.iter().zip(before) {
        match token {
            Token::Some => {
                is_open = can || (is_open && byte != Some(b'/'));
                spread.push(is_open);
            }
            Token::Everything => {
                is_open |= can;
                spread.push(is_open);
            }
            Token::Directories => {
                spread.push(can || (is_open && byte == Some(b'/')));
                is_open |= can;
            }
        }
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_directories_that_they_name() {
        let rows = [
            ("packages/*", "packages/a", true),
            ("./packages/*/", "packages/a", true),
            ("packages/*", "packages/a/b", false),
            ("packages/*", "other/a", false),
            ("packages/**", "packages/a/b", true),
            ("**/ws", "ws", true),
            ("**/ws", "a/b/ws", true),
            ("**/ws", "a/xws", false),
            ("{apps,libs/{x,y}}/*", "libs/y/a", true),
            ("{apps,libs}/*", "tools/a", false),
            ("p?", "pa", true),
            ("p?", "p/", false),
            ("app", "app", true),
            ("ä*", "äb", true),
        ];
        for (pattern, path, expected) in rows {
            let patterns = Patterns::new(&[pattern.to_owned()]);
            assert_eq!(patterns.match_path(path), expected, "{path} in {pattern}");
        }
    }

    #[test]
    fn braces_that_multiply_end_at_the_limit() {
        let patterns = Patterns::new(&["{a,b}".repeat(100)]);
        assert!(patterns.0.len() <= MAX_PATTERNS);
    }
}
