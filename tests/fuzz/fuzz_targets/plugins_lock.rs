#![no_main]
//! A `plugins.lock`: what was read is written and read again as the same.

use libfuzzer_sys::fuzz_target;
use regent_oci::Digest;
use regent_plugin_api::load::Lock;

fuzz_target!(|text: &str| {
    let Ok(mut lock) = Lock::parse(text) else { return };
    assert_eq!(Lock::parse(&lock.to_string()), Ok(lock.clone()));
    let digest = Digest::sha256(text.as_bytes());
    lock.pin("fuzzed.so", &digest);
    assert!(Lock::parse(&lock.to_string()).is_ok_and(|lock| lock.contains(&digest)));
});
