//! Captures of layers, shared by all scans of the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use regent_scan::{CapturedLayer, EntryKind};
use tokio::sync::OnceCell;

use super::store::CaptureKey;

/// A reading of one layer that several scans may wait for. If the one that reads fails or is dropped, the next one
/// that waits reads.
pub(super) type Reading = Arc<OnceCell<CapturedLayer>>;

/// Captures by what they depend on, the least recently used ones leaving first, and readings that are under way.
pub(super) struct Captures {
    max_bytes: u64,
    // std, since it is held for a few instructions and never over an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: HashMap<CaptureKey, Kept>,
    kept_bytes: u64,
    clock: u64,
    readings: HashMap<CaptureKey, Weak<OnceCell<CapturedLayer>>>,
}

struct Kept {
    layer: CapturedLayer,
    size_bytes: u64,
    used: u64,
}

impl Captures {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, state: Mutex::default() }
    }

    /// The capture of a layer, if it is kept.
    pub(super) fn find(&self, key: &CaptureKey) -> Option<CapturedLayer> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let kept = state.kept.get_mut(key)?;
        kept.used = now;
        Some(kept.layer.clone())
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
        let size_bytes = size_bytes(layer);
        if size_bytes > self.max_bytes / 4 {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let kept = Kept { layer: layer.clone(), size_bytes, used: state.clock };
        if let Some(old) = state.kept.insert(key.clone(), kept) {
            state.kept_bytes -= old.size_bytes;
        }
        state.kept_bytes += size_bytes;
        while state.kept_bytes > self.max_bytes {
            let Some(oldest) = state.kept.iter().min_by_key(|(_, k)| k.used).map(|(d, _)| d.clone()) else {
                break;
            };
            if let Some(gone) = state.kept.remove(&oldest) {
                state.kept_bytes -= gone.size_bytes;
            }
        }
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
    fn the_least_recently_used_leave_first_and_large_ones_never_come() {
        let captures = Captures::new(8 * 100);
        for name in ["a", "b", "c", "d"] {
            captures.keep(&key(name), &layer(name, 25));
        }
        let has = |name: &str| captures.find(&key(name)).is_some();
        assert!(has("a") && has("d"));
        captures.keep(&key("e"), &layer("e", 25));
        assert!(has("a") && !has("b") && has("e"));
        captures.keep(&key("huge"), &layer("huge", 26));
        assert!(!has("huge") && has("a"));
        captures.keep(&key("a"), &layer("a", 1)); // replaced, not counted twice
        captures.keep(&key("f"), &layer("f", 24));
        assert!(has("c") && has("d") && has("e") && has("f"));
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
