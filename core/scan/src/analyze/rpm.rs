//! RPM's package database in its three forms, and the content sets of Red Hat's images.
//!
//! Whatever the form, a record is a package header ([`header`]). The readers of the forms are written for hostile
//! input: every page and every byte of a record is visited at most once, so that time and memory are in proportion to
//! the file.

mod bdb;
mod content_sets;
pub(super) mod files;
mod header;
mod integers;
mod ndb;
mod sqlite;

use super::packages::PackageList;
use super::{About, Analyzer, Reported, View, no_pattern};
use crate::finding::{Findings, Gap, Package, PackageFormat};
use crate::overlay::Overlay;

const BERKELEY_DB: [&str; 2] = ["/var/lib/rpm/Packages", "/usr/lib/sysimage/rpm/Packages"];
const NDB: [&str; 2] = ["/var/lib/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages.db"];
const SQLITE: [&str; 2] = ["/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite"];

/// The databases, at the classic place and at the one on systems whose `/usr` is the whole system.
const FILES: &[&str] = &[BERKELEY_DB[0], BERKELEY_DB[1], NDB[0], NDB[1], SQLITE[0], SQLITE[1]];

/// Where Red Hat's images say which repositories they were built from.
const DIRECTORIES: &[&str] = &[content_sets::DIRECTORY];

/// Records in one database, readable or not. See `MAX_PACKAGES`: no image has more packages.
const MAX_RECORDS: usize = 60_000;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "RPM packages",
        detects: "Installed packages with epoch, module, source package, dependencies, architecture and licence, and the \
                  content sets of Red Hat's images.",
        files: &[
            "/var/lib/rpm/Packages",
            "/var/lib/rpm/Packages.db",
            "/var/lib/rpm/rpmdb.sqlite",
            "the same in /usr/lib/sysimage/rpm",
            "/root/buildinfo/content_manifests/**",
        ],
        limits: &["60,000 records in a database"],
        reported: Reported::Everywhere,
    },
    files: FILES,
    directories: DIRECTORIES,
    ends: &[],
    pattern: no_pattern,
    run,
};

/// Reports the packages of the Berkeley DB and NDB databases together, or else those of the SQLite database.
fn run(view: &View<'_>, findings: &mut Findings) {
    let overlay = view.overlay;
    let mut first = None;
    let mut packages = read_first(overlay, &BERKELEY_DB, bdb::read, findings, &mut first);
    packages.append(read_first(overlay, &NDB, ndb::read, findings, &mut first));
    if packages.is_empty() {
        packages = read_first(overlay, &SQLITE, sqlite::read, findings, &mut first);
    }
    let Some(path) = first else { return };
    packages.report(findings, PackageFormat::Rpm, path);
    let content_sets = content_sets::collect(overlay, &mut findings.gaps);
    if let Some(reported) = findings.databases_mut().last() {
        reported.content_sets = content_sets;
    }
}

/// The packages of the first of `paths`, in merge order, that has any; `first` becomes the place of the first database
/// that had any. Both paths may show the same file, since one
/// directory is often a link to the other.
fn read_first<'a>(
    overlay: &'a Overlay,
    paths: &[&str],
    read: Reader,
    findings: &mut Findings,
    first: &mut Option<&'a str>,
) -> PackageList {
    let mut seen: Option<&[u8]> = None;
    for file in overlay.files().filter(|file| paths.contains(&file.path.as_str())) {
        let Some(data) = file.kept.content.as_deref().filter(|data| !data.is_empty()) else { continue };
        if seen.replace(data) == Some(data) {
            continue;
        }
        let database = Database::read(data, read);
        if let Some(reason) = database.problem() {
            findings.gaps.push(Gap { path: file.path.clone(), code: "rpm_database_unreadable", reason });
        }
        if !database.packages.is_empty() {
            first.get_or_insert(file.path.as_str());
            return database.packages;
        }
    }
    PackageList::default()
}

/// Reads one form of database and hands its records, package headers, to the second argument.
type Reader = fn(&[u8], &mut Records<'_>) -> Result<(), Unreadable>;

/// Sees a package, and the header that it was read from.
type Visit<'v> = &'v mut dyn FnMut(&Package, &[u8]);

/// Why a database can't be read, or not further, in words that complete "the package database could not be read: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unreadable(&'static str);

/// Takes records out of a database, within bounds.
struct Records<'v> {
    /// Sees every package with its header, in place of `packages`.
    visit: Option<Visit<'v>>,
    packages: PackageList,
    n_taken: usize,
    n_unreadable: usize,
    /// Bytes that the records still to come can have together: in a sound database they don't overlap, so that all of
    /// them fit into the file.
    remaining_bytes: usize,
}

impl Records<'_> {
    /// Takes one record. One that is no package header is counted, and the others stay.
    fn take(&mut self, header: &[u8]) -> Result<(), Unreadable> {
        self.remaining_bytes = self
            .remaining_bytes
            .checked_sub(header.len())
            .ok_or(Unreadable("its records have more bytes than the file"))?;
        if self.n_taken == MAX_RECORDS {
            return Err(Unreadable("it has too many records"));
        }
        self.n_taken += 1;
        match header::parse(header, &mut self.packages) {
            Some(package) => match &mut self.visit {
                Some(visit) => visit(&package, header),
                None => self.packages.push(package),
            },
            None => self.n_unreadable += 1,
        }
        Ok(())
    }
}

/// What a database holds.
#[derive(Debug)]
pub(super) struct Database {
    /// Its packages; of a damaged one those that could be read.
    pub(super) packages: PackageList,
    n_records: usize,
    n_unreadable: usize,
    unreadable: Option<Unreadable>,
}

impl Database {
    fn read(data: &[u8], read: Reader) -> Self {
        Self::visit(data, read, None)
    }

    fn visit(data: &[u8], read: Reader, visit: Option<Visit<'_>>) -> Self {
        let mut records = Records {
            visit,
            packages: PackageList::default(),
            n_taken: 0,
            n_unreadable: 0,
            remaining_bytes: data.len(),
        };
        let unreadable = read(data, &mut records).err();
        let Records { packages, n_taken, n_unreadable, .. } = records;
        Self { packages, n_records: n_taken, n_unreadable, unreadable }
    }

    /// One sentence about what could not be read.
    fn problem(&self) -> Option<String> {
        if let Some(Unreadable(reason)) = self.unreadable {
            return Some(format!("the package database could not be read: {reason}"));
        }
        let (n_unreadable, n_records) = (self.n_unreadable, self.n_records);
        (n_unreadable > 0).then(|| {
            format!("{n_unreadable} of the package database's {n_records} records could not be read")
        })
    }
}

/// Reads a database whose form is told by its content.
pub(super) fn parse_database(data: &[u8]) -> Database {
    Database::read(data, reader_of(data))
}

fn reader_of(data: &[u8]) -> Reader {
    if data.starts_with(sqlite::MAGIC) {
        sqlite::read
    } else if data.starts_with(ndb::MAGIC) {
        ndb::read
    } else {
        bdb::read
    }
}

#[cfg(test)]
pub(crate) mod tests;
