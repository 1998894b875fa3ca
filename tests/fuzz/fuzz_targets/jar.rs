#![no_main]
//! A Java archive of a hostile image.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::java_archive(data);
});
