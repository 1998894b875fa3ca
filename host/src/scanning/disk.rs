//! Captures on the agent's own disk.

use regent_scan::CapturedLayer;
use regent_transport::BoxFuture;

use super::form;
use super::store::{CaptureKey, CaptureStore, Sighting, Turn};
use crate::disk_cache::{DiskCache, EntryName};

/// Captures in files of a [`DiskCache`], for the next process as well. Nobody waits for anybody: who finds nothing reads.
#[derive(Debug, Clone)]
pub struct DiskCaptures {
    cache: DiskCache,
}

impl DiskCaptures {
    /// Captures in this cache.
    pub fn new(cache: DiskCache) -> Self {
        Self { cache }
    }

    /// The capture of a layer, if it is there.
    pub(super) async fn find(&self, key: &CaptureKey) -> Option<CapturedLayer> {
        let digest = key.layer().clone();
        self.cache.read(name(key), move |packed| form::unpack(packed, digest)).await
    }

    /// Keeps a capture.
    pub(super) fn put(&self, key: &CaptureKey, layer: &CapturedLayer) {
        let layer = layer.clone();
        self.cache.write(name(key), layer.capture().cost_bytes(), move || form::pack(&layer));
    }
}

impl CaptureStore for DiskCaptures {
    fn look<'a>(&'a self, key: &'a CaptureKey) -> BoxFuture<'a, Sighting> {
        Box::pin(async move { self.find(key).await.map_or(Sighting::Unknown, Sighting::Found) })
    }

    fn keep(&self, key: &CaptureKey, layer: &CapturedLayer, _: Option<Turn>) {
        self.put(key, layer);
    }
}

fn name(key: &CaptureKey) -> EntryName {
    let text = |digest: Option<&regent_oci::Digest>| digest.map(ToString::to_string).unwrap_or_default();
    EntryName::new("capture", &[key.layer().as_str(), &text(key.toc()), &text(key.extra())])
}
