//! Which driver's code runs now, in a small file that outlives the process.
//!
//! Only code of a driver can end the process at any moment, and a process that was ended so can't say whose it was. So
//! each driver's thread has a line of the file with its id, and marks it while it is in the driver's code: one byte is
//! written as it enters and one as it leaves. Nothing is synced: what was written is there after the end of the process, and
//! the end of the machine is nobody's fault. The one that starts the agent again reads it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use regent_oci::Digest;
use serde::{Deserialize, Serialize};

/// Bytes of a line, its mark and end included.
const LINE: usize = 1024;
/// Lines that are read: more than a process has threads for drivers.
const MAX_LINES: usize = 4096;
/// Digits of a thread's id, behind the mark.
const ID: usize = 10;
/// The marks.
const INSIDE: u8 = b'!';
const OUTSIDE: u8 = b' ';

/// The file, as the agent writes it.
#[derive(Debug)]
pub struct Crumbs {
    file: File,
    lines: Mutex<Lines>,
}

/// Lines so far, and those that are free again.
#[derive(Debug, Default)]
struct Lines {
    count: u64,
    free: Vec<u64>,
}

/// A library whose code may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The driver's name.
    pub driver: String,
    /// Its version.
    pub version: String,
    /// The name of its file.
    pub file: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// A line, as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose code the thread runs.
    pub suspect: Suspect,
    /// The id of the thread, where it has begun.
    pub thread: Option<u32>,
    /// Whether it was in that code.
    pub is_inside: bool,
}

/// A library, and where it is noted that its code runs.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) crumbs: Arc<Crumbs>,
    pub(super) suspect: Suspect,
}

impl Note {
    /// A line for a thread that is to run code of the library. Without one nothing is noted.
    pub(super) fn line(&self) -> Option<Crumb> {
        self.crumbs.line(&self.suspect)
    }
}

/// The line of one thread. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Crumb {
    crumbs: Arc<Crumbs>,
    at: u64,
}

impl Crumbs {
    /// Begins the file anew.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self { file, lines: Mutex::default() })
    }

    fn line(self: &Arc<Self>, suspect: &Suspect) -> Option<Crumb> {
        let mut text = vec![OUTSIDE];
        text.resize(1 + ID, b' ');
        serde_json::to_writer(&mut text, suspect).ok().filter(|()| text.len() < LINE)?;
        text.resize(LINE - 1, b' ');
        text.push(b'\n');
        let at = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.free.pop().unwrap_or_else(|| {
                lines.count += 1;
                lines.count - 1
            })
        } * LINE as u64;
        self.file.write_all_at(&text, at).ok()?;
        Some(Crumb { crumbs: Arc::clone(self), at })
    }

    /// What the last process that wrote the file noted of its threads. A file that is not there has none, and lines that can't
    /// be read are nobody's.
    pub fn read(path: &Path) -> Vec<Line> {
        let Ok(text) = std::fs::read(path) else { return Vec::new() };
        text.split(|byte| *byte == b'\n').take(MAX_LINES).filter_map(Line::parse).collect()
    }
}

impl Line {
    fn parse(line: &[u8]) -> Option<Self> {
        let (mark, rest) = line.split_first()?;
        let (id, suspect) = rest.split_at_checked(ID)?;
        let suspect = serde_json::from_slice(suspect).ok()?;
        let thread = std::str::from_utf8(id).ok().and_then(|id| id.trim().parse().ok());
        Some(Self { suspect, thread, is_inside: *mark == INSIDE })
    }
}

impl Crumb {
    /// The line is this thread's from now on.
    pub(super) fn is_of_this_thread(&self) {
        let id = format!("{:<ID$}", rustix::thread::gettid().as_raw_nonzero());
        let _ = self.crumbs.file.write_at(id.as_bytes(), self.at + 1);
    }

    /// The thread is in the library's code from now on.
    pub(super) fn enter(&self) {
        self.mark(INSIDE);
    }

    /// It is not any more.
    pub(super) fn leave(&self) {
        self.mark(OUTSIDE);
    }

    fn mark(&self, mark: u8) {
        // A disk that is full keeps a line that it has; and a note that is lost only names nobody.
        let _ = self.crumbs.file.write_at(&[mark], self.at);
    }
}

impl Drop for Crumb {
    fn drop(&mut self) {
        self.leave();
        self.crumbs.lines.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.at / LINE as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(driver: &str) -> Suspect {
        let digest = Digest::sha256(driver.as_bytes());
        let file = format!("libregent_driver_{driver}.so");
        Suspect { driver: driver.to_owned(), version: "1.0.0".to_owned(), file, digest }
    }

    fn inside(path: &Path) -> Vec<Suspect> {
        Crumbs::read(path).into_iter().filter(|line| line.is_inside).map(|line| line.suspect).collect()
    }

    #[test]
    fn those_that_are_inside_are_told_with_their_threads_and_lines_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("running");
        assert_eq!(Crumbs::read(&path), []);
        let crumbs = Arc::new(Crumbs::create(&path).unwrap());
        let (harbor, quay) =
            (crumbs.line(&suspect("harbor")).unwrap(), crumbs.line(&suspect("quay")).unwrap());
        assert_eq!(inside(&path), []);
        harbor.is_of_this_thread();
        harbor.enter();
        let own = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let line = |driver, thread, is_inside| Line { suspect: suspect(driver), thread, is_inside };
        assert_eq!(
            Crumbs::read(&path),
            [line("harbor", Some(own), true), line("quay", None, false)],
            "a thread that has not begun has no id"
        );
        quay.enter();
        harbor.leave();
        assert_eq!(inside(&path), [suspect("quay")]);
        drop(quay);
        assert_eq!(inside(&path), []);
        let nexus = crumbs.line(&suspect("nexus")).unwrap();
        nexus.enter();
        assert_eq!(inside(&path), [suspect("nexus")]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * LINE as u64);
        // What another process left is no concern of the next one.
        Crumbs::create(&path).unwrap();
        assert_eq!(Crumbs::read(&path), []);
        std::fs::write(&path, b"!damaged\n! {}\n!          {}\n\xff").unwrap();
        assert_eq!(Crumbs::read(&path), []);
    }
}
