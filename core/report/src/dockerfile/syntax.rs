//! Lines to instructions: continuations joined, comments left out, here-documents kept together.

/// The instructions that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    From,
    Arg,
    Env,
    Run,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) keyword: Keyword,
    /// What stands behind the keyword, split at white space.
    pub(super) words: Vec<String>,
    /// The lines of here-documents, each behind a line feed.
    pub(super) here_document: String,
}

impl Keyword {
    fn parse(text: &str) -> Option<Self> {
        let known = [("FROM", Self::From), ("ARG", Self::Arg), ("ENV", Self::Env), ("RUN", Self::Run)];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, keyword)| keyword)
    }
}

/// The instructions of a Dockerfile, in order, but for those that don't matter.
pub(super) fn parse(text: &str) -> Vec<Instruction> {
    let escape = escape(text);
    let mut instructions = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut words = Vec::new();
        let mut next = Some(line);
        while let Some(line) = next {
            let line = line.trim();
            next = None;
            if line.starts_with('#') || (line.is_empty() && !words.is_empty()) {
                // A comment, or an empty line, doesn't end a continued instruction.
                next = if words.is_empty() { None } else { lines.next() };
                continue;
            }
            let (line, is_continued) = match line.strip_suffix(escape) {
                Some(line) => (line, true),
                None => (line, false),
            };
            words.extend(line.split_whitespace().map(str::to_owned));
            if is_continued {
                next = lines.next();
            }
        }
        let mut words = words.into_iter();
        let keyword = words.next();
        let words: Vec<String> = words.collect();
        let mut here_document = String::new();
        for end in here_document_ends(&words) {
            for line in lines.by_ref() {
                if line.trim_start_matches('\t') == end {
                    break;
                }
                here_document.push('\n');
                here_document.push_str(line);
            }
        }
        if let Some(keyword) = keyword.as_deref().and_then(Keyword::parse) {
            instructions.push(Instruction { keyword, words, here_document });
        }
    }
    instructions
}

/// The parser directive `escape`, which stands in front of everything else.
fn escape(text: &str) -> char {
    for line in text.lines() {
        let Some((name, value)) = line.trim().strip_prefix('#').and_then(|d| d.split_once('=')) else {
            break;
        };
        if name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
            return '`';
        }
    }
    '\\'
}

/// The words that end the here-documents of an instruction.
fn here_document_ends(words: &[String]) -> Vec<String> {
    let end = |word: &String| {
        let (_, name) = word.split_once("<<")?;
        let name = name.strip_prefix('-').unwrap_or(name).trim_matches(['"', '\'']);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
    };
    words.iter().filter_map(end).collect()
}
