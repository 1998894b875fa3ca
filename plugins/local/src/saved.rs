//! Archives of `docker save` and of kaniko: a `manifest.json` beside layers and configurations.
//!
//! ```text
//! [{"Config": "<hex>.json", "RepoTags": ["team/app:1.4"], "Layers": ["<hex>/layer.tar", …]}, …]
//! ```
//!
//! The first element is the image; the configuration is the file that it names. There is no registry manifest, so one
//! is made up, with the archive's own names in [`annotation`]s.
//!
//! What is verified: nothing in such an archive gives the digest of a layer as it is stored. The configuration's diff
//! IDs are digests of plain tar, but they do not always tell the truth: archives that were cut down or put together by
//! hand, which are common as test data and which other scanners take, have layers that do not match and fewer of them
//! than diff IDs. So each stored layer is hashed as the archive is opened, the digest is only what ties the manifest
//! to the bytes, and a layer that its diff ID does not vouch for already carries [`annotation::VERIFY`], for whoever
//! unpacks it to compare and to report a difference as a gap.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use regent_oci::{
    Algorithm, Descriptor, Digest, ImageConfig, ImageManifest, MAX_MANIFEST_BYTES, Manifest, MediaType,
    annotation,
};
use serde::Deserialize;

use crate::archive::{Archive, normalise};
use crate::error::{Error, Result};
use crate::naming::{Named, whole_reference};
use crate::section::Section;

/// The most layers of an image. Overlay file systems end at 128.
const MAX_LAYERS: usize = 4096;
/// Docker's type for a layer of plain tar.
const PLAIN_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker's type for a layer in zstd.
const ZSTD_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// Which program's archives are meant. They differ in the names of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Layers end in `.tar`, the configuration is `<hex>.json`.
    Docker,
    /// Layers end in `.tar.gz`, the configuration is `sha256:<hex>`.
    Kaniko,
}

