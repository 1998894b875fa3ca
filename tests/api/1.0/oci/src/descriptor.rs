//! Descriptors and media types (image-spec 1.1, descriptor.md and media-types.md).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::platform::Platform;

/// A media type, sorted into what Regent does with it. Parameters behind a `;` are dropped, case is ignored.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct MediaType(Box<str>);

impl MediaType {
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Docker's form of an index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker's image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// A plain tar layer, OCI.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A gzipped tar layer, OCI.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A zstd tar layer, OCI.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// A gzipped tar layer, Docker.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// All manifest types that Regent reads, for an `Accept` header. Always send all: a registry that is asked
    /// for the Docker ones alone answers 404 for an OCI manifest (Distribution 2.8).
    pub const MANIFESTS: [&str; 4] =
        [Self::OCI_INDEX, Self::OCI_MANIFEST, Self::DOCKER_INDEX, Self::DOCKER_MANIFEST];

    /// Takes any text: an unknown media type is a fact, not an error.
    pub fn new(text: &str) -> Self {
        let bare = text.split(';').next().unwrap_or_default().trim();
        Self(bare.to_ascii_lowercase().into())
    }

    /// The type without parameters, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An index, OCI or Docker.
    pub fn is_index(&self) -> bool {
        matches!(&*self.0, Self::OCI_INDEX | Self::DOCKER_INDEX)
    }

    /// An image manifest, OCI or Docker.
    pub fn is_manifest(&self) -> bool {
        matches!(&*self.0, Self::OCI_MANIFEST | Self::DOCKER_MANIFEST)
    }

    /// One of Docker's own types. Decides how `core/report` names layers.
    pub fn is_docker(&self) -> bool {
        self.0.starts_with("application/vnd.docker.")
    }

    /// An image configuration, OCI or Docker.
    pub fn is_image_config(&self) -> bool {
        matches!(&*self.0, Self::OCI_CONFIG | Self::DOCKER_CONFIG)
    }
}

impl From<String> for MediaType {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.0.into()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Points at content: what it is, how long it is, and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// "REQUIRED property contains the media type of the referenced content."
    pub media_type: MediaType,
    /// "REQUIRED property is the digest of the targeted content."
    pub digest: Digest,
    /// Length of the content in bytes: "If the length of the retrieved content does not match the specified
    /// length, the content SHOULD NOT be trusted." Regent never does.
    #[serde(rename = "size")]
    pub size_bytes: u64,
    /// In an index: which platform the manifest runs on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient_platform")]
    pub platform: Option<Platform>,
    /// Arbitrary metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// "OPTIONAL property contains a list of URIs from which this object MAY be downloaded." Never followed: they
    /// name hosts that no one approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// Content of this type with these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: MediaType::new(media_type),
            digest: Digest::sha256(bytes),
            size_bytes: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        }
    }

    /// An attestation stored beside an image (BuildKit): `vnd.docker.reference.type`, or the platform
    /// `unknown/unknown` that goes with it. Not an image to scan.
    pub fn is_attestation(&self) -> bool {
        self.annotations.get("vnd.docker.reference.type").is_some_and(|v| v == "attestation-manifest")
            || self.platform.as_ref().is_some_and(Platform::is_unknown)
    }
}

/// Writers put `null` where they mean "none".
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A platform that is `null` or without os or architecture counts as none: some writers leave an empty object.
fn lenient_platform<'de, D>(deserializer: D) -> Result<Option<Platform>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    #[derive(Deserialize)]
    struct Loose {
        #[serde(default)]
        os: Option<String>,
        #[serde(default)]
        architecture: Option<String>,
        #[serde(default)]
        variant: Option<String>,
        #[serde(default, rename = "os.version")]
        os_version: Option<String>,
    }
    Ok(Option::<Loose>::deserialize(deserializer)?.and_then(|loose| {
        let filled = |v: Option<String>| v.filter(|v| !v.is_empty());
        Some(Platform {
            os: filled(loose.os)?,
            architecture: filled(loose.architecture)?,
            variant: filled(loose.variant),
            os_version: filled(loose.os_version),
        })
    }))
}
