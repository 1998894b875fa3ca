//! Alpine's package database: `installed`, one letter a field, an empty line after each package (apk-tools,
//! doc/apk-v2.5.scd).

pub(super) mod files;

use std::mem;

use super::packages::PackageList;
use super::text::{before, lines, text, words};
use super::{About, Analyzer, Reported, View, no_pattern};
use crate::finding::{Findings, Package, PackageDetail, PackageFormat, Source};

/// The database, and where it lies since `/lib` and `/usr/lib` are merged.
const FILES: &[&str] = &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Alpine packages",
        detects: "Installed packages with their origin, dependencies, architecture and licence.",
        files: FILES,
        limits: &["30,000 packages and 300,000 relations in a database"],
        reported: Reported::Everywhere,
    },
    files: FILES,
    directories: &[],
    ends: &[],
    pattern: no_pattern,
    run,
};

/// Reports the packages of the first database in merge order.
fn run(view: &View<'_>, findings: &mut Findings) {
    let database = view.overlay.files().find_map(|file| {
        let path = file.path.as_str();
        let content = file.kept.content.as_deref().filter(|content| !content.is_empty())?;
        FILES.contains(&path).then_some((path, content))
    });
    if let Some((path, content)) = database {
        parse_installed(content).report(findings, PackageFormat::Apk, path);
    }
}

/// The packages of an `installed` file, in its order. Fields of a record may come in any order.
pub(super) fn parse_installed(data: &[u8]) -> PackageList {
    let mut list = PackageList::default();
    let mut record = Record::default();
    for line in lines(data) {
        let [field, b':', value @ ..] = line else {
            if line.is_empty() {
                mem::take(&mut record).finish(&mut list);
            }
            continue;
        };
        let value = value.trim_ascii();
        match field {
            b'P' => {
                // A second name belongs to a record whose separating empty line is missing.
                if record.name.is_some() {
                    mem::take(&mut record).finish(&mut list);
                }
                record.name = Some(text(value)).filter(|name| !name.is_empty());
            }
            b'V' => record.version = Some(text(value)).filter(|version| !version.is_empty()),
            b'o' => record.origin = Some(text(value)).filter(|origin| !origin.is_empty()),
            b'p' => list.add_names(&mut record.provides, words(value).map(|word| before(word, b'='))),
            b'A' => record.architecture = Some(text(value)).filter(|architecture| !architecture.is_empty()),
            b'L' => record.license = Some(text(value)).filter(|license| !license.is_empty()),
            b'D' => list.add_names(&mut record.depends, dependencies(value)),
            // "Replaces", which results count as a dependency.
            b'r' => {
                let first = record.depends.len();
                list.add_names(&mut record.depends, dependencies(value));
                record.replaced.extend((first..record.depends.len()).filter_map(|at| u32::try_from(at).ok()));
            }
            _ => {}
        }
    }
    record.finish(&mut list);
    list
}

/// Names of dependencies; `!name` is a conflict. Only `=` and what follows is cut: names with another operator, such
/// as `musl>=1.2`, resolve to nothing in results, and what is left of them here does neither.
fn dependencies(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(value).filter(|word| !word.starts_with(b"!")).map(|word| before(word, b'='))
}

#[derive(Default)]
struct Record {
    name: Option<String>,
    version: Option<String>,
    origin: Option<String>,
    provides: Vec<String>,
    depends: Vec<String>,
    replaced: Vec<u32>,
    architecture: Option<String>,
    license: Option<String>,
}

impl Record {
    fn finish(self, list: &mut PackageList) {
        let Some(name) = self.name else { return };
        list.push(Package {
            source: self.origin.map(|name| Source { name, version: None }),
            provides: self.provides,
            depends: self.depends,
            replaced: self.replaced,
            architecture: self.architecture,
            licenses: self.license.into_iter().collect(),
            ..Package::new(name, self.version, PackageDetail::Apk)
        });
    }
}

#[cfg(test)]
mod tests;
