//! The part of Artifactory's query language that finds items.

use serde_json::{Map, Value, json};

use super::super::message::{Answer, Received, json as answer_json};
use super::super::operation::Violation;

/// "The default maximum is 6,000 characters."
const MAX_CHARACTERS: usize = 6000;
/// "Users without admin privileges": these have to be included.
const REQUIRED: [&str; 3] = ["name", "repo", "path"];
/// Fields of the domain `item`.
const FIELDS: [&str; 8] = ["repo", "path", "name", "type", "size", "sha256", "modified", "updated"];

/// The answer to `items.find(…).include(…)`, perhaps with `.limit(…)`.
///
/// # Errors
/// [`Violation`] for what is no query.
pub(super) fn answer(items: &[Value], request: &Received) -> Result<Answer, Violation> {
    let bad = |rule: &str| Violation::new(400, format!("AQL: {rule}"));
    let text = std::str::from_utf8(&request.body).map_err(|_| bad("it is no text"))?;
    if text.chars().count() > MAX_CHARACTERS {
        return Err(bad("it is too long"));
    }
    let rest = text.strip_prefix("items.find(").ok_or_else(|| bad("it does not find items"))?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let criteria = values.next().and_then(Result::ok).ok_or_else(|| bad("it has no criteria"))?;
    let rest = &rest[values.byte_offset()..];
    let rest = rest.strip_prefix(").include(").ok_or_else(|| bad("it includes nothing"))?;
    let (fields, rest) = rest.split_once(')').ok_or_else(|| bad("what it includes has no end"))?;
    let fields: Vec<&str> = fields.split(',').map(|field| field.trim_matches('"')).collect();
    if fields.iter().any(|field| !FIELDS.contains(field)) || REQUIRED.iter().any(|f| !fields.contains(f)) {
        return Err(bad("it includes fields that there are not, or not name, repo and path"));
    }
    let limit = match rest.strip_prefix(".limit(").and_then(|rest| rest.strip_suffix(')')) {
        Some(limit) => limit.parse().map_err(|_| bad("its limit is no number"))?,
        None if rest.is_empty() => usize::MAX,
        None => return Err(bad("something is behind it")),
    };
    let criteria = criteria.as_object().ok_or_else(|| bad("its criteria are no object"))?;
    let mut found = Vec::new();
    for item in items {
        if found.len() < limit && fits(criteria, item)? {
            let shown = fields.iter().map(|field| ((*field).to_owned(), item[*field].clone()));
            found.push(Value::Object(shown.collect()));
        }
    }
    let total = found.len();
    let range = json!({ "start_pos": 0, "end_pos": total, "total": total });
    Ok(answer_json(200, &json!({ "results": found, "range": range })))
}

/// Whether an item fits all criteria.
fn fits(criteria: &Map<String, Value>, item: &Value) -> Result<bool, Violation> {
    for (name, value) in criteria {
        let alternatives = |value: &Value| -> Result<Vec<bool>, Violation> {
            let all =
                value.as_array().ok_or_else(|| Violation::new(400, format!("AQL: {name} is no list")))?;
            all.iter().map(|one| fits(one.as_object().unwrap(), item)).collect()
        };
        let holds = match name.as_str() {
            "$and" => alternatives(value)?.into_iter().all(|fits| fits),
            "$or" => alternatives(value)?.into_iter().any(|fits| fits),
            // "The query will be applied to local repositories included in the specified virtual repository."
            "repo" => {
                let of = |field: &str| compare(value, item[field].as_str().unwrap_or_default());
                of("repo")? || of("virtual_repos")?
            }
            field if FIELDS.contains(&field) => compare(value, item[field].as_str().unwrap_or_default())?,
            other => return Err(Violation::new(400, format!("AQL: there is no field {other}"))),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn compare(rule: &Value, value: &str) -> Result<bool, Violation> {
    let unknown = || Violation::new(400, format!("AQL: there is no comparison {rule}"));
    let (operator, pattern) = rule.as_object().and_then(|rule| rule.iter().next()).ok_or_else(unknown)?;
    let pattern = pattern.as_str().ok_or_else(unknown)?;
    match operator.as_str() {
        "$eq" => Ok(value == pattern),
        "$match" => Ok(matches(pattern.as_bytes(), value.as_bytes())),
        "$nmatch" => Ok(!matches(pattern.as_bytes(), value.as_bytes())),
        _ => Err(unknown()),
    }
}

/// `*` stands for any characters, `?` for one; a slash is a character as any other.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|taken| matches(rest, &text[taken..])),
        Some((b'?', rest)) => !text.is_empty() && matches(rest, &text[1..]),
        Some((byte, rest)) => text.first() == Some(byte) && matches(rest, &text[1..]),
    }
}
