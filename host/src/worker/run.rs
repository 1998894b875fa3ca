//! Running an operation: from an image to its outcome, with the callbacks that tell of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt as _;
use regent_report::ImageName;
use regent_transport::{Fault, Retry};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::place::{Crowded, Place};
use super::reports::{Reports, Texts};
use super::{Worker, WorkerParts, cancelled, failed};
use crate::api::problem::Problem;
use crate::breaker::Sign;
use crate::callbacks::{self, About, Part};
use crate::jobs::record::{MAX_ATTEMPTS, too_many_attempts};
use crate::jobs::{Operation, OperationKind, Outcome, Run, Step, Summary};
use crate::layout;
use crate::registry::Registry;
use crate::scanning::{self, ScannedImage};

/// Warnings about one image that are logged; results have those that matter to the service.
const MAX_LOGGED_WARNINGS: usize = 20;

/// What came of a scan or pull.
struct Finished {
    summary: Summary,
    /// In the order in which they are to arrive.
    parts: Vec<(Part, Bytes)>,
}

/// Why there is nothing, and whether it is worth another try.
struct Failure {
    problem: Problem,
    retry: Retry,
    /// What it says of the registry.
    sign: Sign,
}

/// Why there is no outcome.
enum Halt {
    /// It was tried.
    Failed(Failure),
    /// It was not tried: its registry keeps failing, and is left alone.
    LeftAlone(Failure),
    /// It is not its turn.
    Crowded(Crowded),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Crowded> for Halt {
    fn from(crowded: Crowded) -> Self {
        Self::Crowded(crowded)
    }
}

impl Failure {
    fn of(error: &dyn Fault, driver: Option<&str>) -> Self {
        let problem = Problem::of(error);
        let problem = driver.map_or(problem.clone(), |driver| problem.with_driver(driver));
        Self { problem, retry: error.retry(), sign: Sign::of(error) }
    }

    /// The same, when it says this of the registry.
    fn with_sign(self, sign: Sign) -> Self {
        Self { sign, ..self }
    }

    /// One that stays, and says nothing of the registry.
    fn of_ours(problem: Problem) -> Self {
        Self { problem, retry: Retry::Never, sign: Sign::Nothing }
    }
}

impl Worker {
    pub(super) async fn run(&self, run: &Run, place: &Place) -> Step {
        let operation = &run.operation;
        let (kind, about) = (operation.request.kind, About::of(operation));
        tracing::info!(attempt = run.attempt, "operation begins");
        if run.is_cancelled {
            return failed(kind, &about, cancelled());
        }
        // Attempts that ended otherwise than in an error: the agent died.
        if run.attempt.saturating_sub(run.n_failures) > MAX_ATTEMPTS {
            return failed(kind, &about, too_many_attempts(run.attempt - 1));
        }
        let started = Instant::now();
        match self.attempt(operation, place).await {
            Ok(finished) => Step::Outcome(Outcome::Succeeded(finished.summary), finished.parts),
            Err(Halt::Crowded(crowded)) => Step::Yield(crowded.turn, slow(crowded.to_string())),
            Err(Halt::Failed(failure)) => match self.wait(run, started, &failure) {
                Some(wait) => Step::Again(wait, failure.problem),
                None => failed(kind, &about, failure.problem),
            },
            Err(Halt::LeftAlone(failure)) => match self.wait(run, started, &failure) {
                Some(wait) => Step::Defer(wait, failure.problem),
                // That its registry is left alone says less than why.
                None => failed(kind, &about, run.last_failure.clone().unwrap_or(failure.problem)),
            },
        }
    }

    /// How long until another try is worth it, if one is.
    fn wait(&self, run: &Run, started: Instant, failure: &Failure) -> Option<Duration> {
        let n_tries = run.n_failures.saturating_add(1);
        self.parts.retry.next(n_tries, run.elapsed + started.elapsed(), failure.retry, rand::random())
    }

    /// Tries once, unless the registry is left alone or has enough to do.
    async fn attempt(&self, operation: &Operation, place: &Place) -> Result<Finished, Halt> {
        let connection = &operation.request.connection;
        place.belong_to(&connection.host())?;
        let opening = async {
            let opened = self.parts.drivers.open(connection).await;
            opened.map_err(|error| Failure::of(&error, error.driver()))
        };
        let registry = unless_stalled(place, opening).await?;
        let pass = self.parts.breakers.admit(registry.host());
        let left_alone = |open| Halt::LeftAlone(Failure::of(&open, Some(&registry.driver().name)));
        let pass = pass.map_err(left_alone)?;
        let outcome = unless_stalled(place, self.guarded(operation, &registry, place)).await;
        pass.tell(outcome.as_ref().map_or_else(|failure| failure.sign, |_| Sign::Alive));
        Ok(outcome?)
    }

    /// Does what was asked for, within the limits of time; a panic is a failure like others.
    async fn guarded(
        &self,
        operation: &Operation,
        registry: &Arc<Registry>,
        place: &Place,
    ) -> Result<Finished, Failure> {
        let work = async {
            match operation.request.kind {
                OperationKind::Scan | OperationKind::Discover => self.scan(operation, registry, place).await,
                OperationKind::Pull => self.pull(operation, registry, place).await,
            }
        };
        let deadline = self.parts.run_deadline;
        match timeout(deadline, Box::pin(AssertUnwindSafe(work).catch_unwind())).await {
            Ok(Ok(finished)) => finished,
            Ok(Err(_)) => Err(internal()),
            Err(_) => {
                let seconds = deadline.as_secs_f64();
                let detail = format!("the image could not be read within {seconds} s");
                let problem = Problem::new("registry_timeout", detail);
                Err(Failure { problem, retry: Retry::Never, sign: Sign::Failing })
            }
        }
    }

