//! From a queued operation to a delivered outcome, step by step.
//!
//! Whatever happens to an operation, its outcome is delivered or stands among the dead letters: a failed scan is
//! delivered as failed, so is one that panics, takes too long, or is cut off by the end of the agent.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use regent_report::{ImageName, ScanResult};
use regent_transport::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument as _;

use crate::api::problem::Problem;
use crate::callbacks::{self, Callback, Deliveries, DeliveryError, Part};
use crate::drivers::Drivers;
use crate::jobs::{Lease, Operation, OperationKind, Outcome, Queue, QueueError, Step, Summary};
use crate::layout;
use crate::registry::Registry;
use crate::scanning::{self, ScanLimits, ScannedImage, Scanner, Silent};

/// Operations that may be open for each one that may run: the others have their outcome delivered. An unreachable Broker
/// Client holds up those of others only when this many wait for it, and results in memory stay bounded.
const OPEN_PER_RUNNING: usize = 4;
/// Warnings about one image that are logged; results have those that matter to the service.
const MAX_LOGGED_WARNINGS: usize = 20;
/// How long a scan or pull may take: 2 GiB at 300 KB/s. Each read has its own, much shorter limit.
const MAX_RUN: Duration = Duration::from_hours(2);
/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How long to wait when the queue's store fails.
const STORE_BACKOFF: Duration = Duration::from_secs(1);

/// What workers work with.
#[derive(Clone)]
pub struct WorkerParts {
    /// Where operations come from.
    pub queue: Arc<dyn Queue>,
    /// How registries are reached.
    pub drivers: Drivers,
    /// How images are scanned.
    pub scanner: Scanner,
    /// What an image may have at most.
    pub limits: ScanLimits,
    /// How outcomes get to the Broker Client.
    pub deliveries: Deliveries,
    /// How long that is tried.
    pub delivery_deadline: Duration,
    /// The layer store: a layout for each image, named by its digest.
    pub layers_dir: PathBuf,
}

/// The workers of this process. Dropping it ends them at once; [`Workers::drain`] is the polite way.
pub struct Workers {
    queue: Arc<dyn Queue>,
    phase: watch::Sender<Phase>,
    dispatcher: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Working,
    /// Nothing new is begun.
    Draining,
    /// What still runs is cut off.
    Cancelling,
}

impl Workers {
    /// Starts workers that run up to `n_running` operations at once. To be called in a tokio runtime.
    pub fn start(n_running: usize, parts: WorkerParts) -> Self {
        let (phase, seen) = watch::channel(Phase::Working);
        let queue = Arc::clone(&parts.queue);
        let worker = Arc::new(Worker { parts, phase: seen });
        let mut dispatcher = JoinSet::new();
        dispatcher.spawn(dispatch(worker, n_running.max(1)));
        Self { queue, phase, dispatcher }
    }

    /// Takes no more operations, and gives those that run until two thirds of `grace` have passed. Then they are cut off and
    /// reported as failed (`operation_cancelled`), as are at once those that wait in a queue that will not survive. Returns
    /// when all is reported, or at the end of `grace`.
    pub async fn drain(mut self, grace: Duration) {
        let end = Instant::now() + grace;
        self.queue.close();
        self.phase.send_replace(Phase::Draining);
        let cut_off = end.checked_sub(grace / 3).unwrap_or(end);
        if timeout_at(cut_off, self.dispatcher.join_next()).await.is_ok() {
            return;
        }
        tracing::warn!("operations that still run are cut off");
        self.phase.send_replace(Phase::Cancelling);
        if timeout_at(end, self.dispatcher.join_next()).await.is_ok() {
            return;
        }
        self.dispatcher.shutdown().await;
        for view in self.queue.list().await.unwrap_or_default().iter().filter(|view| !view.state.has_ended())
        {
            let (operation, state) = (view.id, view.state.as_str());
            tracing::error!(%operation, state, image = %view.image, "an operation ends without its outcome delivered");
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("phase", &*self.phase.borrow()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerParts")
            .field("limits", &self.limits)
            .field("deliveries", &self.deliveries)
            .field("delivery_deadline", &self.delivery_deadline)
            .field("layers_dir", &self.layers_dir)
            .finish_non_exhaustive()
    }
}

/// Takes operations while there is room, and owns their tasks.
async fn dispatch(worker: Arc<Worker>, n_running: usize) {
    let running = Arc::new(Semaphore::new(n_running));
    let open =
        Arc::new(Semaphore::new(n_running.saturating_mul(OPEN_PER_RUNNING).min(Semaphore::MAX_PERMITS)));
    let mut operations = JoinSet::new();
    loop {
        let next = tokio::select! {
            biased;
            () = worker.reached(Phase::Draining) => break,
            Some(_) = operations.join_next() => continue,
            next = worker.next(&open, &running) => next,
        };
        match next {
            Ok(Some((lease, permits))) => {
                operations.spawn(Arc::clone(&worker).work_at(lease, permits));
            }
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "no operation can be taken from the queue");
                sleep(STORE_BACKOFF).await;
            }
        }
    }
    if !worker.parts.queue.is_durable() {
        worker.parts.queue.close();
        while let Ok(Some(lease)) = worker.parts.queue.lease().await {
            operations.spawn(Arc::clone(&worker).give_up(lease));
        }
    }
    while operations.join_next().await.is_some() {}
}

