#![no_main]
//! A file of keys, and a signature beside a driver. None that the fuzzer makes is valid.

use libfuzzer_sys::fuzz_target;
use regent_plugin_api::load::PublicKeys;

fuzz_target!(|text: &str| {
    let (keys, signature) = text.split_once('\0').unwrap_or(("", text));
    let mut trusted = PublicKeys::default();
    let _ = trusted.add(keys);
    assert!(trusted.signer(text.as_bytes(), signature).is_err(), "text that holds its own signature");
});
