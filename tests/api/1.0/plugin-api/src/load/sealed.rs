//! A copy of a library that nobody can change any more.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use regent_oci::Digest;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use super::file::{FilePolicy, LibraryFile};
use super::refusal::Refusal;
use crate::description::Description;

/// What makes the bytes stay as they are.
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// A library in sealed memory, which can be given to another process: what that one loads are these very bytes.
#[derive(Debug)]
pub struct SealedLibrary {
    pub(super) memory: Sealed,
    pub(super) description: Description,
    pub(super) digest: Digest,
}

impl SealedLibrary {
    /// A sealed copy of a file's bytes.
    ///
    /// # Errors
    /// A [`Refusal`]: there is no memory for it.
    pub fn of(file: &LibraryFile) -> Result<Self, Refusal> {
        let (description, digest) = (file.description().clone(), file.digest().clone());
        Ok(Self { memory: Sealed::copy(file)?, description, digest })
    }

    /// Memory that another process has sealed. Its bytes are described anew, without running code of theirs.
    ///
    /// # Errors
    /// A [`Refusal`]: it is not sealed, no driver, or a driver for another host.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Refusal> {
        let refuse = |e: io::Error| Refusal::Unsealed { reason: e.to_string() };
        let seals = fcntl_get_seals(&fd).map_err(|e| refuse(e.into()))?;
        let file = File::from(fd);
        let size = file.metadata().map_err(refuse)?.len();
        if !seals.contains(SEALS) || size > FilePolicy::DEFAULT_MAX_BYTES {
            return Err(Refusal::Unsealed {
                reason: "it is no sealed memory of a library's size".to_owned(),
            });
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        // Where the other process stands in it is of no concern.
        file.read_exact_at(&mut bytes, 0).map_err(refuse)?;
        let read = LibraryFile::from_bytes(Path::new("sealed memory"), bytes)?;
        let (description, digest) = (read.description().clone(), read.digest().clone());
        Ok(Self { memory: Sealed(file), description, digest })
    }

    /// What the library says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// SHA-256 of its bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The memory, to be given to another process.
    ///
    /// # Errors
    /// There are no file descriptors left.
    pub fn to_fd(&self) -> io::Result<OwnedFd> {
        self.memory.0.as_fd().try_clone_to_owned()
    }
}

/// What the names of copies begin with, as `/proc/self/maps` has them. The driver's name and, behind a hyphen, the digits of
/// its SHA-256 follow.
pub const COPY_PREFIX: &str = "regent-driver-";

/// Memory with the library's bytes, sealed, under a path of its own.
///
/// What was loaded from is never closed: were its number used again, glibc would take the next library for this one and
/// return the code that it knows under that path.
#[derive(Debug)]
pub(super) struct Sealed(File);

impl Sealed {
    /// A copy whose name tells who looks at what is mapped which bytes these are.
    pub(super) fn copy(library: &LibraryFile) -> Result<Self, Refusal> {
        let refuse = |e: std::io::Error| Refusal::Unsealed { reason: e.to_string() };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let name = format!("{COPY_PREFIX}{}-{}", library.description().name, library.digest().hex());
        // Kernels before 6.3 do not know EXEC; later ones may be set up to demand it.
        let memory = memfd_create(&*name, flags | MemfdFlags::EXEC)
            .or_else(|_| memfd_create(&*name, flags))
            .map_err(|e| refuse(e.into()))?;
        let mut file = File::from(memory);
        file.write_all(library.bytes()).map_err(refuse)?;
        fcntl_add_seals(&file, SEALS).map_err(|e| refuse(e.into()))?;
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}