/// The room that an operation takes.
struct Permits {
    running: OwnedSemaphorePermit,
    open: OwnedSemaphorePermit,
}

/// What came of a scan or pull.
struct Finished {
    summary: Summary,
    /// In the order in which they are to arrive.
    callbacks: Vec<Callback>,
}

struct Worker {
    parts: WorkerParts,
    phase: watch::Receiver<Phase>,
}

impl Worker {
    /// Returns once this phase has begun. Cancel-safe.
    async fn reached(&self, phase: Phase) {
        // An error means that the workers were dropped, and this task with them.
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }

    /// The next operation, once there is room for it. Cancel-safe.
    async fn next(
        &self,
        open: &Arc<Semaphore>,
        running: &Arc<Semaphore>,
    ) -> Result<Option<(Lease, Permits)>, QueueError> {
        let (Ok(open), Ok(running)) =
            (Arc::clone(open).acquire_owned().await, Arc::clone(running).acquire_owned().await)
        else {
            return Ok(None); // never: the semaphores are not closed
        };
        let lease = self.parts.queue.lease().await?;
        Ok(lease.map(|lease| (lease, Permits { running, open })))
    }

    /// One operation, from its lease to its end.
    async fn work_at(self: Arc<Self>, lease: Lease, permits: Permits) {
        let Permits { running, open } = permits;
        let steps = async {
            let finished = self.run(&lease.operation).await;
            drop(running);
            match finished {
                Ok(finished) => self.deliver(&lease, finished).await,
                Err(problem) => self.deliver_failure(&lease, problem).await,
            }
        };
        self.hold(&lease, steps).await;
        drop(open);
    }

    /// One operation that will not be begun any more.
    async fn give_up(self: Arc<Self>, lease: Lease) {
        let problem = cancelled();
        self.hold(&lease, self.deliver_failure(&lease, problem)).await;
    }

    /// Takes these steps while the lease is held, and notes how they ended.
    async fn hold(&self, lease: &Lease, steps: impl Future<Output = Result<Step, QueueError>> + Send) {
        let Operation { id, request, .. } = &lease.operation;
        // An error, so that it is there at every level: faults are logged where they are met, under this id.
        let span =
            tracing::error_span!("operation", id = %id, kind = request.kind.as_str(), image = %request.image);
        let held = async {
            tracing::info!(attempt = lease.attempt, "operation begins");
            let ended = tokio::select! {
                ended = AssertUnwindSafe(steps).catch_unwind() => ended,
                error = self.renew(lease) => Ok(Err(error)),
            };
            let step = match ended {
                Ok(Ok(step)) => step,
                Ok(Err(error)) => return tracing::error!(%error, "the operation is no longer held here"),
                // Not in a scan, whose panics are caught before: then it could still be reported.
                Err(_) => Step::DeadLetter(Outcome::Failed(internal()), internal()),
            };
            log_end(&step);
            if let Err(error) = self.parts.queue.record(lease, step).await {
                tracing::error!(%error, "the end of the operation can't be noted");
            }
        };
        Box::pin(held.instrument(span)).await;
    }

