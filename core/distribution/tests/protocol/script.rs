//! A registry that answers what a test has written down, in that order, and remembers what it was asked.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::task::noop_waker;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use regent_distribution::{Authenticator, Credentials, Endpoint, PathMeaning, Session};
use regent_transport::{Body, BodySource, BoxFuture, Request, Response, Transport, TransportError};

/// 2023-11-14T22:13:20Z, when every script begins.
pub(crate) const START: Duration = Duration::from_secs(1_700_000_000);

#[derive(Default)]
pub(crate) struct Script {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
    passed: Duration,
    sleeps: Vec<Duration>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET https://r.example/v2/`
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }
}

/// An answer.
pub(crate) struct Reply {
    outcome: Result<StatusCode, TransportError>,
    headers: HeaderMap,
    chunks: VecDeque<Result<Bytes, TransportError>>,
}

pub(crate) fn reply(status: u16) -> Reply {
    Reply {
        outcome: Ok(StatusCode::from_u16(status).unwrap()),
        headers: HeaderMap::new(),
        chunks: VecDeque::new(),
    }
}

pub(crate) fn ok(body: impl Into<Bytes>) -> Reply {
    reply(200).body(body)
}

pub(crate) fn fails(error: TransportError) -> Reply {
    Reply { outcome: Err(error), ..reply(200) }
}

pub(crate) fn broken() -> TransportError {
    TransportError::Broken { host: "r.example".into(), reason: "reset".into() }
}

pub(crate) fn challenge(value: &str) -> Reply {
    reply(401).header("www-authenticate", value)
}

pub(crate) fn bearer_challenge() -> Reply {
    challenge(r#"Bearer realm="https://r.example/token",service="r.example""#)
}

pub(crate) fn token(text: &str) -> Reply {
    ok(format!(r#"{{"token":"{text}","expires_in":300}}"#))
}

pub(crate) fn redirect(status: u16, location: &str) -> Reply {
    reply(status).header("location", location)
}

impl Reply {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// Adds a piece to the body.
    pub(crate) fn body(mut self, chunk: impl Into<Bytes>) -> Self {
        self.chunks.push_back(Ok(chunk.into()));
        self
    }

    /// Breaks the body off here.
    pub(crate) fn breaks(mut self, error: TransportError) -> Self {
        self.chunks.push_back(Err(error));
        self
    }
}

impl Script {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        let state = State { replies: replies.into_iter().collect(), ..State::default() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(crate) fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().replies.extend(replies);
    }

    /// The requests so far; none of the answers written down is left over.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        assert_eq!(state.replies.len(), 0, "answers that no one asked for");
        state.seen.clone()
    }

    /// How many requests there were so far, whatever is left over.
    pub(crate) fn n_seen(&self) -> usize {
        self.state.lock().unwrap().seen.len()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(crate) fn sleeps_ms(&self) -> Vec<u128> {
        self.state.lock().unwrap().sleeps.iter().map(Duration::as_millis).collect()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.state.lock().unwrap().passed += Duration::from_secs(seconds);
    }

    /// A session with this script as its registry `https://r.example`.
    pub(crate) fn session(self: &Arc<Self>, credentials: Credentials) -> Session {
        Session::with_credentials(self.clone(), endpoint("r.example"), credentials)
    }

    pub(crate) fn authenticator(self: &Arc<Self>, credentials: Credentials) -> Authenticator {
        Authenticator::new(self.clone(), &endpoint("r.example"), credentials)
    }
}

pub(crate) fn endpoint(base: &str) -> Endpoint {
    Endpoint::from_base(base, base.starts_with("http:"), PathMeaning::ApiPrefix).unwrap().0
}

/// `robot` with the password `secret`, in Basic `cm9ib3Q6c2VjcmV0`.
pub(crate) fn robot() -> Credentials {
    Credentials::Basic { username: "robot".into(), password: "secret".to_owned().into() }
}

pub(crate) const ROBOT: &str = "Basic cm9ib3Q6c2VjcmV0";

impl Transport for Script {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            // Something else may run here, as it does over a network.
            Pause::default().await;
            let mut state = self.state.lock().unwrap();
            let line = format!("{} {}", request.method, request.url);
            state.seen.push(Seen {
                line: line.clone(),
                headers: request.headers,
                body: String::from_utf8(request.body.to_vec()).unwrap(),
            });
            let reply = state.replies.pop_front().unwrap_or_else(|| panic!("no answer for {line}"));
            let body = Body::new(Pieces(reply.chunks));
            Ok(Response { status: reply.outcome?, headers: reply.headers, body })
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let mut state = self.state.lock().unwrap();
        state.passed += duration;
        state.sleeps.push(duration);
        Box::pin(async {})
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + START + self.state.lock().unwrap().passed
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

struct Pieces(VecDeque<Result<Bytes, TransportError>>);

impl BodySource for Pieces {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportError>> {
        Box::pin(async {
            Pause::default().await;
            self.0.pop_front().transpose()
        })
    }
}

/// Is not ready the first time.
#[derive(Default)]
pub(crate) struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Runs a future to its end.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = noop_waker();
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
    }
    panic!("it waits for something that never happens");
}
