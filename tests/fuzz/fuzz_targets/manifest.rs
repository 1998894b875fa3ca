#![no_main]
//! Manifests, indexes and configurations of a hostile registry.

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use regent_oci::{Document, ImageConfig, Manifest};

fuzz_target!(|data: &[u8]| {
    let _ = ImageConfig::parse(data);
    if let Ok(manifest) = Manifest::parse(Bytes::copy_from_slice(data), None) {
        assert!(manifest.digest.verify(data).is_ok());
        if let Document::Index(index) = manifest.document {
            let _ = index.choose(None);
        }
    }
});
