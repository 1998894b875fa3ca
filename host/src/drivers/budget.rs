//! What one call of a driver may ask its host for.
//!
//! A driver has many calls under way on its one thread, and its host is asked in the midst of one of them: so the call
//! whose future is polled is the one that asks. Threads that a driver starts by itself have no call.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use regent_isolation::Within;
use regent_plugin_api::HostServices;
use regent_plugin_api::bounds::{
    MAX_ANSWER_BODY_BYTES, MAX_HEADER_BYTES, MAX_REQUEST_BODY_BYTES, MAX_REQUEST_HEADERS,
    MAX_REQUESTS_OF_A_CALL, MAX_URL_BYTES,
};
use regent_transport::{BoxFuture, Request, Response, TransportError};

tokio::task_local! {
    /// Of the call that is polled on this thread.
    static CURRENT: Arc<Budget>;
}

/// Of one call.
#[derive(Debug, Default)]
pub(super) struct Budget {
    requests: AtomicU32,
    breach: OnceLock<Breach>,
}

/// A bound that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breach {
    what: &'static str,
    most: u64,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} {}", self.most, self.what)
    }
}

impl Breach {
    /// What a driver asked for beyond its bounds by this request.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let header_bytes =
            request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let counts = [
            (request.headers.len(), MAX_REQUEST_HEADERS, "headers of a request"),
            (header_bytes, MAX_HEADER_BYTES, "bytes of headers of a request"),
            (request.url.as_str().len(), MAX_URL_BYTES, "bytes of a URL"),
            (request.body.len(), MAX_REQUEST_BODY_BYTES, "bytes of a request's body"),
        ];
        let over = counts.into_iter().find(|(n, most, _)| n > most);
        over.map(|(_, most, what)| Self { what, most: most as u64 })
    }

    /// An answer was larger than any driver is given.
    pub(super) const ANSWER: Self = Self { what: "bytes of an answer's body", most: MAX_ANSWER_BODY_BYTES };
    const REQUESTS: Self = Self { what: "requests in one call", most: MAX_REQUESTS_OF_A_CALL as u64 };
}

impl Budget {
    /// That of the call that this thread is in.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Takes one more request.
    pub(super) fn take_request(&self) -> Result<(), Breach> {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        if before < MAX_REQUESTS_OF_A_CALL { Ok(()) } else { Err(Breach::REQUESTS) }
    }

    /// Notes the first bound that was reached.
    pub(super) fn note(&self, breach: Breach) {
        let _ = self.breach.set(breach);
    }

    /// The first bound that was reached.
    pub(super) fn breach(&self) -> Option<Breach> {
        self.breach.get().copied()
    }

    /// A call's future, which spends from this budget.
    pub(super) fn spent_by<F: Future + Send>(
        self: Arc<Self>,
        call: F,
    ) -> impl Future<Output = F::Output> + Send {
        CURRENT.scope(self, call)
    }
}

/// The driver of a call may be in a process of its own, and its requests come from there.
impl Within for Budget {
    fn send(
        self: Arc<Self>,
        services: &dyn HostServices,
        request: Request,
    ) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.spent_by(services.send(request)))
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use regent_transport::Request;

    use super::*;

    #[tokio::test]
    async fn each_call_has_its_own_and_there_is_none_outside() {
        let (one, two) = (Arc::new(Budget::default()), Arc::new(Budget::default()));
        let asks = || async {
            for _ in 0..MAX_REQUESTS_OF_A_CALL / 2 {
                Budget::current().unwrap().take_request().unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(Arc::clone(&one).spent_by(asks()), Arc::clone(&two).spent_by(asks()));
        assert!(Budget::current().is_none());
        Arc::clone(&one).spent_by(asks()).await;
        let last = Arc::clone(&one).spent_by(async { Budget::current().unwrap().take_request() }).await;
        assert_eq!(last, Err(Breach::REQUESTS));
        one.note(Breach::REQUESTS);
        assert_eq!(one.breach().unwrap().to_string(), "more than 5000 requests in one call");
        assert_eq!(two.breach(), None);
    }

    #[test]
    fn a_request_is_measured_in_all_that_a_driver_chooses() {
        let request = || Request::get("https://r.example/v2/".parse().unwrap());
        assert_eq!(Breach::of(&request()), None);
        let mut many = request();
        for _ in 0..=MAX_REQUEST_HEADERS {
            many.headers.append(COOKIE, "a=b".parse().unwrap());
        }
        let mut long = request();
        long.headers.append(COOKIE, "x".repeat(MAX_HEADER_BYTES).parse().unwrap());
        let mut far = request();
        far.url.set_query(Some(&"x".repeat(MAX_URL_BYTES)));
        let mut fat = request();
        fat.body = vec![0; MAX_REQUEST_BODY_BYTES + 1].into();
        let rows = [
            (many, "more than 128 headers of a request"),
            (long, "more than 65536 bytes of headers of a request"),
            (far, "more than 16384 bytes of a URL"),
            (fat, "more than 8388608 bytes of a request's body"),
        ];
        for (request, expected) in rows {
            assert_eq!(Breach::of(&request).unwrap().to_string(), expected);
        }
    }
}
