//! A thread for each driver: what a driver does to its thread, it does to itself alone.
//!
//! The thread polls the driver's futures and nothing else; deadlines run on the caller's runtime, so they fire also
//! when the thread is stuck. A stuck thread can't be ended, only given up: its [`Lane`] is replaced by a new one with new
//! sessions, a few times, and then the driver is out of use.
//!
//! The thread of a driver in a process of its own has that process to keep and the connection to it: what it polls are
//! calls on their way there and back. It is the process that hangs then, or ends: it is killed, and the lane replaced as
//! often.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use regent_isolation::{Link, Within};
use regent_plugin_api::{Error as CallError, PANICKED};
use regent_transport::{BoxFuture, Class};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::Error;
use super::budget::Budget;
use super::crumbs::{Crumb, Note};
use super::process::{self, Launch, Life};

/// Calls of one driver at once; more wait for their turn.
pub(super) const MAX_IN_FLIGHT: usize = 64;
/// Calls on their way to the thread, those that were cancelled meanwhile included.
const QUEUE: usize = 2 * MAX_IN_FLIGHT;
/// How often a stuck thread, or a process that has ended, is replaced.
const MAX_REPLACED: u32 = 3;
/// A process that has lived for so long has started well: what was before it does not count any more.
const WELL: Duration = Duration::from_mins(10);
/// The wait before a process is started the second time anew; twice of it before the next. The first time it is at once.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Time for a process to end, or to be killed, at the end of the agent: calls that run may still hold it.
const PATIENCE: Duration = Duration::from_secs(6);

type Job = BoxFuture<'static, ()>;

/// The place where one driver runs.
pub(super) struct Bulkhead {
    driver: String,
    note: Option<Note>,
    /// Of a driver in a process of its own.
    launch: Option<Arc<Launch>>,
    // std, since it is held for a few instructions and never over an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lane: Option<Arc<Lane>>,
    replaced: u32,
    /// The same since the start, whatever came after.
    replaced_in_all: u64,
    /// How the last process has ended, and when the next may be started.
    ended: Option<(String, Instant)>,
}

/// One thread, and the way to it.
pub(crate) struct Lane {
    queue: mpsc::Sender<Job>,
    slots: Semaphore,
    beats: Arc<Beats>,
    apart: Option<Apart>,
    /// The count at which the thread was first seen stuck, and when. Read with the caller's clock.
    seen: Mutex<Option<(u64, Instant)>>,
    given_up: AtomicBool,
}

/// The process that a lane leads to.
#[derive(Clone)]
struct Apart {
    link: Link,
    life: Arc<Life>,
}

/// Counts up when the thread enters a driver's code and when it leaves it: an odd number that stays is a stuck thread.
struct Beats {
    count: AtomicU64,
    /// Where the same is noted for who has to say why the process has ended.
    crumb: Option<Crumb>,
}

impl Beats {
    fn enter(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        if let Some(crumb) = &self.crumb {
            crumb.enter();
        }
    }

    fn leave(&self) {
        if let Some(crumb) = &self.crumb {
            crumb.leave();
        }
        self.count.fetch_add(1, Ordering::AcqRel);
    }
}

impl Bulkhead {
    pub(super) fn new(driver: &str) -> Self {
        Self { driver: driver.to_owned(), note: None, launch: None, state: Mutex::default() }
    }

    /// The place of a driver in a process of its own.
    pub(super) fn apart(launch: Launch) -> Self {
        let driver = launch.driver.clone();
        Self { launch: Some(Arc::new(launch)), ..Self::new(&driver) }
    }

    /// The same, noting when a thread of it is in the driver's code.
    pub(super) fn noted(self, note: Option<Note>) -> Self {
        Self { note, ..self }
    }

    /// The thread that serves now. Starts it if there is none.
    pub(super) fn lane(&self) -> Result<Arc<Lane>, Error> {
        let mut state = self.state();
        if state.replaced > MAX_REPLACED {
            return Err(Error::out_of_use(&self.driver));
        }
        if let Some(lane) = &state.lane {
            return Ok(Arc::clone(lane));
        }
        let lane = Arc::new(Lane::start(&self.driver, self.note.as_ref(), self.launch.clone())?);
        state.lane = Some(Arc::clone(&lane));
        Ok(lane)
    }

    /// How long to wait before the next process may be started.
    pub(super) fn rest(&self) -> Duration {
        let next = self.state().ended.as_ref().map(|(_, next)| *next);
        next.map(|next| next.saturating_duration_since(Instant::now())).unwrap_or_default()
    }

    /// Why it hung or ended too often, if it did.
    pub(super) fn quarantined(&self) -> Option<String> {
        let state = self.state();
        let why = || match &state.ended {
            Some((how, _)) => format!("its process ended too often; at the last time {how}"),
            None => "it hung too often".to_owned(),
        };
        (state.replaced > MAX_REPLACED).then(why)
    }

