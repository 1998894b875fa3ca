//! The shapes of requests and answers: here and nowhere else, so that changing one is a change in one file.
//!
//! Listings are plain arrays of text. Everything else is an object, whose fields may grow.

use std::time::Duration;

use regent_oci::{Descriptor, Document, ImageRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::jobs::{self, OperationView, Outcome, Priority, State};
use crate::registry::ResolvedImage;
use crate::told_time;

/// `GET /healthcheck`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Always true: an answer is the message.
    pub ok: bool,
    /// The program's version.
    pub version: &'static str,
    /// Drivers that serve.
    pub drivers: usize,
}

/// `GET /readiness`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether all checks passed.
    pub ready: bool,
    /// What was looked at.
    pub checks: Vec<ReadinessCheck>,
}

/// One thing that readiness looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessCheck {
    /// `serving`, `drivers`, `queue`, `data`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// `GET /systemcheck`, `GET /validate-credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemCheck {
    /// The registry was reached and takes the credentials.
    pub ok: bool,
    /// The connection's type.
    #[serde(rename = "type")]
    pub registry_type: String,
    /// The registry as the driver understood it.
    pub registry: String,
    /// What was looked at, in order.
    pub checks: Vec<Check>,
}

/// One thing that the driver looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// E.g. `reached`, `authenticated`, `list`.
    pub name: String,
    /// `passed`, `denied`, `failed`, `skipped`.
    pub outcome: &'static str,
    /// What was seen, and what to do.
    pub detail: String,
}

/// `GET /list-paginated/{repository}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagsPage {
    /// The tags.
    pub tags: Vec<String>,
    /// For the parameter `last` of the next page; null at the end.
    pub last: Option<String>,
}

/// An element of `GET /list-with-metadata/{repository}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagDetail {
    /// The tag.
    pub tag: String,
    /// What it resolves to: the index, if one.
    pub digest: String,
    /// RFC 3339, where the registry tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pushed: Option<String>,
    /// The registry's own figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// `GET /image-metadata/{repository}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageMetadata {
    /// `repository:tag` or `repository@digest`, as asked for.
    pub image: String,
    /// Of the image manifest.
    pub manifest_digest: String,
    /// Of the index that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_digest: Option<String>,
    /// Of the configuration.
    pub image_id: String,
    /// The manifest's media type.
    pub media_type: String,
    /// `os/architecture[/variant]` of this image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// All platforms of the index; only this one's without an index.
    pub platforms: Vec<String>,
    /// Sum of the layers, as stored.
    pub size_bytes: u64,
    /// Base layer first.
    pub layers: Vec<Layer>,
    /// The manifest as stored.
    pub manifest: Value,
    /// The configuration as stored.
    pub config: Value,
}

impl ImageMetadata {
    /// What there is to tell of an image.
    pub fn of(resolved: &ResolvedImage) -> Self {
        let platform = resolved.config.platform().map(|p| p.to_string());
        let platforms = match resolved.index.as_ref().map(|index| &index.document) {
            Some(Document::Index(index)) => {
                let images = index.manifests.iter().filter(|d| !d.is_attestation());
                images.filter_map(|d| d.platform.as_ref().map(ToString::to_string)).collect()
            }
            _ => platform.clone().into_iter().collect(),
        };
        // Both were parsed before.
        let stored = |raw: &[u8]| serde_json::from_slice(raw).unwrap_or(Value::Null);
        Self {
            image: ImageRef::new(resolved.repository.clone(), resolved.reference.clone()).to_string(),
            manifest_digest: resolved.manifest.digest.to_string(),
            index_digest: resolved.index.as_ref().map(|index| index.digest.to_string()),
            image_id: resolved.image.config.digest.to_string(),
            media_type: resolved.manifest.media_type.to_string(),
            platform,
            platforms,
            size_bytes: resolved.layers_size_bytes(),
            layers: resolved.image.layers.iter().map(Layer::of).collect(),
            manifest: stored(&resolved.manifest.raw),
            config: stored(&resolved.config_raw),
        }
    }
}

impl Layer {
    fn of(layer: &Descriptor) -> Self {
        Self {
            digest: layer.digest.to_string(),
            media_type: layer.media_type.to_string(),
            size_bytes: layer.size_bytes,
        }
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// As stored.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// As stored.
    pub size_bytes: u64,
}

/// `GET /get-state-identifier`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateIdentifier {
    /// Equal for two requests if and only if a scan would give the same result.
    pub state_identifier: String,
    /// What the reference leads to, if that is an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_digest: Option<String>,
}

