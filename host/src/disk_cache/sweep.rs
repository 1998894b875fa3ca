//! What leaves the cache: what is too old, of another release, half written, and the least recently used where all is too
//! much. What is not the cache's own stays where it is.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::name::Found;

/// A file that is being written is younger than this. An older one was left by a process that died.
const WRITTEN_WITHIN: Duration = Duration::from_mins(10);
/// There is too much where fewer than this part of all there may be is free: several processes write at the same time.
const FREE_PART: u64 = 16;
/// Then this part is made free, so that it is not done again at once.
const FREED_PART: u64 = 8;

/// By which rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    pub(super) max_bytes: u64,
    /// What is to be written next.
    pub(super) coming_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) now: SystemTime,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Files that were deleted.
    pub(super) n_deleted: usize,
    /// Entries that stay.
    pub(super) n_kept: usize,
    /// What they take.
    pub(super) kept_bytes: u64,
}

struct Entry {
    used: SystemTime,
    size_bytes: u64,
    path: PathBuf,
}

impl Sweep {
    /// Looks through a directory. Files that vanish meanwhile are somebody else's work.
    pub(super) fn run(&self, directory: &Path) -> io::Result<Swept> {
        let mut swept = Swept::default();
        let mut entries = Vec::new();
        for file in fs::read_dir(directory)? {
            let file = file?;
            let name = file.file_name();
            let found = name.to_str().map_or(Found::Foreign, Found::of);
            let Ok(metadata) = file.metadata() else { continue };
            let Ok(used) = metadata.modified() else { continue };
            if metadata.is_dir() {
                continue;
            }
            let age = age(used, self.now);
            let leaves = match found {
                Found::Entry => age > self.max_age,
                Found::OtherRelease => true,
                Found::Unfinished => age > WRITTEN_WITHIN,
                Found::Foreign => continue,
            };
            if leaves {
                swept.n_deleted += usize::from(fs::remove_file(file.path()).is_ok());
            } else if found == Found::Entry {
                entries.push(Entry { used, size_bytes: size_bytes(&metadata), path: file.path() });
            }
        }
        let mut kept_bytes = entries.iter().map(|entry| entry.size_bytes).sum();
        let without = |part: u64| self.max_bytes.saturating_sub(part).saturating_sub(self.coming_bytes);
        if kept_bytes > without(self.max_bytes / FREE_PART) {
            let enough = without(self.max_bytes / FREED_PART);
            entries.sort_by_key(|entry| entry.used);
            entries.retain(|entry| {
                if kept_bytes <= enough {
                    return true;
                }
                kept_bytes -= entry.size_bytes;
                swept.n_deleted += usize::from(fs::remove_file(&entry.path).is_ok());
                false
            });
        }
        Ok(Swept { n_kept: entries.len(), kept_bytes, ..swept })
    }
}

/// How long ago that was. What is in the future, by a clock that was set back, is now.
pub(super) fn age(used: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(used).unwrap_or_default()
}

/// What a file takes of the disk, in bytes: whole blocks.
fn size_bytes(metadata: &Metadata) -> u64 {
    metadata.len().max(metadata.blocks().saturating_mul(512))
}
