//! A library as a file: read once, checked, described.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use regent_oci::Digest;

use super::object;
use super::refusal::Refusal;
use super::safety;
use super::signature::{KeyId, PublicKeys, Unsigned};
use crate::description::Description;

/// What is asked of a library's file before its bytes are looked at.
#[derive(Debug, Clone)]
pub struct FilePolicy {
    /// The plugin directory. Links have to lead to a file in it, and it has to be as safe as the files, with all that is
    /// above it.
    pub directory: PathBuf,
    /// The largest file that is read, in bytes.
    pub max_bytes: u64,
}

impl FilePolicy {
    /// The size limit when nobody says otherwise: far above any driver, debug builds included.
    pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;

    /// Files of this directory, of the usual size.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), max_bytes: Self::DEFAULT_MAX_BYTES }
    }
}

/// A library that may be loaded: its bytes, their digest, and what it says about itself. No code of it has run.
///
/// ```
/// use regent_plugin_api::load::LibraryFile;
///
/// // What was downloaded is the page about the library.
/// let refusal = LibraryFile::from_bytes("libacme.so".as_ref(), b"<!DOCTYPE html>".to_vec()).unwrap_err();
/// assert_eq!(refusal.code(), "not_elf");
/// assert_eq!(refusal.to_string(), "not a shared library for this system (no ELF)");
/// ```
#[derive(Clone)]
pub struct LibraryFile {
    path: PathBuf,
    bytes: Bytes,
    digest: Digest,
    description: Description,
    copies: Option<PathBuf>,
}

impl LibraryFile {
    /// Reads the file once and describes it from those bytes.
    ///
    /// # Errors
    /// A [`Refusal`]: the file is unsafe, no driver, or a driver for another host.
    pub fn read(path: &Path, policy: &FilePolicy) -> Result<Self, Refusal> {
        let bytes = read_safe(path, policy)?;
        Self::from_bytes(path, bytes)
    }

    /// Describes bytes that come from elsewhere; `path` is for messages.
    ///
    /// # Errors
    /// A [`Refusal`]: no driver, or a driver for another host.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, Refusal> {
        let description = object::describe(&bytes)?;
        let digest = Digest::sha256(&bytes);
        Ok(Self { path: path.to_owned(), bytes: bytes.into(), digest, description, copies: None })
    }

    /// The same, to be copied to this private directory where there is no memory that can be sealed. The directory is made if
    /// it is not there.
    #[must_use]
    pub fn with_copies_in(self, directory: Option<PathBuf>) -> Self {
        Self { copies: directory, ..self }
    }

    pub(super) fn copies(&self) -> Option<&Path> {
        self.copies.as_deref()
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of its bytes, which are the ones that [`load`](super::load) runs.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Who has signed its bytes, which are the ones that [`load`](super::load) runs, by the text of a signature.
    ///
    /// # Errors
    /// [`Unsigned`]: not one of these keys.
    pub fn signer(&self, keys: &PublicKeys, signature: &str) -> Result<KeyId, Unsigned> {
        keys.signer(&self.bytes, signature)
    }

    /// What it says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for LibraryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibraryFile")
            .field("path", &self.path)
            .field("digest", &self.digest)
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

/// Reads a file of a plugin directory that only root and this program's user may change: not the file, not the directory,
/// and not what is above it.
///
/// # Errors
/// A [`Refusal`].
pub fn read_safe(path: &Path, policy: &FilePolicy) -> Result<Vec<u8>, Refusal> {
    let unreadable = |e: std::io::Error| Refusal::Unreadable { path: path.to_owned(), reason: e.to_string() };
    let directory = policy.directory.canonicalize().map_err(unreadable)?;
    let target = path.canonicalize().map_err(unreadable)?;
    if !target.starts_with(&directory) {
        return Err(Refusal::OutsideDirectory { path: path.to_owned(), target });
    }
    let me = rustix::process::geteuid().as_raw();
    let metadata = directory.metadata().map_err(unreadable)?;
    safety::check(&directory, metadata.uid(), metadata.mode(), me)?;
    safety::check_above(&policy.directory, &directory, me)?;
    // A file swapped in between would have to come from someone who may write to the directory.
    read_checked(path, &target, policy.max_bytes)
}

/// Reads a file from anywhere that only root and this program's user may change, nor put another one into its place.
///
/// # Errors
/// A [`Refusal`].
pub fn read_trusted(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Refusal> {
    let unreadable = |e: std::io::Error| Refusal::Unreadable { path: path.to_owned(), reason: e.to_string() };
    let target = path.canonicalize().map_err(unreadable)?;
    safety::check_above(path, &target, rustix::process::geteuid().as_raw())?;
    read_checked(path, &target, max_bytes)
}

/// The checks are on what was opened, and a pipe does not block.
fn read_checked(path: &Path, target: &Path, max_bytes: u64) -> Result<Vec<u8>, Refusal> {
    let unreadable = |e: std::io::Error| Refusal::Unreadable { path: path.to_owned(), reason: e.to_string() };
    let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(no_follow.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(target).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Refusal::NotRegular { path: path.to_owned() });
    }
    safety::check(path, metadata.uid(), metadata.mode(), rustix::process::geteuid().as_raw())?;
    read_bounded(path, file, metadata.len(), max_bytes)
}

fn read_bounded(path: &Path, file: File, size_bytes: u64, limit_bytes: u64) -> Result<Vec<u8>, Refusal> {
    let too_large = |size_bytes| Refusal::TooLarge { path: path.to_owned(), size_bytes, limit_bytes };
    if size_bytes > limit_bytes {
        return Err(too_large(size_bytes));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or_default());
    let mut limited = file.take(limit_bytes.saturating_add(1));
    limited
        .read_to_end(&mut bytes)
        .map_err(|e| Refusal::Unreadable { path: path.to_owned(), reason: e.to_string() })?;
    // It may have grown since its size was asked.
    if bytes.len() as u64 > limit_bytes {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}