    /// The number of its process, where it has one of its own that runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.state().lane.as_ref()?.apart.as_ref()?.life.pid()
    }

    /// How often its thread or process was replaced since one has started well.
    pub(super) fn replaced(&self) -> u32 {
        self.state().replaced
    }

    /// How often its thread or process was replaced, or given up, since the start.
    pub(super) fn replaced_in_all(&self) -> u64 {
        self.state().replaced_in_all
    }

    /// Lets the thread end with the last session on it. A session after that starts another.
    pub(super) fn retire(&self) {
        self.state().lane = None;
    }

    /// Lets its process end, if it has one of its own, and waits for that: sessions must have been let go. What hangs is
    /// killed by then.
    pub(super) async fn stop(&self) {
        let lane = self.state().lane.take_if(|lane| lane.apart.is_some());
        let life = lane.and_then(|lane| Some(Arc::clone(&lane.apart.as_ref()?.life)));
        if let Some(life) = life {
            let _ = timeout(PATIENCE, life.over()).await;
        }
    }

    /// The state, with a process counted that has ended since it was looked at.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = state.lane.as_ref().and_then(|lane| {
            let life = &lane.apart.as_ref()?.life;
            Some((life.end()?.to_owned(), life.age()))
        });
        if let Some((how, age)) = ended {
            state.lane = None;
            state.count(age);
            let doublings = state.replaced.saturating_sub(2);
            let wait = match state.replaced {
                0 | 1 => Duration::ZERO,
                _ => FIRST_WAIT * (1 << doublings.min(MAX_REPLACED)),
            };
            state.ended = Some((how, Instant::now() + wait));
            self.told(state.replaced, "the driver's process ended");
        }
        state
    }

    /// Says that a lane is replaced, or not any more.
    fn told(&self, replaced: u32, what: &str) {
        let driver = self.driver.as_str();
        if replaced > MAX_REPLACED {
            tracing::error!(driver, "{what} again and the driver is out of use");
        } else {
            tracing::error!(driver, replaced, limit = MAX_REPLACED, "{what} and is started anew");
        }
    }

    /// Runs a driver's future on its thread. When the deadline passes, or the future returned from here is dropped, the
    /// driver's is dropped too, on its thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        lane: &Arc<Lane>,
        deadline: Duration,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        self.watch(lane, deadline)?;
        if let Ok(result) = timeout(deadline, self.run_unbounded(lane, call)).await {
            return result;
        }
        if let Some(apart) = &lane.apart {
            apart.link.ping();
        }
        self.watch(lane, deadline)?;
        Err(Error::TimedOut { driver: self.driver.clone(), after: deadline })
    }

    async fn run_unbounded<T: Send + 'static>(
        &self,
        lane: &Lane,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        let driver = || self.driver.clone();
        let _slot = lane.slots.acquire().await.map_err(|_| self.gone(lane))?;
        let (mut answer, answered) = oneshot::channel();
        let job: Job = Box::pin(async move {
            let result = tokio::select! {
                // Cancellation first: a call that timed out in the queue must not start and block the thread again.
                biased;
                () = answer.closed() => return,
                result = call => result,
            };
            let _ = answer.send(result); // the caller may have left
        });
        match lane.queue.try_send(job) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(Error::Busy { driver: driver() }),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(self.gone(lane)),
        }
        answered.await.map_err(|_| {
            if lane.end().is_some() {
                return self.gone(lane);
            }
            let message = "the driver panicked outside of its guards";
            Error::Call { driver: driver(), error: CallError::new(Class::Internal, PANICKED, message) }
        })
    }

    /// Why calls can't be made on a lane any more.
    fn gone(&self, lane: &Lane) -> Error {
        let driver = self.driver.clone();
        match lane.end() {
            _ if lane.is_given_up() => Error::Wedged { driver },
            Some(how) => Error::Crashed { driver, how: how.to_owned() },
            None => Error::Wedged { driver },
        }
    }

    /// Looks whether the thread moves. Stuck for two deadlines, it is given up.
    fn watch(&self, lane: &Arc<Lane>, deadline: Duration) -> Result<(), Error> {
        let driver = self.driver.clone();
        if lane.given_up.load(Ordering::Acquire) {
            return Err(if self.quarantined().is_some() {
                Error::out_of_use(&driver)
            } else {
                Error::Wedged { driver }
            });
        }
        if let Some(apart) = &lane.apart {
            return match apart.link.silent_for() {
                _ if lane.end().is_some() => Err(self.gone(lane)),
                Some(silent) if silent >= 2 * deadline => Err(self.give_up(lane)),
                _ => Ok(()),
            };
        }
        let beat = lane.beats.count.load(Ordering::Acquire);
        let mut seen = lane.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *seen {
            _ if beat.is_multiple_of(2) => *seen = None,
            Some((at, since)) if at == beat => {
                if now.duration_since(since) >= 2 * deadline {
                    drop(seen);
                    return Err(self.give_up(lane));
                }
            }
            _ => *seen = Some((beat, now)),
        }
        Ok(())
    }

    fn give_up(&self, lane: &Arc<Lane>) -> Error {
        let driver = self.driver.clone();
        let mut state = self.state();
        if !lane.given_up.swap(true, Ordering::AcqRel) {
            lane.slots.close();
            state.lane = None;
            state.ended = None;
            match &lane.apart {
                Some(apart) => {
                    state.count(apart.life.age());
                    apart.life.condemn();
                }
                None => state.count(Duration::ZERO),
            }
            self.told(state.replaced, "the driver hung");
        }
        if state.replaced > MAX_REPLACED { Error::out_of_use(&driver) } else { Error::Wedged { driver } }
    }
}

