//! Facts are cut to a size that consumers take. Lengths of text count UTF-16 code units.

use serde_json::{Map, Value, json};

use crate::result::Fact;

const TEXTS: [(&str, usize); 3] = [("user", 1024), ("workingDir", 1024), ("stopSignal", 128)];
const LISTS: [(&str, usize); 5] =
    [("exposedPorts", 64), ("env", 1024), ("entrypoint", 1024), ("cmd", 1024), ("volumes", 1024)];
const MAX_ELEMENTS: usize = 500;
const HISTORY: [(&str, usize); 3] = [("author", 128), ("createdBy", 4096), ("comment", 4096)];
const MAX_ENTRIES: usize = 1000;

/// Cuts facts to their limits, and says what was cut: the number of elements of a list, the largest number of
/// characters of a text. Empty where nothing was.
pub(crate) fn truncate(facts: &mut [Fact]) -> Map<String, Value> {
    let mut cuts = Cuts(Map::new());
    for fact in facts {
        match (fact.kind, fact.data.value_mut()) {
            ("containerConfig", Some(Value::Object(config))) => container_config(config, &mut cuts),
            ("history", Some(Value::Array(entries))) => history(entries, &mut cuts),
            _ => {}
        }
    }
    cuts.0
}

struct Cuts(Map<String, Value>);

impl Cuts {
    fn note(&mut self, place: String, kind: &str, count: usize) {
        if count > 0 {
            self.0.insert(place, json!({ "type": kind, "countAboveLimit": count }));
        }
    }
}

fn container_config(config: &mut Map<String, Value>, cuts: &mut Cuts) {
    for (key, limit) in TEXTS {
        let cut = config.get_mut(key).map_or(0, |text| cut_text(text, limit));
        cuts.note(format!("containerConfig.data.{key}"), "string", cut);
    }
    for (key, limit) in LISTS {
        let Some(Value::Array(list)) = config.get_mut(key) else { continue };
        cuts.note(format!("containerConfig.data.{key}"), "array", cut_list(list, MAX_ELEMENTS));
        let cut = list.iter_mut().map(|text| cut_text(text, limit)).max();
        cuts.note(format!("containerConfig.data.{key}[*]"), "string", cut.unwrap_or(0));
    }
}

fn history(entries: &mut Vec<Value>, cuts: &mut Cuts) {
    cuts.note("history.data".into(), "array", cut_list(entries, MAX_ENTRIES));
    for (key, limit) in HISTORY {
        let texts = entries.iter_mut().filter_map(|entry| entry.get_mut(key));
        let cut = texts.map(|text| cut_text(text, limit)).max();
        cuts.note(format!("history.data[*].{key}"), "string", cut.unwrap_or(0));
    }
}

fn cut_list(list: &mut Vec<Value>, limit: usize) -> usize {
    let cut = list.len().saturating_sub(limit);
    list.truncate(limit);
    cut
}

/// A pair of surrogates is not cut in two: the character goes.
fn cut_text(value: &mut Value, limit: usize) -> usize {
    let Value::String(text) = value else { return 0 };
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > limit
    });
    let Some((end, _)) = end else { return 0 };
    let cut = text.encode_utf16().count() - limit;
    text.truncate(end);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncated(kind: &'static str, data: Value) -> (Value, Value) {
        let mut facts = [Fact { kind, data: data.into() }];
        let cuts = Value::Object(truncate(&mut facts));
        let [fact] = facts;
        (fact.data.value().unwrap().clone(), cuts)
    }

    #[test]
    fn text_is_cut_and_the_cut_is_counted_in_utf_16_units() {
        let rows = [
            ("a".repeat(128), "a".repeat(128), 0),
            ("a".repeat(130), "a".repeat(128), 2),
            ("ä".repeat(129), "ä".repeat(128), 1),
            ("😀".repeat(65), "😀".repeat(64), 2),
            (format!("a{}", "😀".repeat(64)), format!("a{}", "😀".repeat(63)), 1),
        ];
        for (text, expected, cut) in rows {
            let (data, cuts) = truncated("containerConfig", json!({ "stopSignal": text }));
            assert_eq!(data["stopSignal"], expected);
            let cut = (cut > 0).then(|| json!({ "type": "string", "countAboveLimit": cut }));
            assert_eq!(cuts.get("containerConfig.data.stopSignal"), cut.as_ref());
        }
    }

    #[test]
    fn a_list_is_cut_and_elements_beyond_are_not_looked_at() {
        let mut env = vec!["a".repeat(1030); 500];
        env.push("b".repeat(5000));
        let (data, cuts) = truncated("containerConfig", json!({ "env": env, "cmd": null }));
        assert_eq!(data["env"].as_array().unwrap().len(), 500);
        assert_eq!(
            cuts,
            json!({
                "containerConfig.data.env": { "type": "array", "countAboveLimit": 1 },
                "containerConfig.data.env[*]": { "type": "string", "countAboveLimit": 6 },
            })
        );
    }

    #[test]
    fn history_is_cut() {
        let mut entries = vec![json!({ "createdBy": "x".repeat(4100), "author": null }); 1001];
        entries[3] = json!({ "comment": "y".repeat(5000) });
        let (data, cuts) = truncated("history", Value::Array(entries));
        assert_eq!(data.as_array().unwrap().len(), 1000);
        assert_eq!(data[0]["createdBy"].as_str().unwrap().len(), 4096);
        assert_eq!(
            cuts,
            json!({
                "history.data": { "type": "array", "countAboveLimit": 1 },
                "history.data[*].createdBy": { "type": "string", "countAboveLimit": 4 },
                "history.data[*].comment": { "type": "string", "countAboveLimit": 904 },
            })
        );
    }

    #[test]
    fn other_facts_are_left_alone() {
        let labels = json!({ "a": "x".repeat(100_000) });
        assert_eq!(truncated("imageLabels", labels.clone()), (labels, json!({})));
    }
}
