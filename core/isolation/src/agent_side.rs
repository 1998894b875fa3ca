//! The agent's end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use regent_oci::{Digest, Reference, RepositoryName, Tag};
use regent_plugin_api::bounds::{MAX_ANSWER_BODY_BYTES, MAX_LOG_BYTES};
use regent_plugin_api::{
    Access, Authorization, BlobHandle, Content, DynDriver, Error, HostServices, LogLevel, Page, PageRequest,
    Result as CallResult, Settings, TagDetail, Validation,
};
use regent_transport::{BoxFuture, Class, Request, Response, TransportError};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::frame::{Broken, Frame, Frames, Message as _};
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::message::{Ask, ToAgent, ToDriver, With};
use crate::outbox::Outbox;
use crate::values::{Answer, Carried, Failure, broken, checked, cut};

/// Requests of one driver at once. While there are as many, nothing more is read from it.
const MAX_REQUESTS: usize = 128;
/// Sessions that may be there at once, those included whose end the driver has not told of.
const MAX_SESSIONS: usize = 4096;

/// What a call is made within, such as the count of its requests.
pub trait Within: Send + Sync {
    /// Sends a request that the driver has in this call.
    fn send(
        self: Arc<Self>,
        services: &dyn HostServices,
        request: Request,
    ) -> BoxFuture<'_, Result<Response, TransportError>>;
}

/// The way to a driver in a process of its own. Cheap to clone.
///
/// Its [`run`](Link::run) has to be polled for anything to happen.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    outbox: Outbox,
    // std, since it is held for a few instructions and never over an await.
    state: Mutex<State>,
    ready: watch::Sender<Option<Result<(), String>>>,
    numbers: AtomicU64,
    /// What the call is within that is made now.
    current: fn() -> Option<Arc<dyn Within>>,
}

#[derive(Default)]
struct State {
    calls: HashMap<u64, Call>,
    sessions: HashMap<u64, Arc<dyn HostServices>>,
    ping: Option<(u64, Instant)>,
    refusal: Option<String>,
    is_over: bool,
}

/// A call that is waited for.
struct Call {
    answer: oneshot::Sender<Result<Answer, Failure>>,
    within: Option<Arc<dyn Within>>,
}

/// A request of the driver.
struct Asked {
    request: u64,
    session: u64,
    call: Option<u64>,
    ask: HttpRequest,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

impl Default for Link {
    /// Calls are within nothing.
    fn default() -> Self {
        Self::new(|| None)
    }
}

impl Link {
    /// A way that leads nowhere yet. `current` is asked in each call, as the call begins, what it is within.
    pub fn new(current: fn() -> Option<Arc<dyn Within>>) -> Self {
        let (ready, _) = watch::channel(None);
        let (outbox, state) = (Outbox::new(), Mutex::default());
        Self(Arc::new(Shared { outbox, state, ready, numbers: AtomicU64::new(0), current }))
    }

    /// Carries all that is said, until the other side ends or breaks the rules of the connection. After that every call fails.
    /// To be called once.
    ///
    /// # Errors
    /// [`Broken`]: the other side is not to be spoken with any more.
    pub async fn run(&self, stream: UnixStream) -> Result<(), Broken> {
        let (read, write) = stream.into_split();
        let writing = async {
            // Fails when the other side is gone, which reading tells too, with all that it has said before.
            let _ = self.0.outbox.write(write).await;
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = self.read(read) => outcome,
            never = writing => never,
        };
        self.0.end();
        outcome
    }

    /// Says that nothing more will be asked. [`Link::run`] ends when the other side has done what it was asked before.
    pub fn close(&self) {
        self.0.outbox.close();
    }

    /// Waits until the library is loaded.
    ///
    /// # Errors
    /// Why it can't be, in words.
    pub async fn ready(&self) -> Result<(), String> {
        let mut ready = self.0.ready.subscribe();
        match ready.wait_for(Option::is_some).await {
            Ok(told) => told.clone().unwrap_or(Ok(())),
            Err(_) => Err("its process has ended".to_owned()),
        }
    }

    /// Why the library can't be loaded, once that was told.
    pub fn refusal(&self) -> Option<String> {
        self.0.state().refusal.clone()
    }

