//! OCI archives with layers that are not what their manifests name.
//!
//! Archives that were cut down by hand have them, and other scanners read them. Whoever reads what a driver serves
//! takes nothing that does not have its digest. So the digests of an archive's layers are computed as it is opened,
//! and an image with a layer that is not what its name says gets a made-up manifest: the layer goes by its actual
//! digest, with the one that the manifest named and the fact of the difference in [`annotation`]s, such that the
//! report can say so. A layer that is not there stays as it is: opening it fails, and says which.
//!
//! Layouts in directories are not repaired: they stand for registries, and a wrong digest is a failure there.

use std::collections::BTreeMap;

use regent_oci::{Descriptor, Digest, Document, Manifest, annotation};

use super::{load, parse};
use crate::error::{Error, Result};
use crate::tree::Tree;

/// What is served instead of what is stored.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// Made-up manifests, by the digest of the stored one.
    images: BTreeMap<Digest, Manifest>,
    /// The names under which layers are stored, by their actual digests.
    layers: BTreeMap<Digest, Digest>,
}

impl Repairs {
    /// Hashes the layers of these images, each layer once.
    pub(super) fn find<'a>(tree: &Tree, images: impl Iterator<Item = &'a Descriptor>) -> Result<Self> {
        let mut repairs = Self::default();
        let mut actual: BTreeMap<Digest, Option<(Digest, u64)>> = BTreeMap::new();
        for descriptor in images {
            if descriptor.is_attestation() {
                continue;
            }
            let Some(stored) = load(tree, &descriptor.digest, Some(&descriptor.media_type))? else {
                continue;
            };
            let Document::Image(mut image) = stored.document else { continue };
            let mut is_damaged = false;
            for layer in &mut image.layers {
                if !actual.contains_key(&layer.digest) {
                    let found = match tree.blob(&layer.digest)? {
                        Some(s) => Some((s.digest(layer.digest.algorithm())?, s.len_bytes())),
                        None => None,
                    };
                    actual.insert(layer.digest.clone(), found);
                }
                let found = actual.get(&layer.digest).cloned().flatten();
                let Some((digest, size_bytes)) = found else { continue };
                if digest == layer.digest && size_bytes == layer.size_bytes {
                    continue;
                }
                is_damaged = true;
                repairs.layers.insert(digest.clone(), layer.digest.clone());
                layer.annotations.insert(annotation::LAYER_NAME.into(), layer.digest.to_string());
                layer.annotations.insert(annotation::VERIFY.into(), annotation::VERIFY_NOTHING.into());
                layer.digest = digest;
                layer.size_bytes = size_bytes;
            }
            if is_damaged {
                image.annotations.insert(annotation::SYNTHETIC.into(), "true".into());
                let raw =
                    serde_json::to_vec(&image).map_err(|e| Error::json("a manifest", tree.path(), &e))?;
                let made = parse(tree, "a manifest", raw.into(), Some(stored.media_type.as_str()))?;
                repairs.images.insert(descriptor.digest.clone(), made);
            }
        }
        Ok(repairs)
    }

    /// What is served instead of the image with this digest.
    pub(super) fn of_image(&self, stored: &Digest) -> Option<&Manifest> {
        self.images.get(stored)
    }

    /// The made-up manifest with this digest.
    pub(super) fn by_digest(&self, digest: &Digest) -> Option<&Manifest> {
        self.images.values().find(|m| m.digest == *digest)
    }

    /// The name under which a layer of a made-up manifest is stored.
    pub(super) fn stored_as(&self, actual: &Digest) -> Option<&Digest> {
        self.layers.get(actual)
    }
}
