//! The driver's end: one thread that does what it is asked, as the thread of a driver does in the agent's own process.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use regent_plugin_api::{DynDriver, HostServices, LogLevel, Result as CallResult, Settings};
use regent_transport::{BoxFuture, Request, Response, Transport, TransportError};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::frame::{Broken, Frame, Frames};
use crate::http::{HttpAnswer, HttpFailure};
use crate::message::{Ask, ToAgent, ToDriver, With};
use crate::outbox::Outbox;
use crate::values::{Answer, Failure, broken};

/// Opens sessions of a driver.
pub type Connect = Box<dyn Fn(Settings, Arc<dyn HostServices>) -> CallResult<Arc<dyn DynDriver>>>;

/// Serves a driver until the agent says that it needs no more of it, or is gone. `load` makes the driver, or says why not.
/// All code of the driver runs in the thread that polls this.
///
/// # Errors
/// [`Broken`]: the agent said what it never says.
pub async fn serve(stream: UnixStream, load: impl FnOnce() -> Result<Connect, String>) -> Result<(), Broken> {
    let (read, write) = stream.into_split();
    let outbox = Outbox::new();
    let serving = async {
        let outcome = match load() {
            Ok(connect) => {
                say(&outbox, &ToAgent::Ready);
                Inside::new(connect, outbox.clone()).run(read).await
            }
            Err(reason) => {
                say(&outbox, &ToAgent::Refused { reason });
                Ok(())
            }
        };
        // Whatever a driver has kept of its host is of no use any more.
        outbox.close();
        outcome
    };
    let (outcome, written) = tokio::join!(serving, outbox.write(write));
    drop(written); // an agent that is gone hears nothing
    outcome
}

/// Says something that is small.
fn say(outbox: &Outbox, message: &ToAgent) {
    if let Ok(frame) = Frame::of(message) {
        outbox.push(frame);
    }
}

/// Requests that the driver waits for.
type Requests = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<HttpAnswer, HttpFailure>>>>>;

struct Inside {
    connect: Connect,
    outbox: Outbox,
    sessions: HashMap<u64, Arc<Held>>,
    /// Calls that run, and how they are cancelled.
    calls: HashMap<u64, oneshot::Sender<()>>,
    running: FuturesUnordered<BoxFuture<'static, u64>>,
    requests: Requests,
    numbers: Arc<AtomicU64>,
}

/// A driver's object. Its end is told.
struct Held {
    driver: Option<Arc<dyn DynDriver>>,
    session: u64,
    outbox: Outbox,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.driver.take());
        say(&self.outbox, &ToAgent::Closed { session: self.session });
    }
}

impl Inside {
    fn new(connect: Connect, outbox: Outbox) -> Self {
        Self {
            connect,
            outbox,
            sessions: HashMap::new(),
            calls: HashMap::new(),
            running: FuturesUnordered::new(),
            requests: Requests::default(),
            numbers: Arc::default(),
        }
    }

    async fn run(mut self, mut read: OwnedReadHalf) -> Result<(), Broken> {
        let mut frames = Frames::default();
        loop {
            while let Some(message) = frames.next()? {
                self.hear(message);
            }
            tokio::select! {
                filled = frames.fill(&mut read) => {
                    if !filled? {
                        return Ok(());
                    }
                }
                Some(call) = self.running.next(), if !self.running.is_empty() => {
                    self.calls.remove(&call);
                }
            }
        }
    }

    fn hear(&mut self, message: ToDriver) {
        match message {
            ToDriver::Connect { call, session, with } => self.open(call, session, with),
            ToDriver::Call { call, session, ask } => self.call(call, session, ask),
            ToDriver::Cancel { call } => drop(self.calls.remove(&call)),
            ToDriver::Close { session } => {
                // One that did not connect is told to be gone as well.
                if self.sessions.remove(&session).is_none() {
                    say(&self.outbox, &ToAgent::Closed { session });
                }
            }
            ToDriver::Answer { request, answer } => {
                let waiting = lock(&self.requests).remove(&request);
                let _ = waiting.map(|waiting| waiting.send(answer)); // it may have been forgotten
            }
            ToDriver::Ping { number } => say(&self.outbox, &ToAgent::Pong { number }),
        }
    }

