//! The bodies of callbacks. Nobody publishes their shapes, so they are ours, and changing one is a change in this file.
//!
//! All are JSON objects in ASCII, compact, with their keys in the order of the structures here. Times are whole
//! milliseconds.

use std::time::Duration;

use regent_report::{ScanResult, to_ascii_json};
use serde::Serialize;

use crate::api::problem::Problem;
use crate::jobs::{Operation, OperationId, Summary};

/// What every body begins with.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    operation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    image: String,
}

impl About {
    /// Of an operation with this id, by the names that its request gave it and its image.
    pub fn new(id: OperationId, correlation_id: Option<String>, image: String) -> Self {
        Self { operation_id: id.to_string(), correlation_id, image }
    }

    /// The image as the request spelled it.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Of this operation.
    pub fn of(operation: &Operation) -> Self {
        let request = &operation.request;
        Self::new(operation.id, request.correlation_id.clone(), request.requested_name.clone())
    }
}

/// `/api/v2/import/result`, and `/api/v1/recurring-tests/dependencies` of a success.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Results<'a> {
    #[serde(flatten)]
    about: &'a About,
    scan_results: &'a [ScanResult],
}

/// `/api/v2/import/done`, and `/api/v1/recurring-tests/dependencies` of a failure, which has no figures.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done<'a> {
    #[serde(flatten)]
    about: &'a About,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durations: Option<Durations>,
}

/// How much there was of what.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    scan_results: usize,
    layers: usize,
    cached_layers: usize,
    fetched_bytes: u64,
}

/// How long what took, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Durations {
    queued: u64,
    resolving: u64,
    reading: u64,
    analyzing: u64,
}

impl From<&Summary> for Counts {
    fn from(summary: &Summary) -> Self {
        Self {
            scan_results: summary.n_results,
            layers: summary.n_layers,
            cached_layers: summary.n_cached_layers,
            fetched_bytes: summary.fetched_bytes,
        }
    }
}

impl From<&Summary> for Durations {
    fn from(summary: &Summary) -> Self {
        Self {
            queued: milliseconds(summary.queued),
            resolving: milliseconds(summary.resolving),
            reading: milliseconds(summary.reading),
            analyzing: milliseconds(summary.analyzing),
        }
    }
}

/// Results that were written before, each as JSON; one of several, or all at once.
pub(super) fn written(about: &About, texts: &[String]) -> String {
    let mut body = json(about);
    body.pop(); // the end of an object that has keys
    body.push_str(",\"scanResults\":[");
    for (n, text) in texts.iter().enumerate() {
        if n > 0 {
            body.push(',');
        }
        body.push_str(text);
    }
    body.push_str("]}");
    body
}

/// A result as it is written into bodies.
pub(super) fn text(result: &ScanResult) -> String {
    json(result)
}

/// One result of several, or all at once.
pub(super) fn results(about: &About, results: &[ScanResult]) -> String {
    json(&Results { about, scan_results: results })
}

/// All results have been sent.
pub(super) fn succeeded(about: &About, summary: &Summary) -> String {
    let (counts, durations) = (Some(summary.into()), Some(summary.into()));
    json(&Done { about, status: "succeeded", error: None, counts, durations })
}

/// There are no results, or not all.
pub(super) fn failed(about: &About, problem: &Problem) -> String {
    let nothing = Summary::default();
    let (counts, durations) = (Some((&nothing).into()), Some((&nothing).into()));
    json(&Done { about, status: "failed", error: Some(problem), counts, durations })
}

/// The older form of the same.
pub(super) fn no_dependencies(about: &About, problem: &Problem) -> String {
    json(&Done { about, status: "failed", error: Some(problem), counts: None, durations: None })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn json(body: &impl Serialize) -> String {
    to_ascii_json(body).expect("these structures have text keys and no failing parts")
}

#[cfg(test)]
mod tests {
    use regent_report::{Identity, Target};

    use super::*;

    #[test]
    fn results_that_were_written_before_make_the_same_bodies() {
        let result = |name: &str| ScanResult {
            facts: Vec::new(),
            target: Target { image: name.to_owned() },
            identity: Identity { kind: "deb", args: None, target_file: None },
            target_reference: None,
        };
        let results = [result("team/app:1"), result("team/\u{e4}pp \"2\"")];
        let texts = results.each_ref().map(text);
        for correlation_id in [None, Some("with \"quotes\" and \u{e9}".to_owned())] {
            let about = About::new(OperationId::new(), correlation_id, "team/app:1".to_owned());
            assert_eq!(written(&about, &texts), super::results(&about, &results));
            assert_eq!(written(&about, &texts[1..]), super::results(&about, &results[1..]));
            assert_eq!(written(&about, &[]), super::results(&about, &[]));
        }
    }
}
