//! Small images, made of files alone.

use std::sync::Arc;

use regent_oci::Digest;

use super::super::{analyze, wants};
use crate::capture::{CAPTURE_VERSION, Capture, CapturedLayer, Entry, EntryKind, Kept};
use crate::finding::Findings;
use crate::interest::Interest;
use crate::limits::Limits;
use crate::overlay::Overlay;
use crate::path::LayerPath;

/// What is found in an image of these files, paths with contents, alone: for manifests and locks, which belong together.
/// Nothing is found of files that no analyzer wants.
pub fn image_of(files: &[(&str, &[u8])]) -> Findings {
    let limits = Limits::default();
    let entries = files.iter().map(|(path, content)| {
        let path = LayerPath::new(path);
        let want = wants(&path);
        let kept = Kept {
            size_bytes: content.len() as u64,
            content: (want.content_bytes > 0).then(|| content.to_vec().into()),
            sha256: want.sha256.then(|| Digest::sha256(content)),
            // Whatever needs the disk and fails is passed over: nothing depends on what is found here.
            distilled: want.distil.and_then(|distil| distil.of_content(content).ok().flatten()),
        };
        Entry { path, kind: EntryKind::File(Arc::new(kept)) }
    });
    let capture = Capture {
        version: CAPTURE_VERSION,
        entries: entries.collect(),
        hidden_by_files: Vec::new(),
        hidden_by_directories: Vec::new(),
        spooled_bytes: 0,
    };
    let layer = CapturedLayer::from_cache(Digest::sha256(&[]), capture);
    let (overlay, _) = Overlay::new(layer.as_slice(), &limits);
    analyze(&overlay, &Interest::default())
}
