//! What a request asks for beyond the packages.

mod glob;

use crate::analyze::{Want, application_files};
use crate::path::LayerPath;

pub use glob::{GlobError, GlobSet};

/// Largest file that is handed out because a glob names it, in bytes.
const MAX_GLOB_FILE_BYTES: u64 = 4 << 20;

/// Files that a request wants to see. A layer that was read with an interest in any has more in its capture than its
/// own bytes tell, so that such captures are for one scan alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Lists of source files (`collect-application-files`).
    pub application_files: bool,
    /// Files to hand out (`globsToFind`).
    pub globs: GlobSet,
}

impl Interest {
    /// What is to be kept of a file at this path on top of what analyzers want.
    pub(crate) fn want(&self, path: &LayerPath) -> Want {
        let mut want = Want::NOTHING;
        if self.application_files && application_files::is_listed(path.as_str()) {
            want = want.and(Want::PRESENCE);
        }
        if self.globs.matches(path.as_str()) {
            want = want.and(Want { content_bytes: MAX_GLOB_FILE_BYTES, ..Want::PRESENCE });
        }
        want
    }

    /// Whether there is none, as in most requests.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
