//! A range of an open file: a blob file, or an entry of an archive.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use regent_oci::{Algorithm, Digest};
use regent_plugin_api::bytes::Bytes;

use crate::error::{Error, Result};

/// How much is read at a time when a whole section is hashed.
const CHUNK_BYTES: usize = 256 << 10;

/// Where some content stands. Reads are positioned, so any number of sections may share one file.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    file: Arc<File>,
    offset: u64,
    len_bytes: u64,
    /// For messages: the file, and the entry in it.
    path: PathBuf,
}

impl Section {
    pub(crate) fn new(file: Arc<File>, offset: u64, len_bytes: u64, path: PathBuf) -> Self {
        Self { file, offset, len_bytes, path }
    }

    /// Length of the content.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// At most `max_bytes` from `position` on; none at the end and only there.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the file became shorter since it was opened.
    pub(crate) fn read_at(&self, position: u64, max_bytes: usize) -> Result<Bytes> {
        let left = self.len_bytes.saturating_sub(position);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(max_bytes);
        let mut buffer = vec![0; want];
        self.fill(position, &mut buffer)?;
        Ok(buffer.into())
    }

    /// The whole content, which must not be longer than `limit_bytes`.
    pub(crate) fn read_whole(&self, limit_bytes: usize) -> Result<Bytes> {
        let limit = limit_bytes as u64;
        if self.len_bytes > limit {
            let what = format!("{} bytes", self.len_bytes);
            return Err(Error::Limit { what, path: self.path.clone(), limit });
        }
        self.read_at(0, limit_bytes)
    }

    /// The digest of the whole content. Reads all of it.
    pub(crate) fn digest(&self, algorithm: Algorithm) -> Result<Digest> {
        let mut digester = algorithm.digester();
        let mut position = 0;
        loop {
            let chunk = self.read_at(position, CHUNK_BYTES)?;
            if chunk.is_empty() {
                return Ok(digester.finish());
            }
            digester.update(&chunk);
            position += chunk.len() as u64;
        }
    }

    fn fill(&self, position: u64, buffer: &mut [u8]) -> Result<()> {
        let at = self.offset.saturating_add(position);
        self.file.read_exact_at(buffer, at).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::Truncated { path: self.path.clone(), within: "content that was there before".into() }
            }
            _ => Error::Io { action: "read", path: self.path.clone(), source },
        })
    }
}

/// Reads a file from its beginning without moving the position that others may share.
pub(crate) struct FromStart<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> FromStart<'a> {
    pub(crate) fn new(file: &'a File) -> Self {
        Self { file, position: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}
