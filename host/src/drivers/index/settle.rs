//! Files that are still being written do not count yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::{Found, Stamp};

/// How long a file has to stay as it is before it counts. A copy writes many times in that.
pub(in crate::drivers) const SETTLE: Duration = Duration::from_millis(200);

/// Files that were new or other than before when they were looked at last, and since when they are as they are.
#[derive(Default)]
pub(super) struct Settling(BTreeMap<PathBuf, (Stamp, Instant)>);

impl Settling {
    /// What counts of what was found. A file that changes counts as it was `before`, one that is new not at all.
    pub(super) fn settle(&mut self, found: Vec<Found>, before: &BTreeMap<PathBuf, Stamp>) -> Vec<Found> {
        let now = Instant::now();
        let mut unsettled = BTreeMap::new();
        let mut counting = Vec::with_capacity(found.len());
        for mut file in found {
            let known = before.get(&file.path);
            if known != Some(&file.stamp) {
                let since = match self.0.get(&file.path) {
                    Some((stamp, since)) if *stamp == file.stamp => *since,
                    _ => now,
                };
                if now.duration_since(since) < SETTLE {
                    unsettled.insert(file.path.clone(), (file.stamp, since));
                    let Some(known) = known else { continue };
                    file.stamp = *known;
                }
            }
            counting.push(file);
        }
        self.0 = unsettled;
        counting
    }

    /// Whether a later look may find more.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}
