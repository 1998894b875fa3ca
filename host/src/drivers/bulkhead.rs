//! A thread for each driver: what a driver does to its thread, it does to itself alone.
//!
//! The thread polls the driver's futures and nothing else; deadlines run on the caller's runtime, so they fire also
//! when the thread is stuck. A stuck thread can't be ended, only given up: its [`Lane`] is replaced by a new one with new
//! sessions, a few times, and then the driver is out of use.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use regent_plugin_api::{Error as CallError, PANICKED};
use regent_transport::{BoxFuture, Class};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::Error;
use super::crumbs::{Crumb, Note};

/// Calls of one driver at once; more wait for their turn.
pub(super) const MAX_IN_FLIGHT: usize = 64;
/// Calls on their way to the thread, those that were cancelled meanwhile included.
const QUEUE: usize = 2 * MAX_IN_FLIGHT;
/// How often a stuck thread is replaced.
const MAX_REPLACED: u32 = 3;

type Job = BoxFuture<'static, ()>;

/// The place where one driver runs.
pub(super) struct Bulkhead {
    driver: String,
    note: Option<Note>,
    // std, since it is held for a few instructions and never over an await.
    state: Mutex<State>,
}

struct State {
    lane: Option<Arc<Lane>>,
    replaced: u32,
}

/// One thread, and the way to it.
pub(crate) struct Lane {
    queue: mpsc::Sender<Job>,
    slots: Semaphore,
    beats: Arc<Beats>,
    /// The count at which the thread was first seen stuck, and when. Read with the caller's clock.
    seen: Mutex<Option<(u64, Instant)>>,
    given_up: AtomicBool,
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
        Self { driver: driver.to_owned(), note: None, state: Mutex::new(State { lane: None, replaced: 0 }) }
    }

    /// The same, noting when a thread of it is in the driver's code.
    pub(super) fn noted(self, note: Option<Note>) -> Self {
        Self { note, ..self }
    }

    /// The thread that serves now. Starts it if there is none.
    pub(super) fn lane(&self) -> Result<Arc<Lane>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.replaced > MAX_REPLACED {
            return Err(Error::out_of_use(&self.driver));
        }
        if let Some(lane) = &state.lane {
            return Ok(Arc::clone(lane));
        }
        let lane = Arc::new(Lane::start(&self.driver, self.note.as_ref())?);
        state.lane = Some(Arc::clone(&lane));
        Ok(lane)
    }

    /// Whether the thread hung too often.
    pub(super) fn is_quarantined(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).replaced > MAX_REPLACED
    }

    /// Lets the thread end with the last session on it. A session after that starts another.
    pub(super) fn retire(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).lane = None;
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
        self.watch(lane, deadline)?;
        Err(Error::TimedOut { driver: self.driver.clone(), after: deadline })
    }

    async fn run_unbounded<T: Send + 'static>(
        &self,
        lane: &Lane,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        let driver = || self.driver.clone();
        let _slot = lane.slots.acquire().await.map_err(|_| Error::Wedged { driver: driver() })?;
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
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Error::Wedged { driver: driver() }),
        }
        answered.await.map_err(|_| {
            let message = "the driver panicked outside of its guards";
            Error::Call { driver: driver(), error: CallError::new(Class::Internal, PANICKED, message) }
        })
    }

    /// Looks whether the thread moves. Stuck for two deadlines, it is given up.
    fn watch(&self, lane: &Arc<Lane>, deadline: Duration) -> Result<(), Error> {
        let driver = self.driver.clone();
        if lane.given_up.load(Ordering::Acquire) {
            return Err(if self.is_quarantined() {
                Error::out_of_use(&driver)
            } else {
                Error::Wedged { driver }
            });
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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !lane.given_up.swap(true, Ordering::AcqRel) {
            lane.slots.close();
            state.lane = None;
            state.replaced += 1;
            let replaced = state.replaced;
            if replaced > MAX_REPLACED {
                tracing::error!(%driver, "the driver hung again and is out of use");
            } else {
                tracing::error!(%driver, replaced, limit = MAX_REPLACED, "the driver hung and is started anew");
            }
        }
        if state.replaced > MAX_REPLACED { Error::out_of_use(&driver) } else { Error::Wedged { driver } }
    }
}

impl Lane {
    fn start(driver: &str, note: Option<&Note>) -> Result<Self, Error> {
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
        // No timers and no I/O: what a driver needs of these, its host does on the main runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| failed(&e))?;
        let counted = Arc::clone(&beats);
        // The thread ends by itself when the lane is dropped. It is not joined: it may be stuck for ever.
        std::thread::Builder::new()
            .name(format!("driver-{driver}"))
            .spawn(move || {
                if let Some(crumb) = &counted.crumb {
                    crumb.is_of_this_thread();
                }
                runtime.block_on(serve(jobs, counted));
            })
            .map_err(|e| failed(&e))?;
        Ok(Self {
            queue,
            slots: Semaphore::new(MAX_IN_FLIGHT),
            beats,
            seen: Mutex::new(None),
            given_up: AtomicBool::new(false),
        })
    }

    /// Whether it was given up: sessions on it are of no more use.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Runs something that no one waits for, such as giving a blob back. If the queue is full, as that of a stuck thread
    /// is in the end, it is left alone for ever: dropping it would run the driver's code on a thread of the host.
    #[expect(clippy::mem_forget, reason = "what belongs to a stuck thread must not be dropped on another")]
    pub(crate) fn post(&self, job: impl Future<Output = ()> + Send + 'static) {
        use mpsc::error::TrySendError::{Closed, Full};
        if let Err(Full(job) | Closed(job)) = self.queue.try_send(Box::pin(job)) {
            std::mem::forget(job);
        }
    }
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
