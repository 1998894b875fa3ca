//! npm, yarn and pnpm: a lock file beside its `package.json`.
//!
//! One directory gives one application, by the first of its lock files in the order of `LOCKS`; one that can't be read
//! is a gap, and the installed packages beside it are reported instead. Each format of lock file is read by a function
//! `read(&NodeManifest, &Lock) -> Result<Resolved, Unreadable>` in a file of its own below.

mod berry;
mod installed;
mod manifest;
mod npm1;
mod npm2;
mod pnpm;
mod range;
mod unroll;
mod version;
mod walk;
mod yarn1;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::integrity;
use super::pairs::Text;
use super::{About, Analyzer, Reported, View, Want};
use crate::application::{
    Application, ApplicationKind, Component, Content, Dependencies, Ecosystem, Root, TestedFiles,
};
use crate::finding::{Findings, Gap};
use crate::overlay::{Overlay, OverlayFile};
use crate::path::LayerPath;
use crate::yaml::YamlError;

use manifest::NodeManifest;

pub(super) use installed::ANALYZER as INSTALLED_ANALYZER;

const MANIFEST: &str = "package.json";

/// The code of gaps about files that are not what their names say.
const UNREADABLE: &str = "node_file_unreadable";

/// The lock files, the one that counts first.
static LOCKS: [LockFormat; 4] = [
    LockFormat { name: "package-lock.json", kind: ApplicationKind::Npm, is_reported: true },
    LockFormat { name: "yarn.lock", kind: ApplicationKind::Yarn, is_reported: true },
    LockFormat { name: "pnpm-lock.yaml", kind: ApplicationKind::Pnpm, is_reported: true },
    LockFormat { name: "npm-shrinkwrap.json", kind: ApplicationKind::Npm, is_reported: false },
];

/// A kind of lock file.
struct LockFormat {
    name: &'static str,
    kind: ApplicationKind,
    /// Whether results tell of it: the scanner being replaced doesn't know all of them.
    is_reported: bool,
}

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Node packages (npm, yarn, pnpm lock files)",
        detects: "The locked packages that the manifest requires, without those for development.",
        files: &[
            "**/package.json with **/package-lock.json (versions 1 to 3), or **/npm-shrinkwrap.json (table and SBOMs)",
            "**/package.json with **/yarn.lock (classic and berry)",
            "**/package.json with **/pnpm-lock.yaml (versions 5, 6, 9)",
        ],
        limits: &[
            "16 MiB a file",
            "npm: 200,000 packages and 2,000,000 dependencies of an application",
            "yarn and pnpm: 100,000 packages a file, 30,000 packages and 200,000 dependencies of an application",
            "YAML: 500,000 values, 64 levels deep",
        ],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &[MANIFEST, "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "npm-shrinkwrap.json"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_ours = name == MANIFEST || LOCKS.iter().any(|lock| lock.name == name);
    // Packages bring lock files and manifests of their own, which say nothing of what is installed.
    if is_ours && !directory_of(path).contains("node_modules") {
        Want::APPLICATION_FILE
    } else {
        Want::NOTHING
    }
}

fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn run(view: &View<'_>, findings: &mut Findings) {
    for project in projects(view.overlay) {
        findings.add_read(project.read());
    }
}

/// A directory with a manifest and a lock file.
struct Project<'a> {
    manifest: Text<'a>,
    lock: Text<'a>,
    format: &'static LockFormat,
}

/// In merge order of the first file of each directory.
fn projects(overlay: &Overlay) -> Vec<Project<'_>> {
    let mut order = Vec::new();
    let mut found: HashMap<LayerPath, (Option<Text<'_>>, [Option<Text<'_>>; LOCKS.len()])> = HashMap::new();
    for text in overlay.files().filter_map(Text::of) {
        let path = &text.file.path;
        let lock = LOCKS.iter().position(|lock| lock.name == path.file_name());
        if (lock.is_none() && path.file_name() != MANIFEST)
            || directory_of(path.as_str()).contains("node_modules")
        {
            continue;
        }
        let directory = path.parent();
        let (manifest, locks) = found.entry(directory.clone()).or_insert_with(|| {
            order.push(directory);
            (None, [None; LOCKS.len()])
        });
        match lock.and_then(|lock| locks.get_mut(lock)) {
            Some(slot) => *slot = Some(text),
            None => *manifest = Some(text),
        }
    }
    order
        .iter()
        .filter_map(|directory| {
            let (manifest, locks) = found.get(directory)?;
            let (lock, format) =
                locks.iter().zip(&LOCKS).find_map(|(lock, format)| Some(((*lock)?, format)))?;
            Some(Project { manifest: (*manifest)?, lock, format })
        })
        .collect()
}

