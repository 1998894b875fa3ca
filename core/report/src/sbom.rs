//! Software bills of materials: CycloneDX and SPDX.
//!
//! Both are made from the same [`Inventory`](crate::inventory::Inventory) and differ in words only. Nothing in them
//! depends on when or where a scan ran: what formats want to be unique is derived from the contents, and the time is
//! that at which the image was made.
//!
//! The structures are written out here. The crates that there are know CycloneDX up to 1.5 (`cyclonedx-bom`), build
//! documents of owned text through builders (`serde-cyclonedx`), or have not been released since 2023 (`spdx-rs`); what a
//! scan says fits in two files, and a test holds both against the official schemas.

mod cyclonedx;
mod identity;
mod layers;
mod spdx;
mod subject;

use std::io;

use regent_scan::Findings;
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use crate::input::{Digests, ImageFacts, ImageName};
use crate::inventory::Inventory;
use crate::options::Options;

use self::layers::{Layer, layers};
use self::subject::Subject;

/// The name and version of the tool that says it.
const TOOL: (&str, &str) = ("regent", env!("CARGO_PKG_VERSION"));

/// What both formats are made from.
struct Contents<'a> {
    subject: Subject,
    layers: Vec<Layer>,
    inventory: Inventory<'a>,
    findings: &'a Findings,
    /// What the reader must know: files that could not be read, options that were not taken as they stand.
    remarks: Vec<String>,
}

impl<'a> Contents<'a> {
    fn new(
        image: &ImageFacts,
        name: &ImageName,
        digests: Option<&Digests>,
        findings: &'a Findings,
        options: &Options,
    ) -> Self {
        let gaps =
            findings.gaps.iter().map(|gap| format!("{}: {} ({})", gap.path.as_str(), gap.reason, gap.code));
        Self {
            subject: Subject::new(image, name, digests, options),
            layers: layers(image),
            inventory: Inventory::new(findings, options),
            findings,
            remarks: options.warnings.iter().cloned().chain(gaps).collect(),
        }
    }
}

/// Writes a CycloneDX 1.6 document, as JSON with a line feed at its end. Only what is being written is in memory.
///
/// # Errors
/// Those of `out`.
pub fn cyclonedx(
    image: &ImageFacts,
    name: &ImageName,
    digests: Option<&Digests>,
    findings: &Findings,
    options: &Options,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    cyclonedx::write(&Contents::new(image, name, digests, findings, options), out)
}

/// Writes an SPDX 2.3 document, likewise.
///
/// # Errors
/// Those of `out`.
pub fn spdx(
    image: &ImageFacts,
    name: &ImageName,
    digests: Option<&Digests>,
    findings: &Findings,
    options: &Options,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    spdx::write(&Contents::new(image, name, digests, findings, options), out)
}

/// Writes a list element by element, so that it is never there as a whole.
fn serialize_each<S: Serializer, T: Serialize>(
    serializer: S,
    each: impl Iterator<Item = T>,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(None)?;
    for one in each {
        list.serialize_element(&one)?;
    }
    list.end()
}

/// Writes a document.
fn write_document(document: &impl Serialize, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests;
