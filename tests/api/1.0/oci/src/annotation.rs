//! Annotations of Regent's own, by which a driver of archives tells what an archive calls its parts.
//!
//! Archives written by `docker save` and kaniko hold no registry manifest. The driver that reads them makes one up,
//! and these annotations carry what the archive said and the manifest has no field for. They are never believed from
//! a registry: only content served by a driver is looked at for them.

/// On a layer: its name in the source. In an archive of Docker or kaniko the entry's path, normalised
/// (`<hex>/layer.tar`); in a damaged OCI archive the digest that the source's own manifest names it by.
pub const LAYER_NAME: &str = "dev.regent.layer-name";

/// On a configuration: the image ID as the archive implies it, `sha256:…` as a rule.
pub const IMAGE_ID: &str = "dev.regent.image-id";

/// On a layer whose digest was computed from the bytes found, and therefore proves nothing about them. The value
/// says what does: [`VERIFY_DIFF_ID`] or [`VERIFY_NOTHING`].
pub const VERIFY: &str = "dev.regent.verify";

/// Value of [`VERIFY`]: the configuration's diff ID may vouch for the layer. A difference is to be reported as a gap,
/// not as a failure: archives that were changed by hand scan fine.
pub const VERIFY_DIFF_ID: &str = "diff-id";

/// Value of [`VERIFY`]: the layer is known *not* to be what the source names by [`LAYER_NAME`]. To be reported as a
/// gap.
pub const VERIFY_NOTHING: &str = "digest-mismatch";

/// On a manifest or index (not on a descriptor): it was put together by the driver. Its digest names nothing in the
/// source and is not to be reported.
pub const SYNTHETIC: &str = "dev.regent.synthetic";