/// The image of an archive.
#[derive(Debug)]
pub(crate) struct Saved {
    archive: Arc<Archive>,
    manifest: Manifest,
    names: Vec<Named>,
    /// Normalised paths in the archive.
    blobs: BTreeMap<Digest, String>,
    /// Layers that are not in the archive, under the digests that the manifest gives them.
    missing: BTreeMap<Digest, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Element {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Saved {
    /// Reads an archive; `Ok(Err(…))` with the reason when it is not one of this writer.
    ///
    /// # Errors
    /// When it is one, and can't be read.
    pub(crate) fn read(archive: &Arc<Archive>, writer: Writer) -> Result<std::result::Result<Self, String>> {
        let Some(section) = archive.file("manifest.json") else {
            return Ok(Err("it has no manifest.json".into()));
        };
        let elements: Vec<Element> = match serde_json::from_slice(&section.read_whole(MAX_MANIFEST_BYTES)?) {
            Ok(elements) => elements,
            Err(_) => return Ok(Err("its manifest.json has another form".into())),
        };
        let Some(element) = elements.into_iter().next() else {
            return Ok(Err("its manifest.json names no image".into()));
        };
        let config = normalise(&element.config).and_then(|name| Some((archive.file(&name)?, name)));
        let Some((config, config_path)) = config else {
            return Ok(Err("the configuration that its manifest.json names is not there".into()));
        };
        let layers: Vec<String> = element.layers.unwrap_or_default();
        if layers.len() > MAX_LAYERS {
            let (what, limit) = (format!("{} layers", layers.len()), MAX_LAYERS as u64);
            return Err(Error::Limit { what, path: archive.path().to_owned(), limit });
        }
        // Since version 25 Docker writes layers that end in nothing, and an OCI layout that says more about them.
        let suffix = match writer {
            Writer::Docker => ".tar",
            Writer::Kaniko => ".tar.gz",
        };
        let layers: Vec<String> = layers.iter().map(|l| normalise(l).unwrap_or_else(|| l.clone())).collect();
        let found = layers.iter().any(|l| l.ends_with(suffix) && archive.file(l).is_some());
        let is_empty = layers.is_empty() && writer == Writer::Docker;
        if !found && !is_empty {
            return Ok(Err(format!(
                "none of the layers that its manifest.json names is there and ends in {suffix}"
            )));
        }
        let names = element.repo_tags.unwrap_or_default().iter().map(|t| whole_reference(t)).collect();
        Self::assemble(archive, writer, (&config, &config_path), &element.config, &layers, names).map(Ok)
    }

    fn assemble(
        archive: &Arc<Archive>,
        writer: Writer,
        (config, config_path): (&Section, &str),
        config_name: &str,
        layers: &[String],
        names: Vec<Named>,
    ) -> Result<Self> {
        let mut blobs = BTreeMap::new();
        let mut missing = BTreeMap::new();
        let bytes = config.read_whole(MAX_MANIFEST_BYTES)?;
        let mut config = Descriptor::of(MediaType::DOCKER_CONFIG, &bytes);
        blobs.insert(config.digest.clone(), config_path.to_owned());
        let id = image_id(writer, config_name).unwrap_or_else(|| config.digest.to_string());
        config.annotations.insert(annotation::IMAGE_ID.into(), id);

        // Where the numbers differ no diff ID can be said to belong to a layer.
        let diff_ids = ImageConfig::parse(&bytes).map(|c| c.diff_ids()).unwrap_or_default();
        let diff_ids = if diff_ids.len() == layers.len() { diff_ids } else { vec![None; layers.len()] };
        let mut descriptors = Vec::with_capacity(layers.len());
        for (path, diff_id) in layers.iter().zip(diff_ids) {
            let diff_id = diff_id.map(|d| d.0);
            let mut layer = if let Some(section) = archive.file(path) {
                let layer = stored_layer(&section)?;
                blobs.insert(layer.digest.clone(), path.clone());
                layer
            } else {
                // It needs some digest. The diff ID is the best; the name's own stands for nothing but the name.
                let digest = diff_id.clone().unwrap_or_else(|| Digest::sha256(path.as_bytes()));
                missing.insert(digest.clone(), path.clone());
                Descriptor { digest, ..Descriptor::of(PLAIN_LAYER, b"") }
            };
            layer.annotations.insert(annotation::LAYER_NAME.into(), path.clone());
            if diff_id.as_ref() != Some(&layer.digest) {
                layer.annotations.insert(annotation::VERIFY.into(), annotation::VERIFY_DIFF_ID.into());
            }
            descriptors.push(layer);
        }
        let document = ImageManifest {
            schema_version: 2,
            media_type: Some(MediaType::new(MediaType::DOCKER_MANIFEST)),
            config,
            layers: descriptors,
            annotations: BTreeMap::from([(annotation::SYNTHETIC.into(), "true".into())]),
        };
        let fail = |reason: String| Error::Document {
            what: "the manifest.json".into(),
            path: archive.path().to_owned(),
            reason,
        };
        let raw = serde_json::to_vec(&document).map_err(|e| fail(e.to_string()))?;
        let manifest = Manifest::parse(raw.into(), None).map_err(|e| fail(e.to_string()))?;
        Ok(Self { archive: Arc::clone(archive), manifest, names, blobs, missing })
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.archive.path()
    }

    /// The manifest that stands for the archive's `manifest.json`.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the archive says the image is called.
    pub(crate) fn names(&self) -> &[Named] {
        &self.names
    }

    /// A layer or the configuration.
    ///
    /// # Errors
    /// [`Error::LayerMissing`].
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Section> {
        self.blobs.get(digest).and_then(|path| self.archive.file(path)).ok_or_else(|| Error::LayerMissing {
            path: self.archive.path().to_owned(),
            layer: self.missing.get(digest).cloned().unwrap_or_else(|| digest.to_string()),
        })
    }
}

/// The image ID that the configuration's name implies; `None` when the name holds no digest.
fn image_id(writer: Writer, config_name: &str) -> Option<String> {
    let name = match writer {
        Writer::Docker => config_name.split('.').next().unwrap_or_default(),
        Writer::Kaniko => config_name,
    };
    let id = if name.contains(':') { name.to_owned() } else { format!("sha256:{name}") };
    id.parse::<Digest>().is_ok().then_some(id)
}

fn stored_layer(section: &Section) -> Result<Descriptor> {
    let head = section.read_at(0, 4)?;
    let media_type = match head.as_ref() {
        [0x1f, 0x8b, ..] => MediaType::DOCKER_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => ZSTD_LAYER,
        _ => PLAIN_LAYER,
    };
    Ok(Descriptor {
        digest: section.digest(Algorithm::Sha256)?,
        size_bytes: section.len_bytes(),
        ..Descriptor::of(media_type, b"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_id_is_what_the_configuration_is_called() {
        let hex = "ab".repeat(32);
        let id = format!("sha256:{hex}");
        let rows = [
            (Writer::Docker, format!("{hex}.json"), Some(&id)),
            (Writer::Docker, hex.clone(), Some(&id)),
            (Writer::Docker, format!("{id}.json"), Some(&id)),
            (Writer::Docker, "config.json".into(), None),
            (Writer::Docker, format!("blobs/sha256/{hex}"), None),
            (Writer::Kaniko, id.clone(), Some(&id)),
            (Writer::Kaniko, "config".into(), None),
        ];
        for (writer, name, expected) in rows {
            assert_eq!(image_id(writer, &name).as_ref(), expected, "{writer:?} {name}");
        }
    }
}
