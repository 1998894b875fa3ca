//! The image that is scanned cold: of the kinds of layers that images are made of, in the sizes that they have.

use std::io::Write as _;
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;
use regent_oci::{Descriptor, Digest, MediaType};
use serde_json::json;

use crate::image::{Layer, push_blob, push_manifest};

use super::content::Content;
use super::kinds;

/// Where the image is pushed to.
pub const REPOSITORY: &str = "bench/image";
/// Its tag.
pub const TAG: &str = "1";

/// A layer by its kind: its tar's bytes for each byte of the image's compressed size, in thousandths.
type Recipe = (fn(&mut Content, usize) -> Layer, usize);

/// Together about 2.1 bytes of tar for each byte that is stored.
const LAYERS: [Recipe; 6] = [
    (|content, n_bytes| kinds::debian(content, 420, n_bytes), 330),
    (kinds::runtimes, 560),
    (kinds::npm, 320),
    (kinds::pip, 330),
    (kinds::jars, 190),
    (kinds::go, 340),
];

/// A layer: its bytes as they are stored, its diff ID, and the size of its tar.
pub type Made = (Vec<u8>, Digest, u64);

/// An image at a registry.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// What its layers take as they are stored, in bytes.
    pub stored_bytes: u64,
    /// What they take unpacked, in bytes.
    pub inflated_bytes: u64,
    /// How many layers it has.
    pub n_layers: usize,
    /// Files in it.
    pub what: String,
}

impl Specimen {
    /// In a sentence.
    pub fn sentence(&self) -> String {
        let Self { stored_bytes, inflated_bytes, n_layers, what } = self;
        format!(
            "An image of {} MB compressed and {} MB unpacked in {n_layers} layers: {what}.",
            stored_bytes / 1_000_000,
            inflated_bytes / 1_000_000
        )
    }
}

/// Makes the image, of about this compressed size, and pushes it.
pub async fn push_generated(registry: &str, mebibytes: usize) -> Specimen {
    let unit = (mebibytes << 20) / 1000;
    let todo: Mutex<Vec<usize>> = Mutex::new((0..LAYERS.len()).collect());
    let made: Mutex<Vec<(usize, Made)>> = Mutex::default();
    // Two at a time: compressing takes most of it.
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let Some(i) = todo.lock().unwrap().pop() else { return };
                        let (make, thousandths) = LAYERS[i];
                        let tar = make(&mut Content::new(i as u64), unit * thousandths).build();
                        let layer = (gzip(&tar), Digest::sha256(&tar), tar.len() as u64);
                        made.lock().unwrap().push((i, layer));
                    }
                });
            }
        });
    });
    let mut made = made.into_inner().unwrap();
    made.sort_by_key(|(i, _)| *i);
    let layers = made.into_iter().map(|(_, layer)| layer).collect();
    let what = "generated files in the sizes and kinds of a Debian root with runtimes, of npm and pip \
                applications, JARs and Go programs";
    push(registry, layers, what).await
}

/// Pushes an image of these layers, as Docker has it, which every scanner reads.
pub async fn push(registry: &str, layers: Vec<Made>, what: &str) -> Specimen {
    let (mut descriptors, mut diff_ids) = (Vec::new(), Vec::new());
    let (mut stored_bytes, mut inflated_bytes) = (0, 0);
    for (blob, diff_id, inflated) in layers {
        stored_bytes += blob.len() as u64;
        inflated_bytes += inflated;
        diff_ids.push(diff_id.to_string());
        let descriptor = Descriptor::of(MediaType::DOCKER_LAYER_GZIP, &blob);
        push_blob(registry, REPOSITORY, &descriptor.digest, blob, None).await;
        descriptors.push(descriptor);
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    let descriptor = Descriptor::of(MediaType::DOCKER_CONFIG, &config);
    push_blob(registry, REPOSITORY, &descriptor.digest, config, None).await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::DOCKER_MANIFEST, "config": descriptor, "layers": descriptors,
    });
    let manifest = manifest.to_string();
    push_manifest(registry, REPOSITORY, TAG, MediaType::DOCKER_MANIFEST, manifest.as_bytes(), None).await;
    Specimen { stored_bytes, inflated_bytes, n_layers: descriptors.len(), what: what.to_owned() }
}

/// Compresses as builders of images do.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
