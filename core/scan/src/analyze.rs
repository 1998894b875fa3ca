//! The analyzers: one file an ecosystem, and the table that lists them all.
//!
//! An analyzer says from a path alone what is to be kept of a file, so that a layer is read once and as a stream.
//! Over the merged view it is a pure function: no clock, no I/O, and the same view gives the same findings. To add
//! one, write its file and add a row to `ANALYZERS`; a changed matcher raises
//! [`CAPTURE_VERSION`](crate::CAPTURE_VERSION).

mod apk;
mod binaries;
mod chisel;
mod dpkg;
mod os_release;
mod packages;
pub mod parse;
mod rpm;
mod runtime;
mod text;

use std::sync::LazyLock;

use crate::finding::{Findings, Gap};
use crate::overlay::Overlay;
use crate::path::LayerPath;

/// What is to be kept of a regular file at some path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// Its content.
    pub(crate) content: bool,
    /// The SHA-256 of its content.
    pub(crate) sha256: bool,
}

impl Want {
    /// Nothing.
    const NOTHING: Self = Self { content: false, sha256: false };

    /// Whether anything is to be kept.
    pub(crate) fn any(self) -> bool {
        self.content || self.sha256
    }
}

/// One row of the table.
struct Analyzer {
    /// Files whose content it wants, by exact path. Each may also be a link.
    files: &'static [&'static str],
    /// Directories below which it wants every file's content. Each may also be a link.
    directories: &'static [&'static str],
    /// What it wants of files that are told by a pattern. Such files count where they lie, links to them don't.
    pattern: fn(&str) -> Want,
    /// Adds what the merged view shows to the findings.
    run: fn(&Overlay, &mut Findings),
}

/// All analyzers, in the order in which they run.
///
/// An image may hold several package databases, and one is reported: the first with a package in the order of the
/// rows here. Those after it aren't read.
static ANALYZERS: [Analyzer; 8] = [
    Analyzer { files: os_release::FILES, directories: &[], pattern: no_pattern, run: os_release::run },
    Analyzer { files: apk::FILES, directories: &[], pattern: no_pattern, run: apk::run },
    Analyzer { files: dpkg::FILES, directories: &[], pattern: no_pattern, run: dpkg::run_status },
    Analyzer { files: rpm::FILES, directories: rpm::DIRECTORIES, pattern: no_pattern, run: rpm::run },
    Analyzer {
        files: &[],
        directories: dpkg::DIRECTORIES,
        pattern: no_pattern,
        run: dpkg::run_status_directory,
    },
    Analyzer { files: chisel::FILES, directories: &[], pattern: no_pattern, run: chisel::run },
    Analyzer { files: runtime::FILES, directories: &[], pattern: runtime::pattern, run: runtime::run },
    Analyzer { files: &[], directories: &[], pattern: binaries::pattern, run: binaries::run },
];

fn no_pattern(_: &str) -> Want {
    Want::NOTHING
}

/// What the analyzers together want of a file at this path. Depends on the path alone.
///
/// It is asked for every entry of every layer: it compares lengths and ends of the text, and allocates nothing.
pub(crate) fn wants(path: &LayerPath) -> Want {
    let path = path.as_str();
    let mut want = Want::NOTHING;
    for analyzer in &ANALYZERS {
        let pattern = (analyzer.pattern)(path);
        want.content |= pattern.content
            || analyzer.files.contains(&path)
            || analyzer.directories.iter().any(|directory| is_below(path, directory));
        want.sha256 |= pattern.sha256;
    }
    want
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

/// Runs every analyzer over the merged view.
pub fn analyze(overlay: &Overlay) -> Findings {
    let mut findings = Findings::default();
    // Each analyzer sees a file that was too large to be kept as absent; here it is said once for all of them.
    for file in overlay.files() {
        if file.kept.content.is_none() && wants(&file.path).content {
            findings.gaps.push(Gap {
                path: file.path.clone(),
                code: "file_too_large",
                reason: format!("the file has {} bytes, more than is kept of one file", file.kept.size_bytes),
            });
        }
    }
    for analyzer in &ANALYZERS {
        (analyzer.run)(overlay, &mut findings);
    }
    findings
}

#[cfg(test)]
mod tests;
