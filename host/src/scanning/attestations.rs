//! Statements about an image that lie beside it in its index (`BuildKit`, docs/attestations/attestation-storage.md).

use regent_oci::{Descriptor, Document};
use regent_report::Attestation;
use regent_scan::Gap;
use regent_transport::{Fault as _, Retry};

use super::layer_gap;
use crate::registry::{self, Registry, ResolvedImage};

/// The largest manifest or statement that is read, in bytes, as of other JSON metadata.
const MAX_BYTES: u64 = 2 << 20;
/// Statements that are read. Builds leave one of provenance for an image.
const MAX_STATEMENTS: usize = 10;
/// Manifests that are looked at for them.
const MAX_MANIFESTS: usize = 32;

const STATEMENT: &str = "application/vnd.in-toto+json";
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
const PROVENANCE: &str = "https://slsa.dev/provenance/";
/// On an attestation's descriptor: the image that it is about.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Reads the statements of provenance about an image. What is not there, or not what it should be, is a gap.
///
/// # Errors
/// [`registry::Error`] of failures that may pass.
pub(super) async fn read(
    registry: &Registry,
    resolved: &ResolvedImage,
) -> Result<(Vec<Attestation>, Vec<Gap>), registry::Error> {
    let chosen = resolved.manifest.digest.as_str();
    let attested = |descriptor: &Descriptor| descriptor.annotations.get(REFERENCE_DIGEST).cloned();
    let mut about: Vec<&Descriptor> = resolved
        .attestations
        .iter()
        .filter(|descriptor| attested(descriptor).is_none_or(|digest| digest == chosen))
        .collect();
    about.sort_by_key(|descriptor| descriptor.digest.as_str());
    about.dedup_by_key(|descriptor| descriptor.digest.as_str());
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    for descriptor in about.into_iter().take(MAX_MANIFESTS) {
        let statements = match statements(registry, resolved, descriptor).await {
            Ok(statements) => statements,
            Err(failure) => {
                gaps.push(failure.into_gap(descriptor)?);
                continue;
            }
        };
        for layer in statements {
            if found.len() == MAX_STATEMENTS {
                return Ok((found, gaps));
            }
            match statement(registry, resolved, &layer).await {
                Ok(statement) => found.push(Attestation {
                    manifest: descriptor.digest.clone(),
                    attested: attested(descriptor),
                    layer: layer.digest,
                    statement,
                }),
                Err(failure) => gaps.push(failure.into_gap(&layer)?),
            }
        }
    }
    Ok((found, gaps))
}

/// The statements of a manifest that may be about provenance, in the order of their digests.
async fn statements(
    registry: &Registry,
    resolved: &ResolvedImage,
    manifest: &Descriptor,
) -> Result<Vec<Descriptor>, Failure> {
    check_size(manifest)?;
    let manifest = registry.referred_manifest(resolved, manifest).await?;
    let Document::Image(document) = manifest.document else { return Ok(Vec::new()) };
    let mut layers = document.layers;
    layers.retain(|layer| {
        let predicate = layer.annotations.get(PREDICATE_TYPE);
        layer.media_type.as_str() == STATEMENT && predicate.is_none_or(|kind| kind.starts_with(PROVENANCE))
    });
    layers.sort_by(|a, b| a.digest.cmp(&b.digest));
    Ok(layers)
}

async fn statement(
    registry: &Registry,
    resolved: &ResolvedImage,
    layer: &Descriptor,
) -> Result<Vec<u8>, Failure> {
    check_size(layer)?;
    Ok(registry.referred_blob(resolved, layer).await?.to_vec())
}

fn check_size(descriptor: &Descriptor) -> Result<(), Failure> {
    if descriptor.size_bytes > MAX_BYTES { Err(Failure::TooLarge) } else { Ok(()) }
}

/// Why a part of an attestation was not read.
enum Failure {
    TooLarge,
    Registry(registry::Error),
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        Self::Registry(error)
    }
}

impl Failure {
    /// What the result says of it. A failure that may pass is none of the image's, and is handed back.
    fn into_gap(self, descriptor: &Descriptor) -> Result<Gap, registry::Error> {
        let digest = &descriptor.digest;
        let reason = match self {
            Self::TooLarge => format!(
                "{digest} of the image's attestations has {} bytes, more than {MAX_BYTES}",
                descriptor.size_bytes
            ),
            Self::Registry(error) if error.retry() != Retry::Never => return Err(error),
            Self::Registry(error) => format!("{digest} of the image's attestations: {error}"),
        };
        Ok(layer_gap("attestation_unreadable", reason))
    }
}

#[cfg(test)]
mod tests;
