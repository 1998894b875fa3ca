//! Image manifests and indexes (image-spec 1.1, manifest.md and image-index.md; Docker schema 2).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::describe;
use crate::descriptor::{Descriptor, MediaType, null_is_empty};
use crate::digest::Digest;
use crate::error::Error;
use crate::platform::Platform;

/// The largest manifest or index that is read, in bytes: distribution-spec 1.1 asks registries for 4 MiB.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// A manifest or index with the bytes it was parsed from: its digest is over those and nothing else.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The bytes as the registry sent them.
    pub raw: Bytes,
    /// The digest of `raw`.
    pub digest: Digest,
    /// What it is.
    pub media_type: MediaType,
    /// The parsed form.
    pub document: Document,
}

/// What a manifest reference can lead to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Document {
    /// One image.
    Image(ImageManifest),
    /// Several images, or other indexes.
    Index(Index),
}

/// One image: its configuration and its layers, base layer first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// 2 in every manifest that is read here.
    pub schema_version: u32,
    /// What the document says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The image configuration.
    pub config: Descriptor,
    /// "The array MUST have the base layer at index 0."
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// Arbitrary metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ImageManifest {
    /// Config and layers together, in bytes: what pulling the image costs.
    pub fn size_bytes(&self) -> u64 {
        self.layers.iter().fold(self.config.size_bytes, |sum, l| sum.saturating_add(l.size_bytes))
    }
}

/// A list of manifests, one per platform as a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// What the document says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The manifests, in the order of the document.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// Arbitrary metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The outcome of looking for a platform in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// This manifest.
    Image(&'a Descriptor),
    /// Nothing here, but a nested index may have it.
    Nested(&'a Descriptor),
}

impl Manifest {
    /// Parses a manifest or index. What it is, is decided by `content_type` where that names a known type, else by
    /// the document's own `mediaType`, else by its shape.
    ///
    /// # Errors
    /// [`Error::Document`]: no JSON, larger than [`MAX_MANIFEST_BYTES`], schema 1, a `mediaType` that contradicts
    /// `content_type`, or neither an image nor an index (an artifact without layers to scan has a `config` and is
    /// an image as far as this goes).
    pub fn parse(raw: Bytes, content_type: Option<&str>) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            schema_version: Option<u32>,
            media_type: Option<MediaType>,
            config: Option<serde::de::IgnoredAny>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let fail = |reason: String| Error::document("manifest", reason);
        if raw.len() > MAX_MANIFEST_BYTES {
            return Err(fail(format!("it has {} bytes, more than {MAX_MANIFEST_BYTES}", raw.len())));
        }
        let shape: Shape = serde_json::from_slice(&raw).map_err(|e| fail(describe(&e)))?;
        if shape.schema_version == Some(1) {
            return Err(fail("schema 1 manifests carry no layer sizes and are not supported".into()));
        }
        let known = |t: &MediaType| t.is_index() || t.is_manifest();
        let header = content_type.map(MediaType::new).filter(known);
        let body = shape.media_type.filter(known);
        if let (Some(header), Some(body)) = (&header, &body)
            && header != body
        {
            return Err(fail(format!("it says it is {body} but was sent as {header}")));
        }
        // A document with both `config` and `manifests` and no media type could be read either way by two parsers.
        let ambiguous = shape.config.is_some() && shape.manifests.is_some();
        let media_type = match header.or(body) {
            Some(t) if ambiguous => {
                return Err(fail(format!("it has the fields of an image and of an index, as {t}")));
            }
            Some(t) => t,
            None if shape.manifests.is_some() && !ambiguous => MediaType::new(MediaType::OCI_INDEX),
            None if shape.config.is_some() && !ambiguous => MediaType::new(MediaType::OCI_MANIFEST),
            None => return Err(fail("it is neither an image manifest nor an index".into())),
        };
        let document = if media_type.is_index() {
            serde_json::from_slice(&raw).map(Document::Index)
        } else {
            serde_json::from_slice(&raw).map(Document::Image)
        }
        .map_err(|e| fail(describe(&e)))?;
        Ok(Self { digest: Digest::sha256(&raw), raw, media_type, document })
    }

    /// The manifest as a descriptor would name it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size_bytes: self.raw.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        }
    }
}

impl Index {
    /// The images of the index: no attestations, no artifacts, no nested indexes.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|d| d.media_type.is_manifest() && !d.is_attestation())
    }

    /// Attestations about images of the index: what is annotated as such (`BuildKit`,
    /// docs/attestations/attestation-storage.md).
    pub fn attestations(&self) -> impl Iterator<Item = &Descriptor> {
        let reference = |d: &Descriptor| d.annotations.get("vnd.docker.reference.type").cloned();
        self.manifests.iter().filter(move |d| reference(d).as_deref() == Some("attestation-manifest"))
    }

    /// Chooses an image.
    ///
    /// With `wanted` given: os and architecture must be equal; of several the equal variant wins, then the variant
    /// that the architecture implies (`arm64` is `v8`), and a wanted variant that is not there is an error unless
    /// only one image of that architecture names none. Without: `linux/amd64` when there is a choice, else the only
    /// image, whatever its platform.
    ///
    /// # Errors
    /// [`Error::NoPlatform`] with the list of what is there.
    pub fn choose(&self, wanted: Option<&Platform>) -> Result<Choice<'_>, Error> {
        let images: Vec<&Descriptor> = self.images().collect();
        if let ([only], None) = (images.as_slice(), wanted) {
            return Ok(Choice::Image(only));
        }
        if let [only] = images.as_slice()
            && only.platform.is_none()
        {
            return Ok(Choice::Image(only));
        }
        let fallback = Platform::linux_amd64();
        let target = wanted.unwrap_or(&fallback);
        let candidates: Vec<&Descriptor> = images
            .iter()
            .copied()
            .filter(|d| {
                d.platform
                    .as_ref()
                    .is_some_and(|p| p.os == target.os && p.architecture == target.architecture)
            })
            .collect();
        let platform_of = |d: &Descriptor| d.platform.clone().unwrap_or_else(Platform::linux_amd64);
        let exact = candidates.iter().find(|d| platform_of(d).variant == target.variant);
        let implied =
            candidates.iter().find(|d| platform_of(d).effective_variant() == target.effective_variant());
        let single = match candidates.as_slice() {
            [only] if target.variant.is_none() || platform_of(only).variant.is_none() => Some(only),
            _ => None,
        };
        let any = if target.variant.is_none() { candidates.first() } else { None };
        if let Some(found) = exact.or(implied).or(single).or(any) {
            return Ok(Choice::Image(found));
        }
        if let Some(nested) = self.manifests.iter().find(|d| d.media_type.is_index()) {
            return Ok(Choice::Nested(nested));
        }
        Err(Error::NoPlatform {
            wanted: target.to_string(),
            available: images.iter().filter_map(|d| d.platform.as_ref()).map(ToString::to_string).collect(),
        })
    }
}
