//! Bringing callbacks to the Broker Client, at least once.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use regent_distribution::retry_after;
use regent_transport::{Class, Fault, Request, Retry, Transport, TransportError, collect};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::Callback;
use crate::http::{Egress, HttpClient, Purpose};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// One of 10 MiB takes the Broker Client a second and a half, twelve at once up to 24 s each and 1.3 GB of memory.
const LARGE_BYTES: usize = 1 << 20;
/// Callbacks under way at once, to all targets.
const MAX_AT_ONCE: usize = 16;
/// What is read of an answer, so that its connection can be used again.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// How long that may take: the callback is delivered by then.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest pause that the other side may ask for. A header set by mistake, as to the seconds of a day, would else end
/// a delivery at its first try.
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// How deliveries are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// How long one try may take: the Broker Client has no limit of its own, and hangs while its connection is down.
    pub timeout: Duration,
    /// The longest wait after the first try; it doubles with each. What is waited is a random part of it.
    pub first_backoff: Duration,
    /// What it doubles up to.
    pub max_backoff: Duration,
}

impl DeliveryPolicy {
    /// With this time for each try. Waits of up to 1 s, 2 s, 4 s … 5 min.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, first_backoff: Duration::from_secs(1), max_backoff: Duration::from_mins(5) }
    }

    /// The longest wait after this many tries.
    fn backoff(&self, n_tries: u32) -> Duration {
        let doublings = n_tries.saturating_sub(1).min(20);
        self.first_backoff.saturating_mul(1 << doublings).min(self.max_backoff)
    }
}

/// Brings callbacks to where they go. Cheap to clone; clones share the limits.
#[derive(Clone)]
pub struct Deliveries {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Arc<dyn Transport>,
    policy: DeliveryPolicy,
    slots: Semaphore,
    /// One large callback at a time, by target. std, since it is held for a few instructions.
    large: Mutex<HashMap<String, Weak<Semaphore>>>,
    delivered: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
}

/// What became of callbacks since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryMetrics {
    /// Callbacks that arrived.
    pub delivered: u64,
    /// Tries that failed and were followed by another.
    pub retried: u64,
    /// Callbacks that were given up.
    pub failed: u64,
}

/// Why a callback was given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// It was answered with a status that will stay.
    #[error("{host} answered {status} to the callback {path}")]
    Rejected {
        /// Host, and port if it is not the usual one.
        host: String,
        /// The callback's path.
        path: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The agent's rules forbid the host, or the request can't be sent.
    #[error("the callback {path} can't be sent")]
    Unsendable {
        /// The callback's path.
        path: String,
        /// The reason.
        #[source]
        source: TransportError,
    },
    /// It did not arrive before its deadline.
    #[error("the callback {path} did not arrive at {host} in {n_tries} tries; the last one: {last}")]
    Undeliverable {
        /// Host, and port if it is not the usual one.
        host: String,
        /// The callback's path.
        path: String,
        /// How often it was tried.
        n_tries: u32,
        /// What came of the last try.
        last: String,
    },
}

impl Fault for DeliveryError {
    fn class(&self) -> Class {
        match self {
            Self::Rejected { .. } => Class::Denied,
            Self::Unsendable { source, .. } => source.class(),
            Self::Undeliverable { .. } => Class::Unavailable,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Rejected { .. } | Self::Unsendable { .. } => Retry::Never,
            Self::Undeliverable { .. } => Retry::Backoff,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "callback_rejected",
            Self::Unsendable { .. } => "callback_refused",
            Self::Undeliverable { .. } => "callback_undeliverable",
        }
    }
}

/// What came of a try that did not arrive.
enum Failure {
    Final(DeliveryError),
    Again { reason: String, not_before: Option<Duration> },
}

impl Deliveries {
    /// Over the process's HTTP client.
    pub fn new(http: &HttpClient, policy: DeliveryPolicy) -> Self {
        Self::over(Arc::new(http.with(Egress::callbacks(), Purpose::Broker)), policy)
    }

