#![no_main]
//! A dpkg database of a hostile image.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::dpkg_status(data);
});
