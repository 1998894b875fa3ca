#![no_main]
//! A file of the plugin directory that says it is a driver.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use regent_plugin_api::load::LibraryFile;

fuzz_target!(|data: &[u8]| {
    let _ = LibraryFile::from_bytes(Path::new("fuzzed.so"), data.to_vec());
});