    /// Renews a lease until it is lost.
    async fn renew(&self, lease: &Lease) -> QueueError {
        loop {
            sleep(RENEW_EVERY).await;
            if let Err(error) = self.parts.queue.renew(lease).await {
                return error;
            }
        }
    }

    /// Does what was asked for, within the limits of time; a panic is a failure like others.
    async fn run(&self, operation: &Operation) -> Result<Finished, Problem> {
        let work = async {
            match operation.request.kind {
                OperationKind::Scan | OperationKind::Discover => self.scan(operation).await,
                OperationKind::Pull => self.pull(operation).await,
            }
        };
        let guarded = timeout(MAX_RUN, Box::pin(AssertUnwindSafe(work).catch_unwind()));
        tokio::select! {
            biased;
            () = self.reached(Phase::Cancelling) => Err(cancelled()),
            done = guarded => match done {
                Ok(Ok(finished)) => finished,
                Ok(Err(_)) => Err(internal()),
                Err(_) => {
                    let hours = MAX_RUN.as_secs() / 3600;
                    Err(Problem::new("registry_timeout", format!("the image could not be read within {hours} hours")))
                }
            }
        }
    }

    async fn scan(&self, operation: &Operation) -> Result<Finished, Problem> {
        let WorkerParts { scanner, limits, .. } = &self.parts;
        let request = &operation.request;
        let registry = self.open(operation).await?;
        let platform = request.options.platform.as_ref().or(request.platform.as_ref());
        let interest = Arc::new(request.options.interest());
        let scanned = scanner.scan(&registry, &request.image, platform, limits, &interest, &Silent).await;
        let scanned = scanned.map_err(|error| problem(&error, error.driver()))?;
        for warning in regent_report::warnings(&scanned.findings).take(MAX_LOGGED_WARNINGS) {
            tracing::warn!(operation = %operation.id, image = %request.image, "{warning}");
        }
        let operation = operation.clone();
        // Serializing some MiB takes long enough to be felt by others.
        let reported = spawn_blocking(move || report(&operation, &scanned)).await;
        reported.map_err(|_| internal())?
    }

    async fn pull(&self, operation: &Operation) -> Result<Finished, Problem> {
        let request = &operation.request;
        let started = Instant::now();
        let registry = self.open(operation).await?;
        let platform = request.options.platform.as_ref().or(request.platform.as_ref());
        let image = registry.resolve(&request.image, platform).await;
        let image = image.map_err(|error| problem(&error, error.driver()))?;
        let (size_bytes, limit_bytes) = (image.layers_size_bytes(), self.parts.limits.max_image_bytes);
        if size_bytes > limit_bytes {
            let image = request.image.to_string();
            return Err(problem(&scanning::Error::ImageTooLarge { image, size_bytes, limit_bytes }, None));
        }
        let resolving = started.elapsed();

        // By digest, so that an image is stored once, whatever it is called.
        let digest = &image.manifest.digest;
        let directory =
            self.parts.layers_dir.join(format!("{}-{}", digest.algorithm().as_str(), digest.hex()));
        let fetched_bytes = match layout::write(&registry, &image, &directory, None).await {
            Ok(()) => size_bytes,
            Err(layout::Error::Occupied { .. }) => 0, // it appears as a whole or not at all
            Err(error) => return Err(problem(&error, Some(&registry.driver().name))),
        };
        let summary = Summary {
            digest: (!image.is_synthetic()).then(|| digest.clone()),
            index_digest: image.index.as_ref().map(|index| index.digest.clone()),
            n_layers: image.image.layers.len(),
            fetched_bytes,
            queued: queued(operation, started.elapsed()),
            resolving,
            reading: started.elapsed().saturating_sub(resolving),
            ..Summary::default()
        };
        Ok(Finished { summary, callbacks: Vec::new() })
    }

    async fn open(&self, operation: &Operation) -> Result<Arc<Registry>, Problem> {
        let opened = self.parts.drivers.open(&operation.request.connection).await;
        opened.map_err(|error| problem(&error, error.driver()))
    }

