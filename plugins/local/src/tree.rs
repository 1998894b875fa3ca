//! Where the files of an image layout stand: in a directory, or in an archive.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regent_oci::{Digest, MAX_MANIFEST_BYTES};
use regent_plugin_api::bytes::Bytes;

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::section::Section;

/// How many blobs are looked at to find a manifest where no index names one.
const MAX_BLOBS: usize = 10_000;

/// The files of one layout.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Directory(Directory),
    Archive(Arc<Archive>),
}

/// A directory within another one that no file may lie outside of.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    /// Canonical.
    root: PathBuf,
    /// The layout's own directory, `root` or below.
    layout: PathBuf,
}

impl Tree {
    /// For messages.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Directory(directory) => &directory.layout,
            Self::Archive(archive) => archive.path(),
        }
    }

    /// The file at a path relative to the layout. The path is a constant or made of a checked digest.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Outside`].
    pub(crate) fn file(&self, path: &str) -> Result<Option<Section>> {
        match self {
            Self::Directory(directory) => directory.file(path),
            Self::Archive(archive) => Ok(archive.file(path)),
        }
    }

    /// A document, at most [`MAX_MANIFEST_BYTES`] long.
    pub(crate) fn document(&self, path: &str) -> Result<Option<Bytes>> {
        self.file(path)?.map(|section| section.read_whole(MAX_MANIFEST_BYTES)).transpose()
    }

    /// The blob with this digest, unverified.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Option<Section>> {
        self.file(&blob_path(digest))
    }

    /// The digests of all blobs: in the order of the archive, or sorted.
    pub(crate) fn blobs(&self) -> Result<Vec<Digest>> {
        match self {
            Self::Archive(archive) => Ok(archive.names().filter_map(digest_of).take(MAX_BLOBS).collect()),
            Self::Directory(directory) => directory.blobs(),
        }
    }
}

/// Image-spec 1.1, image-layout.md: `blobs/<alg>/<encoded>`. Safe to join: the type allows known algorithms and hex
/// digits only.
fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn digest_of(path: &str) -> Option<Digest> {
    path.strip_prefix("blobs/")?.replacen('/', ":", 1).parse().ok()
}

impl Directory {
    /// The layout in `layout`, a directory at or below the canonical `root`.
    pub(crate) fn new(root: &Path, layout: &Path) -> Self {
        Self { root: root.to_owned(), layout: layout.to_owned() }
    }

    /// Symbolic links are followed within the root: layouts that share blobs are made of them. What is opened is the
    /// path that was checked, not the one that leads to it.
    fn file(&self, path: &str) -> Result<Option<Section>> {
        let path = self.layout.join(path);
        let io = |action| {
            let path = path.clone();
            move |source| Error::Io { action, path, source }
        };
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(e) => return Err(io("find")(e)),
        };
        if !real.starts_with(&self.root) {
            return Err(Error::Outside { path });
        }
        // Asked before the file is opened: to open a pipe is to wait for its other end.
        if !real.metadata().map_err(io("find"))?.is_file() {
            return Err(Error::WrongFileType { path, expected: "regular file" });
        }
        let file = File::open(&real).map_err(io("open"))?;
        let len_bytes = file.metadata().map_err(io("read"))?.len();
        Ok(Some(Section::new(Arc::new(file), 0, len_bytes, path)))
    }

    fn blobs(&self) -> Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let path = self.layout.join("blobs").join(algorithm);
            let listing = match path.canonicalize() {
                Ok(real) if !real.starts_with(&self.root) => return Err(Error::Outside { path }),
                Ok(real) => std::fs::read_dir(real),
                Err(e) => Err(e),
            };
            match listing {
                Ok(listing) => digests.extend(
                    listing
                        .take(MAX_BLOBS)
                        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                        .filter_map(|hex| format!("{algorithm}:{hex}").parse::<Digest>().ok()),
                ),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Io { action: "list", path, source }),
            }
        }
        digests.sort();
        Ok(digests)
    }
}
