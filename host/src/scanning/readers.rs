//! Threads that read layers.
//!
//! They compute for as long as a layer takes, as many as there are layers under way, and are not tokio's: at a lower
//! priority, such that requests are answered and downloads go on while all processors inflate; and with buffers that go
//! from one layer to the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use regent_scan::Buffers;
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::sync::oneshot;

use super::Error;

/// What the kernel's scheduler takes from their weight (setpriority(2)): beside another thread they get a tenth.
const NICE: i32 = 10;
/// Buffers that are kept for later.
const KEPT: usize = 4;

/// Starts them, and keeps their buffers. Cheap to clone; clones share the buffers.
#[derive(Debug, Clone, Default)]
pub(super) struct Readers {
    spare: Arc<Mutex<Vec<Buffers>>>,
}

impl Readers {
    /// Does something on a thread of its own. It goes on when the future is dropped: what it reads from has to end.
    ///
    /// # Errors
    /// [`Error::Stopped`] where there can be no thread, or it has panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Buffers) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, outcome) = oneshot::channel();
        let spare = Arc::clone(&self.spare);
        let body = move || {
            // Refused by some sandboxes; then it runs as any other thread.
            let _ = setpriority_process(Some(gettid()), NICE);
            let kept = || spare.lock().unwrap_or_else(PoisonError::into_inner);
            let mut buffers = kept().pop().unwrap_or_default();
            let done = work(&mut buffers);
            let mut kept = kept();
            if kept.len() < KEPT {
                kept.push(buffers);
            }
            drop(kept);
            let _ = sender.send(done); // nobody waits for it any more
        };
        thread::Builder::new().name("reader".to_owned()).spawn(body).map_err(|_| Error::Stopped)?;
        outcome.await.map_err(|_| Error::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_at_a_lower_priority_and_a_panic_is_no_answer() {
        let readers = Readers::default();
        let nice =
            readers.run(|_| rustix::process::getpriority_process(Some(gettid())).unwrap()).await.unwrap();
        assert!(nice >= NICE, "{nice}");
        assert_eq!(
            rustix::process::getpriority_process(Some(gettid())).unwrap().max(0),
            0,
            "this one's is as it was"
        );
        assert_eq!(readers.spare.lock().unwrap().len(), 1);
        let panicked = readers.run(|_| -> u8 { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(Error::Stopped)));
    }
}
