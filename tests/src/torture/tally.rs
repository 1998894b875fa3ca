//! What arrived at the sink, by operation, and what of it should not have.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fleet::packages_of;

/// One callback as it came.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The operation, by the idempotency key.
    pub operation: String,
    /// The part of it, by the idempotency key: `result-0`, `done`, `dependencies`.
    pub part: String,
    /// SHA-256 of the body.
    pub digest: [u8; 32],
    /// SHA-256 of what it says, without what the run has cost: equal for two runs of one operation.
    content: [u8; 32],
    /// The body.
    pub body: Value,
}

impl Callback {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(key: Option<&str>, body: &[u8]) -> Result<Self, String> {
        let key = key.ok_or("a callback without an idempotency key")?;
        let (operation, part) =
            key.split_once('/').ok_or_else(|| format!("an idempotency key of another form: {key}"))?;
        let parsed: Value = serde_json::from_slice(body).map_err(|e| format!("{key}: {e}"))?;
        if parsed["operationId"] != operation {
            return Err(format!("{key}: the body is of operation {}", parsed["operationId"]));
        }
        let digest = Sha256::digest(body).into();
        let content = Sha256::digest(without_costs(&parsed).to_string()).into();
        Ok(Self { operation: operation.to_owned(), part: part.to_owned(), digest, content, body: parsed })
    }

    /// The correlation ID of the request.
    pub fn correlation(&self) -> &str {
        self.body["correlationId"].as_str().unwrap_or_default()
    }

    /// Whether nothing follows it.
    fn is_last(&self) -> bool {
        self.part == "done" || self.part == "dependencies"
    }
}

/// The body without durations, and without what was at hand in place of being fetched.
fn without_costs(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("durations");
    }
    if let Some(counts) = body.get_mut("counts").and_then(Value::as_object_mut) {
        counts.retain(|name, _| name == "scanResults" || name == "layers");
    }
    body
}

/// What arrived of one operation.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    /// What the scan found.
    pub packages: BTreeSet<String>,
    /// `succeeded` or `failed`, once the last callback was taken.
    pub status: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Bodies by part, taken or only tried: their bytes, and their content.
    bodies: BTreeMap<String, ([u8; 32], [u8; 32])>,
    /// Parts that were taken.
    taken: BTreeSet<String>,
}

/// What arrived.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// By operation.
    pub operations: BTreeMap<String, Arrived>,
    /// Callbacks that were not taken.
    pub refused: usize,
    /// Callbacks that were taken for the first time.
    pub taken: usize,
    /// Callbacks that were taken once more, under the same key and with the same bytes.
    pub duplicates: usize,
    /// Callbacks that came with the same content as before under the same key, but for what the run has cost: the operation
    /// was run once more, since its store had lost the outcome.
    pub anew: Vec<String>,
    /// Bytes in the bodies of callbacks that were taken.
    pub bytes: u64,
    /// What may not happen.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Notes a callback, whatever becomes of it: what is sent under one key always says the same.
    pub fn tried(&mut self, callback: &Callback) {
        let arrived = self.operations.entry(callback.operation.clone()).or_default();
        let given = (callback.digest, callback.content);
        let (digest, content) = *arrived.bodies.entry(callback.part.clone()).or_insert(given);
        let name = || format!("{}/{}", callback.operation, callback.part);
        if content != callback.content {
            self.wrong.push(format!("{} came with other content", name()));
        } else if digest != callback.digest {
            self.anew.push(name());
        }
    }

    /// Notes a callback that is taken. Returns whether it is the operation's last.
    pub fn take(&mut self, callback: &Callback, size_bytes: usize) -> bool {
        let Callback { operation, part, body, .. } = callback;
        let arrived = self.operations.entry(operation.clone()).or_default();
        if !arrived.taken.insert(part.clone()) {
            self.duplicates += 1;
            return false;
        }
        self.taken += 1;
        self.bytes += size_bytes as u64;
        if arrived.status.is_some() {
            self.wrong.push(format!("{operation}/{part} came after the operation's last callback"));
        }
        arrived.packages.append(&mut packages_of(body));
        if !callback.is_last() {
            return false;
        }
        arrived.status = Some(body["status"].as_str().unwrap_or("succeeded").to_owned());
        arrived.error = body["error"]["type"].as_str().map(str::to_owned);
        let n_results = arrived.taken.iter().filter(|part| part.starts_with("result-")).count();
        if body["counts"]["scanResults"].as_u64().is_some_and(|n| n != n_results as u64) {
            self.wrong
                .push(format!("{operation} ended after {n_results} results; announced: {}", body["counts"]));
        }
        true
    }

    /// Operations whose last callback was taken.
    pub fn n_ended(&self) -> usize {
        self.operations.values().filter(|arrived| arrived.status.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn callback(key: &str, body: &Value) -> Callback {
        Callback::read(Some(key), body.to_string().as_bytes()).unwrap()
    }

    fn done(n_results: usize) -> Value {
        json!({ "operationId": "a", "status": "succeeded", "counts": { "scanResults": n_results } })
    }

    #[test]
    fn a_tally_tells_what_may_not_happen() {
        let result = json!({ "operationId": "a", "scanResults": [] });
        let other = json!({ "operationId": "a", "scanResults": [{ "facts": [] }] });
        for (callbacks, wrong) in [
            (vec![("a/result-0", &result), ("a/done", &done(1))], None),
            (vec![("a/result-0", &result), ("a/done", &done(1)), ("a/done", &done(1))], None),
            (vec![("a/done", &done(1)), ("a/result-0", &result)], Some("ended after 0 results")),
            (vec![("a/done", &done(0)), ("a/result-0", &result)], Some("after the operation's last")),
            (vec![("a/result-0", &result), ("a/result-0", &other)], Some("other content")),
        ] {
            let mut tally = Tally::default();
            for (key, body) in callbacks {
                let callback = callback(key, body);
                tally.tried(&callback);
                tally.take(&callback, 1);
            }
            assert_eq!(tally.wrong.is_empty(), wrong.is_none(), "{:?}", tally.wrong);
            let first = tally.wrong.first().cloned().unwrap_or_default();
            assert!(first.contains(wrong.unwrap_or_default()), "{first}");
        }
    }

    #[test]
    fn another_run_is_told_from_another_result() {
        let cost = |milliseconds: u64, status: &str| {
            json!({
                "operationId": "a", "status": status, "durations": { "readingMs": milliseconds },
                "counts": { "scanResults": 0, "layers": 1, "cachedLayers": milliseconds % 2 },
            })
        };
        let mut tally = Tally::default();
        for (body, n_anew, n_wrong) in [
            (cost(1, "succeeded"), 0, 0),
            (cost(1, "succeeded"), 0, 0),
            (cost(2, "succeeded"), 1, 0),
            (cost(1, "failed"), 1, 1),
        ] {
            tally.tried(&callback("a/done", &body));
            assert_eq!((tally.anew.len(), tally.wrong.len()), (n_anew, n_wrong), "{body}");
        }
    }

    #[test]
    fn a_callback_names_its_operation_in_key_and_body() {
        for (key, body, wrong) in [
            (None, "{}", "without an idempotency key"),
            (Some("a"), "{}", "another form"),
            (Some("a/done"), "{", "a/done"),
            (Some("a/done"), r#"{"operationId":"b"}"#, "is of operation"),
        ] {
            let said = Callback::read(key, body.as_bytes()).unwrap_err();
            assert!(said.contains(wrong), "{said}");
        }
    }
}
