//! Makes tar files, archives and layouts.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use regent_oci::{Descriptor, MediaType};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A tar file being written.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.0.append_data(&mut header, path, bytes).unwrap();
        self
    }

    pub(crate) fn link(mut self, kind: tar::EntryType, path: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    pub(crate) fn pax(mut self, key: &str, value: &str) -> Self {
        self.0.append_pax_extensions([(key, value.as_bytes())]).unwrap();
        self
    }

    pub(crate) fn files(mut self, files: &BTreeMap<String, Vec<u8>>) -> Self {
        for (path, bytes) in files {
            self = self.file(path, bytes);
        }
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A layer with one file.
pub(crate) fn layer(content: &str) -> Vec<u8> {
    Tar::new().file("etc/motd", content).bytes()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub(crate) fn config(platform: &str, diff_ids: &[String]) -> Vec<u8> {
    let (os, architecture) = platform.split_once('/').unwrap();
    json!({"os": os, "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
        .into_bytes()
}

/// The file and the directory that keeps it alive.
pub(crate) fn on_disk(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

/// An OCI layout being put together, by path.
#[derive(Default, Clone)]
pub(crate) struct Layout {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Layout {
    pub(crate) fn new() -> Self {
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
        Self { files: BTreeMap::from([("oci-layout".to_owned(), marker)]) }
    }

    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        self.files.insert(path_of(&descriptor), bytes.to_vec());
        descriptor
    }

    /// An image with these layers, as they are.
    pub(crate) fn image(&mut self, platform: &str, layers: &[Vec<u8>]) -> Descriptor {
        let config = self.blob(MediaType::OCI_CONFIG, &config(platform, &[]));
        let layers: Vec<Descriptor> = layers.iter().map(|l| self.blob(MediaType::OCI_LAYER, l)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": layers,
        });
        self.blob(MediaType::OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    pub(crate) fn nested(&mut self, manifests: &[Descriptor]) -> Descriptor {
        self.blob(MediaType::OCI_INDEX, &index(manifests))
    }

    pub(crate) fn index(&mut self, manifests: &[Descriptor]) -> &mut Self {
        self.files.insert("index.json".to_owned(), index(manifests));
        self
    }

    pub(crate) fn remove(&mut self, descriptor: &Descriptor) {
        self.files.remove(&path_of(descriptor)).unwrap();
    }

    pub(crate) fn replace(&mut self, descriptor: &Descriptor, bytes: &[u8]) {
        self.files.insert(path_of(descriptor), bytes.to_vec()).unwrap();
    }

    pub(crate) fn tar(&self) -> Vec<u8> {
        Tar::new().files(&self.files).bytes()
    }

    pub(crate) fn write(&self, directory: &Path) {
        for (path, bytes) in &self.files {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

fn index(manifests: &[Descriptor]) -> Vec<u8> {
    json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes()
}

pub(crate) fn path_of(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hex())
}

pub(crate) trait Described {
    fn on(self, platform: &str) -> Self;
    fn named(self, key: &str, name: &str) -> Self;
}

impl Described for Descriptor {
    fn on(mut self, platform: &str) -> Self {
        self.platform = Some(platform.parse().unwrap());
        self
    }

    fn named(mut self, key: &str, name: &str) -> Self {
        self.annotations.insert(key.to_owned(), name.to_owned());
        self
    }
}

pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// One element of a `manifest.json`.
pub(crate) fn element(config: &str, tags: &[&str], layers: &[&str]) -> Value {
    json!({"Config": config, "RepoTags": tags, "Layers": layers})
}