/// The body of `POST /scan`, `/discover` and `/pull`. `Debug` shows no credentials.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationRequest {
    /// `repository:tag` or `repository@digest`.
    pub image: String,
    /// `os/architecture[/variant]`.
    #[serde(default)]
    pub platform: Option<String>,
    /// A connection: an object, or base64 of one.
    #[serde(default)]
    pub credentials: Option<Value>,
    /// A base, or the complete URL of a callback path.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// Given back with every callback.
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// `interactive` or `bulk`: whether somebody waits for it. Bulk, if it does not say.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Scan options, in kebab or camel case.
    #[serde(default)]
    pub options: Option<Map<String, Value>>,
}

impl std::fmt::Debug for OperationRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperationRequest").field("image", &self.image).finish_non_exhaustive()
    }
}

/// The answer to an accepted operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// For `GET /operations/{id}`.
    pub operation_id: String,
}

/// `GET /operations/{id}`, and the answer to a pull that was waited for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its name.
    pub operation_id: String,
    /// `scan`, `discover`, `pull`.
    pub kind: &'static str,
    /// As the request spelled it.
    pub image: String,
    /// The connection's type.
    #[serde(rename = "type")]
    pub registry_type: String,
    /// As the request had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// `queued`, `running`, `delivering`, `done`, `dead_lettered`.
    pub state: &'static str,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<String>,
    /// Since when it is in its state, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// `interactive` or `bulk`.
    pub priority: &'static str,
    /// How often it was begun.
    pub attempts: u32,
    /// Whether it is about to be cancelled.
    pub cancelled: bool,
    /// Until when it waits before the next try, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// What came of the last try, where there will be another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// `succeeded` or `failed`, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// What came out of one that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// Why what came out could not be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<Problem>,
}

/// What an operation found, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Of the image manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<String>,
    /// Of the index that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_digest: Option<String>,
    /// How many of what.
    pub counts: Counts,
    /// In milliseconds.
    pub durations: Durations,
}

/// How many of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Scan results.
    pub scan_results: usize,
    /// Layers, each place counted.
    pub layers: usize,
    /// Layers that were known from other scans.
    pub cached_layers: usize,
    /// Layer bytes read from the registry.
    pub fetched_bytes: u64,
}

/// Times, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Durations {
    /// In the queue.
    pub queued_ms: u64,
    /// Until the image was resolved.
    pub resolving_ms: u64,
    /// To read the layers.
    pub reading_ms: u64,
    /// For the analyzers.
    pub analyzing_ms: u64,
}

impl From<&OperationView> for Operation {
    fn from(view: &OperationView) -> Self {
        let outcome = view.state.outcome();
        let (since, undelivered) = match &view.state {
            State::Queued { .. } => (None, None),
            State::Running { since } => (Some(*since), None),
            State::Delivering(outbox) => (Some(outbox.since), None),
            State::Done { at, .. } => (Some(*at), None),
            State::DeadLettered { at, reason, .. } => (Some(*at), Some(reason.clone())),
        };
        let last_failure = match &view.state {
            State::Queued { after, .. } => after.as_ref().map(|problem| problem.detail.clone()),
            State::Delivering(outbox) => outbox.after.clone(),
            State::Running { .. } | State::Done { .. } | State::DeadLettered { .. } => None,
        };
        Self {
            operation_id: view.id.to_string(),
            kind: view.kind.as_str(),
            image: view.image.clone(),
            registry_type: view.registry_type.clone(),
            correlation_id: view.correlation_id.clone(),
            state: view.state.as_str(),
            accepted_at: told_time::exact(view.accepted_at),
            since: since.and_then(told_time::exact),
            priority: view.priority.as_str(),
            attempts: view.attempts,
            cancelled: view.is_cancelled,
            not_before: view.state.not_before().and_then(told_time::exact),
            last_failure,
            status: outcome.map(|o| if o.problem().is_some() { "failed" } else { "succeeded" }),
            summary: match outcome {
                Some(Outcome::Succeeded(summary)) => Some(summary.into()),
                Some(Outcome::Failed(_)) | None => None,
            },
            error: outcome.and_then(Outcome::problem).cloned(),
            undelivered,
        }
    }
}

impl From<&jobs::Summary> for Summary {
    fn from(summary: &jobs::Summary) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            manifest_digest: summary.digest.as_ref().map(ToString::to_string),
            index_digest: summary.index_digest.as_ref().map(ToString::to_string),
            counts: Counts {
                scan_results: summary.n_results,
                layers: summary.n_layers,
                cached_layers: summary.n_cached_layers,
                fetched_bytes: summary.fetched_bytes,
            },
            durations: Durations {
                queued_ms: ms(summary.queued),
                resolving_ms: ms(summary.resolving),
                reading_ms: ms(summary.reading),
                analyzing_ms: ms(summary.analyzing),
            },
        }
    }
}
