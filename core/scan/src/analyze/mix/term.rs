//! Elixir terms as lock files have them: texts, atoms, tuples, lists, keyword lists, maps.

/// Values of one file, at most. The largest real files have some ten thousand.
const MAX_VALUES: usize = 500_000;
/// How deep they may be nested. Lock files have five levels.
const MAX_DEPTH: usize = 16;

/// A value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// A text, an atom, or a word such as a number.
    Text(Box<str>),
    /// A list or a tuple. A keyword of a list, `name: value`, is a list of both.
    List(Vec<Term>),
    /// A map.
    Map(Vec<(Term, Term)>),
}

/// Why a file can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TermError {
    /// Something that is no term.
    Syntax {
        /// Where it stands, in bytes from the start.
        at: usize,
    },
    /// More values than are read, or deeper ones.
    TooLarge,
}

impl Term {
    /// The one term of a file.
    pub(super) fn parse(text: &str) -> Result<Self, TermError> {
        let mut reader = Reader { text, at: 0, count: 0 };
        let term = reader.term(0)?;
        reader.skip_blank();
        if reader.at == text.len() { Ok(term) } else { Err(reader.unexpected()) }
    }

    /// The text of a text, an atom or a word.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    count: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn unexpected(&self) -> TermError {
        TermError::Syntax { at: self.at }
    }

    /// Passes over blanks and comments.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_ascii_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// Takes `token`, if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_blank();
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn expect(&mut self, token: &str) -> Result<(), TermError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        self.count += 1;
        if depth == MAX_DEPTH || self.count > MAX_VALUES {
            return Err(TermError::TooLarge);
        }
        if self.take("%{") {
            self.map(depth)
        } else if self.take("{") {
            self.list("}", depth)
        } else if self.take("[") {
            self.list("]", depth)
        } else {
            Ok(Term::Text(self.scalar()?.into()))
        }
    }

    fn list(&mut self, end: &str, depth: usize) -> Result<Term, TermError> {
        let mut items = Vec::new();
        while !self.take(end) {
            let item = self.term(depth + 1)?;
            // `name: value`; the colon touches the name.
            if self.rest().starts_with(':') {
                self.at += 1;
                let value = self.term(depth + 1)?;
                items.push(Term::List(vec![item, value]));
            } else {
                items.push(item);
            }
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(Term::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Term, TermError> {
        let mut pairs = Vec::new();
        while !self.take("}") {
            let key = self.term(depth + 1)?;
            if !self.take("=>") {
                self.expect(":")?;
            }
            pairs.push((key, self.term(depth + 1)?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Term::Map(pairs))
    }

    /// A text in quotation marks, an atom, or a word.
    fn scalar(&mut self) -> Result<String, TermError> {
        let is_atom = self.take(":");
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let rest = self.rest();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '?' | '!' | '.' | '-');
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = rest.get(..end).filter(|word| !word.is_empty()).ok_or_else(|| self.unexpected())?;
        if is_atom && word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.unexpected());
        }
        self.at += end;
        Ok(word.to_owned())
    }

    fn quoted(&mut self) -> Result<String, TermError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((place, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += place + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                })),
                c => text.push(c),
            }
        }
        Err(self.unexpected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A term in one line, everything in parentheses.
    fn show(term: &Term) -> String {
        match term {
            Term::Text(text) => text.to_string(),
            Term::List(items) => format!("({})", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Term::Map(pairs) => {
                let pairs: Vec<_> =
                    pairs.iter().map(|(key, value)| format!("{}={}", show(key), show(value))).collect();
                format!("<{}>", pairs.join(" "))
            }
        }
    }

    #[test]
    fn terms_are_read() {
        let rows = [
            ("%{}", "<>"),
            (
                "# a\n%{\"a\": {:hex, :a, \"1.0\"}, # b\n \"b\" => [x: 1, y: :\"z z\"],\n}\n",
                "<a=(hex a 1.0) b=((x 1) (y z z))>",
            ),
            (r#"["a\"\\\n", true, -1.5, nil, {}]"#, "(a\"\\\n true -1.5 nil ())"),
            ("[{:a, [b: [:c]]}]", "((a ((b (c)))))"),
        ];
        for (text, expected) in rows {
            assert_eq!(show(&Term::parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_term_is_refused_with_its_place() {
        let rows = [
            ("", 0),
            ("%{\"a\"}", 5),
            ("{:a", 3),
            ("[1 2]", 3),
            ("\"a", 0),
            ("{} x", 3),
            ("<<<<<<< HEAD", 0),
        ];
        for (text, at) in rows {
            assert_eq!(Term::parse(text), Err(TermError::Syntax { at }), "{text}");
        }
    }

    #[test]
    fn deep_and_large_terms_are_refused() {
        for text in ["[".repeat(1_000_000), "%{a: ".repeat(100_000), format!("[{}]", "1,".repeat(MAX_VALUES))]
        {
            assert_eq!(Term::parse(&text), Err(TermError::TooLarge));
        }
    }
}
