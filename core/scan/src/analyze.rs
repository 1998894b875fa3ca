//! The table of analyzers.

use crate::finding::Findings;
use crate::overlay::Overlay;
use crate::path::LayerPath;

/// What is to be kept of a regular file at some path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// Its content.
    pub(crate) content: bool,
    /// The SHA-256 of its content.
    pub(crate) sha256: bool,
}

impl Want {
    /// Whether anything is to be kept.
    pub(crate) fn any(self) -> bool {
        self.content || self.sha256
    }
}

/// What the analyzers together want of a file at this path. Depends on the path alone.
pub(crate) fn wants(path: &LayerPath) -> Want {
    let _ = path;
    Want::default()
}

/// Runs every analyzer over the merged view.
pub fn analyze(overlay: &Overlay) -> Findings {
    let _ = overlay;
    unimplemented!("being written")
}
