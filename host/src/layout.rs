//! Images brought into an OCI image layout (image-spec 1.1, image-layout.md).

use std::io;
use std::path::{Path, PathBuf};

use regent_distribution::Verify;
use regent_oci::{Descriptor, MediaType, Tag};
use regent_transport::{Class, Fault, Retry};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::registry::{self, Registry, ResolvedImage};
use crate::scanning::{Progress, ProgressEvent};

/// Where writers of layouts put a tag (image-spec 1.1, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Why an image could not be brought into a layout. Nothing is left behind then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image could not be read, or is not what it should be.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The directory has something in it already.
    #[error("{} exists and is not an empty directory", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("{} can't be written", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Registry(error) => error.class(),
            Self::Occupied { .. } => Class::Invalid,
            Self::Disk { .. } => Class::Unavailable,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Registry(error) => error.retry(),
            Self::Occupied { .. } => Retry::Never,
            Self::Disk { .. } => Retry::Backoff,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Registry(error) => error.code(),
            Self::Occupied { .. } => "target_occupied",
            Self::Disk { .. } => "disk_unwritable",
        }
    }
}

/// Copies an image, every digest verified, into `directory`, which appears as a whole or not at all.
///
/// `tag` becomes the layout's name for it.
///
/// # Errors
/// [`Error`].
pub async fn write(
    registry: &Registry,
    image: &ResolvedImage,
    directory: &Path,
    tag: Option<&Tag>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let occupied = || Error::Occupied { path: directory.to_owned() };
    match std::fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(occupied()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Err(occupied()),
        Err(source) => return Err(Error::Disk { path: directory.to_owned(), source }),
    }
    let parent = directory.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Disk { path, source }
    };
    std::fs::create_dir_all(parent).map_err(failed(parent))?;
    // Beside the target, so that renaming works, and gone by itself when anything fails.
    let staging = tempfile::Builder::new().prefix(".pull-").tempdir_in(parent).map_err(failed(parent))?;
    let root = staging.path();
    let config = &image.image.config;
    write_file(&blob_path(root, config), &image.config_raw).await?;
    for (place, layer) in image.image.layers.iter().enumerate() {
        let came = |n_bytes| progress.event(ProgressEvent::LayerBytes { layer: place, n_bytes });
        write_layer(registry, image, layer, &blob_path(root, layer), came).await?;
        progress.event(ProgressEvent::LayerDone { layer: place, cached: false });
    }
    let mut descriptor = image.manifest.descriptor();
    write_file(&blob_path(root, &descriptor), &image.manifest.raw).await?;
    descriptor.platform = image.config.platform();
    if let Some(tag) = tag {
        descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_string());
    }
    let index = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [descriptor] });
    write_file(&root.join("index.json"), index.to_string().as_bytes()).await?;
    write_file(&root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).await?;

    publish(staging, directory)
}

/// Puts what was written under its name.
fn publish(staging: tempfile::TempDir, directory: &Path) -> Result<(), Error> {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    // An empty directory of that name gives way to a rename. One that is not was empty before: the same image was brought
    // by someone else meanwhile.
    std::fs::rename(staging.path(), directory).map_err(|source| {
        let path = directory.to_owned();
        match source.kind() {
            AlreadyExists | DirectoryNotEmpty | NotADirectory => Error::Occupied { path },
            _ => Error::Disk { path, source },
        }
    })?;
    let _ = staging.keep();
    Ok(())
}

async fn write_layer(
    registry: &Registry,
    image: &ResolvedImage,
    layer: &Descriptor,
    path: &Path,
    came: impl Fn(u64) + Send + Sync,
) -> Result<(), Error> {
    if path.exists() {
        return Ok(()); // the same layer twice
    }
    let failed = |source| Error::Disk { path: path.to_owned(), source };
    create_parent(path).await?;
    let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
    let mut blob = registry.open_blob(&image.repository, layer, Verify::AtEnd).await?;
    while let Some(piece) = blob.chunk().await? {
        came(piece.len() as u64);
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

async fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    create_parent(path).await?;
    tokio::fs::write(path, bytes).await.map_err(|source| Error::Disk { path: path.to_owned(), source })
}

async fn create_parent(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent() else { return Ok(()) };
    tokio::fs::create_dir_all(parent).await.map_err(|source| Error::Disk { path: parent.to_owned(), source })
}

fn blob_path(root: &Path, descriptor: &Descriptor) -> PathBuf {
    let digest = &descriptor.digest;
    root.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_writers_of_one_layout_the_second_finds_it_occupied_and_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("sha256-00");
        let staged = |content: &str| {
            let staging = tempfile::tempdir_in(parent.path()).unwrap();
            std::fs::write(staging.path().join("index.json"), content).unwrap();
            staging
        };
        let (first, second) = (staged("first"), staged("second"));
        publish(first, &target).unwrap();
        let error = publish(second, &target).unwrap_err();
        assert_eq!(error.code(), "target_occupied");
        assert_eq!(std::fs::read_to_string(target.join("index.json")).unwrap(), "first");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
