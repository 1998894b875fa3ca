//! Globs over paths of an image, in the dialect that the scanner being replaced reads: `*` and `?` don't cross a `/`,
//! `**` alone between slashes stands for any number of directories, `[a-z]`, `[!a-z]` and `[^a-z]` are classes,
//! `{a,b}` and `{1..3}` alternatives, a backslash takes the next character's meaning, a leading `!` turns a glob around
//! and a leading `#` makes it a comment. A wildcard never stands for a leading dot.

use std::fmt;

/// Globs of one request, at most.
const MAX_GLOBS: usize = 256;
/// Bytes of one glob, at most.
const MAX_GLOB_BYTES: usize = 1024;
/// Globs after their braces were written out, at most.
const MAX_ALTERNATIVES: usize = 1024;

/// Which files to find: those that match an included glob and no excluded one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GlobSet {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

/// Why globs are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobError {
    /// More than 256 globs.
    TooMany,
    /// A glob of more than 1024 bytes.
    TooLong,
    /// Braces that stand for more than 1024 globs.
    TooManyAlternatives,
}

impl GlobError {
    /// What is expected instead, as the end of a sentence that begins with what holds the globs.
    pub fn expectation(self) -> &'static str {
        match self {
            Self::TooMany => "must be at most 256 globs",
            Self::TooLong => "must be globs of at most 1024 bytes",
            Self::TooManyAlternatives => {
                "must not stand for more than 1024 globs when braces are written out"
            }
        }
    }
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expectation())
    }
}

impl std::error::Error for GlobError {}

impl GlobSet {
    /// Reads globs.
    ///
    /// # Errors
    /// [`GlobError`] for globs beyond the limits. Any text within them is a glob.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, GlobError> {
        if include.len() + exclude.len() > MAX_GLOBS {
            return Err(GlobError::TooMany);
        }
        let parse =
            |globs: &[String]| globs.iter().map(|text| Glob::parse(text)).collect::<Result<Vec<_>, _>>();
        Ok(Self { include: parse(include)?, exclude: parse(exclude)? })
    }

    /// Whether the file at this absolute path is to be found.
    pub fn matches(&self, path: &str) -> bool {
        self.include.iter().any(|glob| glob.matches(path))
            && !self.exclude.iter().any(|glob| glob.matches(path))
    }
}

/// One glob, its braces written out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    is_negated: bool,
    alternatives: Vec<Vec<Segment>>,
}

