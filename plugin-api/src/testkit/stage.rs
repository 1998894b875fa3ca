//! The host that the contract suite puts between a driver and its registry's script.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use regent_transport::{Body, BoxFuture, Request, Response, Transport, TransportError};
use url::Url;

use super::egress::Rules;
use super::script::Script;
use crate::host::{HostServices, LogLevel};

/// More polls than any call of a test takes.
const MAX_POLLS: usize = 20_000;
/// Between looks at what goes on elsewhere.
const LOOK: Duration = Duration::from_micros(100);
/// How long a driver that runs elsewhere has between two polls of a call that is to be dropped: any time will do.
const MOMENT: Duration = Duration::from_millis(1);

/// What a registry does instead of answering.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Answer(StatusCode, HeaderMap, Bytes),
    Failure(TransportError),
    Never,
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    With(T),
    /// It waits for nothing that this host could give it.
    Stuck,
    Endless,
}

/// Lets requests through to the script, or answers them with a fault; judges where they go; keeps what happened. Nothing is
/// answered within the poll that asked for it: a driver that blocks its thread for an answer waits for ever, and a call
/// can be dropped at each of its requests.
pub(super) struct Stage {
    script: Script,
    rules: Rules,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// The fault goes when it has been met once.
    once: bool,
    round: u64,
    waiting: Vec<Waker>,
    sent: Vec<Url>,
    undeclared: Vec<String>,
    skipped: Duration,
}

impl Stage {
    pub(super) fn new(script: Script, rules: Rules, patience: Duration) -> Arc<Self> {
        Arc::new(Self { script, rules, patience, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on every request meets this; or only the next one does.
    pub(super) fn set(&self, fault: Option<Fault>, once: bool) {
        let mut state = self.state();
        state.fault = fault;
        state.once = once;
    }

    pub(super) fn script(&self) -> &Script {
        &self.script
    }

    pub(super) fn sent(&self) -> Vec<Url> {
        self.state().sent.clone()
    }

    pub(super) fn n_sent(&self) -> usize {
        self.state().sent.len()
    }

    /// Requests to hosts that were not declared.
    pub(super) fn undeclared(&self) -> Vec<String> {
        self.state().undeclared.clone()
    }

    pub(super) fn unused_egress(&self, sent: &[Url]) -> Vec<String> {
        self.rules.unused(sent)
    }

    /// Moves the clock on.
    pub(super) fn skip(&self, time: Duration) {
        let mut state = self.state();
        state.skipped = state.skipped.saturating_add(time);
    }

    /// Runs a call to its end.
    pub(super) fn run<T>(&self, call: impl Future<Output = T>) -> Ended<T> {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut call = pin!(call);
        for _ in 0..MAX_POLLS {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ended::With(answer);
            }
            self.turn();
            if !woken.0.swap(false, Ordering::SeqCst) && !self.is_woken(&woken) {
                return Ended::Stuck;
            }
        }
        Ended::Endless
    }

    /// Whether a driver that runs elsewhere gets on.
    fn is_woken(&self, woken: &Woken) -> bool {
        self.comes_to_be(|| {
            self.turn();
            woken.0.swap(false, Ordering::SeqCst)
        })
    }

    /// Whether that is so as soon as it can be expected. Nothing is expected of a driver that waits for an answer which is
    /// never given.
    pub(super) fn comes_to_be(&self, is_so: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if is_so() {
                return true;
            }
            let waits_for_ever = {
                let state = self.state();
                matches!(state.fault, Some(Fault::Never)) && !state.sent.is_empty()
            };
            if waits_for_ever || begun.elapsed() >= self.patience {
                return false;
            }
            thread::sleep(LOOK);
        }
    }

    /// Polls a call so many times and drops it. Whether it ended before.
    pub(super) fn drop_after<T>(&self, polls: usize, mut call: BoxFuture<'static, T>) -> bool {
        for _ in 0..polls {
            if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                return true;
            }
            self.turn();
            if !self.patience.is_zero() {
                thread::sleep(MOMENT);
            }
        }
        false
    }

    /// What was asked for before may be answered now.
    fn turn(&self) {
        let waiting = {
            let mut state = self.state();
            state.round = state.round.saturating_add(1);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready in a later round than this one.
    async fn next_round(&self) {
        let mut asked = None;
        poll_fn(|context| {
            let mut state = self.state();
            let since = *asked.get_or_insert(state.round);
            if state.round > since {
                return Poll::Ready(());
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Keeps the request, and says what becomes of it.
    fn meet(&self, url: &Url) -> Option<Fault> {
        let mut state = self.state();
        state.sent.push(url.clone());
        if let Some(objection) = self.rules.objection(url) {
            let host = url.host_str().unwrap_or_default().to_owned();
            state.undeclared.push(objection.clone());
            return Some(Fault::Failure(TransportError::Refused { host, rule: objection }));
        }
        if state.once { state.fault.take() } else { state.fault.clone() }
    }
}

/// Whether the call is to be polled again.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Transport for Stage {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let fault = self.meet(&request.url);
            self.next_round().await;
            match fault {
                None => self.script.send(request).await,
                Some(Fault::Answer(status, headers, body)) => {
                    Ok(Response { status, headers, body: Body::whole(body) })
                }
                Some(Fault::Failure(error)) => Err(error),
                Some(Fault::Never) => std::future::pending().await,
            }
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.next_round().await;
            self.script.sleep(duration).await;
        })
    }

    fn now(&self) -> SystemTime {
        let (now, skipped) = (self.script.now(), self.state().skipped);
        now.checked_add(skipped).unwrap_or(now)
    }

    fn jitter(&self) -> f64 {
        self.script.jitter()
    }
}

impl HostServices for Stage {
    fn log(&self, level: LogLevel, message: &str) {
        self.script.log(level, message);
    }

    fn env(&self, name: &str) -> Option<String> {
        self.script.env(name)
    }
}
