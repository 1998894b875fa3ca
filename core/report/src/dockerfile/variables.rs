//! Variables of a Dockerfile.

use std::collections::HashMap;

/// Values may name values, so that a few lines could name a text of any length. Longer ones are cut.
const MAX_TEXT: usize = 64 * 1024;

/// The variables of a stage.
#[derive(Debug, Default)]
pub(super) struct Scope {
    arguments: HashMap<String, Option<String>>,
    environment: HashMap<String, String>,
}

/// Text with its variables replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// Whether every variable had a value.
    pub(super) is_complete: bool,
}

impl Scope {
    /// `ARG name[=default] …`. Without a default the value comes from `outer`.
    pub(super) fn declare(&mut self, words: &[String], outer: Option<&Self>) {
        for word in pairs(words) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(self.value_of(value))),
                None => (word.as_str(), outer.and_then(|outer| outer.get(&word)).map(str::to_owned)),
            };
            self.arguments.insert(name.to_owned(), value);
        }
    }

    /// `ENV name=value …`, or `ENV name value`.
    pub(super) fn assign(&mut self, words: &[String]) {
        match words.split_first() {
            Some((name, rest)) if !name.contains('=') => {
                let value = self.value_of(&rest.join(" "));
                self.environment.insert(name.clone(), value);
            }
            _ => {
                for word in pairs(words) {
                    if let Some((name, value)) = word.split_once('=') {
                        let value = self.value_of(value);
                        self.environment.insert(name.to_owned(), value);
                    }
                }
            }
        }
    }

    /// ENV wins over ARG.
    fn get(&self, name: &str) -> Option<&str> {
        let argument = || self.arguments.get(name).and_then(Option::as_deref);
        self.environment.get(name).map(String::as_str).or_else(argument)
    }

    fn value_of(&self, text: &str) -> String {
        let unquoted = ['"', '\''].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q));
        expand(unquoted.unwrap_or(text), self).text
    }
}

/// Joins words that a quoted value was split into.
fn pairs(words: &[String]) -> Vec<String> {
    let mut pairs: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in words {
        match pairs.last_mut() {
            Some(last) if is_open => {
                last.push(' ');
                last.push_str(word);
            }
            _ => pairs.push(word.clone()),
        }
        is_open = pairs.last().is_some_and(|pair| {
            let value = pair.split_once('=').map_or("", |(_, value)| value);
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            quote.is_some_and(|quote| value.matches(quote).count() % 2 == 1)
        });
    }
    pairs
}

/// Replaces `$name`, `${name}`, `${name:-default}` and `${name:+other}`; a variable without value by nothing. What
/// only looks like a variable (`$(…)`, `\$name`) stays.
pub(super) fn expand(text: &str, scope: &Scope) -> Expanded {
    let mut expanded = Expanded { text: String::new(), is_complete: true };
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (plain, variable) = rest.split_at(at);
        expanded.text.push_str(plain);
        let (consumed, value) = if plain.ends_with('\\') { (0, None) } else { variable_at(variable, scope) };
        match value {
            Some(Ok(value)) => expanded.text.push_str(&value),
            Some(Err(())) => expanded.is_complete = false,
            None => expanded.text.push('$'),
        }
        rest = variable.split_at(consumed.max(1)).1;
        if expanded.text.len() > MAX_TEXT {
            break;
        }
    }
    expanded.text.push_str(rest);
    if expanded.text.len() > MAX_TEXT {
        expanded.text.truncate(expanded.text.floor_char_boundary(MAX_TEXT));
        expanded.is_complete = false;
    }
    expanded
}

/// The length of the variable that `text` begins with, and its value: `None` where it is no variable, an error where
/// it has no value.
fn variable_at(text: &str, scope: &Scope) -> (usize, Option<Result<String, ()>>) {
    let name_length = |text: &str| {
        let is_name =
            |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
        text.char_indices().take_while(|&part| is_name(part)).count()
    };
    let Some(behind) = text.strip_prefix('$') else { return (0, None) };
    if let Some(inner) = behind.strip_prefix('{') {
        let Some(end) = inner.find('}') else { return (0, None) };
        let inner = inner.split_at(end).0;
        let (name, modifier) = inner.split_at(name_length(inner));
        if name.is_empty() {
            return (0, None);
        }
        let value = scope.get(name).map(str::to_owned);
        let filled = value.clone().filter(|value| !value.is_empty());
        let value = if let Some(default) = modifier.strip_prefix(":-") {
            Some(filled.unwrap_or_else(|| default.to_owned()))
        } else if let Some(other) = modifier.strip_prefix(":+") {
            Some(filled.map(|_| other.to_owned()).unwrap_or_default())
        } else {
            value
        };
        return (end + 3, Some(value.ok_or(())));
    }
    let (name, _) = behind.split_at(name_length(behind));
    if name.is_empty() {
        return (0, None);
    }
    (name.len() + 1, Some(scope.get(name).map(str::to_owned).ok_or(())))
}
