//! Results cut to the size that a callback may have.

use regent_report::{Fact, ScanResult};
use serde_json::{Map, Value, json};

use super::ResultTooLarge;

/// The largest body of a callback, in bytes: the Broker Client answers 500 to one more, however often it is sent.
pub const MAX_CALLBACK_BYTES: usize = 10_485_760;

/// Facts that can be left out, in the order in which they are: first lists of files that nothing is looked up in, then
/// what repeats the image configuration, then what only refines findings. What is not listed is what a scan is for.
const OPTIONAL: [&str; 10] = [
    "applicationFiles",
    "imageManifestFiles",
    "history",
    "containerConfig",
    "imageLabels",
    "autoDetectedUserInstructions",
    "dockerfileAnalysis",
    "rootFs",
    "imageLayers",
    "keyBinariesHashes",
];

const WARNINGS: &str = "pluginWarnings";

/// The body of these results, which lose optional facts until it fits; each that went is named among the warnings. In
/// the end the other warnings go, too.
///
/// # Errors
/// [`ResultTooLarge`]: it still does not fit.
pub(super) fn fit(
    results: &mut [ScanResult],
    body: impl Fn(&[ScanResult]) -> String,
) -> Result<String, ResultTooLarge> {
    fit_within(results, MAX_CALLBACK_BYTES, body)
}

fn fit_within(
    results: &mut [ScanResult],
    limit_bytes: usize,
    body: impl Fn(&[ScanResult]) -> String,
) -> Result<String, ResultTooLarge> {
    let mut text = body(results);
    for kind in OPTIONAL {
        if text.len() <= limit_bytes {
            return Ok(text);
        }
        if drop_fact(results, kind) {
            text = body(results);
        }
    }
    if text.len() > limit_bytes && shorten_warnings(results) {
        text = body(results);
    }
    if text.len() <= limit_bytes {
        Ok(text)
    } else {
        Err(ResultTooLarge { size_bytes: text.len(), limit_bytes })
    }
}

/// Whether there was such a fact.
fn drop_fact(results: &mut [ScanResult], kind: &'static str) -> bool {
    let mut dropped = false;
    for result in results {
        let n_facts = result.facts.len();
        result.facts.retain(|fact| fact.kind != kind);
        if result.facts.len() < n_facts {
            warn(
                result,
                format!("the fact {kind} is left out: the result would be too large for a callback"),
            );
            dropped = true;
        }
    }
    dropped
}

/// Adds a text to the list `limits` of the fact.
fn warn(result: &mut ScanResult, text: String) {
    let position = result.facts.iter().position(|fact| fact.kind == WARNINGS).unwrap_or_else(|| {
        result.facts.push(Fact { kind: WARNINGS, data: Value::Object(Map::new()).into() });
        result.facts.len() - 1
    });
    let fact = result.facts.get_mut(position);
    let Some(Value::Object(data)) = fact.and_then(|fact| fact.data.value_mut()) else { return };
    match data.entry("limits").or_insert_with(|| json!([])) {
        Value::Array(limits) => limits.push(text.into()),
        other => *other = json!([text]),
    }
}

/// Leaves nothing of the warnings but what they say of limits.
fn shorten_warnings(results: &mut [ScanResult]) -> bool {
    let mut shortened = false;
    for result in results {
        let text = "the other warnings are left out: the result would be too large for a callback";
        for fact in result.facts.iter_mut().filter(|fact| fact.kind == WARNINGS) {
            if let Some(Value::Object(data)) = fact.data.value_mut() {
                let n_parts = data.len();
                data.retain(|part, _| part == "limits");
                shortened |= data.len() < n_parts;
            }
        }
        if shortened {
            warn(result, text.to_owned());
        }
    }
    shortened
}

#[cfg(test)]
mod tests {
    use regent_report::{Identity, Target, to_ascii_json};

    use super::*;

