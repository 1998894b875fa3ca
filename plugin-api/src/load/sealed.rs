//! A copy of a library that nobody can change any more.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::refusal::Refusal;

/// What the names of copies begin with, as `/proc/self/maps` has them. The driver's name and, behind a hyphen, the digits of
/// its SHA-256 follow.
pub const COPY_PREFIX: &str = "regent-driver-";

/// Memory with the library's bytes, sealed, under a path of its own.
///
/// It is never closed: were its number used again, glibc would take the next library for this one and return the
/// code that it knows under that path.
#[derive(Debug)]
pub(super) struct Sealed(File);

impl Sealed {
    pub(super) fn copy(name: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let refuse = |e: std::io::Error| Refusal::Unsealed { reason: e.to_string() };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let name = format!("{COPY_PREFIX}{name}");
        // Kernels before 6.3 do not know EXEC; later ones may be set up to demand it.
        let memory = memfd_create(&*name, flags | MemfdFlags::EXEC)
            .or_else(|_| memfd_create(&*name, flags))
            .map_err(|e| refuse(e.into()))?;
        let mut file = File::from(memory);
        file.write_all(bytes).map_err(refuse)?;
        let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).map_err(|e| refuse(e.into()))?;
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}
