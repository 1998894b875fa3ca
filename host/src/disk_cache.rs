//! What is known already, in files of one directory. None of it is needed: what is gone, damaged or of another release is
//! not there, and is made again from its source.
//!
//! Processes may share a directory. An entry is a file that appears under its name as a whole (`frame`) and is never
//! changed; whoever reads one sees that it is as it was written, so that nothing has to be flushed, and a crash or somebody
//! else's hands cost entries and no more. When there is no room the least recently used leave.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use crate::settings::{Settings, create_private_dir};

mod frame;
mod name;
mod sweep;

pub(crate) use name::EntryName;
use sweep::Sweep;

/// The largest file, in bytes. One that is no larger than a quarter of all there may be.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// What a file takes is a multiple of this, in bytes.
const BLOCK_BYTES: u64 = 4096;
/// What may wait to be written, in KiB of memory. More is not kept.
const MAX_WAITING_KIB: u32 = 32 << 10;
/// An entry's time of use is noted no more often than this: it costs a write.
const NOTED_EVERY: Duration = Duration::from_mins(1);
/// The directory is looked through for what is too old as often as this, while it is used.
const SWEPT_EVERY: Duration = Duration::from_hours(1);
/// And for what is too much when this part of all there may be was written, by this process.
const SWEPT_AFTER_PART: u64 = 64;

/// Where a cache is, and how large it may be.
#[derive(Debug, Clone)]
pub struct DiskCacheConfig {
    /// The directory. Made when it is not there; no one else may read it.
    pub directory: PathBuf,
    /// What all files may take, in bytes.
    pub max_bytes: u64,
    /// How long an entry is kept that nobody uses.
    pub max_age: Duration,
    /// Nothing is written while the disk has less room than this, in bytes: that is for what is needed.
    pub reserve_bytes: u64,
}

impl DiskCacheConfig {
    /// The cache of this agent's data directory, by its settings, with so much where they say nothing. `None` for none.
    pub fn of(settings: &Settings, default_max_bytes: u64) -> Option<Self> {
        let max_bytes = settings.capture_cache.max_bytes.unwrap_or(default_max_bytes);
        (max_bytes > 0).then(|| Self {
            directory: settings.data_dir.join("captures"),
            max_bytes,
            max_age: settings.capture_cache.max_age,
            // Twice what the queue wants free: the cache is never what makes the agent refuse work.
            reserve_bytes: settings.admission.min_free_disk_bytes.saturating_mul(2),
        })
    }
}

/// A cache in files of one directory. Cheap to clone.
#[derive(Clone)]
pub struct DiskCache {
    shared: Arc<Shared>,
    /// What is on its way to the disk.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

struct Shared {
    config: DiskCacheConfig,
    room: Arc<Semaphore>,
    written_bytes: AtomicU64,
    // std, since it is held for a few instructions and never over an await.
    swept: Mutex<Instant>,
    has_warned: AtomicBool,
}

impl DiskCache {
    /// A cache in this directory, which is swept of what earlier processes left. To be called in a tokio runtime. It always
    /// comes about: on a disk that can't be used it has nothing and keeps nothing.
    pub fn open(config: DiskCacheConfig) -> Self {
        let shared = Shared {
            config,
            room: Arc::new(Semaphore::new(MAX_WAITING_KIB as usize)),
            written_bytes: AtomicU64::new(0),
            swept: Mutex::new(Instant::now()),
            has_warned: AtomicBool::new(false),
        };
        let cache = Self { shared: Arc::new(shared), tasks: Arc::default() };
        cache.spawn(|shared| {
            shared.prepare();
            shared.sweep(0);
        });
        cache
    }

    /// What `decode` makes of an entry, if that is there as it was written. One that it makes nothing of is damaged, and is
    /// deleted.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        name: EntryName,
        decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(&self.shared);
        spawn_blocking(move || shared.read(&name, decode)).await.ok().flatten()
    }

    /// Keeps what `encode` makes, at some time from now. It has `cost_bytes` in memory until then, about; where much waits
    /// already it is not kept.
    pub(crate) fn write(
        &self,
        name: EntryName,
        cost_bytes: u64,
        encode: impl FnOnce() -> Option<Vec<u8>> + Send + 'static,
    ) {
        let Ok(cost_kib) = u32::try_from(cost_bytes / 1024 + 1) else { return };
        let Ok(room) = Arc::clone(&self.shared.room).try_acquire_many_owned(cost_kib) else {
            tracing::debug!(%name, "not kept: much is to be written already, or it is large");
            return;
        };
        self.spawn(move |shared| {
            if let Some(content) = encode() {
                shared.write(&name, &content);
            }
            drop(room);
        });
    }

    /// Returns once all that is to be kept is on the disk.
    pub async fn settle(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    fn spawn(&self, work: impl FnOnce(&Shared) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_blocking(move || work(&shared));
    }
}

impl Shared {
    fn path(&self, name: &EntryName) -> PathBuf {
        self.config.directory.join(name.file_name())
    }

