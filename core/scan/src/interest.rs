//! What a request asks for beyond the packages.

use crate::analyze::Want;
use crate::path::LayerPath;

/// Files that a request wants to see. A layer that was read with an interest in any has more in its capture than its
/// own bytes tell, so that such captures are for one scan alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Lists of source files (`collect-application-files`).
    pub application_files: bool,
}

impl Interest {
    /// What is to be kept of a file at this path on top of what analyzers want.
    pub(crate) fn want(&self, path: &LayerPath) -> Want {
        let _ = path;
        Want::NOTHING
    }

    /// Whether there is none, as in most requests.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
