//! The agent's HTTP contract: what a Broker Client forwards to it, and what it sends back.
//!
//! [`routes`] is the whole of it as a warp filter. A request line becomes a [`route::Route`], the route's function asks
//! the parts in [`Context`], and what comes out is an answer or a [`problem::Problem`]; shapes are in [`wire`].

use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::timeout;
use tracing::Instrument as _;
use uuid::Uuid;
use warp::filters::BoxedFilter;
use warp::{Buf, Filter};

mod agent;
mod answer;
pub mod code;
mod context;
mod listing;
pub mod openapi;
mod operation;
pub mod problem;
mod query;
pub mod route;
pub mod wire;

pub use context::Context;

use crate::admission::RequestPermit;
use crate::jobs::OperationKind;
use answer::{Answer, REQUEST_ID};
use operation::Wait;
use problem::Problem;
use query::Query;
use route::Route;

/// The largest body that is read. A scan request has some kilobytes, and what it asks for is kept while it waits: a
/// thousand of them must fit into memory.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Time for a body to arrive: an operation's has some kilobytes.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest request id that is taken over from a caller.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// All routes, as warp serves them. No request is ever rejected: what is no route is a problem like any other, so that
/// nothing turns a 404 into a 405.
pub fn routes(context: Context) -> BoxedFilter<(warp::reply::Response,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: warp::path::FullPath, query: String, headers: HeaderMap, body| {
            let context = context.clone();
            async move { respond(&context, &method, path.as_str(), &query, &headers, body).await }
        })
        .boxed()
}

/// One request: its answer, counted and logged.
async fn respond<B: Buf>(
    context: &Context,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> warp::reply::Response {
    let started = Instant::now();
    let given_id = request_id(headers);
    let id = given_id.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let route = Route::parse(method, path, query);
    let pattern = route.as_ref().map_or("unknown", Route::pattern);
    let outcome = match route {
        Ok(route) => {
            let permit = admit(context, &route);
            // An error, so that it is there at every level: faults are logged where they are met, under this id.
            let span = tracing::error_span!("request", id, route = pattern);
            let answer = async {
                let _permit = permit?;
                answer(context, route, &Query::parse(query), headers, body, given_id).await
            };
            answer.instrument(span).await
        }
        Err(problem) => Err(problem),
    };
    let answer = outcome.unwrap_or_else(|problem| {
        let problem = problem.with_instance(&id);
        tracing::info!(
            request = id,
            route = pattern,
            code = problem.code,
            detail = problem.detail,
            "problem"
        );
        Answer::problem(&problem)
    });
    let (status, took) = (answer.status.as_u16(), started.elapsed());
    context.metrics.request(pattern, status, took);
    tracing::debug!(request = id, route = pattern, status, seconds = took.as_secs_f64(), "answered");
    answer.into_response(&id)
}

async fn answer<B: Buf>(
    context: &Context,
    route: Route,
    query: &Query,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>>,
    request_id: Option<&str>,
) -> Result<Answer, Problem> {
    let platform = query.get("platform");
    match route {
        Route::Healthcheck => agent::healthcheck(context).await,
        Route::Readiness => agent::readiness(context).await,
        Route::Systemcheck | Route::ValidateCredentials => listing::system_check(context, headers).await,
        Route::Repositories => listing::repositories(context, headers).await,
        Route::Tags(repository) => listing::tags(context, headers, &repository).await,
        Route::TagsPage(repository, page) => listing::tags_page(context, headers, &repository, page).await,
        Route::TagDetails(repository) => listing::tag_details(context, headers, &repository).await,
        Route::ImageMetadata(image) => listing::image_metadata(context, headers, &image, platform).await,
        Route::StateIdentifier(image) => listing::state_identifier(context, headers, &image, platform).await,
        Route::Pull => {
            let wait = if query.is_on("wait") { Wait::UntilEnded } else { Wait::No };
            let body = collect(body).await?;
            operation::accept(context, headers, OperationKind::Pull, &body, request_id, wait).await
        }
        Route::Scan => {
            let body = collect(body).await?;
            operation::accept(context, headers, OperationKind::Scan, &body, request_id, Wait::No).await
        }
        Route::Discover => {
            let body = collect(body).await?;
            operation::accept(context, headers, OperationKind::Discover, &body, request_id, Wait::No).await
        }
        Route::Operations => operation::list(context, query.is_on("deadLetters")).await,
        Route::Operation(id) => operation::show(context, &id).await,
        Route::DropOperation(id) => operation::drop(context, &id).await,
        Route::Redeliver(id) => operation::redeliver(context, &id).await,
        Route::Drivers => agent::drivers(context).await,
        Route::Metrics => agent::metrics(context).await,
        Route::OpenApi => Ok(Answer::ok(&openapi::document())),
    }
}

/// The right to be answered. What tells how the agent is doing has it always.
fn admit(context: &Context, route: &Route) -> Result<Option<RequestPermit>, Problem> {
    if matches!(route, Route::Healthcheck | Route::Readiness | Route::Metrics) {
        return Ok(None);
    }
    context.admission.request().map(Some).map_err(|refused| Problem::of(&refused))
}

/// The caller's id of the request, where it can be repeated in headers and logs.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID).map(HeaderValue::to_str)?.ok()?;
    (!id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES).then_some(id)
}

/// The whole body, as long as it arrives in time.
async fn collect<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> Result<Vec<u8>, Problem> {
    let late = |_| {
        let seconds = BODY_TIMEOUT.as_secs();
        Problem::new("request_malformed", format!("the body did not arrive within {seconds} s"))
    };
    timeout(BODY_TIMEOUT, collect_all(body)).await.map_err(late)?
}

/// Counted while it is read: a length in a header is a claim.
async fn collect_all<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> Result<Vec<u8>, Problem> {
    let mut body = std::pin::pin!(body);
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| Problem::new("request_malformed", "the body ended early"))?;
        if whole.len() + piece.remaining() > MAX_BODY_BYTES {
            return Err(Problem::new(
                "request_too_large",
                format!("the body has more than {MAX_BODY_BYTES} bytes"),
            ));
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            whole.extend_from_slice(chunk);
            let n_bytes = chunk.len();
            piece.advance(n_bytes);
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests;
