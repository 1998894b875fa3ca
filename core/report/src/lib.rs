//! Findings → results. Pure functions: no I/O, no clock, the same bytes for the same input.
//!
//! [`scan_result`] makes the machine-readable result, [`table`] the one for people, [`cyclonedx()`] and [`spdx()`] are bills
//! of materials. All take what a scan found
//! ([`regent_scan::Findings`]), the image's manifest and configuration ([`ImageFacts`]), and the caller's
//! [`Options`].
//!
//! Inside, the packages of the operating system become a tree (`os_tree`), instructions of the history or of a
//! Dockerfile label it (`instructions`, `dockerfile`), and the tree is folded into the graph that is reported
//! (`graph`). Facts are cut to their limits last (`truncation`). The table and the bills of materials list what is
//! really there (`inventory`), also where results repeat the mistakes of the scanner being replaced.

mod apk_ownership;
mod applications;
mod ascii;
mod dockerfile;
mod error;
mod facts;
mod graph;
mod input;
mod instructions;
mod inventory;
mod jars;
mod layer_attribution;
mod names;
mod options;
mod os_tree;
mod path_count;
mod provenance;
mod purl;
mod result;
mod sbom;
mod table;
mod truncation;
mod user_packages;
mod warnings;

pub use ascii::to_ascii_json;
pub use error::Error;
pub use graph::DepGraph;
pub use input::{Attestation, Compat, Digests, ImageFacts, ImageName, LayerNames};
pub use options::{Flag, GivenDigests, NameOption, Options};
pub use result::{Fact, FactData, Identity, IdentityArgs, ScanResponse, ScanResult, Target, scan_result};
pub use sbom::{cyclonedx, spdx};
pub use table::{table, warnings};
