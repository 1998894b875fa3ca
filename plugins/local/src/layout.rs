//! OCI image layouts (image-spec 1.1, image-layout.md), in a directory or in an archive.
//!
//! `index.json` is served as it stands wherever that works. A made-up index, marked [`annotation::SYNTHETIC`], takes
//! its place only where it has to:
//! - some of its manifests are not there. Layouts may be sparse by design, and containerd exports one platform of an
//!   image together with the index of all;
//! - it holds nested indexes beside other entries, so that one choice among all images needs one list;
//! - several images, of which some name no platform: each gets the one that its configuration names.
//!
//! An index of one entry is never served itself: what that entry leads to is. So the digests that are reported are
//! those of the image, which registries know too, and not of `index.json`, which they do not.

mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regent_oci::{
    Descriptor, Digest, Document, ImageConfig, Index, Manifest, MediaType, Platform, Reference, Tag,
    annotation,
};
use regent_plugin_api::bytes::Bytes;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::naming::{Named, ref_name, whole_reference};
use crate::section::Section;
use crate::tree::Tree;
use repair::Repairs;

/// How deep indexes may be nested. Real ones have two levels.
const MAX_DEPTH: usize = 8;
/// The most manifests that are looked at, in all nested indexes together.
const MAX_MANIFESTS: usize = 10_000;
/// Annotation of a descriptor in `index.json`: a tag or a whole reference (image-spec 1.1, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same by containerd: a whole reference.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// One layout, opened.
#[derive(Debug)]
pub(crate) struct Layout {
    tree: Tree,
    index: Manifest,
    names: Vec<(Named, Descriptor)>,
    repairs: Repairs,
}

impl Layout {
    /// The layout in a directory. Its blobs are looked at when they are asked for.
    ///
    /// # Errors
    /// [`Error::NoLayout`], [`Error::DraftLayout`], [`Error::LayoutVersion`], [`Error::Document`].
    pub(crate) fn in_directory(tree: Tree) -> Result<Self> {
        let path = || tree.path().to_owned();
        check_version(&tree)?;
        let index = match index_json(&tree)? {
            Some(index) => index,
            None if tree.path().join("refs").is_dir() => return Err(Error::DraftLayout { path: path() }),
            None => first_image(&tree)?.ok_or_else(|| Error::NoLayout { path: path() })?,
        };
        Self::new(tree, index, Repairs::default())
    }

    /// The layout in an archive, with every layer of it hashed; `Ok(Err(…))` with the reason when there is none.
    ///
    /// # Errors
    /// When there is one, and can't be read.
    pub(crate) fn in_archive(tree: Tree) -> Result<std::result::Result<Self, String>> {
        let index = match index_json(&tree)? {
            Some(index) => index,
            None => match first_image(&tree)? {
                Some(image) => image,
                None => return Ok(Err("it has neither index.json nor an image manifest under blobs".into())),
            },
        };
        let mut layout = Self::new(tree, index, Repairs::default())?;
        let mut found = Found::default();
        layout.collect(&layout.index, MAX_DEPTH, &mut found)?;
        layout.repairs = Repairs::find(&layout.tree, found.images.iter())?;
        Ok(Ok(layout))
    }

    fn new(tree: Tree, index: Manifest, repairs: Repairs) -> Result<Self> {
        let mut layout = Self { tree, index, names: Vec::new(), repairs };
        if let Document::Index(index) = &layout.index.document {
            if index.manifests.len() > MAX_MANIFESTS {
                return Err(layout.too_many());
            }
            layout.names = index.manifests.iter().flat_map(|d| names_of(d).map(|n| (n, d.clone()))).collect();
        }
        Ok(layout)
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.tree.path()
    }

