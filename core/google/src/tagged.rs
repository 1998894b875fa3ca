//! What Google says of a tag.

use std::time::SystemTime;

use regent_oci::{Digest, Tag};

/// A tag, what it resolves to, and what is known of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedImage {
    /// The tag.
    pub tag: Tag,
    /// Its manifest or index.
    pub digest: Digest,
    /// When that was uploaded. Moving a tag to it does not change this.
    pub pushed: Option<SystemTime>,
    /// Google's figure for the size of the image, in bytes; none for an index.
    pub size_bytes: Option<u64>,
}
