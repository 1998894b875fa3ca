//! What lies in the plugin directories, read without running any of it.

mod choice;
mod settle;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regent_oci::Digest;
use regent_plugin_api::load::{FilePolicy, LibraryFile, Lock, signature_file};
use regent_plugin_api::{Description, NativeDriver};
use tokio::time::Instant;

pub(super) use choice::Choice;
pub(super) use settle::SETTLE;

use super::trust::{Judge, SignatureState, Trust};
use settle::Settling;

/// How often the directories are looked at, at most. Short enough that a driver dropped in serves the next request of a
/// human.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Files of one directory that are looked at.
const MAX_FILES: usize = 256;
/// Ends of names under which files are written before they are renamed.
const UNFINISHED: [&str; 3] = [".tmp", ".part", "~"];

/// The directories, and what was last seen there.
pub(super) struct Index {
    directories: Vec<PathBuf>,
    trust: Trust,
    native: Vec<Entry>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    stamps: BTreeMap<PathBuf, Stamp>,
    settling: Settling,
    snapshot: Arc<Snapshot>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// Of the signature beside it: inode, size, last change.
    signature: Option<(u64, u64, i64, i64)>,
}

/// The drivers at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Linked-in ones first, then by directory and name.
    pub(super) entries: Vec<Arc<Entry>>,
}

/// One file, or a driver that is linked in.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) digest: Option<Digest>,
    pub(super) signature: SignatureState,
    /// The description, or why there is none or it doesn't count.
    pub(super) outcome: Result<Description, Refused>,
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    File { path: PathBuf, directory: PathBuf },
    Native(NativeDriver),
}

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) reason: String,
    /// What it says about itself, where that could be read all the same.
    pub(super) description: Option<Box<Description>>,
}

/// Tells apart what was loaded: the bytes of a file, or the name of a linked-in driver.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Bytes(Digest),
    Native(String),
}

impl Index {
    pub(super) fn new(directories: Vec<PathBuf>, trust: Trust) -> Self {
        Self { directories, trust, native: Vec::new(), state: Mutex::default() }
    }

    /// Adds a driver that is linked in.
    pub(super) fn add_native(&mut self, driver: NativeDriver) {
        let outcome = Ok(driver.description());
        let signature = SignatureState::Missing;
        self.native.push(Entry { source: Source::Native(driver), digest: None, signature, outcome });
    }

    /// What is there now. Reads the directories if the last look is old, and files that changed since. Blocking, some
    /// milliseconds for a dozen new files.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.look_at(&mut state);
        }
        Arc::clone(&state.snapshot)
    }

    /// The same, however old the last look is.
    pub(super) fn look_now(&self) -> Arc<Snapshot> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.look_at(&mut state);
        Arc::clone(&state.snapshot)
    }

    /// Whether files were seen that may still be written: another look is due after [`SETTLE`].
    pub(super) fn is_settling(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).settling.is_over()
    }

    fn look_at(&self, state: &mut State) {
        let mut found = self.look();
        let is_first = state.looked.replace(Instant::now()).is_none();
        // At the start all there is has to serve.
        if !is_first {
            found = state.settling.settle(found, &state.stamps);
        }
        let stamps: BTreeMap<PathBuf, Stamp> = found.iter().map(|f| (f.path.clone(), f.stamp)).collect();
        if is_first || stamps != state.stamps {
            let known = std::mem::take(&mut state.snapshot);
            state.snapshot = Arc::new(self.read(&found, &state.stamps, &known));
            state.stamps = stamps;
        }
    }

    fn look(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for directory in &self.directories {
            let lock = directory.join(Lock::FILE);
            if let Some(stamp) = Stamp::of(&lock) {
                found.push(Found { path: lock, directory: directory.clone(), stamp, is_library: false });
            }
            found.extend(libraries(directory));
        }
        found
    }

    /// Reads what is new, and keeps what is known.
    fn read(&self, found: &[Found], old: &BTreeMap<PathBuf, Stamp>, known: &Snapshot) -> Snapshot {
        let mut entries: Vec<Arc<Entry>> = self.native.iter().cloned().map(Arc::new).collect();
        let same = |f: &Found| old.get(&f.path) == Some(&f.stamp);
        for directory in &self.directories {
            let here = || found.iter().filter(|f| f.directory == *directory);
            // The lock decides about all files of its directory.
            let lock_now = here().find(|f| !f.is_library).map(|f| f.stamp);
            let lock_stays = lock_now.as_ref() == old.get(&directory.join(Lock::FILE));
            let judge = Judge::new(&self.trust, directory);
            for file in here().filter(|f| f.is_library) {
                let kept = known.entries.iter().find(|e| e.path() == Some(&file.path));
                match kept.filter(|_| lock_stays && same(file)) {
                    Some(entry) => entries.push(Arc::clone(entry)),
                    None => entries.push(Arc::new(Entry::read(&file.path, directory, &judge))),
                }
            }
        }
        Snapshot { entries }
    }
}

