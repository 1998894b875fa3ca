#![no_main]
//! Any bytes as what tells of Rust crates: the first one chooses between the section of `cargo auditable` and
//! `Cargo.lock`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match data {
        [b'L', lock @ ..] => drop(regent_scan::parse::cargo_lock(lock)),
        [_, section @ ..] => drop(regent_scan::parse::crate_list(section)),
        [] => {}
    }
});
