//! From a reference to one image.

use bytes::Bytes;
use regent_oci::{
    Choice, Descriptor, Digest, Document, ImageConfig, ImageManifest, ImageRef, Manifest, Platform,
    Reference, RepositoryName, annotation,
};

use super::Error;
use super::content::Contents;

/// Indexes within indexes that are followed. Two levels are known from the field.
const MAX_INDEXES: u32 = 4;
/// The largest image configuration that is read, in bytes. Histories of a thousand steps have some 300 KiB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// An image that a reference led to, with everything on the way verified.
#[derive(Debug, Clone)]
pub struct ResolvedImage {
    /// Where it is.
    pub repository: RepositoryName,
    /// What was asked for.
    pub reference: Reference,
    /// The index that the reference led to, if it is one: the first, where indexes are nested.
    pub index: Option<Manifest>,
    /// Attestations that the indexes on the way list, of whichever image.
    pub attestations: Vec<Descriptor>,
    /// The image manifest with its bytes.
    pub manifest: Manifest,
    /// The same, parsed.
    pub image: ImageManifest,
    /// The image configuration.
    pub config: ImageConfig,
    /// Its bytes.
    pub config_raw: Bytes,
    /// Whether annotations of Regent's own ([`regent_oci::annotation`]) may be believed: a driver made them.
    pub annotated: bool,
}

impl ResolvedImage {
    /// Whether a driver put the manifest together, so that its digest names nothing in the source.
    pub fn is_synthetic(&self) -> bool {
        self.annotated && self.image.annotations.contains_key(annotation::SYNTHETIC)
    }

    /// Sum of the layers' sizes in the manifest, in bytes.
    pub fn layers_size_bytes(&self) -> u64 {
        self.image.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size_bytes))
    }
}

pub(super) async fn resolve(
    contents: &Contents,
    image: &ImageRef,
    platform: Option<&Platform>,
) -> Result<ResolvedImage, Error> {
    let repository = image.repository();
    let unusable = |error| Error::Image { image: image.to_string(), error };
    let mut next: Option<Digest> = None;
    let mut index: Option<Manifest> = None;
    let mut attestations = Vec::new();
    for _ in 0..=MAX_INDEXES {
        let manifest = match &next {
            Some(digest) => contents.referred(repository, digest).await?,
            None => contents.current(repository, image.reference()).await?,
        };
        match &manifest.document {
            Document::Image(parsed) => {
                let parsed = parsed.clone();
                let (config, config_raw) = config(contents, image, &parsed).await?;
                return Ok(ResolvedImage {
                    repository: repository.clone(),
                    reference: image.reference().clone(),
                    index,
                    attestations,
                    manifest,
                    image: parsed,
                    config,
                    config_raw,
                    annotated: contents.is_trusted_for_annotations(),
                });
            }
            Document::Index(found) => {
                let (Choice::Image(chosen) | Choice::Nested(chosen)) =
                    found.choose(platform).map_err(unusable)?;
                next = Some(chosen.digest.clone());
                attestations.extend(found.attestations().cloned());
                index = index.or(Some(manifest));
            }
            _ => {
                let kind = "it is of a kind that this version does not know".to_owned();
                return Err(unusable(regent_oci::Error::Document { what: "manifest", reason: kind }));
            }
        }
    }
    Err(Error::TooDeep { image: image.to_string(), limit: MAX_INDEXES })
}

async fn config(
    contents: &Contents,
    image: &ImageRef,
    manifest: &ImageManifest,
) -> Result<(ImageConfig, Bytes), Error> {
    let size_bytes = manifest.config.size_bytes;
    if size_bytes > MAX_CONFIG_BYTES {
        return Err(Error::ConfigTooLarge {
            image: image.to_string(),
            size_bytes,
            limit_bytes: MAX_CONFIG_BYTES,
        });
    }
    let raw = contents.whole_blob(image.repository(), &manifest.config).await?;
    let config =
        ImageConfig::parse(&raw).map_err(|error| Error::Image { image: image.to_string(), error })?;
    Ok((config, raw))
}
