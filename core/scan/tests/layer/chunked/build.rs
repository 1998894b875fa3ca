//! Layers with a table of contents, as the writers of eStargz (stargz-snapshotter, `estargz/estargz.go`) and zstd:chunked
//! (containers/storage, `pkg/chunked/compressor`) lay them out.

use std::collections::BTreeMap;
use std::io::Write as _;

use regent_oci::{Descriptor, Digest, MediaType};
use serde_json::{Value, json};

const BLOCK: usize = 512;
/// Bytes that share a gzip member, where they do.
const SHARED: usize = 6000;
/// A larger file is in chunks of so many bytes, as writers of eStargz have it.
const LARGE: usize = 64 << 10;
const LARGE_CHUNK: usize = 4 << 20;
/// The marks around a Go program's text about modules.
const MARK_BEFORE: [u8; 16] = *b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
const MARK_AFTER: [u8; 16] = *b"\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";

/// An entry of the layer.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its name, as it stands in the tar.
    pub(crate) name: String,
    /// Its mode.
    pub(crate) mode: u32,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A file with this content.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
    /// A hard link to this name.
    HardLink(String),
    /// A named pipe.
    Pipe,
}

/// A file with mode 0644.
pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> Node {
    Node { name: name.to_owned(), mode: 0o644, kind: Kind::File(content.as_ref().to_vec()) }
}

/// A file that may be run.
pub(crate) fn program(name: &str, content: impl AsRef<[u8]>) -> Node {
    Node { mode: 0o755, ..file(name, content) }
}

/// Anything else.
pub(crate) fn node(name: &str, kind: Kind) -> Node {
    Node { name: name.to_owned(), mode: 0o755, kind }
}

/// Which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// eStargz.
    Stargz {
        /// Whether the tar is kept as it was: its end mark stands in front of the table of contents then.
        is_lossless: bool,
        /// Whether small files share a gzip member.
        has_shared_members: bool,
        /// The footer of stargz.
        has_legacy_footer: bool,
    },
    /// zstd:chunked.
    ZstdChunked,
}

impl Format {
    /// eStargz as it is usually written.
    pub(crate) const STARGZ: Self =
        Self::Stargz { is_lossless: false, has_shared_members: false, has_legacy_footer: false };
}

/// A layer as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// What the manifest says of it.
    pub(crate) descriptor: Descriptor,
    /// Where the stored data of each file begins, by name.
    pub(crate) places: BTreeMap<String, usize>,
}

/// Builds a layer.
pub(crate) fn build(nodes: &[Node], format: Format, chunk_bytes: usize) -> Built {
    build_with(nodes, format, chunk_bytes, |_| {})
}

/// The same with a table of contents that was changed, and is pinned as such.
pub(crate) fn build_with(
    nodes: &[Node],
    format: Format,
    chunk_bytes: usize,
    change: impl FnOnce(&mut Vec<Value>),
) -> Built {
    let mut writer = Writer { format, out: Vec::new(), open: None, last: None };
    let mut entries = Vec::new();
    let mut places = BTreeMap::new();
    for node in nodes {
        let content = match &node.kind {
            Kind::File(content) => content.as_slice(),
            _ => &[],
        };
        let chunk_bytes = if content.len() > LARGE { LARGE_CHUNK } else { chunk_bytes };
        writer.write(&header(node, content.len()));
        let mut own = vec![described(node, content)];
        let chunks: Vec<&[u8]> = content.chunks(chunk_bytes).collect();
        for (i, chunk) in chunks.iter().enumerate() {
            let (offset, inner_offset) = writer.begin_chunk(chunk.len());
            places.entry(node.name.clone()).or_insert(offset);
            writer.write(chunk);
            if i > 0 {
                own.push(json!({"type": "chunk", "name": node.name}));
            }
            let entry = own.last_mut().unwrap();
            entry["offset"] = offset.into();
            entry["chunkOffset"] = (i * chunk_bytes).into();
            if inner_offset > 0 {
                entry["innerOffset"] = inner_offset.into();
            }
            if format == Format::ZstdChunked && chunks.len() > 1 && chunk.iter().all(|&b| b == 0) {
                entry["chunkType"] = "zeros".into();
            }
            // eStargz leaves the size out of the last one, and zstd:chunked has none of a single one.
            if (format == Format::ZstdChunked && chunks.len() > 1) || i + 1 < chunks.len() {
                entry["chunkSize"] = chunk.len().into();
            }
            if format != Format::ZstdChunked || chunks.len() > 1 {
                entry["chunkDigest"] = Digest::sha256(chunk).as_str().into();
            }
        }
        if format == Format::ZstdChunked && !content.is_empty() {
            own[0]["endOffset"] = writer.close().into();
        }
        entries.extend(own);
        writer.write(&vec![0; content.len().next_multiple_of(BLOCK) - content.len()]);
    }
    change(&mut entries);
    let toc = serde_json::to_vec_pretty(&json!({"entries": entries, "version": 1})).unwrap();
    let (bytes, annotations) = writer.finish(&toc);
    let mut descriptor = Descriptor::of(MediaType::OCI_LAYER_GZIP, &bytes);
    descriptor.annotations = annotations;
    Built { bytes, descriptor, places }
}

fn described(node: &Node, content: &[u8]) -> Value {
    let mut entry = json!({
        "name": node.name, "mode": node.mode, "modtime": "2024-01-01T00:00:00Z", "uid": 0,
        "xattrs": {"user.x": "eA=="},
    });
    let (kind, link) = match &node.kind {
        Kind::File(_) => ("reg", None),
        Kind::Directory => ("dir", None),
        Kind::Symlink(target) => ("symlink", Some(target)),
        Kind::HardLink(target) => ("hardlink", Some(target)),
        Kind::Pipe => ("fifo", None),
    };
    entry["type"] = kind.into();
    if let Some(link) = link {
        entry["linkName"] = link.as_str().into();
    }
    if !content.is_empty() {
        entry["size"] = content.len().into();
        entry["digest"] = Digest::sha256(content).as_str().into();
    }
    entry
}

