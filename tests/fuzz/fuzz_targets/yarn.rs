#![no_main]
//! The lock file of yarn in a hostile image, of yarn 1 or later: the text tells which.

use libfuzzer_sys::fuzz_target;

const MANIFEST: &[u8] = br#"{"name":"a","version":"1.0.0","dependencies":{"a":"^1.0.0","b":"npm:a@^1.0.0","c":"*"},
    "resolutions":{"a/b":"1.0.0","c@*":"npm%3A1.0.0"}}"#;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::node_lock("yarn.lock", MANIFEST, data);
});
