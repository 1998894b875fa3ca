//! The small grammar that structured header fields share: tokens, quoted strings, blanks (RFC 9110 §5.6).

/// The most header text of one field name that is looked at, in bytes; what follows is ignored.
const MAX_FIELD_BYTES: usize = 16 << 10;

/// Reads a field value from left to right. It never fails: what does not fit the grammar is skipped by its caller.
pub(crate) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything up to the first character that does not match.
    pub(crate) fn take_while(&mut self, matches: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !matches(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// The character, if it comes next.
    pub(crate) fn eat(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Drops the next character, whatever it is.
    pub(crate) fn skip_one(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    /// Blanks and tabs.
    pub(crate) fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    /// A `token`; empty if none comes next.
    pub(crate) fn token(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
    }

    /// A `quoted-string` with its escapes resolved, or anything up to a blank or one of `ends`: servers leave
    /// quotes out around more than tokens. A string that is never closed ends with the text.
    pub(crate) fn value(&mut self, ends: &str) -> String {
        if !self.eat('"') {
            return self.take_while(|c| !is_blank(c) && !ends.contains(c)).to_owned();
        }
        let mut value = String::new();
        let mut chars = self.rest.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => value.extend(chars.next()),
                c => value.push(c),
            }
        }
        self.rest = chars.as_str();
        value
    }

    /// `token68` (RFC 9110 §11.2) if one comes next and nothing but a comma or the end follows; else nothing is read.
    pub(crate) fn token68(&mut self) -> Option<&'a str> {
        let before = self.rest;
        let text = self.take_while(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        self.take_while(|c| c == '=');
        self.skip_blanks();
        let ended = self.rest.is_empty() || self.rest.starts_with(',');
        if !text.is_empty() && ended {
            return Some(text);
        }
        self.rest = before;
        None
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// All values of a field as one list, since several fields mean the same as one with commas (RFC 9110 §5.3).
pub(crate) fn joined(headers: &http::HeaderMap, name: &http::HeaderName) -> String {
    let mut text = String::new();
    for value in headers.get_all(name) {
        let value = String::from_utf8_lossy(value.as_bytes());
        if text.len() + value.len() > MAX_FIELD_BYTES {
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&value);
    }
    text
}
