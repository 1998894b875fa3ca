//! Tar archives built in code, block by block, so that broken ones can be built too.

use regent_oci::{Descriptor, MediaType};
use regent_scan::{CapturedLayer, LayerSpec, Limits, capture_layer};

pub(crate) const BLOCK: usize = 512;

/// A header block, with its checksum.
pub(crate) fn header(name: &str, type_flag: u8, link: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000644\0");
    put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    put(&mut block, 136, b"00000000000\0");
    block[156] = type_flag;
    put(&mut block, 157, link.as_bytes());
    put(&mut block, 257, b"ustar\x0000");
    sign(&mut block);
    block
}

pub(crate) fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Writes the checksum.
pub(crate) fn sign(block: &mut [u8; BLOCK]) {
    put(block, 148, b"        ");
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    put(block, 148, format!("{sum:06o}\0 ").as_bytes());
}

#[derive(Clone, Default)]
pub(crate) struct Archive {
    pub(crate) bytes: Vec<u8>,
}

impl Archive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn entry(mut self, name: &str, type_flag: u8, link: &str, data: &[u8]) -> Self {
        self.bytes.extend(header(name, type_flag, link, data.len() as u64));
        self.data(data)
    }

    /// Data, padded to a block.
    pub(crate) fn data(mut self, data: &[u8]) -> Self {
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(crate) fn file(self, name: &str, data: impl AsRef<[u8]>) -> Self {
        self.entry(name, b'0', "", data.as_ref())
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.entry(name, b'5', "", b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name, b'2', target, b"")
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(name, b'1', target, b"")
    }

    /// With the end mark.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 2 * BLOCK]);
        self.bytes
    }
}

pub(crate) fn spec(bytes: &[u8]) -> LayerSpec {
    LayerSpec::new(Descriptor::of(MediaType::OCI_LAYER, bytes))
}

pub(crate) fn layer(bytes: &[u8]) -> CapturedLayer {
    capture_layer(&spec(bytes), bytes, &Limits::default()).unwrap()
}
