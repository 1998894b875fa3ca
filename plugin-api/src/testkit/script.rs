//! A host that answers from a script.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use regent_transport::{Body, BoxFuture, Request, Response, Transport, TransportError};
use url::Url;

use crate::host::{HostServices, LogLevel};

/// A request that is expected, and its answer.
///
/// ```
/// use regent_plugin_api::http::StatusCode;
/// use regent_plugin_api::http::header::{AUTHORIZATION, LINK, RETRY_AFTER};
/// use regent_plugin_api::testkit::Exchange;
///
/// let url = "https://registry.example.com/api/repositories?n=100";
/// let page = Exchange::get(url)
///     .with_secret_header(AUTHORIZATION, "Bearer s3cr3t")?
///     .answer(StatusCode::OK, r#"["team/app"]"#)
///     .answer_header(LINK, "</api/repositories?n=100&after=team/app>; rel=\"next\"");
/// let bare = Exchange::get(url).without_header(AUTHORIZATION).answer(StatusCode::UNAUTHORIZED, "");
/// let busy = Exchange::get(url).answer(StatusCode::TOO_MANY_REQUESTS, "").answer_header(RETRY_AFTER, "5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Exchange {
    method: Method,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    absent: Vec<HeaderName>,
    any_query: bool,
    body: Option<Bytes>,
    answer: Answer,
}

#[derive(Debug, Clone)]
enum Answer {
    Response { status: StatusCode, headers: HeaderMap, body: Bytes },
    Failure(TransportError),
    Never,
}

impl Exchange {
    /// Expects this method and this URL, query included; the order of a query's pairs does not matter. Answers 200 with
    /// an empty body until told otherwise.
    pub fn new(method: Method, url: &str) -> Self {
        let answer =
            Answer::Response { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::new() };
        Self {
            method,
            url: url.to_owned(),
            headers: Vec::new(),
            absent: Vec::new(),
            any_query: false,
            body: None,
            answer,
        }
    }

    /// Expects `GET url`.
    pub fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    /// Expects this header, not marked as sensitive.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Expects this header, marked as sensitive.
    ///
    /// # Errors
    /// When the value can't stand in a header.
    pub fn with_secret_header(mut self, name: HeaderName, value: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(value)?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }

    /// Expects that this header is not sent.
    #[must_use]
    pub fn without_header(mut self, name: HeaderName) -> Self {
        self.absent.push(name);
        self
    }

    /// Does not look at the query: for a listing that fits on a page of any size.
    #[must_use]
    pub fn with_any_query(mut self) -> Self {
        self.any_query = true;
        self
    }

    /// Expects this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Answers with this status and body.
    #[must_use]
    pub fn answer(mut self, status: StatusCode, body: impl Into<Bytes>) -> Self {
        let headers = match self.answer {
            Answer::Response { headers, .. } => headers,
            Answer::Failure(_) | Answer::Never => HeaderMap::new(),
        };
        self.answer = Answer::Response { status, headers, body: body.into() };
        self
    }

    /// Answers with one more header.
    #[must_use]
    pub fn answer_header(mut self, name: HeaderName, value: &'static str) -> Self {
        if let Answer::Response { headers, .. } = &mut self.answer {
            headers.append(name, HeaderValue::from_static(value));
        }
        self
    }

    /// Gives no answer but this error.
    #[must_use]
    pub fn fail(mut self, error: TransportError) -> Self {
        self.answer = Answer::Failure(error);
        self
    }

    /// Never answers: the call has to be dropped.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.answer = Answer::Never;
        self
    }

    /// What is wrong with this request; `None` if nothing.
    fn objection(&self, request: &Request) -> Option<String> {
        if request.method != self.method || !same_url(&request.url, &self.url, self.any_query) {
            return Some(format!("expected {} {}", self.method, self.url));
        }
        for (name, value) in &self.headers {
            let sent = request.headers.get_all(name);
            // `HeaderValue` compares bytes only; the mark is as much of the contract.
            if !sent.iter().any(|v| v == value && v.is_sensitive() == value.is_sensitive()) {
                let marked = if value.is_sensitive() { "sensitive" } else { "plain" };
                return Some(format!("expected the {marked} header {name}"));
            }
        }
        if let Some(name) = self.absent.iter().find(|name| request.headers.contains_key(*name)) {
            return Some(format!("expected no header {name}"));
        }
        if self.body.as_ref().is_some_and(|body| *body != request.body) {
            return Some("expected another body".to_owned());
        }
        None
    }
}

fn same_url(sent: &Url, expected: &str, any_query: bool) -> bool {
    let Ok(mut expected) = Url::parse(expected) else { return false };
    let mut sent = sent.clone();
    let pairs = |url: &Url| {
        let mut pairs: Vec<_> = url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        pairs.sort();
        pairs
    };
    let same_query = any_query || pairs(&sent) == pairs(&expected);
    sent.set_query(None);
    expected.set_query(None);
    same_query && sent == expected
}

