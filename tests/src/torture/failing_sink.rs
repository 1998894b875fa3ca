//! Where callbacks end during a run: a service that fails at random, and lives on when agents die.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::sync::broadcast;

use super::progress::Progress;
use super::tally::{Callback, Tally};
use crate::http::{Body, Server, hang_up, json};

/// How the sink may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// This status, and `Retry-After` with these seconds.
    Status(u16, Option<u32>),
    /// No answer at all.
    Silence,
    /// The connection is closed instead of an answer.
    HangUp,
    /// The callback is taken, and the connection closed instead of an answer.
    AnswerLost,
}

impl Failure {
    /// Those that pass, as a service in trouble has them.
    pub const PASSING: [Self; 6] = [
        Self::Status(503, None),
        Self::Status(503, Some(1)),
        Self::Status(429, Some(1)),
        Self::Silence,
        Self::HangUp,
        Self::AnswerLost,
    ];
}

/// Longer than any agent here waits for an answer.
const SILENCE: Duration = Duration::from_mins(1);
/// How many ends of operations are kept for one who listens.
const ENDED: usize = 4096;

/// A running sink.
#[derive(Debug)]
pub struct FailingSink {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    /// How many of a hundred callbacks fail.
    percent: u32,
    /// What is decided already, by correlation ID, or by that with a part behind it.
    planned: HashMap<String, VecDeque<Failure>>,
    tally: Tally,
    ended: broadcast::Sender<String>,
}

impl FailingSink {
    /// Starts one at which `percent` of a hundred callbacks fail, in the order that the seed gives.
    pub async fn start(seed: u64, percent: u32, progress: Progress) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            percent,
            planned: HashMap::new(),
            tally: Tally::default(),
            ended: broadcast::Sender::new(ENDED),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let (state, progress) = (Arc::clone(&shared), progress.clone());
            async move {
                let key = request.headers().get("idempotency-key").and_then(|v| v.to_str().ok());
                let key = key.map(str::to_owned);
                // A client that died while it sent: nothing has arrived.
                let Some(body) = whole_body(request.into_body()).await else { return hang_up() };
                let (failure, is_last) = lock(&state).judge(key.as_deref(), &body);
                progress.count(|counts| {
                    counts.callbacks += 1;
                    counts.ended += usize::from(is_last);
                });
                answer(failure).await
            }
        })
        .await;
        Self { server, state }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What arrived so far.
    pub fn tally(&self) -> Tally {
        lock(&self.state).tally.clone()
    }

    /// Tells the correlation ID of each operation whose last callback is taken from now on.
    pub fn ended(&self) -> broadcast::Receiver<String> {
        lock(&self.state).ended.subscribe()
    }

    /// Lets so many of a hundred callbacks fail from now on.
    pub fn fail(&self, percent: u32) {
        lock(&self.state).percent = percent;
    }

    /// Decides what becomes of the next callbacks of the request with this correlation ID (`scan-1`), or of those of one part
    /// (`scan-1/done`). Chance decides on later ones.
    pub fn plan(&self, which: &str, failures: &[Failure]) {
        lock(&self.state).planned.entry(which.to_owned()).or_default().extend(failures);
    }
}

impl State {
    /// What becomes of a callback, and whether it was an operation's last and taken.
    fn judge(&mut self, key: Option<&str>, body: &[u8]) -> (Option<Failure>, bool) {
        let callback = match Callback::read(key, body) {
            Ok(callback) => callback,
            Err(wrong) => {
                self.tally.wrong.push(wrong);
                return (None, false);
            }
        };
        self.tally.tried(&callback);
        let correlation = callback.correlation();
        let mut planned = |which: &str| self.planned.get_mut(which).and_then(VecDeque::pop_front);
        let planned = planned(&format!("{correlation}/{}", callback.part)).or_else(|| planned(correlation));
        let failure = planned.or_else(|| {
            let fails = self.random.random_range(0..100) < self.percent;
            fails.then(|| Failure::PASSING.choose(&mut self.random).copied()).flatten()
        });
        if failure.is_some() {
            self.tally.refused += 1;
        }
        let is_taken = matches!(failure, None | Some(Failure::AnswerLost));
        let is_last = is_taken && self.tally.take(&callback, body.len());
        if is_last {
            // Nobody has to listen.
            let _ = self.ended.send(callback.correlation().to_owned());
        }
        (failure, is_last)
    }
}

async fn answer(failure: Option<Failure>) -> Response<Body> {
    match failure {
        None => json(200, &json!({ "ok": true })),
        Some(Failure::Status(status, retry_after)) => {
            let mut answer = json(status, &json!({ "error": "told to fail" }));
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert("retry-after", seconds.into());
            }
            answer
        }
        Some(Failure::Silence) => {
            tokio::time::sleep(SILENCE).await;
            hang_up()
        }
        Some(Failure::HangUp | Failure::AnswerLost) => hang_up(),
    }
}

async fn whole_body(body: Incoming) -> Option<bytes::Bytes> {
    body.collect().await.ok().map(http_body_util::Collected::to_bytes)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
