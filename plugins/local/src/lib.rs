//! Regent's driver for images on disk: OCI image layouts, and archives of `docker save`, kaniko and everything that
//! writes OCI archives.
//!
//! It serves content itself (capability `content`) and reads files of the host (capability `files`), which has
//! checked that it may read this path. It never sees the network.
//!
//! All reads are of a local disk and block the driver's own thread. That is short for all calls but the first to an
//! archive, which reads its index, unpacks it if it is compressed as a whole, and hashes its layers.
//!
//! What is where: [`Source`] is the connection's path and finds repositories; a [`Store`] is
//! one of them, read as a [`Layout`](layout::Layout) or as [`Saved`](saved::Saved); both stand on an
//! [`Archive`](archive::Archive) or a directory. The README says what names and tags there are.

#![expect(
    rustdoc::private_intra_doc_links,
    reason = "a driver has no public API: its docs are for those who change it"
)]

mod archive;
mod blobs;
mod error;
mod kind;
mod layout;
mod naming;
mod page;
mod saved;
mod section;
mod source;
mod store;
mod tree;

use std::path::PathBuf;

use regent_oci::{Digest, Document, Reference, RepositoryName, Tag};
use regent_plugin_api::{
    Access, Authorization, BlobHandle, Check, Content, Driver, Error, Host, LogLevel, Outcome, Page,
    PageRequest, Result, Settings, TagDetail, Validation,
};

use crate::blobs::OpenBlobs;
use crate::kind::Kind;
use crate::page::page;
use crate::source::Source;
use crate::store::Store;

/// One path on disk.
#[derive(Debug)]
pub struct Local {
    source: Source,
    blobs: OpenBlobs,
    host: Host,
}

regent_plugin_api::export_driver! {
    Local,
    name: "local",
    summary: "Image layouts and archives on disk",
    types: ["oci-layout", "docker-archive", "oci-archive", "kaniko-archive"],
    settings: [
        { name: "registryBase", required: true, secret: false, help: "path of the directory or archive" },
    ],
    egress: [],
    env: [],
    capabilities: ["content", "files"],
}

impl Driver for Local {
    fn connect(settings: Settings, host: Host) -> Result<Self> {
        let kind = Kind::of_type(settings.registry_type()).ok_or_else(|| {
            Error::unsupported(format_args!("connections of type {}", settings.registry_type()))
        })?;
        let path = settings.base().ok_or_else(|| Error::invalid_setting("registryBase", "is missing"))?;
        if path.contains('\0') {
            return Err(Error::invalid_setting("registryBase", "holds a character that no path may hold"));
        }
        Ok(Self { source: Source::new(PathBuf::from(path), kind), blobs: OpenBlobs::default(), host })
    }

    async fn validate(&self) -> Result<Validation> {
        self.source.reach()?;
        let shown = self.source.path().display().to_string();
        let reached = Check {
            name: "reached".into(),
            outcome: Outcome::Passed,
            detail: format!("{shown} is there and readable"),
        };
        let list = match self.source.repositories() {
            Ok(listing) => {
                let n = listing.repositories.len();
                let mut detail = if n == 1 { "1 repository".to_owned() } else { format!("{n} repositories") };
                if listing.n_skipped > 0 {
                    let n = listing.n_skipped;
                    detail = format!(
                        "{detail}; {n} more in directories whose path is no repository name, rename them"
                    );
                }
                let outcome = if n == 0 { Outcome::Failed } else { Outcome::Passed };
                if n == 0 {
                    detail = format!("{detail}: no directory here holds an {} file", layout::MARKER);
                }
                Check { name: "list".into(), outcome, detail }
            }
            Err(e) => Check { name: "list".into(), outcome: Outcome::Failed, detail: e.to_string() },
        };
        Ok(Validation { registry: shown, checks: vec![reached, list] })
    }

    async fn repositories(&self, request: PageRequest) -> Result<Page<RepositoryName>> {
        let listing = self.source.repositories()?;
        if listing.n_skipped > 0 {
            let n = listing.n_skipped;
            self.host.log(
                LogLevel::Warn,
                format_args!("{n} layouts are in directories whose path is no repository name"),
            );
        }
        Ok(page(listing.repositories, &request))
    }

    async fn tags(&self, repository: &RepositoryName, request: PageRequest) -> Result<Page<Tag>> {
        let store = self.source.repository(repository)?;
        for tag in store.ambiguous_tags() {
            self.host.log(
                LogLevel::Warn,
                format_args!("{repository} has several images tagged {tag}; the last one counts"),
            );
        }
        Ok(page(store.tags(), &request))
    }

    async fn tag_details(
        &self,
        repository: &RepositoryName,
        request: PageRequest,
    ) -> Result<Page<TagDetail>> {
        let store = self.source.repository(repository)?;
        let tags = page(store.tags(), &request);
        let items = tags.items.into_iter().map(|tag| detail(&store, tag)).collect::<error::Result<_>>()?;
        Ok(Page { items, next: tags.next })
    }

    async fn authorize(&self, _: Access) -> Result<Authorization> {
        Err(Error::unsupported("the distribution protocol: it serves content itself"))
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Content> {
        let manifest = self.source.repository(repository)?.manifest(reference)?;
        Ok(Content { media_type: manifest.media_type, bytes: manifest.raw })
    }

    async fn open_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobHandle> {
        let blob = self.source.repository(repository)?.blob(digest)?;
        Ok(BlobHandle(self.blobs.insert(blob)?))
    }

    async fn read_blob(&self, blob: BlobHandle, max_bytes: usize) -> Result<regent_plugin_api::bytes::Bytes> {
        Ok(self.blobs.read(blob.0, max_bytes)?)
    }

    async fn close_blob(&self, blob: BlobHandle) -> Result<()> {
        Ok(self.blobs.remove(blob.0)?)
    }
}

/// No time of the push: files have times, but those of copies and checkouts.
fn detail(store: &Store, tag: Tag) -> error::Result<TagDetail> {
    let manifest = store.manifest(&Reference::Tag(tag.clone()))?;
    let size_bytes = match &manifest.document {
        Document::Image(image) => Some(image.size_bytes()),
        _ => None,
    };
    Ok(TagDetail { tag, digest: manifest.digest, pushed: None, size_bytes })
}
