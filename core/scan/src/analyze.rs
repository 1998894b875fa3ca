//! The analyzers: one file an ecosystem, and the table that lists them all.
//!
//! An analyzer says from a path alone what is to be kept of a file, so that a layer is read once and as a stream.
//! Over the merged view it is a pure function: no clock, no I/O, and the same view gives the same findings. To add
//! one, write its file with its [`Analyzer`] and add a row to `ANALYZERS`; a changed matcher raises
//! [`CAPTURE_VERSION`](crate::CAPTURE_VERSION).

mod apk;
pub(crate) mod application_files;
mod binaries;
mod cargo;
mod chisel;
mod composer;
mod conda;
mod dotnet;
mod dpkg;
mod ends;
mod go;
mod integrity;
mod java;
mod manifest_files;
mod mistaken_whiteout;
mod mix;
mod node;
mod os_release;
mod packages;
mod pairs;
pub mod parse;
mod python;
mod rpm;
mod ruby;
mod runtime;
mod rust;
mod swift;
mod text;
mod toml_document;
mod want;

use std::sync::LazyLock;

use crate::finding::{Findings, Gap, PackageDetail, Packages};
use crate::interest::Interest;
use crate::overlay::Overlay;
use crate::ownership::Tell;
use crate::path::LayerPath;

use ends::Ends;
pub(crate) use want::Want;

/// One row of the table.
pub(crate) struct Analyzer {
    /// For the reader of `docs/scanning.md`.
    about: About,
    /// Files whose content it wants, by exact path. Each may also be a link.
    files: &'static [&'static str],
    /// Directories below which it wants every file's content. Each may also be a link.
    directories: &'static [&'static str],
    /// How the paths end that `pattern` wants anything of, whatever the case: it is asked of no other.
    ends: &'static [&'static str],
    /// What it wants of files that are told by a pattern. Such files count where they lie, symbolic links to them
    /// don't.
    pattern: fn(&str) -> Want,
    /// Adds what the merged view shows to the findings.
    run: fn(&View<'_>, &mut Findings),
}

/// What an analyzer looks at.
pub(crate) struct View<'a> {
    /// The merged layers.
    pub(crate) overlay: &'a Overlay,
    /// What the request asks for beyond the packages.
    pub(crate) interest: &'a Interest,
}

/// What an analyzer does, in words. `docs/scanning.md` is made from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The ecosystem, e.g. `Debian packages`.
    pub title: &'static str,
    /// What is read of it, in a sentence or two.
    pub detects: &'static str,
    /// The files that it reads, as patterns for people.
    pub files: &'static [&'static str],
    /// Its own bounds, each in a few words. Those of all analyzers are [`Limits`](crate::Limits).
    pub limits: &'static [&'static str],
    /// Where its findings go.
    pub reported: Reported,
}

/// In which outputs an analyzer's findings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// In all of them.
    Everywhere,
    /// In the table and the SBOMs, and in the scan result where it matches release 9.20.
    Newer,
    /// In the table and the SBOMs.
    Additions,
}

/// All analyzers, in the order in which they run, which is the order of their results.
///
/// An image may hold several package databases, and one is reported: the first with a package in the order of the
/// rows here. Those after it are in tables and SBOMs.
static ANALYZERS: [Analyzer; 28] = [
    os_release::ANALYZER,
    apk::ANALYZER,
    dpkg::STATUS_ANALYZER,
    rpm::ANALYZER,
    dpkg::STATUS_DIRECTORY_ANALYZER,
    chisel::ANALYZER,
    runtime::ANALYZER,
    binaries::ANALYZER,
    manifest_files::ANALYZER,
    node::ANALYZER,
    node::INSTALLED_ANALYZER,
    application_files::NODE_ANALYZER,
    composer::ANALYZER,
    python::poetry::ANALYZER,
    python::pip::ANALYZER,
    application_files::PYTHON_ANALYZER,
    dotnet::ANALYZER,
    java::ANALYZER,
    go::ANALYZER,
    ruby::ANALYZER,
    cargo::ANALYZER,
    rust::ANALYZER,
    swift::ANALYZER,
    mix::ANALYZER,
    python::pipenv::ANALYZER,
    python::uv::ANALYZER,
    python::pdm::ANALYZER,
    conda::ANALYZER,
];

/// [`Analyzer::ends`] of files of any name.
const ANY_END: &[&str] = &[""];

/// The rows that read a distribution's packages, in their order.
static DATABASES: [Analyzer; 5] =
    [apk::ANALYZER, dpkg::STATUS_ANALYZER, rpm::ANALYZER, dpkg::STATUS_DIRECTORY_ANALYZER, chisel::ANALYZER];

