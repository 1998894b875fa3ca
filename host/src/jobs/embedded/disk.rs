//! A disk for tests: it keeps what was synced, may lose any of what was not when the power goes, and can be full.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::RngExt as _;
use redb::StorageBackend;

/// Sectors are written whole or not at all.
const SECTOR: usize = 512;

/// A disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(in crate::jobs) struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    /// As the process sees it.
    seen: Vec<u8>,
    /// As it is for certain after the power went.
    synced: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Pending>,
    /// Bytes that it has room for.
    limit: Option<usize>,
    is_read_only: bool,
    /// How often the power went. What was opened before is of no use after it.
    generation: u32,
}

/// The disk as one who opened it has it.
#[derive(Debug)]
pub(in crate::jobs) struct Handle {
    disk: Disk,
    generation: u32,
}

#[derive(Debug, Clone)]
enum Pending {
    Length(usize),
    Sector(usize, Vec<u8>),
}

impl Disk {
    /// Opens it.
    pub(in crate::jobs) fn handle(&self) -> Handle {
        Handle { disk: self.clone(), generation: self.0.lock().unwrap().generation }
    }

    /// The power goes: of what was not synced any part may be there, in any order.
    pub(in crate::jobs) fn lose_power(&self, random: &mut impl rand::Rng) {
        let mut platter = self.0.lock().unwrap();
        let mut pending = std::mem::take(&mut platter.pending);
        let mut left = platter.synced.clone();
        // A file system may put the new length down before or after what is in it.
        while !pending.is_empty() {
            let next = pending.swap_remove(random.random_range(0..pending.len()));
            if random.random_bool(0.5) {
                apply(&mut left, &next);
            }
        }
        platter.seen.clone_from(&left);
        platter.synced = left;
        platter.generation += 1;
    }

    /// Nothing can be written beyond this many bytes; `None` for no limit.
    pub(in crate::jobs) fn limit(&self, bytes: Option<usize>) {
        self.0.lock().unwrap().limit = bytes;
    }

    /// Whether nothing can be written.
    pub(in crate::jobs) fn read_only(&self, is_read_only: bool) {
        self.0.lock().unwrap().is_read_only = is_read_only;
    }

    /// Bytes on it.
    pub(in crate::jobs) fn len(&self) -> usize {
        self.0.lock().unwrap().seen.len()
    }

    /// Changes a byte behind the back of whoever uses it.
    pub(in crate::jobs) fn corrupt(&self, at: usize) {
        let mut platter = self.0.lock().unwrap();
        platter.seen[at] ^= 0xff;
        platter.synced = platter.seen.clone();
    }

    /// Whether this text is anywhere on it.
    pub(in crate::jobs) fn has(&self, text: &str) -> bool {
        let platter = self.0.lock().unwrap();
        platter.seen.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn apply(bytes: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Length(length) => bytes.resize(*length, 0),
        Pending::Sector(at, sector) => {
            if bytes.len() < at + sector.len() {
                bytes.resize(at + sector.len(), 0);
            }
            bytes[*at..at + sector.len()].copy_from_slice(sector);
        }
    }
}

impl Platter {
    fn do_and_remember(&mut self, pending: Pending) {
        apply(&mut self.seen, &pending);
        self.pending.push(pending);
    }

    fn check(&self, end: usize) -> io::Result<()> {
        if self.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match self.limit {
            Some(limit) if end > limit => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl Handle {
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.0.lock().unwrap();
        if platter.generation == self.generation {
            Ok(platter)
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter()?;
        let from = place(offset);
        let bytes = platter.seen.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.platter()?;
        // As ftruncate, which makes a hole.
        platter.check(0)?;
        platter.do_and_remember(Pending::Length(place(len)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.check(0)?;
        platter.synced = platter.seen.clone();
        platter.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.check(place(offset) + data.len())?;
        let mut at = place(offset);
        let mut data = data;
        while !data.is_empty() {
            let (sector, rest) = data.split_at(data.len().min(SECTOR - at % SECTOR));
            platter.do_and_remember(Pending::Sector(at, sector.to_vec()));
            (at, data) = (at + sector.len(), rest);
        }
        Ok(())
    }
}
