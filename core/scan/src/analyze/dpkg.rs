//! Debian's package databases: dpkg's status file, apt's record of what was installed automatically, and the files
//! that distroless images have in their place.
//!
//! The format is deb822(5). Packages of every state are listed, as the scanner being replaced lists them; those that are
//! removed and not purged are marked.

mod files;

use std::collections::{HashMap, HashSet};
use std::mem;

pub(super) use files::files;

use super::packages::PackageList;
use super::text::{lines, text, words};
use super::{About, Analyzer, Reported, View, Want, no_pattern};
use crate::distil::{Distil, Distilled};
use crate::finding::{Findings, Package, PackageDetail, PackageFormat, Source};
use crate::overlay::Overlay;

const STATUS: &str = "/var/lib/dpkg/status";
const EXTENDED_STATES: &str = "/var/lib/apt/extended_states";
const STATUS_DIRECTORY: &str = "/var/lib/dpkg/status.d";

/// dpkg's database and apt's.
const FILES: &[&str] = &[STATUS, EXTENDED_STATES];

/// States (dpkg(1), "Package states") of packages that are listed and not there.
const REMOVED: [&[u8]; 2] = [b"config-files", b"not-installed"];

/// Where distroless images have one file a package.
const DIRECTORIES: &[&str] = &[STATUS_DIRECTORY];

/// The row of the table for dpkg's database.
pub(super) const STATUS_ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Debian packages",
        detects: "Installed packages with their source, dependencies, architecture and licences, and which of them apt \
                  installed for others.",
        files: &[
            "/var/lib/dpkg/status",
            "/var/lib/dpkg/info/*.list",
            "/var/lib/apt/extended_states",
            "/usr/share/doc/*/copyright",
        ],
        limits: &[
            "30,000 packages and 300,000 relations in a database",
            "200,000 files and 64 licences of a package",
        ],
        reported: Reported::Everywhere,
    },
    files: FILES,
    directories: &[],
    ends: &["/copyright", ".list"],
    pattern,
    run: run_status,
};

/// The row of the table for distroless images.
pub(super) const STATUS_DIRECTORY_ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Distroless packages",
        detects: "Debian packages of images that have one file a package.",
        files: &["/var/lib/dpkg/status.d/**"],
        limits: &["30,000 packages and 300,000 relations in a database"],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: DIRECTORIES,
    ends: &[],
    pattern: no_pattern,
    run: run_status_directory,
};

/// Reports the status file's packages.
fn run_status(view: &View<'_>, findings: &mut Findings) {
    let overlay = view.overlay;
    let Some(status) = overlay.content(STATUS) else { return };
    let mut list = parse_status(status);
    if let Some(states) = overlay.content(EXTENDED_STATES) {
        let automatic = parse_extended_states(states);
        for package in list.iter_mut() {
            package.auto_installed = automatic.contains(package.name.as_bytes());
        }
    }
    add_licenses(&mut list, overlay);
    list.report(findings, PackageFormat::Deb, STATUS);
}

/// Reports the packages of status.d. What else lies there, e.g. `*.md5sums`, has no stanza with a package.
fn run_status_directory(view: &View<'_>, findings: &mut Findings) {
    let overlay = view.overlay;
    let mut list = PackageList::default();
    for file in overlay.files().filter(|file| super::is_below(file.path.as_str(), STATUS_DIRECTORY)) {
        if let Some(content) = &file.kept.content {
            list.append(parse_status(content));
        }
    }
    add_licenses(&mut list, overlay);
    list.report(findings, PackageFormat::Deb, STATUS_DIRECTORY);
}

/// Where packages say what their licences are (Debian Policy, 12.5), and dpkg which files they have.
fn pattern(path: &str) -> Want {
    if copyright_of(path).is_some() {
        Want::distilled(Distil::DebianCopyright)
    } else if files::list_of(path).is_some() {
        Want::distilled(Distil::PathList)
    } else {
        Want::NOTHING
    }
}

/// The package whose `copyright` is at this path.
fn copyright_of(path: &str) -> Option<&str> {
    let package = path.strip_prefix("/usr/share/doc/")?.strip_suffix("/copyright")?;
    (!package.contains('/')).then_some(package)
}

