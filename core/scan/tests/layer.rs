//! Layer bytes in, captures out.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "in tests a panic is a failure"
)]

#[path = "layer/archive.rs"]
mod archive;
#[path = "layer/chunked.rs"]
mod chunked;
#[path = "layer/compression.rs"]
mod compression;
#[path = "layer/entries.rs"]
mod entries;
#[path = "layer/hostile.rs"]
mod hostile;
#[path = "layer/long_names.rs"]
mod long_names;
#[path = "layer/odd.rs"]
mod odd;
#[path = "layer/sparse.rs"]
mod sparse;
#[path = "layer/spooled.rs"]
mod spooled;
#[path = "layer/verification.rs"]
mod verification;
