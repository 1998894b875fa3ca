//! A Java archive: which Maven artifacts it says to be and to contain, what its manifest says, and the same of the
//! archives in it.
//!
//! Its directory stands at its end, so that it is read when it is complete: a small one in memory, a large one in what was
//! kept of it as it passed. Where that is too little its layer is read once more, and then it goes through a file
//! without a name.

mod manifest;
mod passed;
mod pom;
mod role;
mod sift;
mod walk;

use std::io;

use crate::hexadecimal::hexadecimal;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use super::parts::is_not_kept;
use super::scratch::{Scratch, Spool};
use super::{Distilled, Distiller};
use crate::limits::Limits;
use sift::Sift;

pub use manifest::JarManifest;
pub use pom::Coordinates;

/// Larger archives are told by their digest alone, in bytes. The largest with all their libraries have some 500 MiB.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

/// Archives of that many bytes are held in memory: most are smaller.
const MEMORY_BYTES: usize = 4 << 20;

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
    /// What is asked for was not kept as it passed: its layer has to be read again.
    NotKept,
}

impl JavaArchive {
    /// One that is not read.
    fn unread(sha1: String, kind: ArchiveFaultKind, reason: &str) -> Self {
        Self {
            archive: ArchiveContent { sha1, ..ArchiveContent::default() },
            faults: vec![ArchiveFault { entry: String::new(), kind, reason: reason.to_owned() }],
            n_more_faults: 0,
        }
    }

    /// Whether its layer has to be read again for it.
    pub fn is_not_kept(&self) -> bool {
        self.faults.iter().any(|fault| fault.kind == ArchiveFaultKind::NotKept)
    }

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

/// Keeps what is read of an archive.
pub(super) struct Reader {
    scratch: Scratch,
    state: State,
}

enum State {
    /// All of it.
    Whole { spool: Spool, hasher: Sha1 },
    /// A large one.
    Sift(Box<Sift>),
    /// One that is not read.
    Unread { hasher: Sha1, reason: &'static str },
    /// The disk failed.
    Failed(io::Error),
}

impl Reader {
    /// Of a file of that size. `keeps_whole`: a reading before has shown that all of it is needed.
    pub(super) fn new(size_bytes: u64, keeps_whole: bool, scratch: &Scratch) -> Self {
        let is_small = size_bytes <= MEMORY_BYTES as u64;
        let hasher = Sha1::new();
        let state = if size_bytes > MAX_ARCHIVE_BYTES {
            State::Unread { hasher, reason: "it has more than 1 GiB" }
        } else if !is_small && !keeps_whole {
            State::Sift(Box::new(Sift::new(size_bytes)))
        } else if is_small || scratch.has_room(size_bytes) {
            State::Whole { spool: scratch.spool(MEMORY_BYTES), hasher }
        } else {
            State::Unread { hasher, reason: NO_ROOM }
        };
        Self { scratch: scratch.clone(), state }
    }
}

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        match &mut self.state {
            State::Whole { spool, hasher } => {
                hasher.update(piece);
                match spool.append(piece) {
                    Ok(true) => {}
                    Ok(false) => self.state = State::Unread { hasher: hasher.clone(), reason: NO_ROOM },
                    Err(failure) => self.state = State::Failed(failure),
                }
            }
            State::Sift(sift) => sift.take(piece),
            State::Unread { hasher, .. } => hasher.update(piece),
            State::Failed(_) => {}
        }
        !matches!(self.state, State::Failed(_))
    }

    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>> {
        let archive = match self.state {
            State::Whole { mut spool, hasher } => {
                let (size_bytes, sha1) = (spool.length(), hexadecimal(&hasher.finalize()));
                walk::read(&mut spool, size_bytes, &self.scratch, sha1)
                    .map_err(|failure| spooling(&failure))?
            }
            State::Sift(sift) => of_passed(*sift, &self.scratch)?,
            State::Unread { hasher, reason } => {
                let sha1 = hexadecimal(&hasher.finalize());
                JavaArchive::unread(sha1, ArchiveFaultKind::TooLarge, reason)
            }
            State::Failed(failure) => return Err(spooling(&failure)),
        };
        Ok(Some(Distilled::JavaArchive(Box::new(archive))))
    }
}

/// Reads what was kept of an archive as it passed, or says that it is too little.
fn of_passed(sift: Sift, scratch: &Scratch) -> io::Result<JavaArchive> {
    let not_kept = |sha1| {
        let reason = "its layer could not be read again for it";
        JavaArchive::unread(sha1, ArchiveFaultKind::NotKept, reason)
    };
    let mut passed = match sift.finish() {
        Ok(passed) => passed,
        Err(sha1) => return Ok(not_kept(sha1)),
    };
    let (size_bytes, sha1) = (passed.parts.size_bytes(), passed.sha1.clone());
    match walk::read(&mut passed, size_bytes, scratch, sha1) {
        Err(error) if is_not_kept(&error) => Ok(not_kept(passed.sha1)),
        archive => archive,
    }
}

/// Reads an archive in what is kept of it as it passes in these pieces, as if it were a large one.
pub(crate) fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> io::Result<JavaArchive> {
    let pieces: Vec<&[u8]> = pieces.into_iter().collect();
    let mut sift = Sift::new(pieces.iter().map(|piece| piece.len() as u64).sum());
    for piece in pieces {
        sift.take(piece);
    }
    of_passed(sift, &Scratch::new(&Limits::default()))
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