/// The application of two files of one directory, for fuzzing. `None` also where a file can't be read.
pub(super) fn read_pair(manifest: Text<'_>, lock: Text<'_>) -> Option<Application> {
    let format = LOCKS.iter().find(|format| format.name == lock.file.path.file_name())?;
    Project { manifest, lock, format }.read().ok()
}

impl Project<'_> {
    fn read(&self) -> Result<Application, Gap> {
        let manifest = NodeManifest::parse(&self.manifest.lossy())
            .map_err(|Unreadable { code, reason }| self.manifest.gap(code, &reason))?;
        let lock_text = self.lock.lossy();
        let lock = Lock { text: &lock_text, file: self.lock.file };
        let resolved = match self.format.kind {
            ApplicationKind::Yarn if lock.text.contains("__metadata") => berry::read(&manifest, &lock),
            ApplicationKind::Yarn => yarn1::read(&manifest, &lock),
            ApplicationKind::Pnpm => pnpm::read(&manifest, &lock),
            _ => npm(&manifest, &lock),
        };
        let Resolved { dependencies, components } =
            resolved.map_err(|Unreadable { code, reason }| self.lock.gap(code, &reason))?;
        if matches!(&dependencies, Dependencies::Graph(graph) if graph.is_cut()) {
            return Err(self
                .lock
                .gap("dependency_limit_reached", "the locked packages make too large a graph"));
        }
        let names = [self.manifest, self.lock].map(|text| text.file.path.file_name().to_owned());
        let root =
            Root { name: manifest.name.unwrap_or_else(|| MANIFEST.to_owned()), version: manifest.version };
        Ok(Application {
            kind: self.format.kind,
            target_file: self.manifest.file.path.as_str().to_owned(),
            content: if self.format.is_reported {
                Content::Dependencies { root, dependencies, tested_files: TestedFiles::List(names.into()) }
            } else {
                Content::Unreported
            },
            components,
        })
    }
}

/// Whether a range of npm's is one, lies within another, and accepts a version.
pub(super) fn compare_range(range: &str, whole: &str, version: &str) -> Option<(bool, bool)> {
    let (range, whole) = (range::Range::parse(range)?, range::Range::parse(whole)?);
    let is_accepted = version::Version::parse(version).is_some_and(|version| range.accepts(&version));
    Some((range.is_within(&whole), is_accepted))
}

/// Which of npm's formats it is, its number tells.
fn npm(manifest: &NodeManifest, lock: &Lock<'_>) -> Result<Resolved, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Format {
        #[serde(default)]
        lockfile_version: Value,
    }
    let Format { lockfile_version } = manifest::object_of(lock.text)?;
    match (&lockfile_version, lockfile_version.as_f64()) {
        (Value::Null, _) | (_, Some(1.0)) => npm1::read(manifest, lock),
        (_, Some(2.0 | 3.0)) => npm2::read(manifest, lock),
        _ => Err(Unreadable::lock(format_args!("its version {lockfile_version} is not known"))),
    }
}

/// A lock file, as its readers get it.
struct Lock<'a> {
    /// Its text, without a byte order mark.
    text: &'a str,
    file: &'a OverlayFile,
}

impl Lock<'_> {
    /// A locked package, with `@scope/name` for a name.
    fn component(&self, full_name: &str, version: &str) -> Component {
        let version = Some(version.to_owned());
        Component::new(Ecosystem::Npm, "", version, self.file.path.clone(), self.file.layer)
            .with_full_name(full_name)
    }
}

/// What a lock file says of the packages that a manifest requires.
struct Resolved {
    /// In the shape of the scanner being replaced.
    dependencies: Dependencies,
    /// The locked packages among them, under their true names; none that is missing from the lock file.
    components: Vec<Component>,
}

/// Why a file can't be used: code and reason of the gap.
#[derive(Debug)]
struct Unreadable {
    code: &'static str,
    reason: String,
}

impl Unreadable {
    /// The file is not what its name says.
    fn lock(reason: impl std::fmt::Display) -> Self {
        Self { code: UNREADABLE, reason: format!("the file is not what its name says: {reason}") }
    }

    /// The file is larger, in some way, than is dealt with.
    fn limit(reason: &str) -> Self {
        Self { code: "dependency_limit_reached", reason: reason.to_owned() }
    }
}

impl From<YamlError> for Unreadable {
    fn from(error: YamlError) -> Self {
        match error {
            YamlError::TooLarge => {
                Self::limit("the file has more, or deeper, values than are read of one file")
            }
            YamlError::Alias | YamlError::Syntax(_) => Self::lock(error),
        }
    }
}

#[cfg(test)]
mod tests;
