//! Java: jars, wars and ears, by directory.

mod attribution;
mod components;
mod fingerprints;

use std::collections::HashMap;

use super::{About, Analyzer, Reported, View, Want};
use crate::application::{Application, ApplicationKind, Component, Content, JarFingerprint};
use crate::distil::{ArchiveFaultKind, Distil, Distilled, JavaArchive};
use crate::finding::{Findings, Gap};
use crate::overlay::OverlayFile;
use crate::path::LayerPath;

use self::components::Components;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Java archives",
        detects: "The Maven coordinates of jars, of the jars in them and in wars, and of what was merged into them, by \
                  their pom.properties; archives without any by their SHA-1. The table and the SBOMs have also ears, \
                  wars as such, archives of caches and of the system, and what manifests and file names tell.",
        files: &["**/*.jar", "**/*.war", "**/*.ear"],
        limits: &[
            "1 GiB an archive, larger ones by their SHA-1 alone",
            "archives in archives 8 levels deep, 10,000 in one",
            "10 bytes read of entries for each byte of the archive, at least 16 MiB and at most 2 GiB",
            "64 KiB of a pom.properties or manifest",
            "4 MiB of names and coordinates an archive, 24 MiB of what is found in all archives of an image",
        ],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &[JAR, WAR, EAR],
    pattern,
    run,
};

/// What is found in the archives of one image, in bytes.
const MAX_FOUND_BYTES: usize = 24 << 20;

const JAR: &str = ".jar";
const WAR: &str = ".war";
const EAR: &str = ".ear";

fn pattern(path: &str) -> Want {
    if [JAR, WAR, EAR].into_iter().any(|known| is_suffix(path, known)) {
        Want::distilled(Distil::JavaArchive)
    } else {
        Want::NOTHING
    }
}

/// Whether a name ends so, in letters of any case.
fn is_suffix(name: &str, known: &str) -> bool {
    let suffix = name.len().checked_sub(known.len()).and_then(|at| name.get(at..));
    suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(known))
}

/// Where an archive is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    /// In results.
    Reported,
    /// In results of those who ask for the system's.
    System,
    /// In tables and SBOMs alone.
    Unreported,
}

impl Scope {
    /// By suffix and directory, where the text counts and not the names in it: `/opt/usr/lib64` is the system's too.
    fn of(path: &LayerPath) -> Self {
        let directory = path.parent();
        let directory = directory.as_str();
        if !path.as_str().ends_with(JAR) && !path.as_str().ends_with(WAR) {
            Self::Unreported
        } else if directory.contains("/usr/lib") {
            Self::System
        } else if directory.contains("gradle/cache") {
            Self::Unreported
        } else {
            Self::Reported
        }
    }
}

/// The archives of one directory.
struct Folder {
    scope: Scope,
    directory: LayerPath,
    fingerprints: Vec<JarFingerprint>,
    components: Components,
}

fn run(view: &View<'_>, findings: &mut Findings) {
    let mut room = Room { left_bytes: MAX_FOUND_BYTES, is_full: false };
    let mut folders: Vec<Folder> = Vec::new();
    let mut places: HashMap<(Scope, LayerPath), usize> = HashMap::new();
    for file in view.overlay.files() {
        let Some(Distilled::JavaArchive(archive)) = &file.kept.distilled else { continue };
        let (scope, directory) = (Scope::of(&file.path), file.path.parent());
        let place = *places.entry((scope, directory.clone())).or_insert_with(|| {
            let (fingerprints, components) = (Vec::new(), Components::default());
            folders.push(Folder { scope, directory, fingerprints, components });
            folders.len() - 1
        });
        if let Some(folder) = folders.get_mut(place) {
            if scope != Scope::Unreported {
                fingerprints::add(&mut folder.fingerprints, &mut room, file.path.as_str(), &archive.archive);
            }
            folder.components.add(&mut room, file, &archive.archive);
        }
        add_gaps(findings, file, archive);
        if room.is_full {
            findings.gaps.push(Gap {
                path: file.path.clone(),
                code: "finding_limit_reached",
                reason: "the image has more in its Java archives than is reported".to_owned(),
            });
            break;
        }
    }
    for application in folders.into_iter().filter_map(Folder::into_application) {
        findings.add(application);
    }
}

/// What may still be reported. A small archive can name ten thousand others, each of which has the outer one's path.
struct Room {
    left_bytes: usize,
    is_full: bool,
}

impl Room {
    /// Takes what something costs; false where there is no room for it.
    fn take(&mut self, bytes: usize) -> bool {
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => self.left_bytes = left,
            None => self.is_full = true,
        }
        !self.is_full
    }
}

impl Folder {
    /// `None`: nothing in it is anything.
    fn into_application(self) -> Option<Application> {
        let components: Vec<Component> = self.components.into_list();
        let content = match self.scope {
            Scope::Unreported if components.is_empty() => return None,
            Scope::Unreported => Content::Unreported,
            Scope::Reported | Scope::System => {
                Content::Jars { fingerprints: self.fingerprints, is_system: self.scope == Scope::System }
            }
        };
        let target_file = self.directory.as_str().to_owned();
        Some(Application { kind: ApplicationKind::Java, target_file, content, components })
    }
}

/// What could not be read of an archive.
fn add_gaps(findings: &mut Findings, file: &OverlayFile, archive: &JavaArchive) {
    let gap = |code, reason| Gap { path: file.path.clone(), code, reason };
    findings.gaps.extend(archive.faults.iter().map(|fault| {
        let code = match fault.kind {
            ArchiveFaultKind::NoDirectory => "archive_unreadable",
            ArchiveFaultKind::Unreadable => "archive_entry_unreadable",
            ArchiveFaultKind::TooLarge | ArchiveFaultKind::NotKept => "archive_limit_reached",
        };
        let reason = match fault.entry.as_str() {
            "" => format!("the archive was not read completely: {}", fault.reason),
            entry => format!("the entry {entry} was not read: {}", fault.reason),
        };
        gap(code, reason)
    }));
    if archive.n_more_faults > 0 {
        let reason = format!("{} more of its entries were not read", archive.n_more_faults);
        findings.gaps.push(gap("archive_entry_unreadable", reason));
    }
}

#[cfg(test)]
mod tests;