    /// Delivers what was found, the end of it last.
    async fn deliver(&self, lease: &Lease, finished: Finished) -> Result<Step, QueueError> {
        let outcome = Outcome::Succeeded(finished.summary);
        let deadline = Instant::now() + self.parts.delivery_deadline;
        if !finished.callbacks.is_empty() {
            self.parts.queue.record(lease, Step::Deliver(outcome.clone())).await?;
        }
        for callback in finished.callbacks {
            match self.parts.deliveries.deliver(&callback, deadline).await {
                Ok(()) => {}
                // The other side is there, but does not take this: it is to know that something is missing.
                Err(error @ DeliveryError::Rejected { .. }) if matches!(callback.part, Part::Result(_)) => {
                    return self.deliver_failure(lease, Problem::of(&error)).await;
                }
                Err(error) => return Ok(Step::DeadLetter(outcome, Problem::of(&error))),
            }
        }
        Ok(Step::Finish(outcome))
    }

    /// Delivers that there is nothing, and why.
    async fn deliver_failure(&self, lease: &Lease, problem: Problem) -> Result<Step, QueueError> {
        let callback = callbacks::failure(&lease.operation, &problem);
        let outcome = Outcome::Failed(problem);
        let Some(callback) = callback else { return Ok(Step::Finish(outcome)) };
        self.parts.queue.record(lease, Step::Deliver(outcome.clone())).await?;
        let deadline = Instant::now() + self.parts.delivery_deadline;
        match self.parts.deliveries.deliver(&callback, deadline).await {
            Ok(()) => Ok(Step::Finish(outcome)),
            Err(error) => Ok(Step::DeadLetter(outcome, Problem::of(&error))),
        }
    }
}

/// Findings → results → callbacks. Blocking.
fn report(operation: &Operation, scanned: &ScannedImage) -> Result<Finished, Problem> {
    let request = &operation.request;
    let name = ImageName { given: Some(request.requested_name.clone()), archive: String::new() };
    let response = scanning::report(scanned, &name, &request.options);
    let mut results: Vec<ScanResult> = response.map_err(|error| report_problem(&error))?.scan_results;
    let cost = scanned.cost;
    let summary = Summary {
        digest: scanned.digests.as_ref().map(|digests| digests.manifest.clone()),
        index_digest: scanned.digests.as_ref().and_then(|digests| digests.index.clone()),
        n_results: results.len(),
        n_layers: cost.n_layers,
        n_cached_layers: cost.n_cached_layers,
        fetched_bytes: cost.fetched_bytes,
        queued: queued(operation, cost.resolving + cost.reading + cost.analyzing),
        resolving: cost.resolving,
        reading: cost.reading,
        analyzing: cost.analyzing,
    };
    let callbacks = callbacks::bodies(operation, &mut results, &summary);
    let callbacks = callbacks.map_err(|error| Problem::new("result_too_large", error.to_string()))?;
    Ok(Finished { summary, callbacks })
}

/// Time that an operation has waited, when it is known how long it has run.
fn queued(operation: &Operation, ran: Duration) -> Duration {
    let since = SystemTime::now().duration_since(operation.accepted_at).unwrap_or_default();
    since.saturating_sub(ran)
}

fn problem(error: &dyn Fault, driver: Option<&str>) -> Problem {
    let problem = Problem::of(error);
    match driver {
        Some(driver) => problem.with_driver(driver),
        None => problem,
    }
}

/// A name or digest among the options is none.
fn report_problem(error: &regent_report::Error) -> Problem {
    Problem::new("request_malformed", error.to_string())
}

fn cancelled() -> Problem {
    Problem::new("operation_cancelled", "the agent stopped before the operation was done")
}

fn internal() -> Problem {
    Problem::new("internal", "the agent failed; its log has the cause under this operation's id")
}

fn log_end(step: &Step) {
    match step {
        Step::Finish(Outcome::Succeeded(summary)) => tracing::info!(
            n_results = summary.n_results,
            n_layers = summary.n_layers,
            n_cached_layers = summary.n_cached_layers,
            fetched_bytes = summary.fetched_bytes,
            "operation succeeded"
        ),
        Step::Finish(Outcome::Failed(problem)) => {
            tracing::warn!(
                code = problem.code,
                detail = problem.detail,
                "operation failed, and is reported as failed"
            );
        }
        Step::DeadLetter(_, reason) => {
            tracing::error!(
                code = reason.code,
                detail = reason.detail,
                "the outcome could not be delivered: a dead letter"
            );
        }
        Step::Deliver(_) => {}
    }
}

#[cfg(test)]
mod tests;
