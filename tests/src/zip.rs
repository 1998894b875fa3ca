//! Zip archives built byte by byte: right ones, and such as no tool writes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// An archive under construction.
#[derive(Debug, Default)]
pub struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    n_entries: u64,
}

/// What the directory says of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// How its data are stored: 0 as they are, 8 deflated.
    pub method: u16,
    /// CRC-32 of the data.
    pub crc: u32,
    /// Their size in the archive, in bytes.
    pub stored_bytes: u32,
    /// Their size, in bytes.
    pub size_bytes: u32,
    /// Where its local header is.
    pub offset: u32,
}

impl Zip {
    /// No entries yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry as it is.
    #[must_use]
    pub fn stored(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, 0, content, content)
    }

    /// Adds an entry, deflated.
    #[must_use]
    pub fn deflated(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, 8, &deflate(content), content)
    }

    fn entry(mut self, name: &str, method: u16, data: &[u8], content: &[u8]) -> Self {
        let header = Header {
            name,
            method,
            crc: crc(content),
            stored_bytes: number(data.len()),
            size_bytes: number(content.len()),
            offset: number(self.bytes.len()),
        };
        self.bytes.extend(local_header(&header));
        self.bytes.extend(data);
        self.header(&header)
    }

    /// Adds bytes that no entry owns yet.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// Adds an entry to the directory alone: its data are whatever lies there.
    #[must_use]
    pub fn header(self, header: &Header<'_>) -> Self {
        self.headers(header, 1)
    }

    /// Adds as many entries to the directory alone, all alike.
    #[must_use]
    pub fn headers(mut self, header: &Header<'_>, n_entries: usize) -> Self {
        let mut bytes = b"PK\x01\x02\x14\0\x14\0\0\0".to_vec();
        bytes.extend(header.method.to_le_bytes());
        bytes.extend([0; 4]);
        for number in [header.crc, header.stored_bytes, header.size_bytes] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(u16::try_from(header.name.len()).unwrap().to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(header.offset.to_le_bytes());
        bytes.extend(header.name.as_bytes());
        self.directory.extend(bytes.repeat(n_entries));
        self.n_entries += n_entries as u64;
        self
    }

    /// Adds bytes to the directory.
    #[must_use]
    pub fn directory_bytes(mut self, bytes: &[u8]) -> Self {
        self.directory.extend(bytes);
        self
    }

    /// How many bytes lie in front of the directory.
    pub fn data_bytes(&self) -> u32 {
        number(self.bytes.len())
    }

    /// The archive.
    pub fn build(self) -> Vec<u8> {
        let (at, length) = (self.data_bytes(), number(self.directory.len()));
        self.ending(at, length)
    }

    /// The archive with an end that says where its directory is, and how long.
    pub fn ending(self, directory_at: u32, directory_bytes: u32) -> Vec<u8> {
        let n_entries = u16::try_from(self.n_entries).unwrap_or(u16::MAX - 1).to_le_bytes();
        let mut bytes = [self.bytes, self.directory, b"PK\x05\x06\0\0\0\0".to_vec()].concat();
        bytes.extend([n_entries, n_entries].concat());
        bytes.extend(directory_bytes.to_le_bytes());
        bytes.extend(directory_at.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    /// The archive with an end of 64 bits that says how many entries its directory has, where it is, and how long.
    pub fn ending_wide(self, n_entries: u64, directory_at: u64, directory_bytes: u64) -> Vec<u8> {
        let mut bytes = [self.bytes, self.directory].concat();
        let at = bytes.len() as u64;
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [n_entries, n_entries, directory_bytes, directory_at] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(at.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([0xff; 12]);
        bytes.extend([0; 2]);
        bytes
    }
}

/// What stands in front of an entry's data.
pub fn local_header(header: &Header<'_>) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04\x14\0\0\0".to_vec();
    bytes.extend(header.method.to_le_bytes());
    bytes.extend([0; 4]);
    for number in [header.crc, header.stored_bytes, header.size_bytes] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(u16::try_from(header.name.len()).unwrap().to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(header.name.as_bytes());
    bytes
}

/// Deflated bytes.
pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// CRC-32.
pub fn crc(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}
