//! What is kept of a layer.

use std::sync::Arc;

use bytes::Bytes;
use regent_oci::Digest;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, ImageBudget, KEPT_IMAGE_BYTES, SPOOLED_IMAGE_BYTES};
use crate::distil::Distilled;
use crate::error::Error;
use crate::path::LayerPath;

/// Version of what a capture holds. A change of matchers or of the format raises it, and cached captures of another
/// version are not used.
pub const CAPTURE_VERSION: u32 = 8;

/// What a kept entry costs besides its texts and content, and what each component of its path costs when layers are
/// merged. Counted as kept bytes, so that a layer of millions of links is bounded as well.
const ENTRY_BYTES: usize = 128;
const COMPONENT_BYTES: usize = 64;

/// A layer, reduced to what analyzers and the overlay need.
///
/// It depends on the layer's bytes and [`CAPTURE_VERSION`] alone; one that was made by a table of contents on what that
/// says of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// [`CAPTURE_VERSION`] at the time of writing.
    pub version: u32,
    /// Kept entries in the order of the tar. A path that occurs twice has its later content at its earlier place.
    pub entries: Vec<Entry>,
    /// Hashes of the paths of all regular files and special files that are not among `entries`, sorted: each hides
    /// whatever a lower layer has at or below its path.
    pub hidden_by_files: Vec<u64>,
    /// Hashes of the paths of all directories, sorted: each hides a lower layer's non-directory of that path.
    pub hidden_by_directories: Vec<u64>,
    /// What was written to temporary files to make it: counted for every image that it is a part of.
    pub spooled_bytes: u64,
}

/// One kept tar entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path. For a whiteout the path that it removes; for an opaque marker the directory that it empties.
    pub path: LayerPath,
    /// What it is.
    pub kind: EntryKind,
}

/// What a kept entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file that a matcher asked for. Shared with the images that have it.
    File(#[serde(with = "shared")] Arc<Kept>),
    /// A symbolic link with its target as written. All of a layer's are kept: any may lead to a wanted file.
    Symlink(String),
    /// A hard link to another path, kept where a matcher asked for the link's own path.
    HardLink(LayerPath),
    /// `.wh.name` (image-spec 1.1, layer.md, "Whiteouts"): hides `path` in lower layers.
    Whiteout,
    /// `.wh..wh..opq` ("Opaque Whiteout"): hides everything below `path` in lower layers.
    Opaque,
}

/// What is kept of a regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Size in bytes; of a sparse file its expanded size.
    pub size_bytes: u64,
    /// The content, where a matcher asked for it and it is within the matcher's limit and
    /// [`Limits::kept_file_bytes`](crate::Limits).
    pub content: Option<Bytes>,
    /// SHA-256 of the content, where a matcher asked for it.
    pub sha256: Option<Digest>,
    /// What was made of the content as it passed, where a matcher asked for that.
    pub distilled: Option<Distilled>,
}

/// A shared value in the form of the value.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        T::serialize(value, to)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

impl Entry {
    /// Bytes that it takes in memory, about, with what its path costs when layers are merged.
    pub(crate) fn cost_bytes(&self) -> u64 {
        let path = self.path.as_str().len() + self.path.components().count() * COMPONENT_BYTES;
        let kind = match &self.kind {
            EntryKind::File(kept) => {
                kept.content.as_ref().map_or(0, Bytes::len)
                    + kept.distilled.as_ref().map_or(0, Distilled::cost_bytes)
            }
            EntryKind::Symlink(target) => target.len(),
            EntryKind::HardLink(target) => target.as_str().len(),
            EntryKind::Whiteout | EntryKind::Opaque => 0,
        };
        (ENTRY_BYTES + path + kind) as u64
    }
}

impl Capture {
    /// Bytes that it takes in memory, about.
    pub fn cost_bytes(&self) -> u64 {
        let hashes = self.hidden_by_files.len() + self.hidden_by_directories.len();
        let entries: u64 = self.entries.iter().map(Entry::cost_bytes).sum();
        entries + (hashes * size_of::<u64>()) as u64
    }
}

/// A capture of bytes that were verified: of a layer that was read to its end, or of those parts of it that are wanted.
/// The only thing that the overlay takes, and only this crate makes one from bytes.
#[derive(Debug, Clone)]
pub struct CapturedLayer {
    pub(crate) digest: Digest,
    pub(crate) capture: Arc<Capture>,
}

impl CapturedLayer {
    /// A capture that was made from a verified layer before, e.g. by another process of the same version, and kept
    /// since. `None` if it is of another version.
    pub fn from_cache(digest: Digest, capture: Capture) -> Option<Self> {
        (capture.version == CAPTURE_VERSION).then(|| Self { digest, capture: Arc::new(capture) })
    }

    /// Counts a capture that was at hand like one that is made: the same image has the same outcome.
    ///
    /// # Errors
    /// [`Error::Limit`], where there is less left of the image's budget.
    pub fn count(&self, budget: &ImageBudget) -> Result<(), Error> {
        let over = |limit, budget: &Budget| Error::Limit {
            layer: self.digest.clone(),
            limit,
            value: budget.limit_bytes(),
        };
        if !budget.kept.spend(self.capture.cost_bytes()) {
            return Err(over(KEPT_IMAGE_BYTES, &budget.kept));
        }
        if !budget.spooled.spend(self.capture.spooled_bytes) {
            return Err(over(SPOOLED_IMAGE_BYTES, &budget.spooled));
        }
        Ok(())
    }

    /// The blob's digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The capture.
    pub fn capture(&self) -> &Capture {
        &self.capture
    }
}
