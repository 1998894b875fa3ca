//! Captures of several layers in, the merged view out.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "in tests a panic is a failure")]

#[path = "layer/archive.rs"]
mod archive;
#[path = "overlay/layers.rs"]
mod layers;
#[path = "overlay/links.rs"]
mod links;
#[path = "overlay/replay.rs"]
mod replay;

use archive::{Archive, layer};
use regent_scan::{CapturedLayer, Limits, MissingTarget, Overlay};

const STATUS: &str = "/var/lib/dpkg/status";

fn layers_of(archives: impl IntoIterator<Item = Archive>) -> Vec<CapturedLayer> {
    archives.into_iter().map(|archive| layer(&archive.end())).collect()
}

fn merge(archives: impl IntoIterator<Item = Archive>) -> (Overlay, Vec<MissingTarget>) {
    Overlay::new(&layers_of(archives), &Limits::default())
}

/// The view of layers in which nothing is missing.
fn view(archives: impl IntoIterator<Item = Archive>) -> Overlay {
    let (overlay, missing) = merge(archives);
    assert_eq!(missing, []);
    overlay
}

/// Path, content and layer of each file, in their order.
fn files(overlay: &Overlay) -> Vec<(&str, &str, usize)> {
    overlay
        .files()
        .map(|file| {
            let content = file.kept.content.as_deref().map_or("-", |c| std::str::from_utf8(c).unwrap());
            (file.path.as_str(), content, file.layer)
        })
        .collect()
}
