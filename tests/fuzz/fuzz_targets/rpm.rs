#![no_main]
//! A rpm database of a hostile image.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::rpm_database(data);
});