/// Adds the licences that packages tell in a form for machines. A package's documentation may be a link to that of
/// another one made from the same source (Debian Policy, 12.5), so that one without any has those of its source.
fn add_licenses(list: &mut PackageList, overlay: &Overlay) {
    let mut told: HashMap<&str, &[String]> = HashMap::new();
    for file in overlay.files() {
        if let (Some(package), Some(Distilled::DebianCopyright(copyright))) =
            (copyright_of(file.path.as_str()), &file.kept.distilled)
        {
            told.insert(package, &copyright.licenses);
        }
    }
    if told.is_empty() {
        return;
    }
    let mut of_sources: HashMap<String, &[String]> = HashMap::new();
    for package in list.iter_mut() {
        if let Some(licenses) = told.get(package.name.as_str()) {
            package.licenses = licenses.to_vec();
            of_sources.entry(source_name(package).to_owned()).or_insert(licenses);
        }
    }
    for package in list.iter_mut().filter(|package| package.licenses.is_empty()) {
        package.licenses = of_sources.get(source_name(package)).map_or_else(Vec::new, |list| list.to_vec());
    }
}

fn source_name(package: &Package) -> &str {
    package.source.as_ref().map_or(&package.name, |source| &source.name)
}

/// The packages of a status file, in its order. Fields of a stanza may come in any order; a file that is cut off is
/// used as far as it goes.
pub(super) fn parse_status(data: &[u8]) -> PackageList {
    let mut list = PackageList::default();
    let mut stanza = Stanza::default();
    for line in lines(data) {
        if line.is_empty() {
            mem::take(&mut stanza).finish(&mut list);
            continue;
        }
        let Some((field, value)) = field(line) else { continue };
        match field {
            b"Package" => {
                // A second name belongs to a stanza whose separating empty line is missing.
                if stanza.name.is_some() {
                    mem::take(&mut stanza).finish(&mut list);
                }
                stanza.name = Some(text(value)).filter(|name| !name.is_empty());
            }
            b"Version" => stanza.version = Some(text(value)).filter(|version| !version.is_empty()),
            b"Source" => stanza.source = parse_source(value),
            b"Provides" => list.add_names(&mut stanza.provides, relations(value)),
            b"Pre-Depends" | b"Depends" => {
                list.add_alternatives(&mut stanza.depends, &mut stanza.alternatives, groups(value));
            }
            b"Status" => {
                stanza.is_removed = words(value).nth(2).is_some_and(|state| REMOVED.contains(&state));
            }
            b"Architecture" => stanza.architecture = Some(text(value)).filter(|name| !name.is_empty()),
            _ => {}
        }
    }
    stanza.finish(&mut list);
    list
}

#[derive(Default)]
struct Stanza {
    name: Option<String>,
    version: Option<String>,
    source: Option<Source>,
    provides: Vec<String>,
    depends: Vec<String>,
    alternatives: Vec<u32>,
    is_removed: bool,
    architecture: Option<String>,
}

impl Stanza {
    fn finish(self, list: &mut PackageList) {
        let Some(name) = self.name else { return };
        list.push(Package {
            source: self.source,
            provides: self.provides,
            depends: self.depends,
            alternatives: self.alternatives,
            is_removed: self.is_removed,
            architecture: self.architecture,
            ..Package::new(name, self.version, PackageDetail::Deb)
        });
    }
}

/// Name and value of a field; `None` for continuation lines and anything else.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if line.first()?.is_ascii_whitespace() {
        return None;
    }
    let (name, value) = line.split_at(memchr::memchr(b':', line)?);
    Some((name, value.strip_prefix(b":")?.trim_ascii()))
}

/// `name` or `name (version)`: the version is given where it differs from the binary package's.
fn parse_source(value: &[u8]) -> Option<Source> {
    let mut words = words(value);
    let name = text(words.next()?);
    let version = words.next().map(|word| text(word).replace(['(', ')'], "")).filter(|v| !v.is_empty());
    Some(Source { name, version })
}

/// The names in a list of relations. All alternatives count, constraints are dropped, and an architecture (`name:any`)
/// stays part of the name, as results have it.
fn relations(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    groups(value).flatten()
}

/// The same, with alternatives together.
fn groups(value: &[u8]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
    value
        .split(|&byte| byte == b',')
        .map(|group| group.split(|&byte| byte == b'|').filter_map(|relation| words(relation).next()))
}

/// Names of the packages that were installed only because another needed them.
fn parse_extended_states(data: &[u8]) -> HashSet<&[u8]> {
    let mut automatic = HashSet::new();
    let mut name: Option<&[u8]> = None;
    let mut is_automatic = false;
    // An empty line more ends the last stanza too.
    for line in lines(data).chain([&b""[..]]) {
        match field(line) {
            Some((b"Package", value)) => name = Some(value),
            Some((b"Auto-Installed", value)) => is_automatic = value == b"1",
            None if line.is_empty() => {
                automatic.extend(name.take().filter(|_| is_automatic));
                is_automatic = false;
            }
            _ => {}
        }
    }
    automatic
}

#[cfg(test)]
mod tests;