    /// What the images of `index.json` are called there, in order; an image may have several names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Named> {
        self.names.iter().map(|(named, _)| named)
    }

    /// Tags that more than one image of `index.json` has.
    pub(crate) fn ambiguous_tags(&self) -> Vec<&Tag> {
        let mut seen: BTreeMap<&Tag, &Digest> = BTreeMap::new();
        let mut ambiguous = BTreeSet::new();
        for (named, descriptor) in &self.names {
            if let Some(tag) = &named.tag
                && seen.insert(tag, &descriptor.digest).is_some_and(|other| *other != descriptor.digest)
            {
                ambiguous.insert(tag);
            }
        }
        ambiguous.into_iter().collect()
    }

    /// Whether there is one image, counting those that differ in their platform as one.
    pub(crate) fn is_one_image(&self) -> bool {
        match &self.index.document {
            Document::Index(index) => index.manifests.len() <= 1,
            _ => true,
        }
    }

    /// What the layout as a whole stands for: an image, or an index to choose from.
    ///
    /// # Errors
    /// [`Error::NoManifest`], [`Error::DigestMismatch`], [`Error::Document`], [`Error::Limit`].
    pub(crate) fn default_manifest(&self) -> Result<Manifest> {
        self.settle(self.index.clone())
    }

    /// What a tag stands for. Of several images with the tag it is the last, as with most tools.
    ///
    /// # Errors
    /// [`Error::NoTag`] and those of [`Layout::default_manifest`].
    pub(crate) fn tagged(&self, tag: &Tag) -> Result<Manifest> {
        let named = self.names.iter().rev().find(|(named, _)| named.tag.as_ref() == Some(tag));
        let (_, descriptor) =
            named.ok_or_else(|| Error::NoTag { path: self.path().to_owned(), tag: tag.to_string() })?;
        self.settle(self.present(descriptor)?)
    }

    /// The manifest with a digest, made-up ones included.
    ///
    /// # Errors
    /// As for [`Layout::default_manifest`].
    pub(crate) fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        if let Some(repaired) = self.repairs.by_digest(digest) {
            return Ok(repaired.clone());
        }
        if let Some(found) = self.load(digest, None)? {
            return Ok(found);
        }
        if self.index.digest == *digest {
            return Ok(self.index.clone());
        }
        // Made-up indexes are not kept: they are made again the same.
        let tags: BTreeSet<&Tag> = self.names.iter().filter_map(|(named, _)| named.tag.as_ref()).collect();
        let made = tags.into_iter().map(|tag| self.tagged(tag)).chain([self.default_manifest()]);
        made.filter_map(Result::ok)
            .find(|m| m.digest == *digest)
            .ok_or_else(|| Error::NoManifest { path: self.path().to_owned(), digest: digest.clone() })
    }

    /// The blob with a digest.
    ///
    /// # Errors
    /// [`Error::LayerMissing`].
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Section> {
        let stored = self.repairs.stored_as(digest).unwrap_or(digest);
        self.tree
            .blob(stored)?
            .ok_or_else(|| Error::LayerMissing { path: self.path().to_owned(), layer: digest.to_string() })
    }

    /// From here to what is served: through indexes of one entry, then to one list of all images.
    fn settle(&self, mut current: Manifest) -> Result<Manifest> {
        for _ in 0..=MAX_DEPTH {
            let next = match &current.document {
                Document::Index(index) => match index.manifests.as_slice() {
                    [only] => self.present(only)?,
                    _ => return self.flatten(current),
                },
                _ => {
                    return Ok(self.repairs.of_image(&current.digest).unwrap_or(&current).clone());
                }
            };
            current = next;
        }
        Err(self.too_deep())
    }

    /// The index itself when it needs nothing done, else a made-up one.
    fn flatten(&self, current: Manifest) -> Result<Manifest> {
        let Document::Index(index) = &current.document else { return Ok(current) };
        let mut found = Found::default();
        self.collect(&current, MAX_DEPTH, &mut found)?;
        let n_images = found.images.iter().filter(|d| is_image(d)).count();
        for image in found.images.iter_mut().filter(|d| is_image(d)) {
            if image.platform.is_none() && n_images > 1 {
                image.platform = self.platform(image)?;
            }
            if let Some(repaired) = self.repairs.of_image(&image.digest) {
                image.digest = repaired.digest.clone();
                image.size_bytes = repaired.raw.len() as u64;
            }
        }
        if found.images == index.manifests || found.images.is_empty() {
            return Ok(current);
        }
        let made = Index {
            schema_version: 2,
            media_type: Some(MediaType::new(MediaType::OCI_INDEX)),
            manifests: found.images,
            annotations: BTreeMap::from([(annotation::SYNTHETIC.into(), "true".into())]),
        };
        let raw = serde_json::to_vec(&made).map_err(|e| Error::json("the index", self.path(), &e))?;
        self.parse(raw.into(), None)
    }

    /// All manifests below an index that are there, in order, each once.
    fn collect(&self, manifest: &Manifest, depth: usize, found: &mut Found) -> Result<()> {
        let Document::Index(index) = &manifest.document else {
            found.images.push(manifest.descriptor());
            return Ok(());
        };
        for descriptor in &index.manifests {
            if found.images.len() + found.indexes.len() >= MAX_MANIFESTS {
                return Err(self.too_many());
            }
            if !descriptor.media_type.is_index() {
                if self.tree.blob(&descriptor.digest)?.is_some() {
                    found.images.push(descriptor.clone());
                }
            } else if found.indexes.insert(descriptor.digest.clone()) {
                if depth == 0 {
                    return Err(self.too_deep());
                }
                if let Some(nested) = self.load(&descriptor.digest, Some(&descriptor.media_type))? {
                    self.collect(&nested, depth - 1, found)?;
                }
            }
        }
        Ok(())
    }

    /// The platform that an image's configuration names, if it is there and names one.
    fn platform(&self, image: &Descriptor) -> Result<Option<Platform>> {
        let Some(manifest) = self.load(&image.digest, Some(&image.media_type))? else { return Ok(None) };
        let Document::Image(manifest) = manifest.document else { return Ok(None) };
        let Some(config) = self.tree.blob(&manifest.config.digest)? else { return Ok(None) };
        let config = config.read_whole(regent_oci::MAX_MANIFEST_BYTES)?;
        Ok(ImageConfig::parse(&config).ok().and_then(|c| c.platform()))
    }

    /// What a descriptor leads to.
    fn present(&self, descriptor: &Descriptor) -> Result<Manifest> {
        self.load(&descriptor.digest, Some(&descriptor.media_type))?.ok_or_else(|| Error::NoManifest {
            path: self.path().to_owned(),
            digest: descriptor.digest.clone(),
        })
    }

    /// A stored manifest, verified; `None` when it is not there.
    fn load(&self, digest: &Digest, media_type: Option<&MediaType>) -> Result<Option<Manifest>> {
        load(&self.tree, digest, media_type)
    }

    fn parse(&self, raw: Bytes, media_type: Option<&str>) -> Result<Manifest> {
        parse(&self.tree, "the index", raw, media_type)
    }

    fn too_deep(&self) -> Error {
        let what = format!("over {MAX_DEPTH} indexes within each other");
        Error::Limit { what, path: self.path().to_owned(), limit: MAX_DEPTH as u64 }
    }

    fn too_many(&self) -> Error {
        let what = format!("over {MAX_MANIFESTS} manifests");
        Error::Limit { what, path: self.path().to_owned(), limit: MAX_MANIFESTS as u64 }
    }
}

