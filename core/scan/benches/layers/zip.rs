//! Java archives.

use std::io::Write as _;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::content::Content;

/// A jar with so many classes, which says what it is.
pub(crate) fn jar(content: &mut Content, n: usize, classes: usize) -> Vec<u8> {
    let mut zip = Zip::default();
    zip.entry("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\nImplementation-Version: 1.0\r\n\r\n");
    let pom = format!("version=1.0\ngroupId=org.example\nartifactId=artifact-{n}\n");
    zip.entry(&format!("META-INF/maven/org.example/artifact-{n}/pom.properties"), pom.as_bytes());
    for i in 0..classes {
        let size = 400 + content.below(6000);
        let class = [&b"\xca\xfe\xba\xbe\0\0\0\x34"[..], &content.code(size)].concat();
        zip.entry(&format!("org/example/artifact{n}/internal/Class{i}$Inner.class"), &class);
    }
    zip.finish()
}

#[derive(Default)]
struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    fn entry(&mut self, name: &str, data: &[u8]) {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::new(6));
        deflate.write_all(data).unwrap();
        let stored = deflate.finish().unwrap();
        let mut crc = Crc::new();
        crc.update(data);
        let offset = number(self.bytes.len());
        let mut common = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
        for number in [crc.sum(), number(stored.len()), number(data.len()), number(name.len())] {
            common.extend(number.to_le_bytes());
        }
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&common);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(stored);
        self.directory.extend(b"PK\x01\x02\x14\0");
        self.directory.extend(&common);
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.entries += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        let at = number(self.bytes.len());
        let length = number(self.directory.len());
        self.bytes.extend(&self.directory);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend([self.entries.to_le_bytes(), self.entries.to_le_bytes()].concat());
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(at.to_le_bytes());
        self.bytes.extend([0, 0]);
        self.bytes
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap()
}