/// A host for tests: answers requests from a script, strictly, and keeps what happened. Its clock stands still but for
/// [`sleep`](Transport::sleep), which moves it on and returns at once. Build it, share it by `Arc`, and end the test with
/// [`Script::assert_finished`].
///
/// ```
/// use regent_plugin_api::Host;
/// use regent_plugin_api::http::StatusCode;
/// use regent_plugin_api::testkit::{Exchange, Script};
/// # use regent_plugin_api::{Result, bytes::Bytes, transport::{Request, collect}, url::Url};
/// # async fn read(host: &Host, url: &str) -> Result<Bytes> {
/// #     Ok(collect(host.http(Request::get(Url::parse(url).unwrap())).await?.body).await?)
/// # }
///
/// # futures_executor::block_on(async {
/// let (token, names) = ("https://auth.example.com/token", "https://registry.example.com/names");
/// let script = Script::new()
///     .then(Exchange::get(token).answer(StatusCode::OK, "t0k3n")) // once, and in the order of such
///     .always(Exchange::get(names).answer(StatusCode::OK, "team/app")) // any number of times, at any time
///     .shared();
/// let host = Host::new(script.clone()); // for a whole driver: `DRIVER.connect(settings, script.clone())`
/// assert_eq!(read(&host, names).await?, "team/app");
/// assert_eq!(read(&host, token).await?, "t0k3n");
/// assert_eq!(script.requests().len(), 2);
/// script.assert_finished();
/// # Ok::<(), regent_plugin_api::Error>(())
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct Script {
    variables: BTreeMap<String, String>,
    standing: Vec<Exchange>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: VecDeque<Exchange>,
    requests: Vec<Request>,
    objections: Vec<String>,
    log: Vec<(LogLevel, String)>,
    slept: Duration,
}

impl Script {
    /// Without any exchange: every request is an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an exchange that happens exactly once, after those added before.
    #[must_use]
    pub fn then(self, exchange: Exchange) -> Self {
        self.state().steps.push_back(exchange);
        self
    }

    /// Adds an exchange that may happen any number of times, at any time.
    #[must_use]
    pub fn always(mut self, exchange: Exchange) -> Self {
        self.standing.push(exchange);
        self
    }

    /// Sets an environment variable of the host.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The script as a driver's host takes it.
    pub fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }

    /// The requests that came, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// The lines that were logged, in order.
    pub fn log_lines(&self) -> Vec<(LogLevel, String)> {
        self.state().log.clone()
    }

    /// Requests that were off the script, and why.
    ///
    /// ```
    /// # use regent_plugin_api::{Host, testkit::{Exchange, Script}, transport::Request, url::Url};
    /// let script = Script::new().always(Exchange::get("https://registry.example.com/api/tags")).shared();
    /// let elsewhere = Request::get(Url::parse("https://registry.example.com/api/tag")?);
    /// let answer = futures_executor::block_on(Host::new(script.clone()).http(elsewhere));
    /// assert!(answer.is_err());
    /// assert_eq!(script.objections(), ["GET https://registry.example.com/api/tag: no request was expected"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn objections(&self) -> Vec<String> {
        self.state().objections.clone()
    }

    /// How long the driver slept, all in all.
    pub fn slept(&self) -> Duration {
        self.state().slept
    }

    /// Asserts that every step happened and that nothing else did.
    ///
    /// # Panics
    /// If not.
    pub fn assert_finished(&self) {
        let state = self.state();
        assert!(state.objections.is_empty(), "requests off the script:\n{}", state.objections.join("\n"));
        let open: Vec<_> = state.steps.iter().map(|step| format!("{} {}", step.method, step.url)).collect();
        assert!(open.is_empty(), "requests that never came:\n{}", open.join("\n"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_to(&self, request: Request) -> Answer {
        let mut state = self.state();
        let next = state.steps.front().map(|step| step.objection(&request));
        let answer = match next {
            Some(None) => state.steps.pop_front().map(|step| step.answer),
            _ => self.standing.iter().find(|e| e.objection(&request).is_none()).map(|e| e.answer.clone()),
        };
        let answer = answer.unwrap_or_else(|| {
            let why = next.flatten().unwrap_or_else(|| "no request was expected".to_owned());
            let reason = format!("{} {}: {why}", request.method, request.url);
            state.objections.push(reason.clone());
            Answer::Failure(TransportError::Invalid { reason })
        });
        state.requests.push(request);
        answer
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Script")
            .field("steps", &state.steps)
            .field("objections", &state.objections)
            .finish_non_exhaustive()
    }
}

impl Transport for Script {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let limit_bytes = request.max_body_bytes;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        Box::pin(async move {
            match self.answer_to(request) {
                Answer::Response { body, .. } if body.len() as u64 > limit_bytes => {
                    Err(TransportError::TooLarge { host, limit_bytes })
                }
                Answer::Response { status, headers, body } => {
                    Ok(Response { status, headers, body: Body::whole(body) })
                }
                Answer::Failure(error) => Err(error),
                Answer::Never => std::future::pending().await,
            }
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let mut first = true;
        Box::pin(std::future::poll_fn(move |context| {
            if !std::mem::take(&mut first) {
                return std::task::Poll::Ready(());
            }
            // Pending once, such that a call can be dropped here.
            let mut state = self.state();
            state.slept = state.slept.saturating_add(duration);
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        }))
    }

    fn now(&self) -> SystemTime {
        // 2026-01-01T00:00:00Z, and what was slept since.
        let start = SystemTime::UNIX_EPOCH + Duration::from_hours(490_896);
        start.checked_add(self.state().slept).unwrap_or(start)
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

impl HostServices for Script {
    fn log(&self, level: LogLevel, message: &str) {
        self.state().log.push((level, message.to_owned()));
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
