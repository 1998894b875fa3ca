#![no_main]
//! The lock files of Elixir and Swift in a hostile image.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match data.split_first() {
    Some((b'm', data)) => drop(regent_scan::parse::mix_lock(data)),
    Some((_, data)) => drop(regent_scan::parse::swift_lock(data)),
    None => {}
});
