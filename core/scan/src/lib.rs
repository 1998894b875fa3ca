//! Layer bytes → captured files → overlay → findings. Blocking, in bounded memory, without network or async.
//!
//! A layer is read once, as a stream ([`capture_layer`]): hashed, inflated, and its tar entries walked. The analyzers'
//! matchers decide from each entry's header what to keep; the rest is skipped without buffering. What is kept is a
//! [`Capture`]: a small value that depends on nothing but the layer's bytes and [`CAPTURE_VERSION`]. An image is the
//! [`Overlay`] of its layers' captures, and analyzers are pure functions over it ([`analyze`]).
//!
//! Nothing captured is released before the layer's size and digest have been verified: [`CapturedLayer`] comes only
//! out of a verified read, and the overlay takes nothing else.

mod analyze;
mod capture;
mod error;
mod finding;
mod layer;
mod limits;
mod overlay;
mod path;

pub use analyze::{analyze, parse};
pub use capture::{CAPTURE_VERSION, Capture, CapturedLayer, Entry, EntryKind, Kept};
pub use error::Error;
pub use finding::{
    Findings, Gap, OsRelease, Package, PackageDetail, PackageFormat, Packages, Runtime, Source,
};
pub use layer::{LayerSpec, capture_layer};
pub use limits::Limits;
pub use overlay::{MissingTarget, Overlay, OverlayFile};
pub use path::LayerPath;
