//! What can be wrong with a path, an archive or a layout.

use std::io;
use std::path::PathBuf;

use regent_oci::Digest;
use regent_plugin_api::transport::{Class, Fault, Retry};

/// What the functions of this crate return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why local content can't be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system refused.
    #[error("can't {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A directory where an archive should be, or the reverse.
    #[error("{} is not a {expected}", path.display())]
    WrongFileType { path: PathBuf, expected: &'static str },
    /// A symbolic link that leaves the directory of the connection.
    #[error("{} leads outside of the connection's directory", path.display())]
    Outside { path: PathBuf },
    /// The file ends before the archive does.
    #[error("{} is truncated: it ends within {within}", path.display())]
    Truncated { path: PathBuf, within: String },
    /// Broken tar structure or compressed data.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// None of the kinds of archive that are known.
    #[error("unsupported archive type: {} is {tried}", path.display())]
    UnsupportedArchive { path: PathBuf, tried: String },
    /// A directory without images.
    #[error("{} holds no image layout: it has neither index.json nor a manifest under blobs", path.display())]
    NoLayout { path: PathBuf },
    /// A layout from before image-spec 1.0.
    #[error("{} is a layout of a draft of the image specification (it has a refs directory); write it anew", path.display())]
    DraftLayout { path: PathBuf },
    /// A layout of a version to come.
    #[error("{} is an image layout of a version other than 1", path.display())]
    LayoutVersion { path: PathBuf },
    /// A document that is no such document.
    #[error("{what} of {} is not usable: {reason}", path.display())]
    Document { what: String, path: PathBuf, reason: String },
    /// A limit of this driver.
    #[error("{} has {what}, more than the {limit} allowed", path.display())]
    Limit { what: String, path: PathBuf, limit: u64 },
    /// No repository of this name.
    #[error("there is no repository {repository} below the connection's path")]
    NoRepository { repository: String },
    /// No tag of this name.
    #[error("{} has no image tagged {tag}", path.display())]
    NoTag { path: PathBuf, tag: String },
    /// A manifest that is not there.
    #[error("{} has no manifest {digest}", path.display())]
    NoManifest { path: PathBuf, digest: Digest },
    /// Bytes that do not have the digest they are named by.
    #[error("{what} of {} has another digest than {expected}", path.display())]
    DigestMismatch { what: &'static str, path: PathBuf, expected: Digest },
    /// A layer, or other blob, that the image names and the source does not hold.
    #[error("layer {layer} is missing from {}", path.display())]
    LayerMissing { path: PathBuf, layer: String },
    /// Too many blobs open at a time.
    #[error("{limit} blobs are open already")]
    TooManyOpen { limit: usize },
    /// A handle that was never given out, or was given back.
    #[error("no open blob has the handle {handle}")]
    UnknownHandle { handle: u64 },
}

impl Error {
    /// A document that does not parse. Keeps the place of the mistake and none of the document.
    pub(crate) fn json(what: impl Into<String>, path: impl Into<PathBuf>, error: &serde_json::Error) -> Self {
        let reason = format!("no valid JSON of its kind, at line {} column {}", error.line(), error.column());
        Self::Document { what: what.into(), path: path.into(), reason }
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Class::Absent,
                io::ErrorKind::PermissionDenied => Class::Denied,
                _ => Class::Unavailable,
            },
            Self::WrongFileType { .. } | Self::UnknownHandle { .. } => Class::Invalid,
            Self::Outside { .. } => Class::Refused,
            Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::Document { .. }
            | Self::DigestMismatch { .. } => Class::Corrupt,
            Self::UnsupportedArchive { .. }
            | Self::NoLayout { .. }
            | Self::DraftLayout { .. }
            | Self::LayoutVersion { .. } => Class::Unsupported,
            Self::Limit { .. } | Self::TooManyOpen { .. } => Class::Limit,
            Self::NoRepository { .. }
            | Self::NoTag { .. }
            | Self::NoManifest { .. }
            | Self::LayerMissing { .. } => Class::Absent,
        }
    }

    fn retry(&self) -> Retry {
        // A file does not mend itself; blobs are closed as scans end.
        match self {
            Self::TooManyOpen { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "path_not_found",
                io::ErrorKind::PermissionDenied => "path_unreadable",
                _ => "read_failed",
            },
            Self::WrongFileType { .. } => "setting_invalid",
            Self::Outside { .. } => "path_outside_root",
            Self::Truncated { .. } => "archive_truncated",
            Self::Damaged { .. } => "archive_damaged",
            Self::UnsupportedArchive { .. } => "archive_unsupported",
            Self::NoLayout { .. } | Self::DraftLayout { .. } | Self::LayoutVersion { .. } => {
                "layout_unsupported"
            }
            Self::Document { .. } => "document_invalid",
            Self::Limit { .. } => "limit_exceeded",
            Self::NoRepository { .. } | Self::NoTag { .. } => "not_found",
            Self::NoManifest { .. } => "manifest_missing",
            Self::DigestMismatch { .. } => "digest_mismatch",
            Self::LayerMissing { .. } => "layer_missing",
            Self::TooManyOpen { .. } => "too_many_open_blobs",
            Self::UnknownHandle { .. } => "blob_handle_unknown",
        }
    }
}
