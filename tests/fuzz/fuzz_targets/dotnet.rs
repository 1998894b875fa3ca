#![no_main]
//! A published .NET application of a hostile image.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::image_of(&[("/app/a.deps.json", data)]);
});
