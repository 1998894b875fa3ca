#![no_main]
//! `WWW-Authenticate` and `Link` headers of a hostile registry.

use libfuzzer_sys::fuzz_target;
use regent_distribution::{Challenge, Link};

fuzz_target!(|text: &str| {
    let _ = Challenge::parse_text(text);
    let _ = Link::parse_text(text);
});
