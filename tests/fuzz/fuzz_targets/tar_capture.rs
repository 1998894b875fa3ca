#![no_main]
//! Layers with the right digest and anything at all inside.

use libfuzzer_sys::fuzz_target;
use regent_oci::{Descriptor, MediaType};
use regent_scan::{Interest, LayerSpec, Limits, Overlay, analyze, capture_layer};

fuzz_target!(|data: &[u8]| {
    let spec = LayerSpec::new(Descriptor::of(MediaType::OCI_LAYER, data));
    // Small enough that a bomb ends soon.
    let limits = Limits { inflated_bytes: 16 << 20, kept_layer_bytes: 8 << 20, ..Limits::default() };
    if let Ok(layer) = capture_layer(&spec, data, &limits) {
        let (overlay, _) = Overlay::new(&[layer.clone(), layer], &limits);
        let _ = analyze(&overlay, &Interest::default());
    }
});
