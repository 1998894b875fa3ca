#![no_main]
//! Layers in parts: a table of contents that the manifest pins and that says anything at all, and parts that are anything.

use libfuzzer_sys::fuzz_target;
use regent_oci::{Descriptor, Digest, MediaType};
use regent_scan::{LayerSpec, Limits, Plan, TocPin, capture_chunks};

/// What the layer claims to have, in bytes, so that most places are in it.
const LAYER_BYTES: u64 = 1 << 40;
const PREFIX: &str = "io.github.containers.zstd-chunked.";

fuzz_target!(|data: &[u8]| {
    // What is in front of the first newline is the parts that are fetched.
    let (parts, json) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or_default());
    let toc = zstd::encode_all(json, 1).unwrap();
    let mut layer = Descriptor::of(MediaType::OCI_LAYER, b"");
    layer.size_bytes = LAYER_BYTES;
    layer.annotations = [
        (format!("{PREFIX}manifest-checksum"), Digest::sha256(&toc).to_string()),
        (format!("{PREFIX}manifest-position"), format!("9:{}:{}:1", toc.len(), json.len())),
    ]
    .into();
    let pin = TocPin::of(&layer).unwrap();
    assert!(pin.missing_part(&toc).unwrap().is_empty());
    let spec = LayerSpec::new(layer);
    // Small enough that a bomb ends soon.
    let limits = Limits { inflated_bytes: 16 << 20, kept_layer_bytes: 8 << 20, ..Limits::default() };
    if let Ok(plan) = Plan::new(&spec, &pin, &toc, &limits) {
        let mut end = 0;
        for range in plan.ranges() {
            assert!(end <= range.start && range.start < range.end && range.end <= LAYER_BYTES, "{range:?}");
            end = range.end;
        }
        let _ = capture_chunks(&spec, plan, parts, &limits);
    }
});
