//! Executables and libraries (ELF) that say what they were built from: Go programs by their build information, Rust
//! programs by the list that `cargo auditable` embeds.
//!
//! They have any name and lie anywhere: every file that can be run passes here, and some more ([`may_be`]). All but ELF
//! files are let go after their first bytes. What is asked of an ELF file lies at places that its end tells. A small one
//! is held in memory; of a large one what is usually asked for is kept as it passes (`sift`). The few of which that is
//! not enough are read again, and go through a temporary file then. Only one with a marker of either language is read.

mod build_info;
mod crates;
mod elf;
mod file_table;
mod markers;
mod packages;
mod program;
mod sift;
mod spool;

use std::io;

use memchr::{memchr, memmem};
use serde::{Deserialize, Serialize};

use super::parts::is_not_kept;
use super::scratch::{self, Scratch};
use super::{Distilled, Distiller};
use crate::path::LayerPath;

use self::elf::Elf;
use self::markers::Markers;
use self::sift::Sift;
use self::spool::Spool;

pub use crates::Crate;
pub use program::{GoModule, GoPackage, GoProgram};

/// Larger files are not read, in bytes. The largest programs have some 500 MiB.
const MAX_BYTES: u64 = 1 << 30;
/// Files of that many bytes are held in memory.
const MEMORY_BYTES: usize = 4 << 20;
/// The bytes that tell whether a file is an executable or library.
const HEAD_BYTES: usize = 18;

/// What an executable says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Executable {
    /// A program in Go.
    Go(GoProgram),
    /// A program in Rust: the crates that were built into it.
    Rust(Vec<Crate>),
    /// One that should say it, and can't be read.
    Unreadable(ExecutableFault),
}

/// Why an executable can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExecutableFault {
    /// It has more than 1 GiB.
    TooLarge,
    /// What is asked for was not kept as it passed: its layer has to be read again.
    NotKept,
    /// Its layer has more such files than have room in temporary ones.
    NoRoom,
    /// Its Go build information is damaged.
    BuildInfo,
    /// The list of its crates is damaged.
    CrateList,
}

impl Executable {
    pub(super) fn cost_bytes(&self) -> usize {
        match self {
            Self::Go(program) => program.cost_bytes(),
            Self::Rust(crates) => crates.iter().map(Crate::cost_bytes).sum(),
            Self::Unreadable(_) => 0,
        }
    }
}

/// Directories in which what can't be run is no program, though its name has no extension: data of the system and of
/// its users, with caches of many and large files.
const DIRECTORIES_OF_DATA: [&str; 13] = [
    "/boot", "/dev", "/etc", "/home", "/media", "/mnt", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp",
    "/var",
];

/// Whether a file may be an executable or library, by what is known without its content: someone may run it, or it has
/// the name of a library, or a name without an extension in a place for programs. A layer's table of contents tells as
/// much, so that most files need not be fetched.
pub(crate) fn may_be(path: &LayerPath, size_bytes: u64, is_runnable: bool) -> bool {
    if size_bytes < HEAD_BYTES as u64 {
        return false;
    }
    let name = path.file_name();
    is_runnable
        || has_name_of_library(name)
        || (memchr(b'.', name.trim_start_matches('.').as_bytes()).is_none()
            && !DIRECTORIES_OF_DATA.iter().any(|directory| path.is_within(directory)))
}

/// `libx.so`, `libx.so.1.2`, and modules of Node.js.
fn has_name_of_library(name: &str) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".so") || name.ends_with(b".node") || memmem::find(name, b".so.").is_some()
}

/// Tells executables from other files, and keeps what is read of them.
pub(super) struct Reader {
    size_bytes: u64,
    scratch: Scratch,
    /// Whether a large one goes to a temporary file.
    keeps_whole: bool,
    state: State,
}

enum State {
    /// The first bytes, until they tell what it is.
    Head(Vec<u8>),
    /// An executable: what has passed of it.
    Memory { start: Vec<u8>, markers: Markers },
    /// A large one.
    Sift(Box<Sift>),
    /// A large one, all of which is asked for.
    Disk { spool: scratch::Spool, markers: Markers },
    /// One that is not kept although all of it is asked for.
    NoRoom(Markers),
    /// One that is larger than any that is read: its beginning, in which Go leaves a note.
    Huge(Vec<u8>),
    /// Something else.
    Other,
    /// The disk failed.
    Failed(io::Error),
}

impl Reader {
    /// Of a file of that size. `keeps_whole`: a reading before has shown that all of it is needed.
    pub(super) fn new(size_bytes: u64, keeps_whole: bool, scratch: &Scratch) -> Self {
        Self { size_bytes, scratch: scratch.clone(), keeps_whole, state: State::Head(Vec::new()) }
    }

