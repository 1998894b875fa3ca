//! What the agent tells the Broker Client: results of scans, and how operations ended.
//!
//! [`CallbackRules`] decide where callbacks may go, [`bodies`] makes them from a report, and [`Deliveries`] brings them
//! there: at least once, each under one idempotency key.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use regent_report::ScanResult;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::problem::Problem;
use crate::jobs::{Operation, OperationId, OperationKind, Summary};

mod delivery;
mod fit;
mod target;
pub mod wire;

pub use delivery::{Deliveries, DeliveryError, DeliveryMetrics, DeliveryPolicy};
pub use fit::MAX_CALLBACK_BYTES;
pub use target::{CallbackError, CallbackRules, CallbackTarget, Endpoint};
pub use wire::About;

/// One callback, ready to be sent.
#[derive(Clone)]
pub struct Callback {
    /// Of which operation.
    pub operation: OperationId,
    /// Which part of its outcome.
    pub part: Part,
    /// Where to.
    pub url: Url,
    /// JSON in ASCII, at most [`MAX_CALLBACK_BYTES`].
    pub body: Bytes,
}

/// Which part of an operation's outcome a callback is. With the operation's id it is the idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The result with this number, from 0.
    Result(usize),
    /// That this was all.
    Done,
    /// Everything, in the older form.
    Dependencies,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result(number) => write!(f, "result-{number}"),
            Self::Done => f.write_str("done"),
            Self::Dependencies => f.write_str("dependencies"),
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("operation", &self.operation)
            .field("part", &self.part)
            .field("host", &self.url.host_str()) // the operator's URL may hold a password
            .field("path", &self.url.path())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What is sent for an operation that succeeded, in the order in which it is to arrive. Empty for one without a callback.
/// `texts` are the results, as [`text`] has written them. `None`: one does not fit into a callback as it is, see
/// [`fitting_bodies`].
pub fn bodies(operation: &Operation, texts: &[String], summary: &Summary) -> Option<Vec<(Part, Bytes)>> {
    let about = About::of(operation);
    let body = |some: Range<usize>| {
        let body = wire::written(&about, texts.get(some).unwrap_or_default());
        if body.len() <= MAX_CALLBACK_BYTES { Ok(body) } else { Err(()) }
    };
    outcome(operation, texts.len(), summary, body).ok()
}

/// A result as it is written into bodies: JSON in ASCII, up to some MiB. Not for a thread that has others waiting.
pub fn text(result: &ScanResult) -> String {
    wire::text(result)
}

/// The same as [`bodies`], of results that lose what can be left out until they fit.
///
/// # Errors
/// [`ResultTooLarge`]: a result does not fit into a callback, even without what can be left out.
pub fn fitting_bodies(
    operation: &Operation,
    results: &mut [ScanResult],
    summary: &Summary,
) -> Result<Vec<(Part, Bytes)>, ResultTooLarge> {
    let about = About::of(operation);
    let n_results = results.len();
    let body = |some: Range<usize>| {
        fit::fit(results.get_mut(some).unwrap_or_default(), |some| wire::results(&about, some))
    };
    outcome(operation, n_results, summary, body)
}

/// The parts of an outcome, each with the body of some of the results.
fn outcome<E>(
    operation: &Operation,
    n_results: usize,
    summary: &Summary,
    mut body: impl FnMut(Range<usize>) -> Result<String, E>,
) -> Result<Vec<(Part, Bytes)>, E> {
    match operation.request.kind {
        OperationKind::Pull => Ok(Vec::new()),
        OperationKind::Discover => Ok(vec![(Part::Dependencies, body(0..n_results)?.into())]),
        OperationKind::Scan => {
            let mut bodies = Vec::with_capacity(n_results + 1);
            for number in 0..n_results {
                bodies.push((Part::Result(number), body(number..number + 1)?.into()));
            }
            bodies.push((Part::Done, wire::succeeded(&About::of(operation), summary).into()));
            Ok(bodies)
        }
    }
}

/// What is sent for an operation that failed; empty for one without a callback.
pub fn failure(kind: OperationKind, about: &About, problem: &Problem) -> Vec<(Part, Bytes)> {
    match kind {
        OperationKind::Pull => Vec::new(),
        OperationKind::Scan => vec![(Part::Done, wire::failed(about, problem).into())],
        OperationKind::Discover => vec![(Part::Dependencies, wire::no_dependencies(about, problem).into())],
    }
}

impl Callback {
    /// A part of an operation's outcome on its way to a target.
    pub fn new(operation: OperationId, target: &CallbackTarget, part: Part, body: Bytes) -> Self {
        let endpoint = match part {
            Part::Result(_) => Endpoint::Result,
            Part::Done => Endpoint::Done,
            Part::Dependencies => Endpoint::Dependencies,
        };
        Self { operation, part, url: target.url(endpoint), body }
    }
}

/// A result that does not fit into a callback, even without what can be left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a result has {size_bytes} bytes, more than the {limit_bytes} of a callback, though nothing more can be left out"
)]
pub struct ResultTooLarge {
    /// Of the callback's body.
    pub size_bytes: usize,
    /// [`MAX_CALLBACK_BYTES`].
    pub limit_bytes: usize,
}
