//! Zip archives built byte by byte, right ones and wrong ones.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// A zip archive that is being written.
#[derive(Default)]
pub(crate) struct ZipBuilder {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    n_entries: u64,
}

/// An entry as the directory tells of it, to be changed before it is added.
#[derive(Clone)]
pub(crate) struct RawEntry<'a> {
    pub(crate) name: &'a str,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    /// As they are stored.
    pub(crate) data: Vec<u8>,
    pub(crate) size: u64,
    /// Where its local header is, if not where it is written.
    pub(crate) offset: Option<u64>,
    /// Whether its numbers stand in the extra field for 64 bits.
    pub(crate) is_wide: bool,
}

impl<'a> RawEntry<'a> {
    /// The flag of entries whose sizes stand behind their data, as streams write them.
    pub(crate) const STREAMED: u16 = 8;

    /// An entry with deflated data.
    pub(crate) fn deflated(name: &'a str, content: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(content).unwrap();
        Self { method: 8, data: encoder.finish().unwrap(), ..Self::stored(name, content) }
    }

    /// An entry with data as they are.
    pub(crate) fn stored(name: &'a str, content: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        Self {
            name,
            flags: 0,
            method: 0,
            crc: crc.sum(),
            data: content.to_vec(),
            size: content.len() as u64,
            offset: None,
            is_wide: false,
        }
    }
}

impl ZipBuilder {
    /// Begins behind other bytes.
    pub(crate) fn behind(front: &[u8]) -> Self {
        Self { bytes: front.to_vec(), ..Self::default() }
    }

    /// Adds deflated entries.
    pub(crate) fn with(mut self, entries: &[(&str, &[u8])]) -> Self {
        for (name, content) in entries {
            self = self.with_raw(&RawEntry::deflated(name, content));
        }
        self
    }

    /// Adds an entry, local header and all.
    pub(crate) fn with_raw(mut self, entry: &RawEntry<'_>) -> Self {
        let at = self.bytes.len() as u64;
        self.bytes.extend(b"PK\x03\x04\x14\x00");
        for number in [entry.flags, entry.method, 0, 0] {
            self.bytes.extend(number.to_le_bytes());
        }
        let is_streamed = entry.flags & RawEntry::STREAMED != 0;
        let numbers = [entry.data.len() as u64, entry.size];
        let narrow = numbers.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let (crc, stated, extra) = match (is_streamed, entry.is_wide) {
            (true, _) => (0, [0; 2], Vec::new()),
            (false, false) => (entry.crc, narrow, Vec::new()),
            (false, true) => {
                let fields = [numbers[1], numbers[0]].map(u64::to_le_bytes).concat();
                (entry.crc, [u32::MAX; 2], [&[1, 0, 16, 0][..], &fields].concat())
            }
        };
        for number in [crc, stated[0], stated[1]] {
            self.bytes.extend(number.to_le_bytes());
        }
        self.bytes.extend(length(entry.name).to_le_bytes());
        self.bytes.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        self.bytes.extend(entry.name.as_bytes());
        self.bytes.extend(extra);
        self.bytes.extend(&entry.data);
        if is_streamed {
            self.bytes.extend(b"PK\x07\x08");
            for number in [entry.crc, narrow[0], narrow[1]] {
                self.bytes.extend(number.to_le_bytes());
            }
        }
        self.with_header(&RawEntry { offset: Some(entry.offset.unwrap_or(at)), ..entry.clone() })
    }

    /// Adds an entry to the directory alone.
    pub(crate) fn with_header(mut self, entry: &RawEntry<'_>) -> Self {
        let numbers = [entry.size, entry.data.len() as u64, entry.offset.unwrap_or_default()];
        let narrow = numbers.map(|n| if entry.is_wide { u32::MAX } else { u32::try_from(n).unwrap() });
        let extra = if entry.is_wide {
            let fields = numbers.map(u64::to_le_bytes).concat();
            [&[1, 0, 24, 0][..], &fields].concat()
        } else {
            Vec::new()
        };
        self.directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
        for number in [entry.flags, entry.method, 0, 0] {
            self.directory.extend(number.to_le_bytes());
        }
        for number in [entry.crc, narrow[1], narrow[0]] {
            self.directory.extend(number.to_le_bytes());
        }
        self.directory.extend(length(entry.name).to_le_bytes());
        self.directory.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        self.directory.extend([0; 10]);
        self.directory.extend(narrow[2].to_le_bytes());
        self.directory.extend(entry.name.as_bytes());
        self.directory.extend(extra);
        self.n_entries += 1;
        self
    }

    /// Bytes in front of the directory.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The archive.
    pub(crate) fn finish(self) -> Vec<u8> {
        let at = self.data_bytes();
        self.end(at, false, b"")
    }

    /// The archive with a comment behind it.
    pub(crate) fn finish_with_comment(self, comment: &[u8]) -> Vec<u8> {
        let at = self.data_bytes();
        self.end(at, false, comment)
    }

    /// The archive with numbers of 64 bits at its end.
    pub(crate) fn finish_wide(self) -> Vec<u8> {
        let at = self.data_bytes();
        self.end(at, true, b"")
    }

    /// The archive with the end record saying that the directory is there.
    pub(crate) fn end(self, directory_at: u64, is_wide: bool, comment: &[u8]) -> Vec<u8> {
        let (mut bytes, length) = (self.bytes, self.directory.len() as u64);
        bytes.extend(&self.directory);
        if is_wide {
            let at = bytes.len() as u64;
            bytes.extend(b"PK\x06\x06");
            bytes.extend(44_u64.to_le_bytes());
            bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for number in [self.n_entries, self.n_entries, length, directory_at] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(b"PK\x06\x07\0\0\0\0");
            bytes.extend(at.to_le_bytes());
            bytes.extend(1_u32.to_le_bytes());
        }
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        let narrow = |n: u64| if is_wide { u32::MAX } else { u32::try_from(n).unwrap() };
        let count = if is_wide { u16::MAX } else { u16::try_from(self.n_entries % 65536).unwrap() };
        bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
        bytes.extend(narrow(length).to_le_bytes());
        bytes.extend(narrow(directory_at).to_le_bytes());
        bytes.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
        bytes.extend(comment);
        bytes
    }
}

fn length(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap()
}

/// A `pom.properties` as Maven writes it.
pub(crate) fn pom(group: &str, artifact: &str, version: &str) -> Vec<u8> {
    format!("#Generated by Maven\nversion={version}\ngroupId={group}\nartifactId={artifact}\n").into_bytes()
}

/// A jar that says what it is, with other entries.
pub(crate) fn jar(group: &str, artifact: &str, version: &str, others: &[(&str, &[u8])]) -> Vec<u8> {
    let path = format!("META-INF/maven/{group}/{artifact}/pom.properties");
    ZipBuilder::default()
        .with(&[("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n\r\n")])
        .with(&[(&path, &pom(group, artifact, version))])
        .with(others)
        .finish()
}
