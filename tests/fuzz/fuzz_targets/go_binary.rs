#![no_main]
//! Any bytes as an executable: Go's build information and its table of source files.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = regent_scan::parse::executable(data);
});
