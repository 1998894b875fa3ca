//! What waits to be written to the other side.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::frame::{Frame, MAX_FRAME_BYTES};

/// What may wait, in KiB: one frame of the largest, or many small ones.
const ROOM_KIB: usize = MAX_FRAME_BYTES >> 10;

/// Frames in the order in which they are written.
///
/// What asks for something waits for room. What takes something back (a call, a session) is always taken: there is at most
/// one of it for each that has had room.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Shared>);

struct Shared {
    // std, since it is held for a few instructions.
    queue: Mutex<Queue>,
    more: Notify,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Waiting>,
    is_closed: bool,
}

/// A frame and its room, which is free when it is written.
type Waiting = (Frame, Option<OwnedSemaphorePermit>);

impl Outbox {
    pub(crate) fn new() -> Self {
        let room = Arc::new(Semaphore::new(ROOM_KIB));
        Self(Arc::new(Shared { queue: Mutex::default(), more: Notify::new(), room }))
    }

    /// Waits for room.
    pub(crate) async fn send(&self, frame: Frame) {
        if let Ok(room) = Arc::clone(&self.0.room).acquire_many_owned(size(&frame)).await {
            self.put(frame, Some(room));
        }
    }

    /// Takes a frame if there is room. Returns whether it did.
    pub(crate) fn offer(&self, frame: Frame) -> bool {
        let room = Arc::clone(&self.0.room).try_acquire_many_owned(size(&frame));
        room.is_ok_and(|room| {
            self.put(frame, Some(room));
            true
        })
    }

    /// Takes a frame that takes something back.
    pub(crate) fn push(&self, frame: Frame) {
        self.put(frame, None);
    }

    /// Nothing is taken any more; what waits is written.
    pub(crate) fn close(&self) {
        self.queue().is_closed = true;
        self.0.more.notify_one();
    }

    /// Writes what comes until it is closed.
    ///
    /// # Errors
    /// The other side is gone.
    pub(crate) async fn write(&self, mut write: impl AsyncWrite + Unpin) -> io::Result<()> {
        loop {
            let (waiting, is_closed) = {
                let mut queue = self.queue();
                (std::mem::take(&mut queue.frames), queue.is_closed)
            };
            if waiting.is_empty() {
                if is_closed {
                    return write.shutdown().await;
                }
                self.0.more.notified().await;
            }
            for (frame, _room) in waiting {
                write.write_all(frame.bytes()).await?;
            }
        }
    }

    fn put(&self, frame: Frame, room: Option<OwnedSemaphorePermit>) {
        let mut queue = self.queue();
        if !queue.is_closed {
            queue.frames.push_back((frame, room));
            drop(queue);
            self.0.more.notify_one();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room that a frame takes, in KiB.
fn size(frame: &Frame) -> u32 {
    let kibibytes = frame.bytes().len().div_ceil(1 << 10).min(ROOM_KIB);
    u32::try_from(kibibytes).unwrap_or(u32::MAX)
}