    fn open(&mut self, call: u64, session: u64, mut with: With) {
        let services = Arc::new(Services {
            session,
            variables: std::mem::take(&mut with.variables).into_iter().collect(),
            outbox: self.outbox.clone(),
            requests: Arc::clone(&self.requests),
            numbers: Arc::clone(&self.numbers),
            runtime: Handle::current(),
            lost: AtomicU64::new(0),
        });
        let answer = (self.connect)(with.settings(), services).map(|driver| {
            let outbox = self.outbox.clone();
            self.sessions.insert(session, Arc::new(Held { driver: Some(driver), session, outbox }));
            Answer::Connected
        });
        say(&self.outbox, &ToAgent::Answer { call, answer: answer.map_err(Failure::from) });
    }

    fn call(&mut self, call: u64, session: u64, ask: Ask) {
        let (cancel, cancelled) = oneshot::channel();
        let (outbox, held) = (self.outbox.clone(), self.sessions.get(&session).cloned());
        self.calls.insert(call, cancel);
        self.running.push(Box::pin(async move {
            let work = async {
                let driver = held.as_ref().and_then(|held| held.driver.as_deref());
                let made = driver.map(|driver| ask.of(driver));
                made.ok_or_else(|| broken("a call without a session"))?.await
            };
            let work = CURRENT.scope(call, work);
            let answer = tokio::select! {
                // Cancellation first: a call that timed out on its way must not start.
                biased;
                _ = cancelled => return call,
                answer = work => answer,
            };
            let answer = answer.map_err(Failure::from);
            let frame = Frame::of(&ToAgent::Answer { call, answer }).or_else(|_| {
                let error = broken(format_args!("an answer of more than {} bytes", crate::MAX_FRAME_BYTES));
                Frame::of(&ToAgent::Answer { call, answer: Err(error.into()) })
            });
            if let Ok(frame) = frame {
                outbox.send(frame).await;
            }
            call
        }));
    }
}

tokio::task_local! {
    /// The call that is polled on this thread. Threads that a driver starts by itself have none.
    static CURRENT: u64;
}

fn lock(
    requests: &Requests,
) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<HttpAnswer, HttpFailure>>>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The host as the driver's process has it: requests and log lines go to the agent, time is here.
struct Services {
    session: u64,
    variables: BTreeMap<String, String>,
    outbox: Outbox,
    requests: Requests,
    numbers: Arc<AtomicU64>,
    runtime: Handle,
    /// Log lines for which there was no room.
    lost: AtomicU64,
}

/// A request that was not answered yet. Dropped before it is, it is forgotten.
struct Waiting<'a> {
    services: &'a Services,
    request: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiting = lock(&self.services.requests).remove(&self.request);
        if waiting.is_some() {
            say(&self.services.outbox, &ToAgent::Forget { request: self.request });
        }
    }
}

impl Transport for Services {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let host = request.url.host_str().unwrap_or_default().to_owned();
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let (answer, answered) = oneshot::channel();
            lock(&self.requests).insert(number, answer);
            let _waiting = Waiting { services: self, request: number };
            let (session, call, ask) = (self.session, CURRENT.try_with(|call| *call).ok(), request.into());
            let frame =
                Frame::of(&ToAgent::Request { request: number, session, ask, call }).map_err(|_| {
                    TransportError::Invalid { reason: "it is too large for the driver's process".to_owned() }
                })?;
            self.outbox.send(frame).await;
            match answered.await {
                Ok(Ok(response)) => response.take(&host),
                Ok(Err(failure)) => Err(failure.take()),
                Err(_) => Err(TransportError::Broken { host, reason: "the agent is gone".to_owned() }),
            }
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A timer belongs to the runtime that it is made in, and threads of the driver's own have none.
            let mut task = JoinSet::new();
            task.spawn_on(async move { tokio::time::sleep(duration).await }, &self.runtime);
            task.join_next().await;
        })
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }
}

impl HostServices for Services {
    fn log(&self, level: LogLevel, message: &str) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let line = match lost {
            0 => message.to_owned(),
            lost => format!("{message} ({lost} lines before this one are lost)"),
        };
        let frame = Frame::of(&ToAgent::Log { session: self.session, level: level.number(), line });
        if !frame.is_ok_and(|frame| self.outbox.offer(frame)) {
            self.lost.fetch_add(lost.saturating_add(1), Ordering::Relaxed);
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
