//! Captures of layers, shared by all scans of the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use regent_scan::{CapturedLayer, EntryKind};
use tokio::sync::OnceCell;

use super::store::CaptureKey;
use crate::recent::Recent;

/// A reading of one layer that several scans may wait for. If the one that reads fails or is dropped, the next one
/// that waits reads.
pub(super) type Reading = Arc<OnceCell<CapturedLayer>>;

/// Captures by what they depend on, and readings that are under way.
pub(super) struct Captures {
    // std, since it is held for a few instructions and never over an await.
    state: Mutex<State>,
}

struct State {
    kept: Recent<CaptureKey, CapturedLayer>,
    readings: HashMap<CaptureKey, Weak<OnceCell<CapturedLayer>>>,
}

impl Captures {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { state: Mutex::new(State { kept: Recent::new(max_bytes), readings: HashMap::new() }) }
    }

    /// The capture of a layer, if it is kept.
    pub(super) fn find(&self, key: &CaptureKey) -> Option<CapturedLayer> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).kept.find(key)
    }

    /// The reading of a layer that is under way, or a new one.
    pub(super) fn reading(&self, key: &CaptureKey) -> Reading {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = state.readings.get(key).and_then(Weak::upgrade) {
            return reading;
        }
        state.readings.retain(|_, reading| reading.strong_count() > 0);
        let reading = Reading::default();
        state.readings.insert(key.clone(), Arc::downgrade(&reading));
        reading
    }

    /// Keeps a capture, if it is not too large to be worth it.
    pub(super) fn keep(&self, key: &CaptureKey, layer: &CapturedLayer) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.kept.keep(key.clone(), layer.clone(), size_bytes(layer));
    }
}

/// About what a capture takes in memory, in bytes.
fn size_bytes(layer: &CapturedLayer) -> u64 {
    /// An entry beside its texts and content, with what the allocator adds.
    const ENTRY: usize = 160;
    let capture = layer.capture();
    let hidden = 8 * (capture.hidden_by_files.len() + capture.hidden_by_directories.len());
    let entries = capture.entries.iter().map(|entry| {
        let kind = match &entry.kind {
            EntryKind::File(kept) => kept.content.as_ref().map_or(0, bytes::Bytes::len),
            EntryKind::Symlink(target) => target.len(),
            EntryKind::HardLink(target) => target.as_str().len(),
            EntryKind::Whiteout | EntryKind::Opaque => 0,
        };
        ENTRY + entry.path.as_str().len() + kind
    });
    (hidden + entries.sum::<usize>()) as u64
}

#[cfg(test)]
mod tests {
    use regent_oci::Digest;
    use regent_scan::{CAPTURE_VERSION, Capture};

    use super::*;

    fn layer(name: &str, n_hidden: usize) -> CapturedLayer {
        let capture = Capture {
            version: CAPTURE_VERSION,
            entries: Vec::new(),
            hidden_by_files: vec![0; n_hidden],
            hidden_by_directories: Vec::new(),
            spooled_bytes: 0,
        };
        CapturedLayer::from_cache(Digest::sha256(name.as_bytes()), capture).unwrap()
    }

    fn key(name: &str) -> CaptureKey {
        CaptureKey::whole(&Digest::sha256(name.as_bytes()))
    }

    #[test]
    fn what_is_kept_is_found_by_its_key_and_large_ones_are_not_kept() {
        let captures = Captures::new(8 * 100);
        for (name, n_hidden, is_kept) in [("a", 25, true), ("huge", 26, false)] {
            captures.keep(&key(name), &layer(name, n_hidden));
            assert_eq!(captures.find(&key(name)).is_some(), is_kept, "{name}");
        }
    }

    #[tokio::test]
    async fn readings_of_one_layer_are_shared_and_the_next_in_line_takes_over() {
        let captures = Captures::new(1000);
        let (digest, key) = (Digest::sha256(b"x"), key("x"));
        let (first, second) = (captures.reading(&key), captures.reading(&key));
        assert!(Arc::ptr_eq(&first, &second));
        let failed: Result<_, ()> = first.get_or_try_init(|| async { Err(()) }).await;
        assert!(failed.is_err());
        let read: Result<_, ()> = second.get_or_try_init(|| async { Ok(layer("x", 1)) }).await;
        assert_eq!(read.unwrap().digest(), &digest);
        drop((first, second));
        assert!(captures.reading(&key).get().is_none());
    }
}