    /// How an executable is kept.
    fn begin(&self) -> State {
        let markers = Markers::default();
        if self.size_bytes > MAX_BYTES {
            State::Huge(Vec::new())
        } else if self.size_bytes <= MEMORY_BYTES as u64 {
            State::Memory { start: self.scratch.buffer(MEMORY_BYTES), markers }
        } else if !self.keeps_whole {
            State::Sift(Box::new(Sift::new()))
        } else if self.scratch.has_room(self.size_bytes) {
            State::Disk { spool: self.scratch.spool(0), markers }
        } else {
            State::NoRoom(markers)
        }
    }

    /// Takes bytes of an executable. Whether more of it is wanted.
    fn keep(&mut self, piece: &[u8]) -> bool {
        match &mut self.state {
            State::Memory { start, markers } => {
                markers.look(piece);
                start.extend_from_slice(piece);
            }
            State::Sift(sift) => sift.take(piece),
            State::Disk { spool, markers } => {
                markers.look(piece);
                match spool.append(piece) {
                    Ok(true) => {}
                    Ok(false) => self.state = State::NoRoom(std::mem::take(markers)),
                    Err(error) => self.state = State::Failed(error),
                }
            }
            State::NoRoom(markers) => markers.look(piece),
            State::Huge(start) => {
                start.extend(piece.iter().take(markers::EARLY_BYTES - start.len()));
                return start.len() < markers::EARLY_BYTES;
            }
            State::Head(_) | State::Other | State::Failed(_) => return false,
        }
        !matches!(self.state, State::Failed(_))
    }
}

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        let State::Head(head) = &mut self.state else { return self.keep(piece) };
        // Nearly always the first piece is the whole head, and the file is no executable.
        if head.is_empty() && piece.len() >= HEAD_BYTES && !elf::is_program(piece) {
            self.state = State::Other;
            return false;
        }
        head.extend_from_slice(piece);
        if head.len() < HEAD_BYTES {
            return true;
        }
        let start = std::mem::take(head);
        if !elf::is_program(&start) {
            self.state = State::Other;
            return false;
        }
        self.state = self.begin();
        self.keep(&start)
    }

    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>> {
        let Self { state, scratch, .. } = *self;
        let unreadable = |fault| Some(Distilled::Executable(Executable::Unreadable(fault)));
        let (mut file, markers) = match state {
            State::Failed(error) => return Err(error),
            State::Head(_) | State::Other => return Ok(None),
            State::NoRoom(markers) => {
                return Ok(unreadable(ExecutableFault::NoRoom).filter(|_| markers.any()));
            }
            State::Huge(start) => {
                return Ok(unreadable(ExecutableFault::TooLarge).filter(|_| markers::has_go_note(&start)));
            }
            State::Memory { start, markers } => (Spool::Memory(start), markers),
            State::Disk { spool, markers } => (Spool::Disk(spool), markers),
            State::Sift(sift) => {
                let (parts, markers) = sift.finish();
                (Spool::Parts(parts), markers)
            }
        };
        let executable = if markers.any() { read(&mut file, &markers) } else { Ok(None) };
        match file {
            Spool::Memory(content) => scratch.give_back(content),
            Spool::Parts(_) if executable.as_ref().is_err_and(is_not_kept) => {
                return Ok(unreadable(ExecutableFault::NotKept));
            }
            Spool::Parts(_) | Spool::Disk(_) => {}
        }
        Ok(executable?.map(Distilled::Executable))
    }
}

/// Reads what the markers promise. `None` where there is nothing of the kind: programs that look for the markers
/// contain them as well.
fn read(file: &mut Spool, markers: &Markers) -> io::Result<Option<Executable>> {
    let Some(elf) = spool::readable(Elf::read(file))? else { return Ok(None) };
    if markers.has_go {
        match spool::readable(program::read(&elf, file))? {
            Some(Some(program)) => return Ok(Some(Executable::Go(program))),
            None => return Ok(Some(Executable::Unreadable(ExecutableFault::BuildInfo))),
            Some(None) => {}
        }
    }
    if !markers.has_crates {
        return Ok(None);
    }
    Ok(match spool::readable(crates::read(&elf, file))? {
        Some(crates) => crates.map(Executable::Rust),
        None => Some(Executable::Unreadable(ExecutableFault::CrateList)),
    })
}

/// The crates that a section of `cargo auditable` lists; `None` for a damaged one.
pub(crate) fn crate_list(section: &[u8]) -> Option<Vec<Crate>> {
    crates::parse(section).ok()
}

#[cfg(test)]
pub(crate) mod tests;
