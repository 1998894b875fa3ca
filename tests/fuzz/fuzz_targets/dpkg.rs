#![no_main]
//! A dpkg database of a hostile image, and the file that tells a package's licences.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::dpkg_status(data);
    let _ = regent_scan::parse::debian_copyright(data);
});
