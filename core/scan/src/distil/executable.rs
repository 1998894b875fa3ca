//! Executables and libraries (ELF) that say what they were built from: Go programs by their build information, Rust
//! programs by the list that `cargo auditable` embeds.
//!
//! They have any name and lie anywhere: every file that can be run passes here, and some more ([`may_be`]). All but ELF
//! files are let go after their first bytes. What is asked of an ELF file lies at places that its end tells, so it is
//! spooled, in memory as long as it is small, and on disk only if it looks like one of these languages; only one with a
//! marker of either is read then.

mod build_info;
mod crates;
mod elf;
mod file_table;
mod markers;
mod packages;
mod program;
mod spool;

use std::io;

use memchr::{memchr, memmem};
use serde::{Deserialize, Serialize};

use super::scratch::{self, Scratch};
use super::{Distilled, Distiller};
use crate::path::LayerPath;

use self::elf::Elf;
use self::markers::Markers;
use self::spool::Spool;

pub use crates::Crate;
pub use program::{GoModule, GoPackage, GoProgram};

/// Larger files are not read, in bytes. The largest programs have some 500 MiB.
const MAX_BYTES: u64 = 1 << 30;
/// So much of a file is held in memory, in bytes. One with more goes to a temporary file, if it is worth it.
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
    /// It was not spooled: it has more than 1 GiB, or looked like neither language.
    NotSpooled,
    /// It was not spooled, since its layer has too many that had to be.
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

/// Tells executables from other files, and spools them.
pub(super) struct Reader {
    size_bytes: u64,
    scratch: Scratch,
    state: State,
    markers: Markers,
}

enum State {
    /// The first bytes, until they tell what it is.
    Head(Vec<u8>),
    /// An executable: what has passed of it.
    Memory(Vec<u8>),
    /// The same, of which there was too much.
    Disk(scratch::Spool),
    /// One that is only looked through for markers, and why it is not spooled.
    Watched(ExecutableFault),
    /// Something else.
    Other,
    /// The disk failed.
    Failed(io::Error),
}

impl Reader {
    pub(super) fn new(size_bytes: u64, scratch: &Scratch) -> Self {
        let (state, markers) = (State::Head(Vec::new()), Markers::default());
        Self { size_bytes, scratch: scratch.clone(), state, markers }
    }

    /// Takes bytes of an executable.
    fn spool(&mut self, piece: &[u8]) -> bool {
        self.markers.look(piece);
        let outcome = match &mut self.state {
            State::Memory(start) if start.len() + piece.len() > MEMORY_BYTES => {
                let is_worth_it = self.size_bytes <= MAX_BYTES && markers::may_be_go_or_rust(start);
                // Of what is not even looked through, the beginning has to do.
                self.markers.has_go |= self.size_bytes > MAX_BYTES && markers::has_go_note(start);
                let start = std::mem::take(start);
                let fault = if !is_worth_it {
                    Some(ExecutableFault::NotSpooled)
                } else if !self.scratch.has_room(self.size_bytes) {
                    Some(ExecutableFault::NoRoom)
                } else {
                    None
                };
                let mut spool = self.scratch.spool(0);
                let outcome = match fault {
                    Some(_) => Ok(true),
                    None => spool.append(&start).and_then(|_| spool.append(piece)),
                };
                self.scratch.give_back(start);
                self.state = fault.map_or(State::Disk(spool), State::Watched);
                outcome
            }
            State::Memory(start) => {
                start.extend_from_slice(piece);
                Ok(true)
            }
            State::Disk(spool) => spool.append(piece),
            // A file above the limit, most of which may be holes, is not looked through either.
            State::Watched(_) => return self.size_bytes <= MAX_BYTES,
            State::Head(_) | State::Other | State::Failed(_) => return false,
        };
        match outcome {
            Ok(true) => true,
            Ok(false) => {
                self.state = State::Watched(ExecutableFault::NoRoom);
                true
            }
            Err(error) => {
                self.state = State::Failed(error);
                false
            }
        }
    }
}

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        let State::Head(head) = &mut self.state else { return self.spool(piece) };
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
        self.state = State::Memory(self.scratch.buffer());
        self.spool(&start)
    }

    fn finish(self: Box<Self>) -> io::Result<Option<Distilled>> {
        let Self { state, markers, scratch, .. } = *self;
        let mut file = match state {
            State::Failed(error) => return Err(error),
            State::Head(_) | State::Other => return Ok(None),
            State::Watched(fault) => {
                return Ok(markers.any().then_some(Distilled::Executable(Executable::Unreadable(fault))));
            }
            State::Memory(content) => Spool::Memory(content),
            State::Disk(spool) => Spool::Disk(spool),
        };
        let executable = if markers.any() { read(&mut file, &markers)? } else { None };
        if let Spool::Memory(content) = file {
            scratch.give_back(content);
        }
        Ok(executable.map(Distilled::Executable))
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
