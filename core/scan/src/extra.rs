//! What an earlier pass showed to matter.

use std::collections::BTreeMap;

use regent_oci::{Algorithm, Digest};

use crate::analyze::Want;
use crate::path::LayerPath;

/// Files to keep of a layer besides those that matchers ask for, and directories whose files are to be kept: link
/// targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra(BTreeMap<LayerPath, Want>);

impl Extra {
    /// Content and hash of the files at or below these paths.
    pub fn of_paths(paths: impl IntoIterator<Item = LayerPath>) -> Self {
        let want = Want::CONTENT.and(Want::SHA256);
        Self(paths.into_iter().map(|path| (path, want)).collect())
    }

    /// The paths.
    pub fn paths(&self) -> impl Iterator<Item = &LayerPath> {
        self.0.keys()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same, with all of another one.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (path, want) in &other.0 {
            self.insert(path.clone(), *want);
        }
        self
    }

    /// Tells it from any other of the same release: a part of the name of a capture that was made with it.
    pub fn digest(&self) -> Digest {
        let mut digester = Algorithm::Sha256.digester();
        for (path, want) in &self.0 {
            digester.update(&(path.as_str().len() as u64).to_le_bytes());
            digester.update(path.as_str().as_bytes());
            digester.update(format!("{want:?}").as_bytes());
        }
        digester.finish()
    }

    pub(crate) fn insert(&mut self, path: LayerPath, want: Want) {
        let known = self.0.entry(path).or_default();
        *known = known.and(want);
    }

    /// What is wanted of a file at this path.
    pub(crate) fn want(&self, path: &LayerPath) -> Want {
        if self.is_empty() {
            return Want::NOTHING;
        }
        let above = path.ancestors().filter_map(|directory| self.0.get(directory));
        self.0.get(path).into_iter().chain(above).fold(Want::NOTHING, |all, &want| all.and(want))
    }
}
