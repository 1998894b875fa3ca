//! The layers of an image seen as one file system.

use std::collections::BTreeSet;

use crate::capture::{CapturedLayer, Kept};
use crate::limits::Limits;
use crate::path::LayerPath;

/// The merged view of an image's layers (image-spec 1.1, layer.md, "Applying Changesets"): whiteouts and opaque
/// markers apply to lower layers only, any entry hides a lower non-directory of its path, a non-directory hides all
/// below it, links are followed inside the image.
#[derive(Debug)]
pub struct Overlay {
    files: Vec<OverlayFile>,
}

/// A file of the merged view, seen at one path.
#[derive(Debug, Clone)]
pub struct OverlayFile {
    /// The path at which it is seen. A file that a link leads to is seen at the link's path, where a matcher wants
    /// that path, besides its own.
    pub path: LayerPath,
    /// What is kept of it.
    pub kept: Kept,
    /// Index of the layer that the content is from, base layer 0.
    pub layer: usize,
}

/// Link targets that matter and were not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTarget {
    /// Index of the layer to read again.
    pub layer: usize,
    /// The paths to keep ([`LayerSpec::extra`](crate::LayerSpec)).
    pub paths: BTreeSet<LayerPath>,
}

impl Overlay {
    /// Merges `layers`, base layer first.
    ///
    /// Where a link at a wanted path leads to a file that no matcher asked for, the second value names the layers to
    /// read again and the paths to keep: the caller replaces those layers' captures and merges anew. A target that
    /// is not there even then is treated as a dangling link.
    pub fn new(layers: &[CapturedLayer], limits: &Limits) -> (Self, Vec<MissingTarget>) {
        let _ = (layers, limits);
        unimplemented!("being written")
    }

    /// The files in merge order: newest layer first, inside a layer the order of the tar.
    pub fn files(&self) -> impl Iterator<Item = &OverlayFile> {
        self.files.iter()
    }

    /// The content of the file at this path: `None` if there is no such file, or it is too large to have been kept.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        let _ = path;
        unimplemented!("being written")
    }
}