    /// Opens a session. `variables` are those of the agent's environment that the driver may know.
    ///
    /// # Errors
    /// What the driver returns; [`Link::GONE`] where its process has ended.
    pub async fn connect(
        &self,
        settings: Settings,
        services: Arc<dyn HostServices>,
        variables: Vec<(String, String)>,
    ) -> CallResult<Arc<dyn DynDriver>> {
        let number = self.0.number();
        {
            let mut state = self.0.state();
            if state.sessions.len() >= MAX_SESSIONS {
                let message = format!("the driver has {MAX_SESSIONS} sessions that do not end");
                return Err(Error::new(Class::Limit, "driver_busy", message));
            }
            if !state.is_over {
                state.sessions.insert(number, services);
            }
        }
        let session = Session(Arc::new(Open { link: self.clone(), number }));
        let with = With::new(&settings, variables);
        match self.ask(|call| ToDriver::Connect { call, session: number, with }).await? {
            Answer::Connected => Ok(Arc::new(session)),
            _ => Err(broken("an answer to something else")),
        }
    }

    /// The code of the error of calls when the process has ended.
    pub const GONE: &str = "driver_crashed";

    /// Asks the driver's thread for a sign of life, unless one is waited for.
    pub fn ping(&self) {
        let number = self.0.number();
        let mut state = self.0.state();
        if state.ping.is_none() && !state.is_over {
            state.ping = Some((number, Instant::now()));
            drop(state);
            self.0.say(&ToDriver::Ping { number });
        }
    }

    /// How long a sign of life is waited for.
    pub fn silent_for(&self) -> Option<Duration> {
        self.0.state().ping.map(|(_, since)| since.elapsed())
    }

    async fn read(&self, mut read: OwnedReadHalf) -> Result<(), Broken> {
        let mut frames = Frames::default();
        let mut requests = FuturesUnordered::new();
        let mut waited_for = HashMap::new();
        loop {
            if requests.len() < MAX_REQUESTS
                && let Some(message) = frames.next()?
            {
                if let Some(asked) = self.hear(message, &mut waited_for) {
                    let (forget, forgotten) = oneshot::channel();
                    // A number that is used twice takes the place of the first.
                    waited_for.insert(asked.request, forget);
                    requests.push(self.answer(asked, forgotten));
                }
                continue;
            }
            tokio::select! {
                filled = frames.fill(&mut read), if requests.len() < MAX_REQUESTS => {
                    if !filled? {
                        return Ok(());
                    }
                }
                Some(number) = requests.next(), if !requests.is_empty() => {
                    waited_for.remove(&number);
                }
            }
        }
    }

    /// One message. A request is returned.
    fn hear(&self, message: ToAgent, waited_for: &mut HashMap<u64, oneshot::Sender<()>>) -> Option<Asked> {
        match message {
            ToAgent::Ready => drop(self.0.ready.send_replace(Some(Ok(())))),
            ToAgent::Refused { reason } => {
                let reason = cut(reason, MAX_LOG_BYTES);
                self.0.state().refusal = Some(reason.clone());
                self.0.ready.send_replace(Some(Err(reason)));
            }
            ToAgent::Answer { call, answer } => {
                let waiting = self.0.state().calls.remove(&call);
                // One that was cancelled has nobody who waits.
                if let Some(Call { answer: waiting, .. }) = waiting {
                    let _ = waiting.send(answer);
                }
            }
            ToAgent::Closed { session } => {
                let services = self.0.state().sessions.remove(&session);
                drop(services);
            }
            ToAgent::Request { request, session, ask, call } => {
                return Some(Asked { request, session, call, ask });
            }
            ToAgent::Forget { request } => drop(waited_for.remove(&request)),
            ToAgent::Log { session, level, line } => {
                let services = self.0.state().sessions.get(&session).cloned();
                if let Some(services) = services {
                    services.log(LogLevel::from_number(level), &cut(line, MAX_LOG_BYTES));
                }
            }
            ToAgent::Pong { number } => {
                let mut state = self.0.state();
                if state.ping.is_some_and(|(expected, _)| expected == number) {
                    state.ping = None;
                }
            }
        }
        None
    }

    /// Sends a request of the driver, unless it is forgotten before it is answered.
    async fn answer(&self, asked: Asked, forgotten: oneshot::Receiver<()>) -> u64 {
        let Asked { request: number, session, call, ask } = asked;
        let (services, within) = {
            let state = self.0.state();
            let within = call.and_then(|call| state.calls.get(&call)?.within.clone());
            (state.sessions.get(&session).cloned(), within)
        };
        let sending = async {
            let services = services.ok_or_else(ended)?;
            let request = ask.take()?;
            let sending = match within {
                Some(within) => within.send(&*services, request),
                None => services.send(request),
            };
            HttpAnswer::of(sending.await?).await
        };
        let answer = tokio::select! {
            biased;
            _ = forgotten => return number,
            answer = sending => answer.map_err(HttpFailure::from),
        };
        let frame = Frame::of(&ToDriver::Answer { request: number, answer }).or_else(|_| {
            let host = "the registry".to_owned();
            let failure = TransportError::TooLarge { host, limit_bytes: MAX_ANSWER_BODY_BYTES };
            Frame::of(&ToDriver::Answer { request: number, answer: Err(failure.into()) })
        });
        if let Ok(frame) = frame {
            self.0.outbox.send(frame).await;
        }
        number
    }

