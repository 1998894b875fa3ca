#![no_main]
//! What a driver's process says to the agent: frames, messages, and the answers in them.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    regent_isolation::read_from_a_driver(bytes);
});