    /// Over any transport, which has to judge the hosts that names resolve to.
    pub fn over(transport: Arc<dyn Transport>, policy: DeliveryPolicy) -> Self {
        let shared = Shared {
            transport,
            policy,
            slots: Semaphore::new(MAX_AT_ONCE),
            large: Mutex::default(),
            delivered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Counters.
    pub fn metrics(&self) -> DeliveryMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { delivered, retried, failed, .. } = &*self.shared;
        DeliveryMetrics { delivered: read(delivered), retried: read(retried), failed: read(failed) }
    }

    /// Returns once the callback has arrived, which is an answer with a 2xx status and nothing else. Tries until the
    /// deadline. Dropping the future ends the try under way, of which it is not known then whether it arrived.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub async fn deliver(&self, callback: &Callback, deadline: Instant) -> Result<(), DeliveryError> {
        let outcome = self.try_until(callback, deadline).await;
        let counter = if outcome.is_ok() { &self.shared.delivered } else { &self.shared.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn try_until(&self, callback: &Callback, deadline: Instant) -> Result<(), DeliveryError> {
        let mut n_tries = 0;
        loop {
            n_tries += 1;
            let (reason, not_before) = match timeout_at(deadline, self.try_once(callback)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Again { reason, not_before })) => (reason, not_before),
                Err(_) => ("no answer before the deadline".to_owned(), None),
            };
            let wait = self.wait(n_tries, not_before);
            if deadline.saturating_duration_since(Instant::now()) <= wait {
                let (host, path) = names(&callback.url);
                return Err(DeliveryError::Undeliverable { host, path, n_tries, last: reason });
            }
            self.shared.retried.fetch_add(1, Ordering::Relaxed);
            let (operation, part, wait_ms) = (callback.operation, callback.part, wait.as_millis());
            tracing::warn!(%operation, %part, n_tries, wait_ms, reason, "a callback did not arrive");
            sleep(wait).await;
        }
    }

    /// A random part of the backoff, so that what failed together does not come again together; after what the other side
    /// asks for, if it does.
    fn wait(&self, n_tries: u32, not_before: Option<Duration>) -> Duration {
        let Shared { policy, transport, .. } = &*self.shared;
        let jittered = policy.backoff(n_tries).mul_f64(transport.jitter().clamp(0.0, 1.0));
        not_before.unwrap_or_default().min(LONGEST_PAUSE).saturating_add(jittered)
    }

    async fn try_once(&self, callback: &Callback) -> Result<(), Failure> {
        let Shared { transport, policy, slots, .. } = &*self.shared;
        let _alone = self.large(callback).await;
        // The semaphore is never closed; the permit goes with the try.
        let _slot = slots.acquire().await;
        let (host, path) = names(&callback.url);
        let answer = match timeout(policy.timeout, transport.send(self.request(callback))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(source @ (TransportError::Refused { .. } | TransportError::Invalid { .. }))) => {
                return Err(Failure::Final(DeliveryError::Unsendable { path, source }));
            }
            // A certificate may be mended before the deadline.
            Ok(Err(error)) => return Err(Failure::Again { reason: error.to_string(), not_before: None }),
            Err(_) => {
                return Err(Failure::Again { reason: "no answer in time".to_owned(), not_before: None });
            }
        };
        let (status, not_before) = (answer.status, retry_after(&answer.headers, transport.now()));
        // The body says nothing that is acted on. Its end frees the connection for the next callback.
        let _ = timeout(ANSWER_TIMEOUT, collect(answer.body)).await;
        if status.is_success() {
            Ok(())
        } else if is_final(status) {
            Err(Failure::Final(DeliveryError::Rejected { host, path, status }))
        } else {
            Err(Failure::Again { reason: format!("status {status}"), not_before })
        }
    }

    fn request(&self, callback: &Callback) -> Request {
        let key = format!("{}/{}", callback.operation, callback.part);
        let key = HeaderValue::from_str(&key).expect("a UUID and a word are printable ASCII");
        let mut request = Request::new(Method::POST, callback.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(IDEMPOTENCY_KEY, key);
        // A whole body is sent with its Content-Length: chunked ones are damaged on the way.
        request.body = callback.body.clone();
        request.timeout = self.shared.policy.timeout;
        request.max_body_bytes = MAX_ANSWER_BYTES;
        request
    }

    /// The right to be the one large callback to this target; `None` for a small one.
    async fn large(&self, callback: &Callback) -> Option<OwnedSemaphorePermit> {
        if callback.body.len() <= LARGE_BYTES {
            return None;
        }
        let (host, _) = names(&callback.url);
        let turn = {
            let mut large = self.shared.large.lock().unwrap_or_else(PoisonError::into_inner);
            large.retain(|_, turn| turn.strong_count() > 0);
            let known = large.get(&host).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(Semaphore::new(1));
                large.insert(host, Arc::downgrade(&turn));
                turn
            })
        };
        turn.acquire_owned().await.ok()
    }
}

/// Whether the same callback would be answered the same way again.
fn is_final(status: StatusCode) -> bool {
    const PASSING: [StatusCode; 3] =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !PASSING.contains(&status)
}

/// Host with port, and path: what may be shown of a callback's URL.
fn names(url: &Url) -> (String, String) {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    (host, url.path().to_owned())
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("policy", &self.shared.policy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
