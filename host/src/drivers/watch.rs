//! Noticing that files of the plugin directories change: by inotify, and by looking now and then.
//!
//! Network file systems do not tell of changes that others make, so those are looked at often. All others are looked at as
//! well, but seldom: a directory may be replaced, or appear later.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep};

use super::Drivers;
use super::index::SETTLE;
use crate::shutdown::Shutdown;

/// How often directories are looked at that tell of their changes.
const LOOK_SELDOM: Duration = Duration::from_secs(10);
/// How often directories are looked at that don't.
const LOOK_OFTEN: Duration = Duration::from_secs(2);
/// What happens to files comes in bursts: so long after the first sign all are taken together.
const BURST: Duration = Duration::from_millis(20);

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watch {
    /// By the kernel's word, and often by looking where the file system is one of the network.
    #[default]
    Auto,
    /// By the kernel's word, whatever the file system.
    Notify,
    /// By looking.
    Poll,
}

/// Numbers of file systems whose changes may be made on other machines (`statfs(2)`): AFS, Ceph, CIFS, Coda, FUSE, GFS2,
/// Lustre, NCP, NFS, OCFS2, SMB, SMB2, 9P.
const REMOTE: [u32; 13] = [
    0x5346_414f,
    0x00c3_6400,
    0xff53_4d42,
    0x7375_7245,
    0x6573_5546,
    0x0116_1970,
    0x0bd0_0bd0,
    0x0000_564c,
    0x0000_6969,
    0x7461_636f,
    0x0000_517b,
    0xfe53_4d42,
    0x0102_1997,
];

impl Drivers {
    /// Notices what changes in the plugin directories, and makes of it what has to be made, until the stop is asked for.
    /// While this runs, requests take what serves and look at nothing.
    pub async fn watch(&self, watch: Watch, mut shutdown: Shutdown) {
        let shared = &self.shared;
        self.change().await;
        shared.is_watched.store(true, Ordering::Release);
        let directories = shared.config.directories.clone();
        let signs = Signs::new(watch, &directories);
        loop {
            let is_told = signs.listen(&directories);
            let pause = self.pause(is_told);
            tokio::select! {
                () = signs.next() => sleep(BURST).await,
                () = sleep(pause) => {}
                () = shutdown.requested() => break,
            }
            signs.clear();
            self.change().await;
        }
        shared.is_watched.store(false, Ordering::Release);
    }

    /// How long nothing is due.
    fn pause(&self, is_told: bool) -> Duration {
        let shared = &self.shared;
        let usual = if is_told { LOOK_SELDOM } else { LOOK_OFTEN };
        let settling = shared.index.is_settling().then_some(SETTLE);
        let leaving = shared.generations().next_leave();
        let leaving = leaving.map(|at| at.saturating_duration_since(Instant::now()));
        [Some(usual), settling, leaving].into_iter().flatten().min().unwrap_or(usual)
    }
}

/// The kernel's signs that something has changed.
struct Signs {
    /// `None` where the kernel is not asked, or gives none.
    inotify: Option<Receiver>,
    is_remote: bool,
}

impl Signs {
    fn new(watch: Watch, directories: &[PathBuf]) -> Self {
        if watch == Watch::Poll {
            return Self { inotify: None, is_remote: false };
        }
        let started = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(std::io::Error::from);
        // No pipe, but as the runtime sees it: something to be read that may have nothing yet.
        let inotify = match started.and_then(Receiver::from_owned_fd_unchecked) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                tracing::warn!(%error, "the kernel tells of no changes; the plugin directory is looked at every 2 s");
                None
            }
        };
        Self { inotify, is_remote: watch == Watch::Auto && directories.iter().any(|d| is_remote(d)) }
    }

    /// Asks about the directories, which may be others now under the same names. Whether the kernel will tell of all
    /// changes.
    fn listen(&self, directories: &[PathBuf]) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let events = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        // Asking again about the same one changes nothing.
        let all =
            directories.iter().filter(|d| add_watch(inotify, d.as_path(), events).is_err()).count() == 0;
        all && !self.is_remote
    }

    /// Returns when something has changed. Cancel-safe.
    async fn next(&self) {
        let Some(inotify) = &self.inotify else { return std::future::pending().await };
        // Fails only as the runtime shuts down.
        let _ = inotify.readable().await;
    }

    /// Forgets the signs so far. What they say does not matter: all is looked at.
    fn clear(&self) {
        let Some(inotify) = &self.inotify else { return };
        let mut events = [0; 4096];
        while inotify.try_read(&mut events).is_ok_and(|n| n > 0) {}
    }
}

fn is_remote(directory: &Path) -> bool {
    let Ok(told) = rustix::fs::statfs(directory) else { return false };
    REMOTE.iter().any(|magic| u32::try_from(told.f_type) == Ok(*magic))
}

#[cfg(test)]
mod tests;
