//! Why a layer or an image can't be scanned.

use regent_oci::Digest;

/// A layer that can't be used. Nothing of it was released.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source of the bytes failed. The cause is the reader's own error.
    #[error("layer {layer} could not be read to its end")]
    Read {
        /// Which layer.
        layer: Digest,
        /// The reader's error.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not the ones that the manifest names.
    #[error("layer {layer} has the wrong content: its digest is {actual}")]
    DigestMismatch {
        /// The digest in the manifest.
        layer: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// Too few or too many bytes.
    #[error("layer {layer} has {actual_bytes} bytes, the manifest says {expected_bytes}")]
    SizeMismatch {
        /// Which layer.
        layer: Digest,
        /// Size in the manifest, in bytes.
        expected_bytes: u64,
        /// What came, in bytes; reading stops one past the expected size.
        actual_bytes: u64,
    },
    /// The inflated bytes are not the ones that the image's configuration names.
    #[error("layer {layer} has diff ID {actual}, the image says {expected}")]
    DiffIdMismatch {
        /// Which layer.
        layer: Digest,
        /// The diff ID in the configuration.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// Bytes with the right digest that no one can decode.
    #[error("layer {layer} can't be decoded: {reason}")]
    Undecodable {
        /// Which layer.
        layer: Digest,
        /// What is wrong, in words.
        reason: String,
    },
    /// A limit was reached.
    #[error("layer {layer} exceeds the limit on {limit} ({value})")]
    Limit {
        /// Which layer.
        layer: Digest,
        /// Name of the limit, a field of [`Limits`](crate::Limits).
        limit: &'static str,
        /// Its value.
        value: u64,
    },
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "layer_unreadable",
            Self::DigestMismatch { .. } => "digest_mismatch",
            Self::SizeMismatch { .. } => "size_mismatch",
            Self::DiffIdMismatch { .. } => "diff_id_mismatch",
            Self::Undecodable { .. } => "layer_undecodable",
            Self::Limit { .. } => "limit_exceeded",
        }
    }
}
