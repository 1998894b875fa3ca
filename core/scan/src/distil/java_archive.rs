//! A Java archive: which Maven artifacts it says to be and to contain, what its manifest says, and the same of the
//! archives in it.
//!
//! Its directory stands at its end, so that it can't be read as it passes: it is spooled, a large one to a file without
//! a name, and read when it is complete.

mod manifest;
mod pom;
mod walk;

use std::io;

use crate::hexadecimal::hexadecimal;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use super::scratch::{Scratch, Spool};
use super::{Distilled, Distiller};

pub use manifest::JarManifest;
pub use pom::Coordinates;

/// Larger archives are told by their digest alone, in bytes. The largest with all their libraries have some 500 MiB.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

/// What is spooled in memory, in bytes: most archives are smaller.
const SPOOL_MEMORY_BYTES: usize = 4 << 20;

/// Why an archive or one in it is not read although it may be as large.
const NO_ROOM: &str = "the layer has more in such archives than goes through temporary files";

/// What a jar, war or ear says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JavaArchive {
    /// The archive, with those in it.
    pub archive: ArchiveContent,
    /// What could not be read of it.
    pub faults: Vec<ArchiveFault>,
    /// How many faults more there are, which are not listed.
    pub n_more_faults: u32,
}

/// One archive, outermost or nested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveContent {
    /// SHA-1 of its bytes, in lower-case hexadecimal.
    pub sha1: String,
    /// Whether it is a zip archive at all. If not, the rest is empty.
    pub is_zip: bool,
    /// The coordinates in its `pom.properties`, in the order of its directory.
    pub artifacts: Vec<Coordinates>,
    /// Its `META-INF/MANIFEST.MF`.
    pub manifest: JarManifest,
    /// The archives in it, in the order of its directory.
    pub nested: Vec<NestedArchive>,
}

/// An archive in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NestedArchive {
    /// The name of its entry.
    pub name: String,
    /// The archive.
    pub archive: ArchiveContent,
}

/// Something in an archive that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFault {
    /// Names of entries on the way to it, outermost first, with slashes between them; empty for the archive itself.
    pub entry: String,
    /// Which kind.
    pub kind: ArchiveFaultKind,
    /// What is wrong, to be read behind the entry's name.
    pub reason: String,
}

/// Why something in an archive was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveFaultKind {
    /// It is an archive without a directory.
    NoDirectory,
    /// It is damaged.
    Unreadable,
    /// It is more than is read.
    TooLarge,
}

impl JavaArchive {
    pub(super) fn cost_bytes(&self) -> usize {
        self.archive.cost_bytes()
            + self.faults.iter().map(|fault| 64 + fault.entry.len() + fault.reason.len()).sum::<usize>()
    }
}

impl ArchiveContent {
    fn cost_bytes(&self) -> usize {
        // As deep as `walk` goes.
        size_of::<Self>()
            + self.sha1.len()
            + self.artifacts.iter().map(Coordinates::cost_bytes).sum::<usize>()
            + self.manifest.cost_bytes()
            + self.nested.iter().map(|n| n.name.len() + n.archive.cost_bytes()).sum::<usize>()
    }
}

/// Spools the archive, and hashes it on the way.
pub(super) struct Reader {
    /// An archive that is not read has a reason instead.
    spool: Result<Spool, &'static str>,
    scratch: Scratch,
    hasher: Sha1,
    failure: Option<io::Error>,
}

impl Reader {
    pub(super) fn new(size_bytes: u64, scratch: &Scratch) -> Self {
        let spool = if size_bytes > MAX_ARCHIVE_BYTES {
            Err("it has more than 1 GiB")
        } else if size_bytes > SPOOL_MEMORY_BYTES as u64 && !scratch.has_room(size_bytes) {
            Err(NO_ROOM)
        } else {
            Ok(scratch.spool(SPOOL_MEMORY_BYTES))
        };
        Self { spool, scratch: scratch.clone(), hasher: Sha1::new(), failure: None }
    }
}

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        self.hasher.update(piece);
        let Ok(spool) = &mut self.spool else { return true };
        match spool.append(piece) {
            Ok(true) => {}
            Ok(false) => self.spool = Err(NO_ROOM),
            Err(failure) => self.failure = Some(failure),
        }
        self.failure.is_none()
    }

    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>> {
        if let Some(failure) = self.failure {
            return Err(spooling(&failure));
        }
        let sha1 = hexadecimal(&self.hasher.finalize());
        let archive = match self.spool {
            Ok(mut spool) => {
                walk::read(&mut spool, &self.scratch, sha1).map_err(|failure| spooling(&failure))?
            }
            Err(reason) => JavaArchive {
                archive: ArchiveContent { sha1, ..ArchiveContent::default() },
                faults: vec![ArchiveFault {
                    entry: String::new(),
                    kind: ArchiveFaultKind::TooLarge,
                    reason: reason.to_owned(),
                }],
                n_more_faults: 0,
            },
        };
        Ok(Some(Distilled::JavaArchive(Box::new(archive))))
    }
}

/// Says whose failure it is: the layer's bytes came and are not to blame.
fn spooling(failure: &io::Error) -> io::Error {
    io::Error::new(failure.kind(), format!("a Java archive can't be kept in a temporary file: {failure}"))
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