/// The pattern of analyzers that know their files by path.
fn no_pattern(_: &str) -> Want {
    Want::NOTHING
}

/// What the analyzers together want of a file at this path. Depends on the path alone.
///
/// It is asked for every entry of every layer: the last bytes of the path tell which rows have to be asked, which is two
/// or three of them for nearly every path, and nothing is allocated.
pub(crate) fn wants(path: &LayerPath) -> Want {
    static ENDS: LazyLock<Ends> = LazyLock::new(|| Ends::new(&ANALYZERS));
    let path = path.as_str();
    let want = of_rows(ENDS.rows(path).filter_map(|row| ANALYZERS.get(row)), path);
    debug_assert_eq!(want, of_rows(ANALYZERS.iter(), path), "a row's `ends` leave out {path}");
    if linked_directories().iter().any(|directory| is_below(path, directory)) {
        return want.and(Want::CONTENT);
    }
    want
}

/// What these rows want, but for their directories.
fn of_rows<'a>(rows: impl Iterator<Item = &'a Analyzer>, path: &str) -> Want {
    rows.fold(Want::NOTHING, |want, analyzer| {
        let want = want.and((analyzer.pattern)(path));
        if analyzer.files.contains(&path) { want.and(Want::CONTENT) } else { want }
    })
}

/// Whether `path` lies below `directory`, at any depth.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Exact paths of wanted files that count also when the path, or a directory on the way, is a link.
pub(crate) fn linked_paths() -> &'static [&'static str] {
    static PATHS: LazyLock<Vec<&str>> =
        LazyLock::new(|| ANALYZERS.iter().flat_map(|analyzer| analyzer.files).copied().collect());
    &PATHS
}

/// Directories whose files are wanted also when the directory itself, or one on the way, is a link.
pub(crate) fn linked_directories() -> &'static [&'static str] {
    static PATHS: LazyLock<Vec<&str>> =
        LazyLock::new(|| ANALYZERS.iter().flat_map(|analyzer| analyzer.directories).copied().collect());
    &PATHS
}

/// Whether a distribution's packages may be read from a file at this path.
pub(crate) fn is_database(path: &str) -> bool {
    DATABASES.iter().any(|analyzer| {
        analyzer.files.contains(&path)
            || analyzer.directories.iter().any(|directory| is_below(path, directory))
    })
}

/// Whether a file of a database may lie below this path.
pub(crate) fn is_above_database(path: &str) -> bool {
    let mut files = DATABASES.iter().flat_map(|analyzer| analyzer.files.iter().chain(analyzer.directories));
    path == "/" || files.any(|file| is_below(file, path))
}

/// The distribution's packages alone: what the databases hold, the reported one first.
pub(crate) fn databases(overlay: &Overlay) -> Vec<Packages> {
    let mut findings = Findings::default();
    let view = View { overlay, interest: &Interest::default() };
    for analyzer in &DATABASES {
        (analyzer.run)(&view, &mut findings);
    }
    std::iter::once(findings.packages).chain(findings.further_packages).collect()
}

/// Tells which files the packages of a database have.
pub(crate) fn files(overlay: &Overlay, packages: &Packages, gaps: &mut Vec<Gap>, tell: Tell<'_>) {
    match packages.list.first().map(|package| &package.detail) {
        Some(PackageDetail::Apk) => apk::files::files(overlay, packages, tell),
        Some(PackageDetail::Deb) => dpkg::files(overlay, packages, gaps, tell),
        Some(PackageDetail::Rpm { .. }) => rpm::files::files(overlay, packages, tell),
        Some(PackageDetail::Chisel) => chisel::files(overlay, packages, tell),
        None => {}
    }
}

/// What each analyzer does, in the order of the table.
pub fn analyzers() -> impl Iterator<Item = &'static About> {
    ANALYZERS.iter().map(|analyzer| &analyzer.about)
}

/// Runs every analyzer over the merged view.
pub fn analyze(overlay: &Overlay, interest: &Interest) -> Findings {
    let mut findings = Findings::default();
    // Each analyzer sees a file that was too large to be kept as absent; here it is said once for all of them.
    for file in overlay.files() {
        if file.kept.content.is_none() && wants(&file.path).content_bytes > 0 {
            findings.gaps.push(Gap {
                path: file.path.clone(),
                code: "file_too_large",
                reason: format!("the file has {} bytes, more than is kept of one file", file.kept.size_bytes),
            });
        }
    }
    let view = View { overlay, interest };
    for analyzer in &ANALYZERS {
        (analyzer.run)(&view, &mut findings);
    }
    findings
}

#[cfg(test)]
pub(crate) mod tests;
