//! Threads that read layers.
//!
//! They compute for as long as a layer takes, as many as there are layers under way, and are not tokio's: at a lower
//! priority, such that requests are answered and downloads go on while all processors inflate; and each with buffers that
//! it has for one layer after the other. One that has nothing to do takes what comes next, before there is another one:
//! what the allocator holds for a thread that has ended is not always there for the next.

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use regent_scan::Buffers;
use tokio::sync::oneshot;

use super::Error;
use crate::threads::Standing;

/// How long one has its buffers ready for the next layer. What is made of an image comes after its last one, and needs memory too.
const READY: Duration = Duration::from_millis(20);
/// How long one waits for the next layer before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// Starts them as they are needed. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Idle>>>,
    standing: Standing,
}

/// A thread that has nothing to do.
struct Idle {
    thread: ThreadId,
    jobs: SyncSender<Job>,
}

/// Something to be done. What comes of it is told when the thread is free for the next.
type Job = Box<dyn FnOnce(&mut Buffers) -> Answer + Send>;
type Answer = Box<dyn FnOnce() + Send>;

impl Readers {
    /// Those of a program that serves: whoever waits for an answer goes first.
    pub(super) fn last() -> Self {
        Self { standing: Standing::Last, ..Self::default() }
    }

    /// Does something on one of them. It goes on when the future is dropped: what it reads from has to end.
    ///
    /// # Errors
    /// [`Error::Stopped`] where there can be no thread, or it has panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Buffers) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, outcome) = oneshot::channel();
        let job = Box::new(move |buffers: &mut Buffers| {
            let done = work(buffers);
            let answer = move || drop(sender.send(done)); // nobody may be waiting any more
            Box::new(answer) as Answer
        });
        self.give(job)?;
        outcome.await.map_err(|_| Error::Stopped)
    }

    fn give(&self, job: Job) -> Result<(), Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let job = match idle {
            None => job,
            Some(idle) => match idle.jobs.send(job) {
                Ok(()) => return Ok(()),
                Err(returned) => returned.0,
            },
        };
        let others = Arc::clone(&self.idle);
        let standing = self.standing;
        let body = move || {
            standing.take();
            work_off(job, &others);
        };
        thread::Builder::new().name("reader".to_owned()).spawn(body).map(drop).map_err(|_| Error::Stopped)
    }
}

/// A thread's life: the first job, then those that come while it waits among the idle ones.
fn work_off(first: Job, idle: &Mutex<Vec<Idle>>) {
    let idle = || idle.lock().unwrap_or_else(PoisonError::into_inner);
    let (sender, jobs) = mpsc::sync_channel(1);
    let thread = thread::current().id();
    let mut buffers = Buffers::default();
    let mut job = first;
    loop {
        let answer = job(&mut buffers);
        idle().push(Idle { thread, jobs: sender.clone() });
        answer();
        let ready = jobs.recv_timeout(READY);
        if ready.is_err() {
            buffers = Buffers::default();
        }
        job = if let Ok(next) = ready.or_else(|_| jobs.recv_timeout(IDLE)) {
            next
        } else {
            let mut idle = idle();
            if let Some(own) = idle.iter().position(|idle| idle.thread == thread) {
                idle.remove(own);
                return;
            }
            // Somebody has chosen it in this moment.
            drop(idle);
            let Ok(next) = jobs.recv() else { return };
            next
        };
    }
}

#[cfg(test)]
mod tests {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy};

    use super::*;

    #[tokio::test]
    async fn work_is_done_by_a_thread_that_does_the_next_one_as_well() {
        let readers = Readers::default();
        let first = readers.run(|_| thread::current().id()).await.unwrap();
        for _ in 0..10 {
            assert_eq!(readers.run(|_| thread::current().id()).await.unwrap(), first);
        }
        assert_ne!(thread::current().id(), first);
    }

    #[tokio::test]
    async fn where_others_are_served_it_is_done_when_they_want_nothing() {
        let (last, behind) = (Readers::last(), Readers::default());
        let policy = |_: &mut Buffers| thread_priority::thread_schedule_policy().unwrap();
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(last.run(policy).await.unwrap(), idle);
        assert_ne!(behind.run(policy).await.unwrap(), idle);
    }

    #[tokio::test]
    async fn work_that_panics_is_no_answer_and_costs_nobody_else_anything() {
        let readers = Readers::default();
        let panicked = readers.run(|_| -> u8 { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(Error::Stopped)));
        let side_by_side = tokio::join!(readers.run(|_| 1), readers.run(|_| 2));
        assert!(matches!(side_by_side, (Ok(1), Ok(2))));
    }
}
