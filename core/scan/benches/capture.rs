//! The time that reading a layer takes, beside that of hashing and inflating it alone: `cargo bench -p regent-scan`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "measures layers that it makes itself")]

#[path = "layers/modules.rs"]
mod layers;

use divan::Bencher;
use divan::counter::BytesCount;
use regent_scan::{LayerSpec, Limits, capture_layer};

use self::layers::floor;
use self::layers::generate::Layer;

/// Size of a layer when it is inflated.
const MEBIBYTES: usize = 32;

fn main() {
    divan::main();
}

#[divan::bench(args = Layer::ALL.map(Layer::name), sample_count = 20)]
fn floor(bencher: Bencher<'_, '_>, layer: &str) {
    let blob = blob(layer);
    let descriptor = floor::descriptor(&blob);
    bencher.counter(BytesCount::new(blob.len())).bench(|| floor::floor(&blob, &descriptor));
}

#[divan::bench(args = Layer::ALL.map(Layer::name), sample_count = 20)]
fn capture(bencher: Bencher<'_, '_>, layer: &str) {
    let blob = blob(layer);
    let descriptor = floor::descriptor(&blob);
    bencher
        .counter(BytesCount::new(blob.len()))
        .bench(|| capture_layer(&LayerSpec::new(descriptor.clone()), &*blob, &Limits::default()));
}

fn blob(name: &str) -> Vec<u8> {
    Layer::ALL
        .into_iter()
        .find(|layer| layer.name() == name)
        .map(|layer| layer.blob(MEBIBYTES))
        .unwrap_or_default()
}
