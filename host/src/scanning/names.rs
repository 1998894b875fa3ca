//! What a report says of the image itself.

use regent_oci::{Descriptor, annotation};
use regent_report::{ImageFacts, LayerNames};

use crate::registry::ResolvedImage;

/// Facts for the report. Layers of Docker manifests that were pulled are named as the replaced agent's archive names
/// them (`<hex>/layer.tar`), others by digest; a driver that reads archives has the last word.
pub(super) fn facts(resolved: &ResolvedImage) -> ImageFacts {
    let annotated = |descriptor: &Descriptor, key: &str| {
        descriptor.annotations.get(key).filter(|_| resolved.annotated).cloned()
    };
    let is_docker = resolved.manifest.media_type.is_docker() && !resolved.annotated;
    let layer_name = |layer: &Descriptor| {
        annotated(layer, annotation::LAYER_NAME).unwrap_or_else(|| {
            if is_docker { format!("{}/layer.tar", layer.digest.hex()) } else { layer.digest.to_string() }
        })
    };
    let config = &resolved.image.config;
    ImageFacts {
        image_id: annotated(config, annotation::IMAGE_ID).unwrap_or_else(|| config.digest.to_string()),
        manifest_digest: (!resolved.is_synthetic()).then(|| resolved.manifest.digest.clone()),
        layer_digests: resolved.image.layers.iter().map(|layer| layer.digest.clone()).collect(),
        layers: LayerNames(resolved.image.layers.iter().map(layer_name).collect()),
        config: resolved.config.clone(),
        attestations: Vec::new(),
    }
}
