#![no_main]
//! A YAML file of a hostile image.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = regent_scan::parse::yaml_names(text);
});
