//! Hashes of installed packages, as npm has recorded them beside the packages themselves.

use std::collections::HashMap;

use super::super::super::integrity;
use crate::application::Component;
use crate::distil::{Distilled, RecordedPackage};
use crate::overlay::Overlay;

/// Where the record is, from the directory of its project.
pub(super) const PATH: &str = "/node_modules/.package-lock.json";

/// All records of an image: what they say by the directory that they are about, and the package's path from there.
pub(super) struct Records<'a>(HashMap<&'a str, HashMap<&'a str, &'a RecordedPackage>>);

impl<'a> Records<'a> {
    pub(super) fn of(overlay: &'a Overlay) -> Self {
        let records = overlay.files().filter_map(|file| {
            let Some(Distilled::NpmRecord(record)) = &file.kept.distilled else { return None };
            let packages = record.packages.iter().map(|package| (package.path.as_str(), package));
            Some((file.path.as_str().strip_suffix(PATH)?, packages.collect()))
        });
        Self(records.collect())
    }

    /// Gives a package the hash of what npm installed at its place, if it still is what is there.
    pub(super) fn give_hashes(&self, components: &mut [Component]) {
        if self.0.is_empty() {
            return;
        }
        for component in components {
            let Some(file) = component.evidence.first() else { continue };
            let directory = file.parent();
            let recorded = self.find(directory.as_str());
            if let Some(recorded) = recorded.filter(|r| Some(&r.version) == component.version.as_ref()) {
                component.hashes = integrity::hashes(&recorded.integrity);
            }
        }
    }

    /// What the nearest record says of a package in that directory. Workspaces have theirs in a directory above.
    fn find(&self, directory: &str) -> Option<&'a RecordedPackage> {
        directory.rmatch_indices('/').find_map(|(at, _)| {
            let (project, rest) = directory.split_at_checked(at)?;
            self.0.get(project)?.get(rest.get(1..)?).copied()
        })
    }
}
