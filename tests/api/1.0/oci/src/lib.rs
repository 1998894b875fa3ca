//! The vocabulary of container images, as types: nothing here does I/O.
//!
//! Text becomes a type at the edge, through one parser (`FromStr`, and `Deserialize` through the same
//! door), so that the rest of Regent never passes a repository, tag or digest around as a string.
//!
//! ```
//! use regent_oci::{ImageRef, Reference};
//!
//! let image: ImageRef = "team/app:1.4".parse()?;
//! assert_eq!(image.repository().as_str(), "team/app");
//! assert!(matches!(image.reference(), Reference::Tag(tag) if tag.as_str() == "1.4"));
//! assert!("team/../etc:1".parse::<ImageRef>().is_err());
//! # Ok::<(), regent_oci::Error>(())
//! ```
//!
//! Specifications: [image-spec](https://github.com/opencontainers/image-spec) 1.1 and the name grammar of
//! [distribution-spec](https://github.com/opencontainers/distribution-spec) 1.1.

pub mod annotation;
mod config;
mod descriptor;
mod digest;
mod error;
mod manifest;
mod name;
mod platform;

pub use config::{ContainerConfig, DiffId, History, ImageConfig, RootFs};
pub use descriptor::{Descriptor, MediaType};
pub use digest::{Algorithm, Digest, Digester};
pub use error::{Error, Rule};
pub use manifest::{Choice, Document, ImageManifest, Index, MAX_MANIFEST_BYTES, Manifest};
pub use name::{ImageRef, Reference, RepositoryName, Tag};
pub use platform::Platform;
