//! What a report is made from, besides the findings and the options.

use regent_oci::{Digest, ImageConfig};
use serde::{Deserialize, Serialize};

/// The image itself, as manifest and configuration tell it.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// Digest of the image configuration, or the name that an archive gives it. Reported as `imageId`.
    pub image_id: String,
    /// Digest of the image manifest, as far as there is one: also for images that were not pulled.
    pub manifest_digest: Option<Digest>,
    /// The layers as results name them.
    pub layers: LayerNames,
    /// Digests of the layers as they are stored, base layer first.
    pub layer_digests: Vec<Digest>,
    /// The configuration.
    pub config: ImageConfig,
    /// Statements about the image that lie beside it, where they were read.
    pub attestations: Vec<Attestation>,
}

/// A statement about an image (in-toto), stored beside it in its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// The manifest that holds it.
    pub manifest: Digest,
    /// Which image the index says that it is about, as written there.
    pub attested: Option<String>,
    /// The blob.
    pub layer: Digest,
    /// Its bytes.
    pub statement: Vec<u8>,
}

/// How results name an image's layers, base layer first: digests, or paths inside an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerNames(pub Vec<String>);

/// What the image is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageName {
    /// The name that the caller gave, `[host[:port]/]path[:tag][@digest]`. The option `imageNameAndTag` overrides it.
    pub given: Option<String>,
    /// File name of the archive: the name where none is given.
    pub archive: String,
}

/// Digests of an image that was pulled from a registry. The option `digests` overrides them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Of the image manifest.
    pub manifest: Digest,
    /// Of the index that led to it.
    pub index: Option<Digest>,
}

/// The release of the scanner being replaced whose results are matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compat {
    /// 9.8.
    #[default]
    #[serde(rename = "9.8")]
    V9_8,
    /// 9.20.
    #[serde(rename = "9.20")]
    V9_20,
}
