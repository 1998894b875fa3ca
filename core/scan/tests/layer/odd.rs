//! What only tests of single layers need: odd blocks, compression, a look into captures.

use std::io::Write as _;

use regent_scan::{Capture, EntryKind, Error, Kept, Limits, capture_layer};

use super::archive::{Archive, BLOCK, layer, spec};

impl Archive {
    pub(crate) fn block(mut self, block: &[u8; BLOCK]) -> Self {
        self.bytes.extend(block);
        self
    }

    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        self.pax_of_type(b'x', records)
    }

    pub(crate) fn pax_of_type(self, type_flag: u8, records: &[(&str, &str)]) -> Self {
        let data: String = records.iter().map(|(key, value)| pax_record(key, value)).collect();
        self.entry("PaxHeaders/x", type_flag, "", data.as_bytes())
    }

    /// GNU's long name (`L`) or long link (`K`).
    pub(crate) fn long(self, type_flag: u8, name: &str) -> Self {
        self.entry("././@LongLink", type_flag, "", format!("{name}\0").as_bytes())
    }

    pub(crate) fn without_end(self) -> Vec<u8> {
        self.bytes
    }
}

pub(crate) fn pax_record(key: &str, value: &str) -> String {
    let mut length = key.len() + value.len() + 3;
    while format!("{length} {key}={value}\n").len() != length {
        length += 1;
    }
    format!("{length} {key}={value}\n")
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

pub(crate) fn capture(bytes: &[u8]) -> Capture {
    layer(bytes).capture().clone()
}

/// The error's code and text.
pub(crate) fn refusal(bytes: &[u8]) -> String {
    refusal_within(bytes, &Limits::default())
}

pub(crate) fn refusal_within(bytes: &[u8], limits: &Limits) -> String {
    match capture_layer(&spec(bytes), bytes, limits) {
        Ok(layer) => panic!("captured: {:?}", layer.capture()),
        Err(error) => told(&error),
    }
}

pub(crate) fn told(error: &Error) -> String {
    format!("{}: {error}", error.code())
}

pub(crate) fn kept<'a>(capture: &'a Capture, path: &str) -> &'a Kept {
    match &entry(capture, path) {
        EntryKind::File(kept) => kept,
        other => panic!("{path}: {other:?}"),
    }
}

pub(crate) fn entry<'a>(capture: &'a Capture, path: &str) -> &'a EntryKind {
    let found: Vec<_> = capture.entries.iter().filter(|entry| entry.path.as_str() == path).collect();
    assert_eq!(found.len(), 1, "{path} in {:?}", capture.entries);
    &found[0].kind
}

pub(crate) fn content<'a>(capture: &'a Capture, path: &str) -> &'a [u8] {
    kept(capture, path).content.as_deref().unwrap()
}
