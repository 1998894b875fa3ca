//! Frames: the length of a message in four bytes, the lowest first, and the message.

use bytes::{Buf as _, BytesMut};
use regent_plugin_api::bounds::MAX_ANSWER_BODY_BYTES;
use secrecy::zeroize::Zeroize as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The largest message, in bytes: an answer with the largest body and its headers. A page of 100 000 names, the most that a
/// driver may list, takes less.
pub const MAX_FRAME_BYTES: usize = 68 << 20;
const _: () = assert!(MAX_FRAME_BYTES as u64 >= MAX_ANSWER_BODY_BYTES + (4 << 20));
/// Bytes of the length.
const PREFIX: usize = 4;
/// Room for one read, unless more is known to come.
const READ_BYTES: usize = 16 << 10;
/// The most room for one read: a length that is announced is no reason to believe that so much comes.
const MAX_READ_BYTES: usize = 1 << 20;

/// Why the connection to a driver's process is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// A frame is announced that is too long.
    #[error("a message of {bytes} bytes, at most {MAX_FRAME_BYTES}")]
    TooLong {
        /// The announced length.
        bytes: usize,
    },
    /// A frame is no message.
    #[error("a message that can't be read")]
    Unreadable,
    /// It ends within a frame.
    #[error("the end within a message")]
    CutOff,
    /// The socket failed.
    #[error("{reason}")]
    Failed {
        /// The system's words.
        reason: String,
    },
}

/// A message that is too large for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// What a message holds, as far as it matters to a frame.
pub(crate) trait Message: Serialize {
    /// Whether nearly all of it is content, which is no secret and large: a manifest, a piece of a blob.
    fn is_content(&self) -> bool;
}

/// One message as it is written. Wiped when it is dropped, since it may hold credentials.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    is_content: bool,
}

impl Frame {
    /// # Errors
    /// [`TooLarge`].
    pub(crate) fn of(message: &impl Message) -> Result<Self, TooLarge> {
        let mut frame = Self { bytes: Vec::new(), is_content: message.is_content() };
        // Values of ours fail for one reason only: a time or a map that has no form, of which there are none.
        frame.bytes = postcard::to_extend(message, vec![0; PREFIX]).map_err(|_| TooLarge)?;
        let length = frame.bytes.len() - PREFIX;
        let announced = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME_BYTES).ok_or(TooLarge)?;
        if let Some(prefix) = frame.bytes.first_chunk_mut() {
            *prefix = announced.to_le_bytes();
        }
        Ok(frame)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if !self.is_content {
            self.bytes.zeroize();
        }
    }
}

/// What has been read and not yet been taken. It grows with what comes, not with what is announced.
#[derive(Default)]
pub(crate) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// Reads some more. `false` at the end. May be dropped at any time.
    ///
    /// # Errors
    /// [`Broken::Failed`], and [`Broken::CutOff`] where it ends in the middle.
    pub(crate) async fn fill(&mut self, read: &mut (impl AsyncRead + Unpin)) -> Result<bool, Broken> {
        let expected = self.announced().map_or(READ_BYTES, |length| {
            (PREFIX + length).saturating_sub(self.buffer.len()).clamp(READ_BYTES, MAX_READ_BYTES)
        });
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * MAX_READ_BYTES {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(expected);
        match read.read_buf(&mut self.buffer).await {
            Ok(0) if self.buffer.is_empty() => Ok(false),
            Ok(0) => Err(Broken::CutOff),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(Broken::Failed { reason: error.to_string() }),
        }
    }

    /// The next message that is here as a whole.
    ///
    /// # Errors
    /// [`Broken::TooLong`], [`Broken::Unreadable`].
    pub(crate) fn next<M: DeserializeOwned + Message>(&mut self) -> Result<Option<M>, Broken> {
        let Some(length) = self.announced() else { return Ok(None) };
        if length > MAX_FRAME_BYTES {
            return Err(Broken::TooLong { bytes: length });
        }
        let Some(frame) = self.buffer.get_mut(PREFIX..PREFIX + length) else { return Ok(None) };
        let read = postcard::take_from_bytes::<M>(frame);
        // What stands behind a message is none of it.
        let message = read.ok().and_then(|(message, rest)| rest.is_empty().then_some(message));
        if !message.as_ref().is_some_and(Message::is_content) {
            frame.zeroize();
        }
        self.buffer.advance(PREFIX + length);
        message.map(Some).ok_or(Broken::Unreadable)
    }

    /// The length of the next message.
    fn announced(&self) -> Option<usize> {
        let prefix = self.buffer.first_chunk::<PREFIX>()?;
        usize::try_from(u32::from_le_bytes(*prefix)).ok()
    }

    /// The memory that it takes.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// As if this had been read.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
}