    /// Facts, and how many bytes each has.
    type Sizes = &'static [(&'static str, usize)];

    fn result(facts: Sizes) -> ScanResult {
        ScanResult {
            identity: Identity { kind: "deb", target_file: None, args: None },
            target: Target { image: "docker-image|a".to_owned() },
            facts: facts
                .iter()
                .map(|(kind, n)| Fact { kind, data: json!({ "x": "x".repeat(*n) }).into() })
                .collect(),
            target_reference: None,
        }
    }

    fn body(results: &[ScanResult]) -> String {
        to_ascii_json(results).unwrap()
    }

    fn kinds(result: &ScanResult) -> Vec<&'static str> {
        result.facts.iter().map(|fact| fact.kind).collect()
    }

    #[test]
    fn optional_facts_go_in_order_until_the_body_fits() {
        // (sizes of facts, facts that are left, warnings); the limit is 2000 bytes.
        let rows: [(Sizes, &[&str], usize); 4] = [
            (&[("depGraph", 900), ("history", 500)], &["depGraph", "history"], 0),
            (&[("depGraph", 900), ("history", 1500)], &["depGraph", WARNINGS], 1),
            (
                &[("keyBinariesHashes", 400), ("depGraph", 500), ("imageLabels", 300), ("history", 1500)],
                &["keyBinariesHashes", "depGraph", "imageLabels", WARNINGS],
                1,
            ),
            (
                &[("keyBinariesHashes", 400), ("depGraph", 500), ("imageLabels", 900), ("history", 1500)],
                &["keyBinariesHashes", "depGraph", WARNINGS],
                2,
            ),
        ];
        for (facts, expected, n_warnings) in rows {
            let mut results = [result(facts)];
            let text = fit_within(&mut results, 2000, body).unwrap();
            assert!(text.len() <= 2000);
            assert_eq!(text, body(&results));
            assert_eq!(kinds(&results[0]), expected);
            let warnings = results[0]
                .facts
                .iter()
                .find(|f| f.kind == WARNINGS)
                .map(|f| f.data.value().unwrap()["limits"].clone());
            assert_eq!(warnings.map_or(0, |w| w.as_array().unwrap().len()), n_warnings);
        }
    }

    #[test]
    fn the_limit_is_inclusive() {
        let mut results = [result(&[("depGraph", 100)])];
        let size = body(&results).len();
        assert!(fit_within(&mut results, size, body).is_ok());
        let error = fit_within(&mut results, size - 1, body).unwrap_err();
        assert_eq!(error, ResultTooLarge { size_bytes: size, limit_bytes: size - 1 });
    }

    #[test]
    fn warnings_are_kept_beside_the_new_one_and_shortened_last() {
        let mut one = result(&[("depGraph", 10), ("history", 2000)]);
        one.facts
            .push(Fact { kind: WARNINGS, data: json!({ "unreadableFiles": ["a"], "limits": ["b"] }).into() });
        let mut results = [one];
        fit_within(&mut results, 1000, body).unwrap();
        let warnings = results[0].facts[1].data.value().unwrap();
        assert_eq!(warnings["unreadableFiles"], json!(["a"]));
        assert_eq!(warnings["limits"].as_array().unwrap().len(), 2);

        let mut one = result(&[("depGraph", 10)]);
        one.facts
            .push(Fact { kind: WARNINGS, data: json!({ "unreadableFiles": ["a".repeat(2000)] }).into() });
        let mut results = [one];
        fit_within(&mut results, 1000, body).unwrap();
        let warnings = results[0].facts[1].data.value().unwrap().as_object().unwrap();
        assert_eq!(warnings.keys().collect::<Vec<_>>(), ["limits"]);
    }

    #[test]
    fn a_result_of_more_than_ten_mebibytes_loses_facts_and_one_that_can_not_is_refused() {
        let mut results = [result(&[("depGraph", 6 << 20), ("history", 6 << 20)])];
        assert!(fit(&mut results, body).unwrap().len() < MAX_CALLBACK_BYTES);
        let mut results = [result(&[("depGraph", 11 << 20)])];
        assert!(fit(&mut results, body).is_err());
    }
}
