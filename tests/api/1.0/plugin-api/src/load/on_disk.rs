//! A copy of a library in a private directory, for machines that have no memory to seal.
//!
//! Sandboxes forbid `memfd_create` or make what it gives not executable. What was checked has to be what runs all the same: the
//! copy is made under a new name, in a directory that is this user's alone, is read again before it is loaded, and its name is
//! gone right after, so that nobody finds it again to change it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use regent_oci::Digest;

use super::refusal::Refusal;
use super::sealed::COPY_PREFIX;

/// Tells copies of one process apart: under a name that it knows the dynamic linker returns what it has.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// The copy. Its name goes when it is dropped; what is mapped of it stays.
#[derive(Debug)]
pub(super) struct OnDisk(PathBuf);

impl OnDisk {
    /// Copies bytes with this digest into the directory, which is made if it is not there.
    pub(super) fn copy(directory: &Path, name: &str, digest: &Digest, bytes: &[u8]) -> Result<Self, Refusal> {
        let refuse = |e: io::Error| Refusal::Unsealed { reason: format!("{}: {e}", directory.display()) };
        make_private(directory).map_err(refuse)?;
        let (process, n) = (std::process::id(), COPIES.fetch_add(1, Ordering::Relaxed));
        let path = directory.join(format!("{COPY_PREFIX}{name}-{process}-{n}-{}.so", digest.hex()));
        // What a process with this id has left when it was killed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refuse(error)),
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path).map_err(refuse)?;
        let copy = Self(path); // from here on it is taken away again
        file.write_all(bytes).map_err(refuse)?;
        drop(file);
        let mut again = Vec::with_capacity(bytes.len());
        File::open(&copy.0).and_then(|mut file| file.read_to_end(&mut again)).map_err(refuse)?;
        if Digest::sha256(&again) != *digest {
            return Err(refuse(io::Error::other("it has other bytes than were written")));
        }
        Ok(copy)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        // One that can't be taken away can't be changed by others either.
        let _ = fs::remove_file(&self.0);
    }
}

/// A directory that is there must be one, of this user and for nobody else.
fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let metadata = fs::symlink_metadata(directory)?;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.is_dir() && is_own && metadata.mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    Err(io::Error::other("it is no directory that is for this program's user alone"))
}
