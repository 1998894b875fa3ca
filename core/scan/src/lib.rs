//! Layer bytes → captured files → overlay → findings. Blocking, in bounded memory, without network or async.
//!
//! A layer is read once, as a stream ([`capture_layer`]): hashed, inflated, and its tar entries walked. The analyzers'
//! matchers decide from each entry's header what to keep; the rest is skipped without buffering. What is kept is a
//! [`Capture`]: a small value that depends on nothing but the layer's bytes and [`CAPTURE_VERSION`]. An image is the
//! [`Overlay`] of its layers' captures, and analyzers are pure functions over it ([`analyze`]).
//!
//! Where a manifest pins a layer's table of contents, the same capture is made from parts of the layer ([`TocPin`],
//! [`Plan`], [`capture_chunks`]).
//!
//! Nothing captured is released before the layer's size and digest have been verified: [`CapturedLayer`] comes only
//! out of a verified read, and the overlay takes nothing else.

mod analyze;
mod application;
mod attribution;
mod budget;
mod capture;
mod distil;
mod error;
mod extra;
mod finding;
mod graph;
mod hexadecimal;
mod interest;
mod layer;
mod limits;
mod loose;
mod ordered;
mod overlay;
mod ownership;
mod path;
mod tree;
mod yaml;

pub use analyze::{About, Reported, analyze, analyzers, parse};
pub use application::{
    Application, ApplicationKind, Component, Content, Dependencies, Ecosystem, HashAlgorithm, JarFingerprint,
    JarIdentity, Root, TestedFiles,
};
pub use attribution::attribute;
pub use budget::{Budget, ImageBudget};
pub use capture::{CAPTURE_VERSION, Capture, CapturedLayer, Entry, EntryKind, Kept};
pub use distil::{
    ArchiveContent, ArchiveFault, ArchiveFaultKind, CondaRecord, Coordinates, Crate, DebianCopyright,
    Distilled, Executable, ExecutableFault, Gemspec, GoModule, GoPackage, GoProgram, InstalledManifest,
    JarManifest, JavaArchive, NestedArchive, NpmRecord, PathList, PythonMetadata, RecordedPackage,
};
pub use error::Error;
pub use extra::Extra;
pub use finding::{
    Findings, FoundFile, Gap, OsRelease, Package, PackageDetail, PackageFormat, Packages, Runtime, Source,
};
pub use graph::{Graph, GraphNode, GraphPlace};
pub use interest::{GlobError, GlobSet, Interest};
pub use layer::{Buffers, LayerSpec, Plan, TocPin, Unfit, capture_chunks, capture_layer, capture_layer_with};
pub use limits::Limits;
pub use ordered::Pairs;
pub use overlay::{MissingTarget, Overlay, OverlayFile};
pub use ownership::{ApkOwned, PackagePlace};
pub use path::LayerPath;
pub use tree::{NodeIndex, Tree, TreeNode};