impl State {
    /// One thread or process more that has not ended well, at this age where that is known.
    fn count(&mut self, age: Duration) {
        if age >= WELL {
            self.replaced = 0;
        }
        self.replaced += 1;
        self.replaced_in_all += 1;
    }
}

impl Lane {
    fn start(driver: &str, note: Option<&Note>, launch: Option<Arc<Launch>>) -> Result<Self, Error> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let beats = Arc::new(Beats { count: AtomicU64::new(0), crumb: note.and_then(Note::line) });
        let failed = |e: &std::io::Error| Error::Call {
            driver: driver.to_owned(),
            error: CallError::new(
                Class::Internal,
                "no_thread",
                format!("no thread for driver {driver}: {e}"),
            ),
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let apart = launch
            .map(|launch| (launch, Apart { link: Link::new(within), life: Arc::new(Life::new(driver)) }));
        // No timers and no I/O for a driver: what it needs of these, its host does on the main runtime.
        let runtime = if apart.is_some() { runtime.enable_all().build() } else { runtime.build() };
        let runtime = runtime.map_err(|e| failed(&e))?;
        let (counted, kept) = (Arc::clone(&beats), apart.clone());
        // The thread ends by itself when the lane is dropped. It is not joined: it may be stuck for ever.
        std::thread::Builder::new()
            .name(format!("driver-{driver}"))
            .spawn(move || {
                if let Some(crumb) = &counted.crumb {
                    crumb.is_of_this_thread();
                }
                runtime.block_on(async {
                    let work = serve(jobs, counted);
                    match kept {
                        Some((launch, Apart { link, life })) => {
                            process::keep(&launch, &link, &life, work).await;
                        }
                        None => work.await,
                    }
                });
            })
            .map_err(|e| failed(&e))?;
        Ok(Self {
            queue,
            slots: Semaphore::new(MAX_IN_FLIGHT),
            beats,
            apart: apart.map(|(_, apart)| apart),
            seen: Mutex::new(None),
            given_up: AtomicBool::new(false),
        })
    }

    /// Whether sessions on it are of no more use: it was given up, or its process has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.is_given_up() || self.end().is_some()
    }

    /// The way to the driver's process, if it has one of its own.
    pub(super) fn link(&self) -> Option<&Link> {
        self.apart.as_ref().map(|apart| &apart.link)
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// How its process has ended, once it has.
    fn end(&self) -> Option<&str> {
        self.apart.as_ref()?.life.end()
    }

    /// Runs something that no one waits for, such as giving a blob back. If the queue is full, as that of a stuck thread
    /// is in the end, it is left alone for ever: dropping it would run the driver's code on a thread of the host. What leads
    /// to another process has no code of the driver.
    #[expect(clippy::mem_forget, reason = "what belongs to a stuck thread must not be dropped on another")]
    pub(crate) fn post(&self, job: impl Future<Output = ()> + Send + 'static) {
        use mpsc::error::TrySendError::{Closed, Full};
        if let Err(Full(job) | Closed(job)) = self.queue.try_send(Box::pin(job))
            && self.apart.is_none()
        {
            std::mem::forget(job);
        }
    }
}

/// What a call is within that is polled now.
fn within() -> Option<Arc<dyn Within>> {
    Budget::current().map(|budget| budget as Arc<dyn Within>)
}

async fn serve(mut jobs: mpsc::Receiver<Job>, beats: Arc<Beats>) {
    let mut running = FuturesUnordered::new();
    let mut open = true;
    while open || !running.is_empty() {
        tokio::select! {
            biased;
            job = jobs.recv(), if open => match job {
                Some(job) => running.push(Counted { job: Some(job), beats: Arc::clone(&beats) }),
                None => open = false,
            },
            Some(()) = running.next(), if !running.is_empty() => {}
        }
    }
}

/// A job that counts its polls, and whose panics end with it. The driver's own guards are inside.
struct Counted {
    job: Option<Job>,
    beats: Arc<Beats>,
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(mut job) = self.job.take() else { return Poll::Ready(()) };
        self.beats.enter();
        let ended = catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(context).is_ready()));
        if let Ok(false) = ended {
            self.job = Some(job);
        } else if catch_unwind(AssertUnwindSafe(|| drop(job))).is_err() || ended.is_err() {
            tracing::error!("a driver's call panicked outside of its guards");
        }
        self.beats.leave();
        if self.job.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(test)]
mod tests;
