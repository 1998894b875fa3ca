//! Routes that accept operations and tell of them.

use http::{HeaderMap, StatusCode};
use regent_oci::ImageRef;

use super::answer::Answer;
use super::context::Context;
use super::listing::parse_platform;
use super::problem::Problem;
use super::wire;
use crate::crash_point::{CrashPoint, reached};
use crate::jobs::{NewOperation, OperationId, OperationKind, Outcome, Priority, QueueError, ScanOptions};

/// The longest `correlationId` that is kept, in bytes: it goes into every callback.
const MAX_CORRELATION_ID_BYTES: usize = 1024;

/// Whether the caller waits for the end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    No,
    UntilEnded,
}

/// Accepts an operation. `request_id` is the caller's own, if it gave one: it may deliver one call several times.
pub(super) async fn accept(
    context: &Context,
    headers: &HeaderMap,
    kind: OperationKind,
    body: &[u8],
    request_id: Option<&str>,
    wait: Wait,
) -> Result<Answer, Problem> {
    if wait == Wait::UntilEnded {
        context.shutdown.check().map_err(|e| Problem::of(&e))?;
    }
    let request_id = request_id.map(|id| format!("{}:{id}", kind.as_str()));
    // A repeat needs no room, no driver and no time of the registry: it was accepted.
    let known = match &request_id {
        Some(request_id) => context.queue.repeat_of(request_id).await.map_err(|e| Problem::of(&e))?,
        None => None,
    };
    if let Some(id) = known {
        tracing::info!(operation = %id, kind = kind.as_str(), repeat = true, "accepted");
        return accepted(context, id, wait).await;
    }
    context.shutdown.check().map_err(|e| Problem::of(&e))?;
    context.admission.operation().await.map_err(|e| Problem::of(&e))?;
    let request: wire::OperationRequest = serde_json::from_slice(body).map_err(|e| malformed(&e))?;
    let operation = checked(context, headers, kind, request, request_id, wait).await?;
    let stored = context.queue.accept(operation).await.map_err(|e| Problem::of(&e))?;
    reached(CrashPoint::AcceptStored);
    tracing::info!(operation = %stored.id, kind = kind.as_str(), repeat = stored.is_repeat, "accepted");
    accepted(context, stored.id, wait).await
}

/// The answer about an operation that is stored.
async fn accepted(context: &Context, id: OperationId, wait: Wait) -> Result<Answer, Problem> {
    if wait == Wait::UntilEnded {
        let view = context.queue.ended(id).await.map_err(|e| Problem::of(&e))?;
        return match view.state.outcome() {
            Some(Outcome::Failed(problem)) => Err(problem.clone()),
            _ => Ok(Answer::ok(&wire::Operation::from(&view))),
        };
    }
    Ok(Answer::json(StatusCode::ACCEPTED, &wire::Accepted { operation_id: id.to_string() }))
}

pub(super) async fn list(context: &Context, only_dead_letters: bool) -> Result<Answer, Problem> {
    let views = if only_dead_letters { context.queue.dead_letters() } else { context.queue.list() };
    let views = views.await.map_err(|e| Problem::of(&e))?;
    Ok(Answer::ok(&views.iter().map(wire::Operation::from).collect::<Vec<_>>()))
}

pub(super) async fn show(context: &Context, id: &str) -> Result<Answer, Problem> {
    let view = context.queue.operation(parse_id(id)?).await.map_err(|e| Problem::of(&e))?;
    Ok(Answer::ok(&wire::Operation::from(&view)))
}

/// Forgets an operation that has ended, and cancels one that waits or runs.
pub(super) async fn drop(context: &Context, id: &str) -> Result<Answer, Problem> {
    let id = parse_id(id)?;
    match context.queue.forget(id).await {
        Ok(()) => return Ok(Answer::empty()),
        Err(QueueError::WrongState { .. }) => {}
        Err(error) => return Err(Problem::of(&error)),
    }
    context.queue.cancel(id).await.map_err(|e| Problem::of(&e))?;
    reached(CrashPoint::CancelStored);
    Ok(Answer::json(StatusCode::ACCEPTED, &wire::Accepted { operation_id: id.to_string() }))
}

pub(super) async fn redeliver(context: &Context, id: &str) -> Result<Answer, Problem> {
    let id = parse_id(id)?;
    context.queue.redeliver(id).await.map_err(|e| Problem::of(&e))?;
    reached(CrashPoint::RedeliverStored);
    Ok(Answer::json(StatusCode::ACCEPTED, &wire::Accepted { operation_id: id.to_string() }))
}

/// Everything about a request that can be told before it is worked at.
async fn checked(
    context: &Context,
    headers: &HeaderMap,
    kind: OperationKind,
    request: wire::OperationRequest,
    request_id: Option<String>,
    wait: Wait,
) -> Result<NewOperation, Problem> {
    let field =
        |name: &str, why: &dyn std::fmt::Display| Problem::new("request_malformed", format!("{name}: {why}"));
    let image =
        ImageRef::parse_or_latest(&request.image).map_err(|e| Problem::new("name_invalid", e.to_string()))?;
    if request.correlation_id.as_ref().is_some_and(|id| id.len() > MAX_CORRELATION_ID_BYTES) {
        return Err(field("correlationId", &format_args!("has more than {MAX_CORRELATION_ID_BYTES} bytes")));
    }
    let options = ScanOptions::parse(request.options.unwrap_or_default(), context.compat)
        .map_err(|e| field("options", &e))?;
    let priority = request.priority.unwrap_or(match wait {
        Wait::UntilEnded => Priority::Interactive,
        Wait::No => Priority::Bulk,
    });
    let platform =
        request.platform.as_deref().map(parse_platform).transpose()?.or_else(|| options.platform.clone());
    let callback = match kind {
        OperationKind::Pull => None,
        OperationKind::Scan | OperationKind::Discover => {
            let given = request.callback_url.as_deref();
            Some(context.callbacks.target(given).map_err(|e| Problem::of(&e))?)
        }
    };
    // Opened now, so that an unknown type or an unusable setting is told to the caller who can mend it.
    let (_, connection) = context.open(headers, request.credentials.as_ref()).await?;
    Ok(NewOperation {
        request_id,
        kind,
        priority,
        image,
        requested_name: request.image,
        platform,
        connection,
        callback,
        correlation_id: request.correlation_id,
        options,
    })
}

fn parse_id(text: &str) -> Result<OperationId, Problem> {
    text.parse().map_err(|e| Problem::new("operation_unknown", format!("there is no such operation: {e}")))
}

/// What is wrong with a body: position and kind, never its text, which may hold credentials.
fn malformed(error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    let detail = match error.classify() {
        Category::Io => "the body could not be read".to_owned(),
        Category::Eof => "the body is no complete JSON document".to_owned(),
        Category::Syntax => format!("the body is not JSON: line {}, column {}", error.line(), error.column()),
        Category::Data => format!(
            "the body needs a field image, and text in image, platform, callbackUrl and correlationId: line {}, column {}",
            error.line(),
            error.column()
        ),
    };
    Problem::new("request_malformed", detail)
}
