//! Repositories with tags, manifests and blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use regent_oci::Digest;

use crate::image::Image;

/// Push times count up from here, a second for each push.
const FIRST_PUSH: u64 = 1_700_000_000;

/// What a registry holds. Repositories have the names that they have in the paths of `/v2/`.
#[derive(Debug, Default)]
pub struct Store {
    /// By name.
    pub repositories: BTreeMap<String, Repository>,
    blobs: BTreeMap<Digest, Bytes>,
    pushes: u64,
}

/// A repository.
#[derive(Debug, Default, Clone)]
pub struct Repository {
    /// Tags by name.
    pub tags: BTreeMap<String, Tag>,
    /// Manifests by digest.
    pub manifests: BTreeMap<Digest, Manifest>,
    /// When it was pushed to first.
    pub created: u64,
}

/// A tag.
#[derive(Debug, Clone)]
pub struct Tag {
    /// What it stands for.
    pub digest: Digest,
    /// When it was pushed last, in seconds since 1970.
    pub pushed: u64,
}

/// A manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub content: Bytes,
    /// What it refers to.
    pub blobs: BTreeSet<Digest>,
    /// When it was pushed first, in seconds since 1970.
    pub pushed: u64,
    /// The vendor's figure for the image: here the sum of all that was pushed with it.
    pub size: u64,
}

impl Store {
    /// Pushes an artifact that is no image, only some text. The same text is the same artifact. Returns its digest and the
    /// time of the push in seconds since 1970.
    pub fn tag(&mut self, repository: &str, tag: &str, content: &str) -> (Digest, u64) {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        self.push_manifest(repository, Some(tag), media_type, content.as_bytes(), BTreeMap::new())
    }

    /// Pushes an image.
    pub fn push(&mut self, repository: &str, tag: &str, image: &Image) -> (Digest, u64) {
        self.push_manifest(repository, Some(tag), image.media_type, &image.manifest, image.blobs.clone())
    }

    /// Pushes a manifest with its blobs, tagged or not.
    pub fn push_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        content: &[u8],
        blobs: BTreeMap<Digest, Vec<u8>>,
    ) -> (Digest, u64) {
        self.pushes += 1;
        let pushed = FIRST_PUSH + self.pushes;
        let digest = Digest::sha256(content);
        let size = content.len() as u64 + blobs.values().map(|blob| blob.len() as u64).sum::<u64>();
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        if repository.created == 0 {
            repository.created = pushed;
        }
        repository.manifests.entry(digest.clone()).or_insert_with(|| Manifest {
            media_type: media_type.to_owned(),
            content: Bytes::copy_from_slice(content),
            blobs: blobs.keys().cloned().collect(),
            pushed,
            size,
        });
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), Tag { digest: digest.clone(), pushed });
        }
        self.blobs.extend(blobs.into_iter().map(|(digest, blob)| (digest, Bytes::from(blob))));
        (digest, pushed)
    }

    /// A repository, if there is one.
    pub fn get(&self, repository: &str) -> Option<&Repository> {
        self.repositories.get(repository)
    }

    /// The manifest that a tag or digest of a repository stands for.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(&Digest, &Manifest)> {
        let repository = self.get(repository)?;
        let digest = match repository.tags.get(reference) {
            Some(tag) => tag.digest.clone(),
            None => reference.parse().ok()?,
        };
        repository.manifests.get_key_value(&digest)
    }

    /// A blob, by its digest alone.
    pub fn blob(&self, digest: &str) -> Option<&Bytes> {
        self.blobs.get(&digest.parse().ok()?)
    }

    /// A blob that a manifest of the repository refers to.
    pub fn blob_of(&self, repository: &str, digest: &str) -> Option<&Bytes> {
        let wanted: Digest = digest.parse().ok()?;
        let repository = self.get(repository)?;
        repository.manifests.values().any(|m| m.blobs.contains(&wanted)).then(|| self.blobs.get(&wanted))?
    }
}

impl Repository {
    /// The tags of a manifest, sorted.
    pub fn tags_of(&self, digest: &Digest) -> Vec<&str> {
        self.tags.iter().filter(|(_, tag)| tag.digest == *digest).map(|(name, _)| name.as_str()).collect()
    }

    /// The tags of each manifest, for answers that list them all.
    pub fn tags_by_digest(&self) -> BTreeMap<&Digest, Vec<&str>> {
        let mut by_digest: BTreeMap<&Digest, Vec<&str>> = BTreeMap::new();
        for (name, tag) in &self.tags {
            by_digest.entry(&tag.digest).or_default().push(name);
        }
        by_digest
    }
}

/// Seconds since 1970 as a time.
pub fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Seconds since 1970 in RFC 3339.
pub fn rfc3339(seconds: u64) -> String {
    time::OffsetDateTime::from(time(seconds)).format(&time::format_description::well_known::Rfc3339).unwrap()
}
