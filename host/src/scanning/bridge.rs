//! From the network to the thread that inflates: a bounded channel whose far end is a [`BufRead`] of the pieces as they came.
//!
//! It is the only buffer of a layer's bytes and the only backpressure: a slow thread makes the sender wait, which makes
//! the connection wait. When the sender is dropped before it said so, the reader gets an error, so a scan that is given
//! up ends its thread at the next read.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Pieces on their way; each at most [`PIECE_BYTES`].
const PIECES: usize = 16;
/// Larger ones are cut. 16 of 128 KiB make 2 MiB: what the reading thread works at for some ten milliseconds.
const PIECE_BYTES: usize = 128 << 10;
/// A sender that has to wait does so until there is room for that many. Woken for each one, it would take the processor
/// from the reading thread at every piece, when that thread is what everything waits for.
const ROOM: usize = PIECES / 2;
/// After so many bytes in a row a sender lets others of its thread have their turn, as requests that wait for their answers. On
/// a fast network it would go on for two MiB, and so would each that comes before them.
const TURN_BYTES: usize = 2 * PIECE_BYTES;

enum Message {
    Bytes(Bytes),
    End,
}

/// The near end.
pub(super) struct Feed {
    messages: mpsc::Sender<Message>,
    /// Bytes since the last turn of others.
    in_a_row: AtomicUsize,
}

/// The far end, for a thread that may block.
pub(super) struct Reader {
    messages: mpsc::Receiver<Message>,
    current: Bytes,
    ended: bool,
}

/// The reader is gone: it has failed, or has all it needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReaderGone;

/// A channel for one layer.
pub(super) fn bridge() -> (Feed, Reader) {
    let (sender, messages) = mpsc::channel(PIECES);
    (
        Feed { messages: sender, in_a_row: AtomicUsize::new(0) },
        Reader { messages, current: Bytes::new(), ended: false },
    )
}

impl Feed {
    /// Hands bytes over; waits while the channel is full.
    pub(super) async fn give(&self, mut bytes: Bytes) -> Result<(), ReaderGone> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            self.take_turns(piece.len()).await;
            match self.messages.try_send(Message::Bytes(piece)) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return Err(ReaderGone),
                Err(TrySendError::Full(message)) => {
                    let mut room = self.messages.reserve_many(ROOM).await.map_err(|_| ReaderGone)?;
                    if let Some(place) = room.next() {
                        place.send(message);
                    }
                }
            }
        }
        Ok(())
    }

    async fn take_turns(&self, n_bytes: usize) {
        let in_a_row = self.in_a_row.load(Ordering::Relaxed) + n_bytes;
        self.in_a_row.store(in_a_row % TURN_BYTES, Ordering::Relaxed);
        if in_a_row >= TURN_BYTES {
            tokio::task::yield_now().await;
        }
    }

    /// Whether [`give`](Self::give) would wait.
    pub(super) fn is_full(&self) -> bool {
        self.messages.capacity() == 0
    }

    /// Says that this was all.
    pub(super) async fn end(self) -> Result<(), ReaderGone> {
        self.messages.send(Message::End).await.map_err(|_| ReaderGone)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.messages.blocking_recv() {
                Some(Message::Bytes(bytes)) => self.current = bytes,
                Some(Message::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the download was given up")),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, n: usize) {
        self.current.advance(n.min(self.current.len()));
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut there = self.fill_buf()?;
        let n = there.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_given_is_read_in_order_whatever_the_pieces() {
        let (feed, mut reader) = bridge();
        let thread = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        let large = vec![7u8; 3 * PIECE_BYTES + 1];
        feed.give(Bytes::from_static(b"head")).await.unwrap();
        feed.give(Bytes::from(large.clone())).await.unwrap();
        feed.end().await.unwrap();
        let all = thread.await.unwrap().unwrap();
        assert_eq!(all.len(), 4 + large.len());
        assert!(all.starts_with(b"head\x07"));
    }

    #[tokio::test]
    async fn a_feed_that_is_dropped_is_an_error_and_not_an_end() {
        let (feed, mut reader) = bridge();
        feed.give(Bytes::from_static(b"half")).await.unwrap();
        drop(feed);
        let read = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new())).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_full_channel_makes_the_sender_wait_until_the_reader_is_gone() {
        let (feed, reader) = bridge();
        assert!(!feed.is_full());
        let endless = async { while feed.give(Bytes::from_static(b"x")).await.is_ok() {} };
        tokio::pin!(endless);
        assert!(futures_util::poll!(&mut endless).is_pending());
        drop(reader);
        endless.await;
    }
}
