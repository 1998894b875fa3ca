//! Manifests, indexes and configurations that were read before, and what references led to.
//!
//! They are kept by digest, for the repository that they were read from, so that nobody gets at another repository's by
//! naming a digest. That is not enough: who may read a repository can change, and connections differ in what they may.
//! So a caller uses what is here only after the registry has said, to its own connection and just now, that it may:
//! see `Contents::current` and `Contents::referred`.

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use regent_distribution::Client;
use regent_oci::{Descriptor, Digest, Manifest, Reference};

use crate::disk_cache::{DiskCache, EntryName};

/// All that is kept in memory, in bytes: some hundred images.
const MEMORY_BYTES: usize = 4 << 20;
/// What an entry takes besides its content, about.
const ENTRY_BYTES: usize = 128;
/// The largest document, in bytes: that of a configuration.
const MAX_BYTES: u64 = 16 << 20;
/// How hard zstd tries.
const LEVEL: i32 = 3;

/// Documents of all registries, in memory and, if there is one, in a cache on the disk. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct Documents {
    // std, since it is held for a few instructions and never over an await.
    memory: Arc<Mutex<Memory>>,
    disk: Option<DiskCache>,
}

/// One repository of one registry.
#[derive(Debug, Clone)]
pub(super) struct Place {
    endpoint: String,
    repository: String,
}

impl Place {
    /// Where a client reads from.
    pub(super) fn of(client: &Client) -> Self {
        let endpoint = client.session().endpoint().url().to_string();
        Self { endpoint, repository: client.repository().to_string() }
    }

    fn name(&self, kind: &str, what: &str) -> EntryName {
        EntryName::new(kind, &[&self.endpoint, &self.repository, what])
    }
}

impl Documents {
    /// Documents that outlive the process in this cache.
    pub fn kept_in(disk: DiskCache) -> Self {
        Self { disk: Some(disk), ..Self::default() }
    }

    /// The digest that a reference led to when it was followed last.
    pub(super) async fn led_to(&self, place: &Place, reference: &Reference) -> Option<Digest> {
        let text = self.find(place.name("reference", reference.as_str())).await?;
        std::str::from_utf8(&text).ok()?.parse().ok()
    }

    /// Notes what a reference leads to.
    pub(super) fn note(&self, place: &Place, reference: &Reference, digest: &Digest) {
        self.put(place.name("reference", reference.as_str()), Bytes::from(digest.to_string()));
    }

    /// The manifest or index of this digest.
    pub(super) async fn manifest(&self, place: &Place, digest: &Digest) -> Option<Manifest> {
        let content = self.find(place.name("manifest", digest.as_str())).await?;
        // Its type, which may have come with the answer alone, and a line's end in front of it.
        let at = content.iter().position(|byte| *byte == b'\n')?;
        let media_type = std::str::from_utf8(content.get(..at)?).ok()?;
        let raw = content.slice(at + 1..);
        digest.verify(&raw).ok()?;
        let mut manifest = Manifest::parse(raw, Some(media_type)).ok()?;
        manifest.digest = digest.clone(); // the same bytes; of the algorithm that was asked for
        Some(manifest)
    }

    /// Keeps a manifest or index that was verified.
    pub(super) fn keep_manifest(&self, place: &Place, manifest: &Manifest) {
        let content = [manifest.media_type.as_str().as_bytes(), b"\n", &manifest.raw].concat();
        self.put(place.name("manifest", manifest.digest.as_str()), content.into());
    }

    /// The whole blob of this descriptor.
    pub(super) async fn blob(&self, place: &Place, blob: &Descriptor) -> Option<Bytes> {
        let content = self.find(place.name("blob", blob.digest.as_str())).await?;
        (content.len() as u64 == blob.size_bytes && blob.digest.verify(&content).is_ok()).then_some(content)
    }

    /// Keeps a blob that was verified.
    pub(super) fn keep_blob(&self, place: &Place, blob: &Descriptor, content: &Bytes) {
        self.put(place.name("blob", blob.digest.as_str()), content.clone());
    }

    async fn find(&self, name: EntryName) -> Option<Bytes> {
        if let Some(content) = self.memory().find(&name) {
            return Some(content);
        }
        let content = Bytes::from(self.disk.as_ref()?.read(name.clone(), unpack).await?);
        self.memory().put(name, content.clone());
        Some(content)
    }

    fn put(&self, name: EntryName, content: Bytes) {
        if self.memory().find(&name).is_some_and(|known| known == content) {
            return;
        }
        self.memory().put(name.clone(), content.clone());
        if let Some(disk) = &self.disk {
            disk.write(name, content.len() as u64, move || zstd::bulk::compress(&content, LEVEL).ok());
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    zstd::Decoder::with_buffer(packed).ok()?.take(MAX_BYTES).read_to_end(&mut content).ok()?;
    Some(content)
}

/// What is in memory, the least recently used leaving first.
#[derive(Default)]
struct Memory {
    kept: HashMap<EntryName, Kept>,
    kept_bytes: usize,
    clock: u64,
}

struct Kept {
    content: Bytes,
    used: u64,
}

impl Kept {
    fn size_bytes(&self) -> usize {
        ENTRY_BYTES + self.content.len()
    }
}

impl Memory {
    fn find(&mut self, name: &EntryName) -> Option<Bytes> {
        self.clock += 1;
        let kept = self.kept.get_mut(name)?;
        kept.used = self.clock;
        Some(kept.content.clone())
    }

    fn put(&mut self, name: EntryName, content: Bytes) {
        self.clock += 1;
        let kept = Kept { content, used: self.clock };
        // One that is too large takes the place of what was there under its name all the same: that is no longer so.
        let (size_bytes, is_small) = (kept.size_bytes(), kept.size_bytes() <= MEMORY_BYTES / 4);
        let old = if is_small { self.kept.insert(name, kept) } else { self.kept.remove(&name) };
        self.kept_bytes += if is_small { size_bytes } else { 0 };
        self.kept_bytes -= old.map_or(0, |old| old.size_bytes());
        while self.kept_bytes > MEMORY_BYTES {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(name, _)| name.clone());
            let Some(gone) = oldest.and_then(|oldest| self.kept.remove(&oldest)) else { break };
            self.kept_bytes -= gone.size_bytes();
        }
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("disk", &self.disk).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_least_recently_used_leave() {
        let name = |number: usize| EntryName::new("test", &[&number.to_string()]);
        let content = Bytes::from(vec![0; (64 << 10) - ENTRY_BYTES]);
        let mut memory = Memory::default();
        let n_fitting = MEMORY_BYTES / (64 << 10);
        for number in 0..n_fitting {
            memory.put(name(number), content.clone());
        }
        assert_eq!(memory.kept_bytes, MEMORY_BYTES);
        assert!(memory.find(&name(0)).is_some());
        memory.put(name(n_fitting), content.clone());
        let is_there = [0, 1, 2].map(|number| memory.find(&name(number)).is_some());
        assert_eq!((is_there, memory.kept_bytes), ([true, false, true], MEMORY_BYTES));
        memory.put(name(0), Bytes::from_static(b"another"));
        assert_eq!(memory.find(&name(0)).as_deref(), Some(b"another".as_slice()));
        memory.put(name(0), Bytes::from(vec![0; MEMORY_BYTES / 4]));
        assert_eq!(memory.find(&name(0)), None, "it is too large, and the old one is not the one");
        assert_eq!(memory.kept_bytes, (n_fitting - 1) * (64 << 10));
    }
}
