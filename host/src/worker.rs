//! From a queued operation to a delivered outcome.
//!
//! Two kinds of work are taken from the queue side by side: operations to be run (`run`), whose outcome is stored with the
//! bodies of its callbacks, and outcomes to be delivered (`deliver`). Whatever happens to an operation, it comes to an outcome
//! that is delivered or stands among the dead letters; what the end of the agent cuts off is handed back to the queue.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regent_transport::{Backoff, Pause, Retry, RetryPolicy, Until};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

use crate::api::problem::Problem;
use crate::breaker::Breakers;
use crate::callbacks::{self, About, Deliveries};
use crate::crash_point::{CrashPoint, reached};
use crate::drivers::Drivers;
use crate::jobs::{Lease, OperationKind, Outcome, Queue, QueueError, Step, Task, Wish, Work};
use crate::scanning::{ScanLimits, Scanner};
use crate::telemetry::Metrics;
use crate::threads::Threads;
use place::{Place, Places};
use reports::Reports;

mod deliver;
mod place;
mod reports;
mod run;

/// Outcomes that are delivered at once, to all targets. Each has a body of up to 10 MiB in memory.
const MAX_DELIVERIES: usize = 8;
/// How often a lease is renewed, and it is asked whether the operation is still wanted; a short one at thirds of its time.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How an outcome is noted while the queue's store fails: until the agent ends.
const STORE_RETRY: RetryPolicy = RetryPolicy {
    until: Until::Elapsed(Duration::MAX),
    backoff: Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(10) },
    pause: Pause::AtMost(Duration::from_secs(10)),
};

/// What workers work with.
#[derive(Clone)]
pub struct WorkerParts {
    /// Where operations come from.
    pub queue: Arc<dyn Queue>,
    /// How registries are reached.
    pub drivers: Drivers,
    /// Which registries are left alone for now.
    pub breakers: Breakers,
    /// How images are scanned.
    pub scanner: Scanner,
    /// What an image may have at most.
    pub limits: ScanLimits,
    /// How long the queue's leases last when they are not renewed.
    pub lease: Duration,
    /// How long one run may take.
    pub run_deadline: Duration,
    /// When a run that fails in a way that passes is begun again.
    pub retry: RetryPolicy,
    /// How outcomes get to the Broker Client.
    pub deliveries: Deliveries,
    /// The layer store: a layout for each image, named by its digest.
    pub layers_dir: PathBuf,
    /// Counts outcomes.
    pub metrics: Metrics,
    /// What operations run on.
    pub threads: Threads,
}

impl WorkerParts {
    /// Begins again for so long, after waits of up to 5 s, 10 s, 20 s … 5 min.
    pub fn retry_for(time: Duration) -> RetryPolicy {
        let backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_mins(5) };
        RetryPolicy { until: Until::Elapsed(time), backoff, pause: Pause::AtMost(time) }
    }
}

/// The workers of this process. Dropping it ends them at once; [`Workers::drain`] is the polite way.
pub struct Workers {
    queue: Arc<dyn Queue>,
    phase: watch::Sender<Phase>,
    dispatchers: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Working,
    /// Nothing new is begun.
    Draining,
    /// What still runs is cut off, and handed back.
    HandingBack,
}

impl Workers {
    /// Starts workers that run up to `n_running` operations at once. To be called in a tokio runtime.
    pub fn start(n_running: usize, parts: WorkerParts) -> Self {
        let (phase, seen) = watch::channel(Phase::Working);
        let queue = Arc::clone(&parts.queue);
        let worker = Arc::new(Worker { parts, reports: Arc::new(Reports::new()), phase: seen });
        let mut dispatchers = JoinSet::new();
        dispatchers.spawn(dispatch(Arc::clone(&worker), Work::Run, n_running.max(1)));
        dispatchers.spawn(dispatch(worker, Work::Deliver, MAX_DELIVERIES));
        Self { queue, phase, dispatchers }
    }

    /// Takes no more operations, and gives those that run until two thirds of `grace` have passed. Then they are cut off and
    /// handed back to the queue. Returns when all have ended or are handed back, or at the end of `grace`.
    pub async fn drain(mut self, grace: Duration) {
        let end = Instant::now() + grace;
        self.queue.close().await;
        self.phase.send_replace(Phase::Draining);
        let cut_off = end.checked_sub(grace / 3).unwrap_or(end);
        if timeout_at(cut_off, self.ended()).await.is_ok() {
            return;
        }
        tracing::warn!("operations that still run are handed back");
        self.phase.send_replace(Phase::HandingBack);
        if timeout_at(end, self.ended()).await.is_err() {
            tracing::error!(
                "operations could not be handed back in time; they are begun anew at the next start"
            );
        }
    }

