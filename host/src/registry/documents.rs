//! Manifests, indexes and configurations that were read before, and what references led to.
//!
//! They are kept by digest, for the repository that they were read from, so that nobody gets at another repository's by
//! naming a digest. That is not enough: who may read a repository can change, and connections differ in what they may.
//! So a caller uses what is here only after the registry has said, to its own connection and just now, that it may:
//! see `Contents::current` and `Contents::referred`.

use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use regent_distribution::Client;
use regent_oci::{Descriptor, Digest, Manifest, Reference};

use crate::disk_cache::{DiskCache, EntryName};
use crate::recent::Recent;

/// All that is kept in memory, in bytes: some hundred images.
const MEMORY_BYTES: u64 = 4 << 20;
/// What an entry takes besides its content, about.
const ENTRY_BYTES: u64 = 128;
/// The largest document, in bytes: that of a configuration.
const MAX_BYTES: u64 = 16 << 20;
/// How hard zstd tries.
const LEVEL: i32 = 3;

/// Documents of all registries, in memory and, if there is one, in a cache on the disk. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Documents {
    // std, since it is held for a few instructions and never over an await.
    memory: Arc<Mutex<Recent<EntryName, Bytes>>>,
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

impl Default for Documents {
    /// Documents that are gone with the process.
    fn default() -> Self {
        Self { memory: Arc::new(Mutex::new(Recent::new(MEMORY_BYTES))), disk: None }
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
        if let Some(content) = self.remembered(&name) {
            return Some(content);
        }
        let content = Bytes::from(self.disk.as_ref()?.read(name.clone(), unpack).await?);
        self.remember(name, &content);
        Some(content)
    }

    fn put(&self, name: EntryName, content: Bytes) {
        if self.remembered(&name).is_some_and(|known| known == content) {
            return;
        }
        self.remember(name.clone(), &content);
        if let Some(disk) = &self.disk {
            disk.write(name, content.len() as u64, move || zstd::bulk::compress(&content, LEVEL).ok());
        }
    }

    fn remembered(&self, name: &EntryName) -> Option<Bytes> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).find(name)
    }

    fn remember(&self, name: EntryName, content: &Bytes) {
        let size_bytes = ENTRY_BYTES + content.len() as u64;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.keep(name, content.clone(), size_bytes);
    }
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    zstd::Decoder::with_buffer(packed).ok()?.take(MAX_BYTES).read_to_end(&mut content).ok()?;
    Some(content)
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("disk", &self.disk).finish_non_exhaustive()
    }
}
