//! Images built in code.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use regent_oci::{Descriptor, Digest, MediaType};
use serde_json::{Value, json};

/// Zeros at the end of a tar.
const END_MARK_BYTES: usize = 1024;

/// A tar under construction.
pub struct Layer {
    tar: tar::Builder<Vec<u8>>,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Layer")
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer {
    /// No entries yet.
    pub fn new() -> Self {
        Self { tar: tar::Builder::new(Vec::new()) }
    }

    /// Adds a regular file.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, content.as_ref(), 0o644)
    }

    /// Adds a file that may be run.
    #[must_use]
    pub fn program(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, content.as_ref(), 0o755)
    }

    fn file_with_mode(mut self, path: &str, content: &[u8], mode: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        self.tar.append_data(&mut header, path, content).unwrap();
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mtime(0);
        self.tar.append_link(&mut header, path, target).unwrap();
        self
    }

    /// Adds a file of that size without any data: one hole (GNU tar, old sparse format).
    #[must_use]
    pub fn sparse_file(mut self, path: &str, size_bytes: u64) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(0);
        header.set_mode(0o644);
        header.set_mtime(0);
        let gnu = header.as_gnu_mut().unwrap();
        // Numbers that octal digits have no room for are stored in base 256.
        gnu.realsize = base_256(size_bytes);
        gnu.sparse[0].offset = base_256(size_bytes);
        gnu.sparse[0].numbytes = base_256(0);
        header.set_cksum();
        self.tar.append(&header, std::io::empty()).unwrap();
        self
    }

    /// Adds a file of letters that hardly compress.
    #[must_use]
    pub fn noise_text(self, path: &str, n_bytes: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let letters: Vec<u8> = (0..n_bytes)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                b'a' + u8::try_from((state >> 33) % 26).unwrap()
            })
            .collect();
        self.file(path, letters)
    }

    /// Adds bytes that do not compress, in files of 1 MiB.
    #[must_use]
    pub fn noise(self, directory: &str, mebibytes: usize) -> Self {
        let content = noise(mebibytes << 20);
        let files = content.chunks(1 << 20).enumerate();
        files.fold(self, |layer, (i, content)| layer.file(&format!("{directory}/noise-{i}"), content))
    }

    /// The tar.
    pub fn build(self) -> Vec<u8> {
        self.tar.into_inner().unwrap()
    }

    /// The entries alone, without the mark of the end: a part of a tar.
    pub fn entries(self) -> Vec<u8> {
        let mut tar = self.build();
        tar.truncate(tar.len() - END_MARK_BYTES);
        tar
    }

    /// How many bytes the entries have so far.
    pub fn n_bytes(&self) -> usize {
        self.tar.get_ref().len()
    }
}

/// Bytes that do not compress.
pub fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = vec![0; n_bytes.next_multiple_of(8)];
    for chunk in content.chunks_exact_mut(8) {
        // xorshift64: no need for more than not compressing.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    content.truncate(n_bytes);
    content
}

/// A number in a tar header's field of twelve bytes.
fn base_256(number: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&number.to_be_bytes());
    field
}

/// How a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// Which family of media types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// OCI.
    Oci,
    /// Docker schema 2.
    Docker,
}

/// A complete image: manifest, config and layers.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's media type.
    pub media_type: &'static str,
    /// Config and layers by digest.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// The layers' digests, base layer first.
    pub layers: Vec<Digest>,
    /// Digest of the config.
    pub config: Digest,
}

/// An image under construction.
#[derive(Debug)]
pub struct ImageBuilder {
    flavor: Flavor,
    config: Value,
    layers: Vec<(Vec<u8>, Compression)>,
}

impl ImageBuilder {
    /// A linux/amd64 image without layers.
    pub fn new(flavor: Flavor) -> Self {
        let config = json!({
            "created": "2026-01-01T00:00:00Z", "architecture": "amd64", "os": "linux",
            "config": { "Env": ["PATH=/usr/bin"], "Cmd": ["sh"] },
            "rootfs": { "type": "layers", "diff_ids": [] },
            "history": [],
        });
        Self { flavor, config, layers: Vec::new() }
    }

    /// Sets the platform.
    #[must_use]
    pub fn platform(mut self, os: &str, architecture: &str) -> Self {
        self.config["os"] = os.into();
        self.config["architecture"] = architecture.into();
        self
    }

