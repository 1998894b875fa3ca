//! One repository, opened: the image of an archive, or a layout.

use std::path::Path;
use std::sync::Arc;

use regent_oci::{Digest, Manifest, Reference, RepositoryName, Tag};

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::kind::Kind;
use crate::layout::{Latest, Layout, resolve};
use crate::naming::{self, Named};
use crate::saved::{Saved, Writer};
use crate::section::Section;
use crate::tree::Tree;

/// What one repository serves.
#[derive(Debug)]
pub(crate) enum Store {
    /// An archive of `docker save` or kaniko.
    Saved(Saved),
    /// An OCI layout, and what its `latest` is.
    Layout(Layout, Latest),
}

impl Store {
    /// Opens an archive. The kind that the connection names is tried first, then all others: people name files by
    /// what wrote them, and `docker save` changed from one kind to another.
    ///
    /// # Errors
    /// [`Error::UnsupportedArchive`] when it is of no kind, saying what each of them lacks.
    pub(crate) fn open(path: &Path, kind: Kind) -> Result<Self> {
        let archive = Arc::new(Archive::open(path)?);
        let mut tried = Vec::new();
        let others = Kind::ARCHIVES.into_iter().filter(|&other| other != kind);
        for kind in [kind].into_iter().chain(others) {
            let read = match kind {
                Kind::DockerArchive => Saved::read(&archive, Writer::Docker)?.map(Self::Saved),
                Kind::KanikoArchive => Saved::read(&archive, Writer::Kaniko)?.map(Self::Saved),
                Kind::OciArchive | Kind::OciLayout => {
                    Layout::in_archive(Tree::Archive(Arc::clone(&archive)))?
                        .map(|l| Self::Layout(l, Latest::Whole))
                }
            };
            match read {
                Ok(store) => return Ok(store),
                Err(reason) => tried.push(format!("no {} ({reason})", kind.describe())),
            }
        }
        Err(Error::UnsupportedArchive { path: path.to_owned(), tried: tried.join(", ") })
    }

    fn names(&self) -> Vec<&Named> {
        match self {
            Self::Saved(saved) => saved.names().iter().collect(),
            Self::Layout(layout, _) => layout.names().collect(),
        }
    }

    /// The name under which the store is listed where its place gives none: the one that all its images have, else
    /// the name of the file.
    pub(crate) fn listed_name(&self, path: &Path) -> RepositoryName {
        let names = self.names();
        let mut repositories = names.iter().filter_map(|n| n.repository.as_ref());
        match repositories.next() {
            Some(first) if repositories.all(|other| other == first) => first.clone(),
            _ => naming::from_file(path),
        }
    }

    /// Whether the store answers to a name where its place gives none: always to `image`, and to any name at all when
    /// there is just one image that could be meant.
    pub(crate) fn answers_to(&self, name: &RepositoryName, path: &Path) -> bool {
        let is_one_image = match self {
            Self::Saved(_) => true,
            Self::Layout(layout, _) => layout.is_one_image(),
        };
        is_one_image
            || name.as_str() == naming::IMAGE
            || *name == self.listed_name(path)
            || self.names().iter().any(|n| n.repository.as_ref() == Some(name))
    }

    /// All tags, sorted; `latest` when no image has one. `latest` can be asked for in any case.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.names().into_iter().filter_map(|n| n.tag.clone()).collect();
        tags.sort();
        tags.dedup();
        if tags.is_empty() {
            tags.push(Tag::latest());
        }
        tags
    }

    /// Tags that more than one image has.
    pub(crate) fn ambiguous_tags(&self) -> Vec<&Tag> {
        match self {
            Self::Saved(_) => Vec::new(),
            Self::Layout(layout, _) => layout.ambiguous_tags(),
        }
    }

    /// What a reference stands for.
    ///
    /// # Errors
    /// [`Error::NoTag`], [`Error::NoManifest`], and what is wrong with the documents on the way.
    pub(crate) fn manifest(&self, reference: &Reference) -> Result<Manifest> {
        match self {
            Self::Layout(layout, latest) => resolve(layout, reference, *latest),
            Self::Saved(saved) => {
                let manifest = saved.manifest();
                let is_it = match reference {
                    Reference::Digest(digest) => *digest == manifest.digest,
                    Reference::Tag(tag) => {
                        *tag == Tag::latest() || saved.names().iter().any(|n| n.tag.as_ref() == Some(tag))
                    }
                };
                let path = || saved.path().to_owned();
                match reference {
                    _ if is_it => Ok(manifest.clone()),
                    Reference::Tag(tag) => Err(Error::NoTag { path: path(), tag: tag.to_string() }),
                    Reference::Digest(digest) => {
                        Err(Error::NoManifest { path: path(), digest: digest.clone() })
                    }
                }
            }
        }
    }

    /// A layer or a configuration.
    ///
    /// # Errors
    /// [`Error::LayerMissing`].
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Section> {
        match self {
            Self::Saved(saved) => saved.blob(digest),
            Self::Layout(layout, _) => layout.blob(digest),
        }
    }
}