/// What was found below an index.
#[derive(Debug, Default)]
struct Found {
    images: Vec<Descriptor>,
    indexes: BTreeSet<Digest>,
}

fn is_image(descriptor: &Descriptor) -> bool {
    descriptor.media_type.is_manifest() && !descriptor.is_attestation()
}

fn names_of(descriptor: &Descriptor) -> impl Iterator<Item = Named> {
    let named = |key: &str| descriptor.annotations.get(key);
    let by_spec = named(REF_NAME).map(|text| ref_name(text));
    let by_containerd = named(CONTAINERD_NAME).map(|text| whole_reference(text));
    by_spec.into_iter().chain(by_containerd)
}

fn index_json(tree: &Tree) -> Result<Option<Manifest>> {
    let Some(raw) = tree.document("index.json")? else { return Ok(None) };
    parse(tree, "index.json", raw, None).map(Some)
}

/// The first image manifest among the blobs, for a layout without an index: one with the configuration of an image,
/// and not of some artifact or attestation.
fn first_image(tree: &Tree) -> Result<Option<Manifest>> {
    for digest in tree.blobs()? {
        let Some(section) = tree.blob(&digest)? else { continue };
        if section.len_bytes() > regent_oci::MAX_MANIFEST_BYTES as u64
            || section.read_at(0, 1)?.as_ref() != b"{"
        {
            continue;
        }
        if let Ok(Some(found)) = load(tree, &digest, None)
            && let Document::Image(image) = &found.document
            && image.config.media_type.is_image_config()
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn load(tree: &Tree, digest: &Digest, media_type: Option<&MediaType>) -> Result<Option<Manifest>> {
    let Some(section) = tree.blob(digest)? else { return Ok(None) };
    let raw = section.read_whole(regent_oci::MAX_MANIFEST_BYTES)?;
    if digest.verify(&raw).is_err() {
        let (what, path) = ("a manifest", tree.path().to_owned());
        return Err(Error::DigestMismatch { what, path, expected: digest.clone() });
    }
    let mut manifest = parse(tree, "a manifest", raw, media_type.map(MediaType::as_str))?;
    // Its own name, which need not be of the algorithm that a manifest gets by itself.
    manifest.digest = digest.clone();
    Ok(Some(manifest))
}

fn parse(tree: &Tree, what: &str, raw: Bytes, media_type: Option<&str>) -> Result<Manifest> {
    Manifest::parse(raw, media_type).map_err(|e| {
        let reason = match e {
            regent_oci::Error::Document { reason, .. } => reason,
            other => other.to_string(),
        };
        Error::Document { what: what.to_owned(), path: tree.path().to_owned(), reason }
    })
}

/// Image-spec 1.1, image-layout.md: "The imageLayoutVersion value will align with the OCI Image Specification
/// version at the time changes to the layout are made". A directory without the file is taken for what it looks like.
fn check_version(tree: &Tree) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let Some(raw) = tree.document(MARKER)? else { return Ok(()) };
    let marker: Marker = serde_json::from_slice(&raw).map_err(|e| Error::json(MARKER, tree.path(), &e))?;
    if marker.image_layout_version.starts_with("1.") {
        Ok(())
    } else {
        Err(Error::LayoutVersion { path: tree.path().to_owned() })
    }
}

/// The file that makes a directory a layout.
pub(crate) const MARKER: &str = "oci-layout";

/// What a reference stands for in this layout.
///
/// # Errors
/// As for the methods of [`Layout`].
pub(crate) fn resolve(layout: &Layout, reference: &Reference, latest: Latest) -> Result<Manifest> {
    match reference {
        Reference::Digest(digest) => layout.manifest(digest),
        Reference::Tag(tag) if *tag == Tag::latest() => {
            let named = layout.names().any(|n| n.tag.as_ref() == Some(tag));
            if named && latest == Latest::NamedFirst { layout.tagged(tag) } else { layout.default_manifest() }
        }
        Reference::Tag(tag) => layout.tagged(tag),
    }
}

/// What the tag `latest` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latest {
    /// The image of that name if there is one, else the layout as a whole: in a directory, which stands for a
    /// registry.
    NamedFirst,
    /// The layout as a whole: in an archive, which stands for an image.
    Whole,
}
