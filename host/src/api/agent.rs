//! Routes about the agent itself.

use http::StatusCode;

use super::answer::Answer;
use super::context::Context;
use super::problem::Problem;
use super::wire;
use crate::admission::Refused;
use crate::drivers::{DriverDocument, DriverInfo, Drivers};
use crate::jobs::QueueCounts;

pub(super) async fn healthcheck(context: &Context) -> Result<Answer, Problem> {
    let drivers = list(&context.drivers).await?.iter().filter(|d| d.serves()).count();
    Ok(Answer::ok(&wire::Health { ok: true, version: env!("CARGO_PKG_VERSION"), drivers }))
}

pub(super) async fn readiness(context: &Context) -> Result<Answer, Problem> {
    let drivers = list(&context.drivers).await?.iter().filter(|d| d.serves()).count();
    let stopping = context.shutdown.is_requested();
    let queue = context.queue.counts().await;
    let data_dir = context.data_dir.clone();
    let data = run_blocking(move || tempfile::Builder::new().prefix(".ready-").tempfile_in(data_dir)).await?;
    let check = |name, ok, detail: String| wire::ReadinessCheck { name, ok, detail };
    let room = |name, outcome: Result<(), Refused>| match outcome {
        Ok(()) => check(name, true, "there is enough".to_owned()),
        Err(refused) => check(name, false, refused.to_string()),
    };
    let checks = vec![
        check("serving", !stopping, if stopping { "stopping" } else { "serving" }.to_owned()),
        check("drivers", drivers > 0, format!("{drivers} drivers serve")),
        match queue {
            Ok(counts) => check("queue", true, queue_words(&counts)),
            Err(error) => check("queue", false, error.to_string()),
        },
        match data {
            Ok(_) => check("data", true, "the data directory is writable".to_owned()),
            Err(error) => {
                check("data", false, format!("the data directory can't be written: {}", error.kind()))
            }
        },
        room("disk", context.admission.disk().await),
        room("memory", context.admission.memory().await),
    ];
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Answer::json(status, &wire::Readiness { ready, checks }))
}

pub(super) async fn drivers(context: &Context) -> Result<Answer, Problem> {
    let drivers = list(&context.drivers).await?.into_iter().map(DriverDocument::from);
    let drivers: Vec<_> = drivers.collect();
    Ok(Answer::ok(&drivers))
}

pub(super) async fn metrics(context: &Context) -> Result<Answer, Problem> {
    if let Ok(counts) = context.queue.counts().await {
        let QueueCounts { queued, running, delivering, done, dead_lettered, capacity } = counts;
        let states = [
            ("queued", queued),
            ("running", running),
            ("delivering", delivering),
            ("done", done),
            ("dead_lettered", dead_lettered),
        ];
        for (state, count) in states {
            context.metrics.operations(state, count);
        }
        context.metrics.queue_capacity(capacity);
    }
    context.metrics.drivers(&context.drivers.metrics());
    context.metrics.callbacks(context.deliveries.metrics());
    context.metrics.refusals(context.admission.metrics());
    context.metrics.breakers("registry", context.breakers.metrics());
    context.metrics.breakers("callback", context.deliveries.breaker_metrics());
    let text = context.metrics.text();
    let text = text.map_err(|e| {
        tracing::error!(error = %e, "metrics could not be written");
        Problem::new("internal", "metrics could not be written")
    })?;
    Ok(Answer::text(prometheus::TEXT_FORMAT, text))
}

fn queue_words(counts: &QueueCounts) -> String {
    let taken = counts.queued + counts.running + counts.delivering;
    format!("{taken} of {} places are taken", counts.capacity)
}

/// The listing reads the plugin directories.
async fn list(drivers: &Drivers) -> Result<Vec<DriverInfo>, Problem> {
    let drivers = drivers.clone();
    run_blocking(move || drivers.list()).await
}

async fn run_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(f)
        .await
        .map_err(|_| Problem::new("operation_cancelled", "the agent is stopping"))
}
