//! PDM: `pdm.lock`.

use toml::de::DeTable;

use super::super::toml_document::{self as document, read};
use super::super::{About, Analyzer, Reported, View, Want};
use super::locked::{Locked, add_locks, hash_of, unreported};
use super::requirement::Requirement;
use crate::application::ApplicationKind;
use crate::finding::Findings;

const LOCK: &str = "pdm.lock";

/// The row of the table.
pub(in super::super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Python packages (PDM)",
        detects: "The locked packages of the default group, with the hash where a package has one file. What was \
                  installed of other groups is listed where it is installed, by its metadata.",
        files: &["**/pdm.lock"],
        limits: &["16 MiB a file", "1,000,000 TOML tokens a file"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &["/pdm.lock"],
    pattern: |path| if path.ends_with("/pdm.lock") { Want::APPLICATION_FILE } else { Want::NOTHING },
    run,
};

fn run(view: &View<'_>, findings: &mut Findings) {
    add_locks(view, findings, LOCK, |text| {
        read(text, |lock| unreported(ApplicationKind::Pdm, text, &locked(lock))).flatten()
    });
}

/// The packages of the default group; all of them in old locks, which know no groups. A package that is locked with
/// several sets of extras is there once.
pub(super) fn locked<'d>(lock: &'d DeTable<'_>) -> Vec<Locked<'d>> {
    let mut list: Vec<Locked<'d>> = Vec::new();
    for package in document::tables(lock, &["package"]) {
        let mut groups = document::texts(package, &["groups"]).peekable();
        if groups.peek().is_some() && groups.all(|group| group != "default") {
            continue;
        }
        let name = document::text(package, &["name"]).unwrap_or_default();
        let version = document::text(package, &["version"]);
        let required = document::texts(package, &["dependencies"]).filter_map(Requirement::of_metadata);
        let depends = required.map(|requirement| requirement.name);
        let key = format!("{name} {}", version.unwrap_or_default());
        let hash = hash_of(lock, package, &[&key]);
        match list.last_mut().filter(|last| (last.name, last.version) == (name, version)) {
            Some(same) => {
                same.depends.extend(depends);
                same.hash = same.hash.and(hash);
            }
            None => list.push(Locked { name, version, depends: depends.collect(), hash }),
        }
    }
    list
}

#[cfg(test)]
mod tests;
