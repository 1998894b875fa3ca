//! One pass over a layer.

use std::collections::BTreeSet;
use std::io::Read;

use regent_oci::{Descriptor, DiffId};

use crate::capture::CapturedLayer;
use crate::error::Error;
use crate::limits::Limits;
use crate::path::LayerPath;

/// Which layer, and what to look for beyond the analyzers' own matchers.
#[derive(Debug, Clone)]
pub struct LayerSpec {
    /// What the manifest says of it: digest and size are verified.
    pub descriptor: Descriptor,
    /// Verified as well where given: for archives whose layers are not named by a digest.
    pub diff_id: Option<DiffId>,
    /// Files to keep besides those that matchers ask for: link targets that an earlier pass showed to matter. Empty
    /// for a first pass, whose capture may be cached; a capture made with extras must not be.
    pub extra: BTreeSet<LayerPath>,
}

/// Reads a layer to its end, verifies it, and returns what is kept of it.
///
/// Compression is told by the content (gzip, zstd, none), never by the media type.
///
/// # Errors
/// [`Error`]; nothing of the layer is released then.
pub fn capture_layer(spec: &LayerSpec, bytes: impl Read, limits: &Limits) -> Result<CapturedLayer, Error> {
    let _ = (spec, bytes, limits);
    unimplemented!("being written")
}