    /// Makes the directory, or takes the rights of others away.
    fn prepare(&self) {
        let directory = &self.config.directory;
        let prepared = create_private_dir(directory).and_then(|()| {
            let mut permissions = directory.metadata()?.permissions();
            if permissions.mode() & 0o077 != 0 {
                permissions.set_mode(0o700);
                std::fs::set_permissions(directory, permissions)?;
            }
            Ok(())
        });
        if let Err(error) = prepared {
            self.failed(&error);
        }
    }

    fn read<T>(&self, name: &EntryName, decode: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let path = self.path(name);
        let found = open(&path).and_then(|file| match load(&file, self.config.max_age)? {
            Loaded::Old => Ok(None),
            Loaded::Bytes(bytes) => {
                let content = frame::content(&bytes, &name.file_name());
                let found = content.and_then(decode).ok_or(io::ErrorKind::InvalidData)?;
                note_use(&file);
                Ok(Some(found))
            }
        });
        match found {
            Ok(Some(found)) => return Some(found),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(file = %path.display(), "a file of the cache is damaged, and is deleted");
            }
            Err(error) => self.failed(&error),
        }
        // Somebody may have put a sound one in its place meanwhile: that is made again, too.
        let _ = std::fs::remove_file(&path);
        None
    }

    fn write(&self, name: &EntryName, content: &[u8]) {
        let file_name = name.file_name();
        let framed = frame::framed(content, &file_name);
        let (n_bytes, max_bytes) =
            ((framed.len() as u64).next_multiple_of(BLOCK_BYTES), self.config.max_bytes);
        if n_bytes > MAX_FILE_BYTES.min(max_bytes / 4) {
            return;
        }
        if !self.has_room(n_bytes) {
            tracing::debug!(%name, "not kept: the disk is nearly full");
            return;
        }
        let written_bytes = self.written_bytes.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes;
        let since = self.swept.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if since >= SWEPT_EVERY || written_bytes > max_bytes / SWEPT_AFTER_PART {
            self.sweep(n_bytes);
        }
        let path = self.config.directory.join(&file_name);
        let written = match publish(&self.config.directory, &path, &framed) {
            // Somebody has deleted the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.prepare();
                publish(&self.config.directory, &path, &framed)
            }
            other => other,
        };
        if let Err(error) = written {
            self.failed(&error);
        }
    }

    /// Deletes what is too old, too much with so much that is to come, of other releases, or half written.
    fn sweep(&self, coming_bytes: u64) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.written_bytes.store(coming_bytes, Ordering::Relaxed);
        let DiskCacheConfig { directory, max_bytes, max_age, .. } = &self.config;
        let (max_bytes, max_age, now) = (*max_bytes, *max_age, SystemTime::now());
        match (Sweep { max_bytes, coming_bytes, max_age, now }).run(directory) {
            Ok(swept) => tracing::debug!(?swept, "the cache was looked through"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.failed(&error),
        }
    }

    fn has_room(&self, n_bytes: u64) -> bool {
        rustix::fs::statvfs(&self.config.directory).map_or(true, |found| {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            free >= self.config.reserve_bytes.saturating_add(n_bytes)
        })
    }

    /// Says once that the disk can't be used. The cache is of no use then, and nothing else changes.
    fn failed(&self, error: &io::Error) {
        let directory = self.config.directory.display();
        if self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, %directory, "the cache can't be used");
        } else {
            tracing::warn!(%error, %directory, "the cache can't be used: layers are read again that were read before");
        }
    }
}

enum Loaded {
    Bytes(Vec<u8>),
    /// Nobody has used it for too long.
    Old,
}

/// Opens a file for reading, without following a link and without waiting for whoever writes into a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let is_no_file = |error: &io::Error| {
        // A link, and a socket.
        [Errno::LOOP, Errno::NXIO].map(|errno| Some(errno.raw_os_error())).contains(&error.raw_os_error())
    };
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| if is_no_file(&error) { io::ErrorKind::InvalidData.into() } else { error })
}

/// A file's bytes, no more than there may be.
fn load(file: &File, max_age: Duration) -> io::Result<Loaded> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if sweep::age(metadata.modified()?, SystemTime::now()) > max_age {
        return Ok(Loaded::Old);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    io::Read::take(file, MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(Loaded::Bytes(bytes))
}

/// Keeps an entry from being the next one that leaves. If that can't be noted, it leaves earlier.
fn note_use(file: &File) {
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    if modified.is_ok_and(|modified| sweep::age(modified, now) > NOTED_EVERY) {
        let _ = file.set_modified(now);
    }
}

/// Writes a file beside its place and puts it there: nobody sees a part of it.
fn publish(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(name::UNFINISHED.0)
        .suffix(name::UNFINISHED.1)
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

impl fmt::Debug for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskCache").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