struct Found {
    path: PathBuf,
    directory: PathBuf,
    stamp: Stamp,
    is_library: bool,
}

/// The libraries of a directory, by name. One that is not there has none.
fn libraries(directory: &Path) -> Vec<Found> {
    let Ok(listing) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = listing.flatten().map(|entry| entry.path()).filter(|path| is_library(path));
    let mut paths: Vec<PathBuf> = names.take(MAX_FILES).collect();
    paths.sort();
    let stamped = paths.into_iter().filter_map(|path| {
        let stamp = Stamp::of(&path)?;
        Some(Found { path, directory: directory.to_owned(), stamp, is_library: true })
    });
    stamped.collect()
}

fn is_library(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return false };
    let unfinished = UNFINISHED.iter().any(|end| name.ends_with(end));
    path.extension().is_some_and(|e| e == "so") && !name.starts_with('.') && !unfinished
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        let signature = std::fs::metadata(signature_file(path)).ok();
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            signature: signature.map(|m| (m.ino(), m.size(), m.ctime(), m.ctime_nsec())),
        })
    }
}

impl Refused {
    pub(super) fn new(code: &str, reason: String) -> Self {
        Self { code: code.to_owned(), reason, description: None }
    }
}

impl Entry {
    /// Reads and describes one file, and has it judged.
    pub(super) fn read(path: &Path, directory: &Path, judge: &Judge<'_>) -> Self {
        let source = Source::File { path: path.to_owned(), directory: directory.to_owned() };
        let file = match LibraryFile::read(path, &FilePolicy::in_directory(directory)) {
            Ok(file) => file,
            Err(refusal) => {
                let outcome = Err(Refused::new(refusal.code(), refusal.to_string()));
                return Self { source, digest: None, signature: SignatureState::Missing, outcome };
            }
        };
        let (signature, refused) = judge.judge(&file, directory);
        let description = file.description().clone();
        let outcome = match refused {
            None => Ok(description),
            Some(refused) => Err(Refused { description: Some(Box::new(description)), ..refused }),
        };
        Self { source, digest: Some(file.digest().clone()), signature, outcome }
    }

    pub(super) fn path(&self) -> Option<&PathBuf> {
        match &self.source {
            Source::File { path, .. } => Some(path),
            Source::Native(_) => None,
        }
    }

    /// The file's name, for messages.
    pub(super) fn label(&self) -> String {
        match &self.source {
            Source::File { path, .. } => {
                path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Source::Native(driver) => format!("{} (linked in)", driver.description().name),
        }
    }

    /// `None` for a file that is refused.
    pub(super) fn key(&self) -> Option<Key> {
        let description = self.outcome.as_ref().ok()?;
        Some(match &self.digest {
            Some(digest) => Key::Bytes(digest.clone()),
            None => Key::Native(description.name.clone()),
        })
    }
}

#[cfg(test)]
mod tests;