    async fn scan(
        &self,
        operation: &Operation,
        registry: &Arc<Registry>,
        place: &Place,
    ) -> Result<Finished, Failure> {
        let WorkerParts { scanner, limits, .. } = &self.parts;
        let request = &operation.request;
        let platform = request.options.platform.as_ref().or(request.platform.as_ref());
        let interest = Arc::new(request.options.interest());
        let scanned = scanner.scan(registry, &request.image, platform, limits, &interest, place).await;
        let scanned = scanned.map_err(|error| Failure::of(&error, error.driver()).with_sign(error.sign()))?;
        for warning in regent_report::warnings(&scanned.findings).take(MAX_LOGGED_WARNINGS) {
            tracing::warn!(operation = %operation.id, image = %request.image, "{warning}");
        }
        let (operation, reports) = (operation.clone(), Arc::clone(&self.reports));
        // Serializing some MiB takes long enough to be felt by others.
        let reported = spawn_blocking(move || report(&reports, &operation, &scanned)).await;
        reported.map_err(|_| internal())?.map_err(Failure::of_ours)
    }

    async fn pull(
        &self,
        operation: &Operation,
        registry: &Arc<Registry>,
        place: &Place,
    ) -> Result<Finished, Failure> {
        let request = &operation.request;
        let started = Instant::now();
        let platform = request.options.platform.as_ref().or(request.platform.as_ref());
        let image = registry.resolve(&request.image, platform).await;
        let image = image.map_err(|error| Failure::of(&error, error.driver()).with_sign(error.sign()))?;
        let (size_bytes, limit_bytes) = (image.layers_size_bytes(), self.parts.limits.max_image_bytes);
        if size_bytes > limit_bytes {
            let image = request.image.to_string();
            return Err(Failure::of(
                &scanning::Error::ImageTooLarge { image, size_bytes, limit_bytes },
                None,
            ));
        }
        let resolving = started.elapsed();

        // By digest, so that an image is stored once, whatever it is called.
        let digest = &image.manifest.digest;
        let directory =
            self.parts.layers_dir.join(format!("{}-{}", digest.algorithm().as_str(), digest.hex()));
        let fetched_bytes = match layout::write(registry, &image, &directory, None, place).await {
            Ok(()) => size_bytes,
            Err(layout::Error::Occupied { .. }) => 0, // it appears as a whole or not at all
            Err(error) => return Err(Failure::of(&error, Some(&registry.driver().name))),
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
        Ok(Finished { summary, parts: Vec::new() })
    }
}

/// The same, unless too little comes for too long while enough others wait: what has come of it is given up then.
async fn unless_stalled<T>(
    place: &Place,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        result = work => result,
        () = place.stalled() => {
            let problem = slow("next to nothing comes of the registry, and others wait already".to_owned());
            Err(Failure { problem, retry: Retry::Backoff, sign: Sign::Failing })
        }
    }
}

fn slow(detail: String) -> Problem {
    Problem::new("registry_slow", detail)
}

/// Findings → results → callbacks. Blocking.
fn report(reports: &Reports, operation: &Operation, scanned: &ScannedImage) -> Result<Finished, Problem> {
    let request = &operation.request;
    let name = ImageName { given: Some(request.requested_name.clone()), archive: String::new() };
    let options = &request.options;
    if let Some(texts) = reports.find(scanned, &name, options) {
        let summary = summary(operation, scanned, texts.len());
        if let Some(parts) = callbacks::bodies(operation, &texts, &summary) {
            return Ok(Finished { summary, parts });
        }
    }
    let made = scanning::report(scanned, &name, options);
    let mut results =
        made.map_err(|error| Problem::new("request_malformed", error.to_string()))?.scan_results;
    let summary = summary(operation, scanned, results.len());
    let texts: Texts = results.iter().map(callbacks::text).collect();
    if let Some(parts) = callbacks::bodies(operation, &texts, &summary) {
        reports.keep(scanned, name, options, &texts);
        return Ok(Finished { summary, parts });
    }
    let parts = callbacks::fitting_bodies(operation, &mut results, &summary);
    let parts = parts.map_err(|error| Problem::new("result_too_large", error.to_string()))?;
    Ok(Finished { summary, parts })
}

fn summary(operation: &Operation, scanned: &ScannedImage, n_results: usize) -> Summary {
    let cost = scanned.cost;
    Summary {
        digest: scanned.digests.as_ref().map(|digests| digests.manifest.clone()),
        index_digest: scanned.digests.as_ref().and_then(|digests| digests.index.clone()),
        n_results,
        n_layers: cost.n_layers,
        n_cached_layers: cost.n_cached_layers,
        fetched_bytes: cost.fetched_bytes,
        queued: queued(operation, cost.resolving + cost.reading + cost.analyzing),
        resolving: cost.resolving,
        reading: cost.reading,
        analyzing: cost.analyzing,
    }
}

/// Time that an operation has waited, when it is known how long it has run.
fn queued(operation: &Operation, ran: Duration) -> Duration {
    let since = SystemTime::now().duration_since(operation.accepted_at).unwrap_or_default();
    since.saturating_sub(ran)
}

fn internal() -> Failure {
    Failure::of_ours(Problem::new(
        "internal",
        "the agent failed; its log has the cause under this operation's id",
    ))
}