    /// Adds a layer on top.
    #[must_use]
    pub fn layer(mut self, layer: Layer, compression: Compression) -> Self {
        let tar = layer.build();
        let created_by = format!("COPY layer-{} /", self.layers.len());
        self.config["rootfs"]["diff_ids"]
            .as_array_mut()
            .unwrap()
            .push(Digest::sha256(&tar).to_string().into());
        self.config["history"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "created": "2026-01-01T00:00:00Z", "created_by": created_by }));
        self.layers.push((tar, compression));
        self
    }

    /// Puts it together.
    pub fn build(self) -> Image {
        let (config_type, manifest_type) = match self.flavor {
            Flavor::Oci => (MediaType::OCI_CONFIG, MediaType::OCI_MANIFEST),
            Flavor::Docker => (MediaType::DOCKER_CONFIG, MediaType::DOCKER_MANIFEST),
        };
        let mut blobs = BTreeMap::new();
        let config = self.config.to_string().into_bytes();
        let config_descriptor = Descriptor::of(config_type, &config);
        blobs.insert(config_descriptor.digest.clone(), config);
        let mut layers = Vec::new();
        for (tar, compression) in self.layers {
            let stored = compress(&tar, compression);
            let media_type = match (self.flavor, compression) {
                (Flavor::Docker, _) => MediaType::DOCKER_LAYER_GZIP,
                (Flavor::Oci, Compression::None) => MediaType::OCI_LAYER,
                (Flavor::Oci, Compression::Gzip) => MediaType::OCI_LAYER_GZIP,
                (Flavor::Oci, Compression::Zstd) => MediaType::OCI_LAYER_ZSTD,
            };
            layers.push(Descriptor::of(media_type, &stored));
            blobs.insert(Digest::sha256(&stored), stored);
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": manifest_type, "config": config_descriptor, "layers": layers,
        });
        Image {
            manifest: manifest.to_string().into_bytes(),
            media_type: manifest_type,
            blobs,
            layers: layers.into_iter().map(|d| d.digest).collect(),
            config: config_descriptor.digest,
        }
    }
}

impl Image {
    /// The manifest's digest.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    /// Writes it as an OCI image layout with one tag.
    pub fn write_layout(&self, directory: &Path, tag: &str) {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        for (digest, bytes) in &self.blobs {
            fs::write(blobs.join(digest.hex()), bytes).unwrap();
        }
        fs::write(blobs.join(self.digest().hex()), &self.manifest).unwrap();
        let mut descriptor = Descriptor::of(self.media_type, &self.manifest);
        descriptor.annotations.insert("org.opencontainers.image.ref.name".into(), tag.into());
        let index =
            json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [descriptor] });
        fs::write(directory.join("index.json"), index.to_string()).unwrap();
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }

    /// Pushes it to a registry (distribution-spec 1.1, "Pushing blobs", monolithic upload).
    pub async fn push(&self, registry: &str, repository: &str, tag: &str, authorization: Option<&str>) {
        for (digest, bytes) in &self.blobs {
            push_blob(registry, repository, digest, bytes.clone(), authorization).await;
        }
        push_manifest(registry, repository, tag, self.media_type, &self.manifest, authorization).await;
    }
}

/// Pushes one blob.
pub async fn push_blob(
    registry: &str,
    repository: &str,
    digest: &Digest,
    bytes: Vec<u8>,
    authorization: Option<&str>,
) {
    let client = crate::http::client();
    let with_auth = |request: reqwest::RequestBuilder| match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    };
    let start = with_auth(client.post(format!("http://{registry}/v2/{repository}/blobs/uploads/")));
    let start = start.send().await.unwrap();
    assert_eq!(start.status(), 202, "starting an upload to {repository}");
    let location = start.headers()["location"].to_str().unwrap();
    let location =
        if location.starts_with('/') { format!("http://{registry}{location}") } else { location.to_owned() };
    let separator = if location.contains('?') { '&' } else { '?' };
    let put = with_auth(client.put(format!("{location}{separator}digest={digest}")))
        .header("content-type", "application/octet-stream")
        .body(bytes);
    assert_eq!(put.send().await.unwrap().status(), 201, "uploading {digest}");
}

/// Pushes a manifest or index whose content is there already.
pub async fn push_manifest(
    registry: &str,
    repository: &str,
    reference: &str,
    media_type: &str,
    manifest: &[u8],
    authorization: Option<&str>,
) {
    let mut request = crate::http::client()
        .put(format!("http://{registry}/v2/{repository}/manifests/{reference}"))
        .header("content-type", media_type)
        .body(manifest.to_vec());
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201, "pushing {repository}:{reference}");
}

fn compress(tar: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => tar.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(tar, 1).unwrap(),
    }
}

/// A Debian layer: os-release and a dpkg status with three packages, one depending on another.
pub fn debian_layer() -> Layer {
    Layer::new()
        .file(
            "usr/lib/os-release",
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n",
        )
        .symlink("etc/os-release", "../usr/lib/os-release")
        .file(
            "var/lib/dpkg/status",
            "Package: libc6\nStatus: install ok installed\nSource: glibc\nVersion: 2.36-9+deb12u4\n\n\
             Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2+b2\nDepends: libc6 (>= 2.36)\n\n\
             Package: openssl\nStatus: install ok installed\nVersion: 3.0.11-1~deb12u2\nDepends: libc6 (>= 2.34)\n",
        )
}

/// An Alpine layer: os-release and an apk database with two packages.
pub fn alpine_layer() -> Layer {
    Layer::new()
        .file("etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME=\"Alpine Linux v3.18\"\n")
        .file(
            "lib/apk/db/installed",
            "C:Q1abc=\nP:musl\nV:1.2.4-r1\nA:x86_64\no:musl\np:so:libc.musl-x86_64.so.1=1\n\n\
             C:Q1def=\nP:busybox\nV:1.36.1-r2\nA:x86_64\no:busybox\nD:so:libc.musl-x86_64.so.1\np:cmd:sh=1.36.1-r2\n\n",
        )
}