fn header(node: &Node, size: usize) -> Vec<u8> {
    let (flag, link) = match &node.kind {
        Kind::File(_) => (b'0', ""),
        Kind::Directory => (b'5', ""),
        Kind::Symlink(target) => (b'2', target.as_str()),
        Kind::HardLink(target) => (b'1', target.as_str()),
        Kind::Pipe => (b'6', ""),
    };
    let mut block = vec![0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, node.name.as_bytes());
    put(100, format!("{:07o}\0", node.mode).as_bytes());
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[flag]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The stored layer, and what of it is not compressed yet.
struct Writer {
    format: Format,
    out: Vec<u8>,
    open: Option<Vec<u8>>,
    /// Where the last chunk's member begins, and how much was written since then.
    last: Option<(usize, usize)>,
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) {
        self.open.get_or_insert_default().extend_from_slice(bytes);
        if let Some((_, written)) = &mut self.last {
            *written += bytes.len();
        }
    }

    /// Ends what is compressed together, and returns where the next begins.
    fn close(&mut self) -> usize {
        if let Some(bytes) = self.open.take() {
            match self.format {
                Format::Stargz { .. } => self.out.extend(gzip(&bytes)),
                Format::ZstdChunked => self.out.extend(zstd::encode_all(bytes.as_slice(), 1).unwrap()),
            }
        }
        self.out.len()
    }

    fn begin_chunk(&mut self, n_bytes: usize) -> (usize, usize) {
        let is_sharing = matches!(self.format, Format::Stargz { has_shared_members: true, .. });
        if let Some((place, written)) =
            self.last.filter(|(_, written)| is_sharing && written + n_bytes < SHARED)
        {
            return (place, written);
        }
        let place = self.close();
        self.last = Some((place, 0));
        (place, 0)
    }

    fn finish(mut self, toc: &[u8]) -> (Vec<u8>, BTreeMap<String, String>) {
        let end_mark = vec![0; 2 * BLOCK];
        match self.format {
            Format::Stargz { is_lossless, has_legacy_footer, .. } => {
                if is_lossless {
                    self.write(&end_mark);
                }
                let place = self.close();
                let own =
                    Node { name: "stargz.index.json".to_owned(), mode: 0, kind: Kind::File(Vec::new()) };
                self.write(&header(&own, toc.len()));
                self.write(toc);
                self.write(&vec![0; toc.len().next_multiple_of(BLOCK) - toc.len()]);
                self.write(&end_mark);
                self.close();
                self.out.extend([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255]);
                let extra: &[u8] = if has_legacy_footer { &[22, 0] } else { &[26, 0, b'S', b'G', 22, 0] };
                self.out.extend(extra);
                self.out.extend(format!("{place:016x}STARGZ").as_bytes());
                self.out.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
                let digest = Digest::sha256(toc).to_string();
                (self.out, BTreeMap::from([("containerd.io/snapshot/stargz/toc.digest".to_owned(), digest)]))
            }
            Format::ZstdChunked => {
                self.write(&end_mark);
                self.close();
                let compressed = zstd::encode_all(toc, 1).unwrap();
                let place = self.out.len() + 8;
                let text = format!("{place}:{}:{}:1", compressed.len(), toc.len());
                for content in [compressed.as_slice(), &[0; 64]] {
                    self.out.extend([0x50, 0x2a, 0x4d, 0x18]);
                    self.out.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
                    self.out.extend(content);
                }
                let prefix = "io.github.containers.zstd-chunked.";
                let annotations = [
                    (format!("{prefix}manifest-checksum"), Digest::sha256(&compressed).to_string()),
                    (format!("{prefix}manifest-position"), text),
                ];
                (self.out, BTreeMap::from(annotations))
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that do not compress, others for each seed.
pub(crate) fn noise(seed: u64, n_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ (seed << 8);
    let mut bytes = Vec::with_capacity(n_bytes.next_multiple_of(8));
    while bytes.len() < n_bytes {
        // xorshift64: no need for more than not compressing.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(n_bytes);
    bytes
}

/// A program in Go that was built from one module: the least that its build information is found in.
pub(crate) fn go_program(module: &str) -> Vec<u8> {
    let text =
        format!("path\texample.org/app\nmod\texample.org/app\t(devel)\t\ndep\t{module}\tv1.2.3\th1:x=\n");
    let text = [MARK_BEFORE.to_vec(), text.into_bytes(), MARK_AFTER.to_vec()].concat();
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
    info.resize(32, 0);
    for string in [b"go1.21.13".as_slice(), &text] {
        assert!(string.len() < 1 << 14, "two digits of its length");
        info.extend([
            u8::try_from(string.len() & 0x7f).unwrap() | 0x80,
            u8::try_from(string.len() >> 7).unwrap(),
        ]);
        info.extend(string);
    }
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64 + 56, 0);
    let length = info.len() as u64;
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &[2, 0, 62, 0, 1]);
    put(32, &64_u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 1, 0]);
    // One segment, writable, with the build information at its beginning.
    put(64, &[1, 0, 0, 0, 6]);
    put(64 + 8, &128_u64.to_le_bytes());
    put(64 + 16, &0x40_0080_u64.to_le_bytes());
    put(64 + 32, &length.to_le_bytes());
    put(64 + 40, &length.to_le_bytes());
    file.resize(128, 0);
    file.extend(info);
    file
}