    async fn ended(&mut self) {
        while self.dispatchers.join_next().await.is_some() {}
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
            .field("run_deadline", &self.run_deadline)
            .field("deliveries", &self.deliveries)
            .field("layers_dir", &self.layers_dir)
            .finish_non_exhaustive()
    }
}

/// Takes work of one kind while there is room, and owns its tasks.
async fn dispatch(worker: Arc<Worker>, work: Work, n_at_once: usize) {
    let places = Places::new(n_at_once);
    let mut tasks = JoinSet::new();
    let mut n_failures = 0;
    loop {
        while tasks.try_join_next().is_some() {}
        let next = async {
            let place = places.free().await?;
            Some((worker.parts.queue.lease(work).await, place))
        };
        let next = tokio::select! {
            biased;
            () = worker.reached(Phase::Draining) => break,
            next = next => next,
        };
        match next {
            Some((Ok(Some(lease)), place)) => {
                n_failures = 0;
                let worker = Arc::clone(&worker);
                tasks.spawn(worker.work_at(lease, place));
            }
            Some((Ok(None), _)) | None => break,
            Some((Err(error), _)) => {
                n_failures += 1;
                tracing::error!(%error, "no operation can be taken from the queue");
                tokio::select! {
                    () = worker.reached(Phase::Draining) => break,
                    () = pause(n_failures) => {}
                }
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// The wait after so many failures of the store.
async fn pause(n_failures: u32) {
    let wait = STORE_RETRY.next(n_failures, Duration::ZERO, Retry::Backoff, rand::random());
    sleep(wait.unwrap_or(STORE_RETRY.backoff.longest)).await;
}

struct Worker {
    parts: WorkerParts,
    reports: Arc<Reports>,
    phase: watch::Receiver<Phase>,
}

/// Why work at a lease stops before it has come to its end.
enum Stop {
    /// The operation is not wanted any more.
    Cancelled,
    /// The agent ends.
    HandBack,
    /// Somebody else has the operation.
    Lost(QueueError),
}

impl Worker {
    /// Returns once this phase has begun. Cancel-safe.
    async fn reached(&self, phase: Phase) {
        // An error means that the workers were dropped, and this task with them.
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }

    /// One lease, until it has ended.
    async fn work_at(self: Arc<Self>, lease: Lease, place: Place) {
        let (kind, about) = match &lease.task {
            Task::Run(run) => (run.operation.request.kind, About::of(&run.operation)),
            Task::Deliver(delivery) => (delivery.kind, delivery.about.clone()),
        };
        // An error, so that it is there at every level: faults are logged where they are met, under this id.
        let span =
            tracing::error_span!("operation", id = %lease.id, kind = kind.as_str(), image = about.image());
        let (lease, place) = (Arc::new(lease), Arc::new(place));
        let held = async {
            let mut work = self.begin(&lease, &place);
            let ended = tokio::select! {
                biased;
                stop = self.stop(&lease) => Err(stop),
                Some(step) = work.join_next() => Ok(step.unwrap_or_else(|_| Ok(internal(&lease, kind, &about)))),
            };
            // What is not wanted any more has let go of all that it holds before another may have it.
            work.shutdown().await;
            let step = match ended {
                Ok(Ok(step)) => step,
                Err(Stop::Cancelled) => failed(kind, &about, cancelled()),
                Err(Stop::HandBack) => Step::HandBack,
                Ok(Err(error)) | Err(Stop::Lost(error)) => {
                    return tracing::error!(%error, "the operation is no longer held here");
                }
            };
            self.note(&lease, kind, step).await;
        };
        Box::pin(held.instrument(span)).await;
    }

    /// Begins the work, on the threads that are for it. It ends with what is returned.
    fn begin(self: &Arc<Self>, lease: &Arc<Lease>, place: &Arc<Place>) -> JoinSet<Result<Step, QueueError>> {
        let threads = match lease.task {
            Task::Run(_) => self.parts.threads.handle(),
            Task::Deliver(_) => Handle::current(),
        };
        let (worker, lease, place) = (Arc::clone(self), Arc::clone(lease), Arc::clone(place));
        let mut work = JoinSet::new();
        let steps = async move { worker.steps(&lease, &place).await };
        work.spawn_on(steps.in_current_span(), &threads);
        work
    }

    async fn steps(&self, lease: &Lease, place: &Place) -> Result<Step, QueueError> {
        match &lease.task {
            Task::Run(run) => {
                reached(CrashPoint::LeaseStored);
                Ok(self.run(run, place).await)
            }
            Task::Deliver(delivery) => self.deliver(lease, delivery).await,
        }
    }

    /// Renews a lease until there is a reason to stop.
    async fn stop(&self, lease: &Lease) -> Stop {
        let renew_every = RENEW_EVERY.min(self.parts.lease / 3);
        loop {
            tokio::select! {
                biased;
                () = self.reached(Phase::HandingBack) => return Stop::HandBack,
                () = sleep(renew_every) => {}
            }
            match self.parts.queue.renew(lease).await {
                Ok(Wish::Cancel) => return Stop::Cancelled,
                Err(error @ (QueueError::WrongState { .. } | QueueError::Unknown { .. })) => {
                    return Stop::Lost(error);
                }
                // A store that fails may be well again before the lease has run out.
                Ok(Wish::GoOn) | Err(_) => {}
            }
        }
    }

    /// Notes how a lease has ended. While the store fails it is tried again: the outcome is nowhere else.
    async fn note(&self, lease: &Lease, kind: OperationKind, step: Step) {
        if matches!(step, Step::Outcome(..)) {
            reached(CrashPoint::ScanEnded);
        }
        log(&step);
        let mut n_tries = 0;
        while let Err(error) = self.parts.queue.record(lease, step.clone()).await {
            n_tries += 1;
            if !matches!(error, QueueError::Unwritable { .. }) {
                return tracing::error!(%error, "the operation is no longer held here");
            }
            tracing::error!(%error, n_tries, "what came of the operation can't be noted now");
            tokio::select! {
                biased;
                () = self.reached(Phase::HandingBack) => {
                    return tracing::error!("the agent ends before it could be noted");
                }
                () = pause(n_tries) => {}
            }
            // Whether it is still held, the next try will tell.
            let _ = self.parts.queue.renew(lease).await;
        }
        if let Step::Outcome(outcome, _) = &step {
            match outcome {
                Outcome::Succeeded(summary) => self.parts.metrics.succeeded(kind.as_str(), summary),
                Outcome::Failed(problem) => self.parts.metrics.failed(kind.as_str(), &problem.code),
            }
        }
        reached(match &step {
            Step::Outcome(_, parts) if parts.is_empty() => CrashPoint::EndStored,
            Step::Outcome(..) => CrashPoint::ResultsStored,
            Step::Again(..) | Step::Defer(..) | Step::Yield(..) | Step::Anew(_) => CrashPoint::AgainStored,
            Step::Delivered(_) => CrashPoint::CallbackNoted,
            Step::Finish => CrashPoint::EndStored,
            Step::Postpone(..) => CrashPoint::PostponeStored,
            Step::DeadLetter(_) => CrashPoint::DeadLetterStored,
            Step::HandBack => CrashPoint::HandBackStored,
        });
    }
}

/// The step of an operation that failed.
fn failed(kind: OperationKind, about: &About, problem: Problem) -> Step {
    let parts = callbacks::failure(kind, about, &problem);
    Step::Outcome(Outcome::Failed(problem), parts)
}

/// The step after a panic.
fn internal(lease: &Lease, kind: OperationKind, about: &About) -> Step {
    let problem =
        Problem::new("internal", "the agent failed; its log has the cause under this operation's id");
    match lease.task {
        Task::Run(_) => failed(kind, about, problem),
        Task::Deliver(_) => Step::DeadLetter(problem),
    }
}

fn cancelled() -> Problem {
    Problem::new("operation_cancelled", "somebody asked for the operation to be stopped")
}

fn log(step: &Step) {
    match step {
        Step::Outcome(Outcome::Succeeded(summary), _) => tracing::info!(
            n_results = summary.n_results,
            n_layers = summary.n_layers,
            n_cached_layers = summary.n_cached_layers,
            fetched_bytes = summary.fetched_bytes,
            "operation succeeded"
        ),
        Step::Outcome(Outcome::Failed(problem), _) => tracing::warn!(
            code = problem.code,
            detail = problem.detail,
            "operation failed, and is reported as failed"
        ),
        Step::Again(wait, problem) => tracing::warn!(
            code = problem.code,
            detail = problem.detail,
            seconds = wait.as_secs_f64(),
            "operation failed, and is begun again"
        ),
        Step::Defer(wait, problem) => {
            tracing::info!(code = problem.code, seconds = wait.as_secs_f64(), "operation is put off");
        }
        Step::Yield(wait, problem) => {
            tracing::debug!(
                code = problem.code,
                seconds = wait.as_secs_f64(),
                "operation waits for its turn"
            );
        }
        Step::Postpone(wait, reason) => {
            tracing::warn!(
                reason,
                seconds = wait.as_secs_f64(),
                "a callback did not arrive, and is tried again"
            );
        }
        Step::DeadLetter(reason) => tracing::error!(
            code = reason.code,
            detail = reason.detail,
            "the outcome could not be delivered: a dead letter"
        ),
        Step::Anew(problem) => tracing::error!(
            code = problem.code,
            detail = problem.detail,
            "the outcome is lost: the operation is run once more"
        ),
        Step::Finish => tracing::info!("outcome delivered"),
        Step::HandBack => tracing::info!("operation is handed back"),
        Step::Delivered(_) => {}
    }
}

#[cfg(test)]
mod tests;
