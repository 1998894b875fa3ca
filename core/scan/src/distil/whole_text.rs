//! Texts that are read as a whole at their end.

use std::io;

use super::{Distilled, Distiller};

/// Collects a file's text, and makes something of it. One that is too large is collected as nothing: whoever reads that
/// finds it unreadable.
pub(super) struct WholeText {
    text: Vec<u8>,
    is_too_large: bool,
    make: fn(&[u8]) -> Distilled,
}

impl WholeText {
    pub(super) fn new(size_bytes: u64, max_bytes: u64, make: fn(&[u8]) -> Distilled) -> Self {
        Self { text: Vec::new(), is_too_large: size_bytes > max_bytes, make }
    }
}

impl Distiller for WholeText {
    fn take(&mut self, piece: &[u8]) -> bool {
        if !self.is_too_large {
            self.text.extend_from_slice(piece);
        }
        !self.is_too_large
    }

    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>> {
        // An empty file counts as no file at all.
        if self.text.is_empty() && !self.is_too_large {
            return Ok(None);
        }
        Ok(Some((self.make)(&self.text)))
    }
}
