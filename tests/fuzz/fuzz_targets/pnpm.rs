#![no_main]
//! The lock file of pnpm in a hostile image.

use libfuzzer_sys::fuzz_target;

const MANIFEST: &[u8] =
    br#"{"name":"a","version":"1.0.0","dependencies":{"a":"^1.0.0","b":"npm:a@^1.0.0","c":"*"}}"#;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::node_lock("pnpm-lock.yaml", MANIFEST, data);
});