/// What is between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`.
    AnyDepth,
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`.
    One,
    /// `*`.
    Many,
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    fn parse(text: &str) -> Result<Self, GlobError> {
        if text.len() > MAX_GLOB_BYTES {
            return Err(GlobError::TooLong);
        }
        if text.starts_with('#') {
            return Ok(Self { is_negated: false, alternatives: Vec::new() });
        }
        let bare = text.trim_start_matches('!');
        let is_negated = (text.len() - bare.len()) % 2 == 1;
        let mut alternatives = Vec::new();
        let mut open = vec![bare.chars().collect::<Vec<char>>()];
        while let Some(next) = open.pop() {
            match split_braces(&next) {
                None => alternatives.push(segments(&next)),
                // Last first, so that the alternatives come in their order.
                Some(written_out) => open.extend(written_out.into_iter().rev()),
            }
            if alternatives.len() + open.len() > MAX_ALTERNATIVES {
                return Err(GlobError::TooManyAlternatives);
            }
        }
        Ok(Self { is_negated, alternatives })
    }

    fn matches(&self, path: &str) -> bool {
        self.alternatives.iter().any(|segments| path_matches(segments, path)) != self.is_negated
    }
}

/// Writes the first pair of braces out; `None` if there is none that stands for alternatives.
fn split_braces(glob: &[char]) -> Option<Vec<Vec<char>>> {
    let mut from = 0;
    loop {
        let start = from + position(glob.get(from..)?, '{')?;
        match closing(glob, start) {
            Some((end, commas)) => {
                let (before, after) = (glob.get(..start)?, glob.get(end + 1..)?);
                let inner = glob.get(start + 1..end)?;
                let parts: Vec<Vec<char>> = if commas.is_empty() {
                    let Some(numbers) = number_range(inner) else {
                        // `{a}` stands for itself; there may be more inside.
                        from = start + 1;
                        continue;
                    };
                    numbers
                } else {
                    let starts = std::iter::once(start + 1).chain(commas.iter().map(|comma| comma + 1));
                    let ends = commas.iter().copied().chain([end]);
                    starts
                        .zip(ends)
                        .filter_map(|(from, to)| glob.get(from..to).map(<[char]>::to_vec))
                        .collect()
                };
                return Some(parts.into_iter().map(|part| [before, &part, after].concat()).collect());
            }
            None => from = start + 1,
        }
    }
}

fn position(glob: &[char], wanted: char) -> Option<usize> {
    let mut is_escaped = false;
    glob.iter().position(|&c| {
        let found = c == wanted && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        found
    })
}

/// Where the brace at `start` closes, and the commas at its own level.
fn closing(glob: &[char], start: usize) -> Option<(usize, Vec<usize>)> {
    let (mut depth, mut is_escaped, mut commas) = (0_usize, false, Vec::new());
    for (at, &c) in glob.iter().enumerate().skip(start) {
        match c {
            _ if is_escaped => {}
            '{' => depth += 1,
            '}' if depth == 1 => return Some((at, commas)),
            '}' => depth -= 1,
            ',' if depth == 1 => commas.push(at),
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    None
}

/// `1..3`.
fn number_range(inner: &[char]) -> Option<Vec<Vec<char>>> {
    let text: String = inner.iter().collect();
    let (first, last) = text.split_once("..")?;
    let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
    // More than are allowed is enough to be refused.
    let limit = MAX_ALTERNATIVES + 1;
    let text = |number: i32| number.to_string().chars().collect();
    Some(if first <= last {
        (first..=last).take(limit).map(text).collect()
    } else {
        (last..=first).rev().take(limit).map(text).collect()
    })
}

fn segments(glob: &[char]) -> Vec<Segment> {
    glob.split(|&c| c == '/')
        .map(|segment| match segment {
            ['*', '*'] => Segment::AnyDepth,
            name => Segment::Name(tokens(name)),
        })
        .collect()
}

fn tokens(mut name: &[char]) -> Vec<Token> {
    let mut tokens = Vec::new();
    loop {
        let (token, rest) = match name {
            [] => return tokens,
            ['?', rest @ ..] => (Token::One, rest),
            ['*', rest @ ..] => (Token::Many, rest),
            ['[', rest @ ..] => class(rest).unwrap_or((Token::Char('['), rest)),
            ['\\', c, rest @ ..] | [c, rest @ ..] => (Token::Char(*c), rest),
        };
        // Several stars match what one does.
        if token != Token::Many || tokens.last() != Some(&Token::Many) {
            tokens.push(token);
        }
        name = rest;
    }
}

/// A class behind its opening bracket. `None` if it doesn't close: then the bracket is a character.
fn class(text: &[char]) -> Option<(Token, &[char])> {
    let (is_negated, mut rest) = match text {
        ['!' | '^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        let (first, after) = match rest {
            [']', after @ ..] if !ranges.is_empty() => {
                return Some((Token::Class { is_negated, ranges }, after));
            }
            ['\\', c, after @ ..] | [c, after @ ..] => (*c, after),
            [] => return None,
        };
        let (last, after) = match after {
            ['-', last, after @ ..] if *last != ']' => (*last, after),
            after => (first, after),
        };
        ranges.push((first, last));
        rest = after;
    }
}

/// Matches segment by segment: which prefixes of the path the segments so far can stand for.
fn path_matches(segments: &[Segment], path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let mut reached = vec![false; names.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for (place, segment) in segments.iter().enumerate() {
        let mut next = vec![false; names.len() + 1];
        match segment {
            Segment::AnyDepth => {
                // At the end it stands for a file at least.
                let is_last = place + 1 == segments.len();
                let mut is_on = false;
                for (at, &here) in reached.iter().enumerate() {
                    if let Some(slot) = next.get_mut(at) {
                        *slot = is_on || (here && !is_last);
                    }
                    is_on = (is_on || here) && names.get(at).is_some_and(|name| !name.starts_with('.'));
                }
            }
            Segment::Name(tokens) => {
                for (at, name) in names.iter().enumerate() {
                    if reached.get(at) == Some(&true)
                        && name_matches(tokens, name)
                        && let Some(slot) = next.get_mut(at + 1)
                    {
                        *slot = true;
                    }
                }
            }
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

/// Matches one name: the last star gives way, in at most tokens × characters steps.
fn name_matches(tokens: &[Token], name: &str) -> bool {
    let is_wild = |token: &Token| !matches!(token, Token::Char(_));
    if tokens.first().is_some_and(is_wild) && (name.is_empty() || name.starts_with('.')) {
        return false;
    }
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut token, mut star) = (0, 0, None);
    while let Some(&c) = name.get(at) {
        match tokens.get(token) {
            Some(Token::Many) => {
                star = Some((token, at));
                token += 1;
            }
            Some(one) if one.takes(c) => (at, token) = (at + 1, token + 1),
            _ => {
                let Some((star_token, star_at)) = star else { return false };
                star = Some((star_token, star_at + 1));
                (at, token) = (star_at + 1, star_token + 1);
            }
        }
    }
    tokens.iter().skip(token).all(|token| *token == Token::Many)
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::One => true,
            Self::Many => false,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *is_negated
            }
        }
    }
}

#[cfg(test)]
mod tests;
