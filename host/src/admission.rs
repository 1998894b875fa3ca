//! Whether there is room for one more: operations are accepted while disk and memory last, requests up to a number.
//!
//! What is refused here is refused with the time after which to come back, before anything was done. What runs already
//! goes on: the margins are for that.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regent_transport::{Class, Fault, Retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

mod measure;

use crate::settings::AdmissionSettings;
use measure::Measured;

/// How long a measurement is good for, so that it costs nothing however many ask.
const FRESH: Duration = Duration::from_secs(1);
/// Of the memory that there may be, the part above which no operation is accepted.
const MAX_MEMORY_PERCENT: u128 = 90;

/// Someone has to make room.
const RETRY_DISK: Duration = Duration::from_mins(1);
/// A scan of those that run has ended, as a rule.
const RETRY_MEMORY: Duration = Duration::from_secs(30);
/// Most requests are answered by then.
const RETRY_REQUESTS: Duration = Duration::from_secs(5);

/// Says whether there is room. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

type Measure = dyn Fn() -> Measured + Send + Sync;

struct Shared {
    settings: AdmissionSettings,
    measure: Arc<Measure>,
    // std, since it is held for a few instructions and never over an await.
    latest: Mutex<Option<(Instant, Measured)>>,
    requests: Arc<Semaphore>,
    disk: AtomicU64,
    memory: AtomicU64,
    too_many: AtomicU64,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The data directory's file system is nearly full.
    #[error("the data directory has {} free, less than {} (REGENT_MIN_FREE_DISK)", Mebibytes(*free_bytes), Mebibytes(*min_bytes))]
    Disk {
        /// What is free.
        free_bytes: u64,
        /// What has to be.
        min_bytes: u64,
    },
    /// What is free in the data directory can't be told.
    #[error("the data directory's free space can't be told; is it still there? (REGENT_DATA_DIR)")]
    DiskUnknown,
    /// The process uses most of the memory that it may.
    #[error("the agent uses {} of the {} of memory that it may (REGENT_MAX_MEMORY, or the container's limit)", Mebibytes(*used_bytes), Mebibytes(*max_bytes))]
    Memory {
        /// Its resident set.
        used_bytes: u64,
        /// What it may use.
        max_bytes: u64,
    },
    /// Too many requests are being answered.
    #[error("{max} requests are being answered, which is the limit (REGENT_MAX_REQUESTS)")]
    Requests {
        /// The limit.
        max: usize,
    },
}

/// The right to be answered. Given back when it is dropped.
#[derive(Debug)]
pub struct RequestPermit {
    _permit: OwnedSemaphorePermit,
}

/// How often was refused, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionMetrics {
    /// Operations, for want of disk.
    pub disk: u64,
    /// Operations, for want of memory.
    pub memory: u64,
    /// Requests above the number.
    pub requests: u64,
}

impl Admission {
    /// By these settings, for operations whose data goes to this directory.
    pub fn new(settings: AdmissionSettings, data_dir: PathBuf) -> Self {
        let max_memory_bytes = settings.max_memory_bytes;
        Self::measuring(settings, Arc::new(move || Measured::now(&data_dir, max_memory_bytes)))
    }

    fn measuring(settings: AdmissionSettings, measure: Arc<Measure>) -> Self {
        let shared = Shared {
            requests: Arc::new(Semaphore::new(settings.max_requests.min(Semaphore::MAX_PERMITS))),
            settings,
            measure,
            latest: Mutex::new(None),
            disk: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            too_many: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether one more operation may be accepted.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn operation(&self) -> Result<(), Refused> {
        if let Err(refused) = self.disk().await {
            self.shared.disk.fetch_add(1, Ordering::Relaxed);
            return Err(refused);
        }
        if let Err(refused) = self.memory().await {
            self.shared.memory.fetch_add(1, Ordering::Relaxed);
            return Err(refused);
        }
        Ok(())
    }

    /// Whether there is disk for one more operation. Not counted.
    ///
    /// # Errors
    /// [`Refused::Disk`], [`Refused::DiskUnknown`].
    pub async fn disk(&self) -> Result<(), Refused> {
        let min_bytes = self.shared.settings.min_free_disk_bytes;
        match self.measured().await.free_disk {
            None => Err(Refused::DiskUnknown),
            Some(free_bytes) if free_bytes < min_bytes => Err(Refused::Disk { free_bytes, min_bytes }),
            Some(_) => Ok(()),
        }
    }

    /// Whether there is memory for one more operation. Not counted.
    ///
    /// # Errors
    /// [`Refused::Memory`].
    pub async fn memory(&self) -> Result<(), Refused> {
        let measured = self.measured().await;
        let (Some(used_bytes), Some(max_bytes)) = (measured.resident, measured.max_memory) else {
            return Ok(()); // no limit that is known
        };
        if u128::from(used_bytes) * 100 > u128::from(max_bytes) * MAX_MEMORY_PERCENT {
            return Err(Refused::Memory { used_bytes, max_bytes });
        }
        Ok(())
    }

    /// The right to be answered, for one more request.
    ///
    /// # Errors
    /// [`Refused::Requests`].
    pub fn request(&self) -> Result<RequestPermit, Refused> {
        if let Ok(permit) = Arc::clone(&self.shared.requests).try_acquire_owned() {
            return Ok(RequestPermit { _permit: permit });
        }
        self.shared.too_many.fetch_add(1, Ordering::Relaxed);
        Err(Refused::Requests { max: self.shared.settings.max_requests })
    }

    /// Counters.
    pub fn metrics(&self) -> AdmissionMetrics {
        let Shared { disk, memory, too_many, .. } = &*self.shared;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AdmissionMetrics { disk: read(disk), memory: read(memory), requests: read(too_many) }
    }

    /// The latest measurement, or a new one. A file system that hangs holds up a thread for that, and no other request.
    async fn measured(&self) -> Measured {
        let latest = *self.shared.latest();
        if let Some((_, measured)) = latest.filter(|(at, _)| at.elapsed() < FRESH) {
            return measured;
        }
        let measure = Arc::clone(&self.shared.measure);
        // An error means that the runtime is shutting down: then there is no room.
        let measured = spawn_blocking(move || measure()).await.unwrap_or_default();
        *self.shared.latest() = Some((Instant::now(), measured));
        measured
    }
}

impl Shared {
    fn latest(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Measured)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault for Refused {
    fn class(&self) -> Class {
        Class::Limit
    }

    fn retry(&self) -> Retry {
        Retry::After(match self {
            Self::Disk { .. } | Self::DiskUnknown => RETRY_DISK,
            Self::Memory { .. } => RETRY_MEMORY,
            Self::Requests { .. } => RETRY_REQUESTS,
        })
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Disk { .. } | Self::DiskUnknown => "disk_full",
            Self::Memory { .. } | Self::Requests { .. } => "overloaded",
        }
    }
}

/// Bytes for people.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0 >> 20)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