    /// Asks for something, and waits for the answer. Dropped before that, the call is cancelled.
    async fn ask(&self, message: impl FnOnce(u64) -> ToDriver) -> CallResult<Answer> {
        let gone = || Error::new(Class::Unavailable, Self::GONE, "the driver's process has ended");
        let call = self.0.number();
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.0.state();
            if state.is_over {
                return Err(gone());
            }
            state.calls.insert(call, Call { answer, within: (self.0.current)() });
        }
        let _cancel = Cancel { link: self, call };
        let frame = Frame::of(&message(call)).map_err(|_| {
            Error::new(Class::Invalid, "request_invalid", "a call that is too large for the driver's process")
        })?;
        self.0.outbox.send(frame).await;
        answered.await.map_err(|_| gone())?.map_err(Failure::take)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Says something that is small.
    fn say(&self, message: &ToDriver) {
        debug_assert!(!message.is_content());
        if let Ok(frame) = Frame::of(message) {
            self.outbox.push(frame);
        }
    }

    /// Nobody answers any more.
    fn end(&self) {
        let (calls, sessions) = {
            let mut state = self.state();
            state.is_over = true;
            (std::mem::take(&mut state.calls), std::mem::take(&mut state.sessions))
        };
        self.outbox.close();
        drop((calls, sessions));
        self.ready.send_if_modified(|ready| {
            let is_news = ready.is_none();
            if is_news {
                *ready = Some(Err("its process has ended".to_owned()));
            }
            is_news
        });
    }
}

fn ended() -> TransportError {
    TransportError::Invalid { reason: "the session has ended".to_owned() }
}

/// Takes a call back that was not answered.
struct Cancel<'a> {
    link: &'a Link,
    call: u64,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        let waiting = self.link.0.state().calls.remove(&self.call);
        if waiting.is_some() {
            self.link.0.say(&ToDriver::Cancel { call: self.call });
        }
    }
}

/// A session, seen from the agent. Each call holds it, so it is closed after its last call.
struct Session(Arc<Open>);

struct Open {
    link: Link,
    number: u64,
}

impl Drop for Open {
    /// Its services stay until the driver's object is gone: that may have something to say.
    fn drop(&mut self) {
        self.link.0.say(&ToDriver::Close { session: self.number });
    }
}

impl Session {
    fn call<T: Carried + Send + 'static>(&self, ask: Ask) -> BoxFuture<'static, CallResult<T>> {
        let open = Arc::clone(&self.0);
        Box::pin(async move {
            let session = open.number;
            checked(open.link.ask(|call| ToDriver::Call { call, session, ask }).await?)
        })
    }
}

impl DynDriver for Session {
    fn validate(&self) -> BoxFuture<'static, CallResult<Validation>> {
        self.call(Ask::Validate)
    }

    fn repositories(&self, page: PageRequest) -> BoxFuture<'static, CallResult<Page<RepositoryName>>> {
        self.call(Ask::Repositories(page.into()))
    }

    fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest,
    ) -> BoxFuture<'static, CallResult<Page<Tag>>> {
        self.call(Ask::Tags(repository.clone(), page.into()))
    }

    fn tag_details(
        &self,
        repository: &RepositoryName,
        page: PageRequest,
    ) -> BoxFuture<'static, CallResult<Page<TagDetail>>> {
        self.call(Ask::TagDetails(repository.clone(), page.into()))
    }

    fn authorize(&self, access: Access) -> BoxFuture<'static, CallResult<Authorization>> {
        self.call(Ask::Authorize { repository: access.repository, renew: access.renew })
    }

    fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> BoxFuture<'static, CallResult<Content>> {
        self.call(Ask::Manifest(repository.clone(), reference.clone()))
    }

    fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> BoxFuture<'static, CallResult<BlobHandle>> {
        self.call(Ask::OpenBlob(repository.clone(), digest.clone()))
    }

    fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> BoxFuture<'static, CallResult<Bytes>> {
        let call = self.call::<Bytes>(Ask::ReadBlob { handle: blob.0, max_bytes: max_bytes as u64 });
        Box::pin(async move {
            let bytes = call.await?;
            if bytes.len() > max_bytes {
                return Err(broken(format_args!("{} bytes, at most {max_bytes}", bytes.len())));
            }
            Ok(bytes)
        })
    }

    fn close_blob(&self, blob: BlobHandle) -> BoxFuture<'static, CallResult<()>> {
        self.call(Ask::CloseBlob { handle: blob.0 })
    }
}
