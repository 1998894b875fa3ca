//! The layers of an image with what made them.

use crate::input::ImageFacts;

/// Characters of an instruction that are told. A whole script may stand in one, and it is told of every layer and, in
/// CycloneDX, of every package.
const MAX_INSTRUCTION: usize = 300;

/// A layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layer {
    /// Digest of the layer as it is stored.
    pub(super) digest: Option<String>,
    /// Digest of the uncompressed layer.
    pub(super) diff_id: Option<String>,
    /// The instruction that made it, as the history tells it.
    pub(super) instruction: Option<String>,
}

/// The layers, base layer first. History entries that made no layer are passed over; where there are more or fewer of the
/// others than layers, none is told, since no one knows which is whose.
pub(super) fn layers(image: &ImageFacts) -> Vec<Layer> {
    let diff_ids = image.config.rootfs.as_ref().map_or(&[][..], |rootfs| &rootfs.diff_ids);
    let n_layers = image.layer_digests.len().max(diff_ids.len());
    let history = image.config.history.as_deref().unwrap_or_default();
    let is_empty = |entry: &regent_oci::History| {
        entry.get("empty_layer").and_then(serde_json::Value::as_bool) == Some(true)
    };
    let mut instructions: Vec<Option<String>> = history
        .iter()
        .filter(|entry| !is_empty(entry))
        .map(|entry| entry.get("created_by").and_then(serde_json::Value::as_str).map(shortened))
        .collect();
    if instructions.len() != n_layers {
        instructions.clear();
    }
    (0..n_layers)
        .map(|n| Layer {
            digest: image.layer_digests.get(n).map(ToString::to_string),
            diff_id: diff_ids.get(n).cloned(),
            instruction: instructions.get(n).cloned().flatten().filter(|text| !text.is_empty()),
        })
        .collect()
}

fn shortened(text: &str) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(MAX_INSTRUCTION).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}
