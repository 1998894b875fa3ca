//! Bringing callbacks to the Broker Client, at least once.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use regent_distribution::retry_after;
use regent_transport::{
    Backoff, Class, Fault, Pause, Request, Retry, RetryPolicy, Transport, TransportError, Until, collect,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use url::Url;

use super::Callback;
use crate::breaker::{BreakerConfig, BreakerMetrics, Breakers, Open, Sign};
use crate::http::{Egress, HttpClient, Purpose};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// One of 10 MiB takes the Broker Client a second and a half, twelve at once up to 24 s each and 1.3 GB of memory.
const LARGE_BYTES: usize = 1 << 20;
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
    /// When a try is followed by another.
    pub retry: RetryPolicy,
}

impl DeliveryPolicy {
    /// With this time for each try, and for all of them. Waits of up to 1 s, 2 s, 4 s … 5 min.
    pub fn new(timeout: Duration, deadline: Duration) -> Self {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_mins(5) };
        let retry =
            RetryPolicy { until: Until::Elapsed(deadline), backoff, pause: Pause::AtMost(LONGEST_PAUSE) };
        Self { timeout, retry }
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
    breakers: Breakers,
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
    /// Tries that failed and may be followed by another.
    pub retried: u64,
    /// Tries that failed for good.
    pub failed: u64,
}

/// Why a callback did not arrive.
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
    /// It did not arrive this time.
    #[error("the callback {path} did not arrive at {host}: {reason}")]
    NotTaken {
        /// Host, and port if it is not the usual one.
        host: String,
        /// The callback's path.
        path: String,
        /// What came of the try.
        reason: String,
        /// When the other side wants to be asked again.
        not_before: Option<Duration>,
        /// Whether the other side answered.
        is_alive: bool,
    },
    /// It was not tried: its host keeps failing.
    #[error(transparent)]
    LeftAlone(#[from] Open),
}

impl Fault for DeliveryError {
    fn class(&self) -> Class {
        match self {
            Self::Rejected { .. } => Class::Denied,
            Self::Unsendable { source, .. } => source.class(),
            Self::NotTaken { is_alive: true, .. } => Class::Throttled,
            Self::NotTaken { is_alive: false, .. } => Class::Unavailable,
            Self::LeftAlone(open) => open.class(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Rejected { .. } | Self::Unsendable { .. } => Retry::Never,
            Self::NotTaken { not_before, .. } => not_before.map_or(Retry::Backoff, Retry::After),
            Self::LeftAlone(open) => open.retry(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "callback_rejected",
            Self::Unsendable { .. } => "callback_refused",
            Self::NotTaken { .. } | Self::LeftAlone(_) => "callback_undeliverable",
        }
    }
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
            breakers: Breakers::new(BreakerConfig::default()),
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

    /// Targets that are left alone.
    pub fn breaker_metrics(&self) -> BreakerMetrics {
        self.shared.breakers.metrics()
    }

    /// How long to wait after this many tries, of which the last one failed so; `None` when it is to be given up. `elapsed`
    /// is since the first one.
    pub fn wait(&self, n_tries: u32, elapsed: Duration, error: &DeliveryError) -> Option<Duration> {
        let Shared { policy, transport, .. } = &*self.shared;
        policy.retry.next(n_tries, elapsed, error.retry(), transport.jitter())
    }

    /// Tries once. The callback has arrived if it was answered with a 2xx status, and only then. Dropping the future ends
    /// the try, of which it is not known then whether it arrived.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub async fn send(&self, callback: &Callback) -> Result<(), DeliveryError> {
        let _alone = self.large(callback).await;
        let (host, _) = names(&callback.url);
        let pass = self.shared.breakers.admit(&host)?;
        let outcome = self.try_once(callback).await;
        let Shared { delivered, retried, failed, .. } = &*self.shared;
        let counter = match &outcome {
            Ok(()) => delivered,
            Err(error) if error.retry() == Retry::Never => failed,
            Err(_) => retried,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        pass.tell(outcome.as_ref().map_or_else(|error| Sign::of(error), |()| Sign::Alive));
        outcome
    }

    async fn try_once(&self, callback: &Callback) -> Result<(), DeliveryError> {
        let Shared { transport, policy, .. } = &*self.shared;
        let (host, path) = names(&callback.url);
        let not_taken = |reason: String, not_before, is_alive| {
            let (host, path) = names(&callback.url);
            DeliveryError::NotTaken { host, path, reason, not_before, is_alive }
        };
        let answer = match timeout(policy.timeout, transport.send(self.request(callback))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(source @ (TransportError::Refused { .. } | TransportError::Invalid { .. }))) => {
                return Err(DeliveryError::Unsendable { path, source });
            }
            // A certificate may be mended before the deadline.
            Ok(Err(error)) => return Err(not_taken(error.to_string(), None, false)),
            Err(_) => return Err(not_taken("no answer in time".to_owned(), None, false)),
        };
        let (status, not_before) = (answer.status, retry_after(&answer.headers, transport.now()));
        // The body says nothing that is acted on. Its end frees the connection for the next callback.
        let _ = timeout(ANSWER_TIMEOUT, collect(answer.body)).await;
        if status.is_success() {
            Ok(())
        } else if is_final(status) {
            Err(DeliveryError::Rejected { host, path, status })
        } else {
            Err(not_taken(format!("status {status}"), not_before, !status.is_server_error()))
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
