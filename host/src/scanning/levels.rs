//! Two levels of captures as one: the agent's own disk, and what the fleet shares.

use std::sync::Arc;

use regent_scan::CapturedLayer;
use regent_transport::BoxFuture;

use super::disk::DiskCaptures;
use super::store::{CaptureKey, CaptureStore, Sighting, Turn};

/// The disk first, then the fleet. What the fleet has is put on the disk as well; what was read goes to both. The fleet is
/// asked only for what the disk has not, so that a known image costs no message; whoever waits for a layer waits there.
pub struct Levels {
    disk: DiskCaptures,
    fleet: Arc<dyn CaptureStore>,
}

impl Levels {
    /// These two.
    pub fn new(disk: DiskCaptures, fleet: Arc<dyn CaptureStore>) -> Self {
        Self { disk, fleet }
    }
}

impl CaptureStore for Levels {
    fn look<'a>(&'a self, key: &'a CaptureKey) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            if let Some(found) = self.disk.find(key).await {
                return Sighting::Found(found);
            }
            let sighting = self.fleet.look(key).await;
            if let Sighting::Found(found) = &sighting {
                self.disk.put(key, found);
            }
            sighting
        })
    }

    fn keep(&self, key: &CaptureKey, layer: &CapturedLayer, turn: Option<Turn>) {
        self.disk.put(key, layer);
        self.fleet.keep(key, layer, turn);
    }
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Levels").field("disk", &self.disk).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
