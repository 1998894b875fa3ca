//! uv: `uv.lock`.

use std::collections::{HashMap, HashSet};

use toml::de::DeTable;

use super::super::toml_document::{self as document, read};
use super::super::{About, Analyzer, Reported, View, Want};
use super::locked::{FileHash, Locked, add_locks, unreported};
use super::normalized;
use crate::application::ApplicationKind;
use crate::finding::Findings;

const LOCK: &str = "uv.lock";

/// The row of the table.
pub(in super::super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Python packages (uv)",
        detects: "The locked packages that the project requires, with its extras and without those for development; \
                  with the hash where a package has one file.",
        files: &["**/uv.lock"],
        limits: &["16 MiB a file", "1,000,000 TOML tokens a file"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &["/uv.lock"],
    pattern: |path| if path.ends_with("/uv.lock") { Want::APPLICATION_FILE } else { Want::NOTHING },
    run,
};

fn run(view: &View<'_>, findings: &mut Findings) {
    add_locks(view, findings, LOCK, |text| {
        read(text, |lock| unreported(ApplicationKind::Uv, text, &locked(lock))).flatten()
    });
}

/// The packages that the projects of the lock need: the projects themselves, and what only their groups for development
/// need, are left out. All packages where there is no project.
pub(super) fn locked<'d>(lock: &'d DeTable<'_>) -> Vec<Locked<'d>> {
    let packages: Vec<Package<'d>> = document::tables(lock, &["package"]).map(Package::new).collect();
    let needed = needed(&packages);
    let has_project = packages.iter().any(|package| package.is_project);
    let listed = packages.into_iter().zip(needed);
    listed
        .filter(|(package, is_needed)| !package.is_project && (*is_needed || !has_project))
        .map(|(package, _)| package.locked)
        .collect()
}

struct Package<'d> {
    locked: Locked<'d>,
    /// One that is built from the directory of the lock or another beside it.
    is_project: bool,
}

impl<'d> Package<'d> {
    fn new(package: &'d DeTable<'_>) -> Self {
        let required = document::tables(package, &["dependencies"]);
        let extras = document::table(package, &["optional-dependencies"]).into_iter();
        let optional = extras
            .flat_map(DeTable::values)
            .filter_map(|extra| extra.get_ref().as_array())
            .flat_map(|list| list.iter())
            .filter_map(|required| required.get_ref().as_table());
        let depends = required.chain(optional).filter_map(|required| document::text(required, &["name"]));
        let files = document::tables(package, &["wheels"]).chain(document::table(package, &["sdist"]));
        let is_from = |kind| document::value(package, &["source", kind]).is_some();
        Self {
            is_project: ["virtual", "editable", "directory"].into_iter().any(is_from),
            locked: Locked {
                name: document::text(package, &["name"]).unwrap_or_default(),
                version: document::text(package, &["version"]),
                depends: depends.collect(),
                hash: FileHash::of_files(files.filter_map(|file| document::text(file, &["hash"]))),
            },
        }
    }
}

/// Which packages the projects lead to.
fn needed(packages: &[Package<'_>]) -> Vec<bool> {
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, package) in packages.iter().enumerate() {
        by_name.entry(normalized(package.locked.name)).or_default().push(place);
    }
    let projects = packages.iter().enumerate().filter(|(_, package)| package.is_project);
    let mut open: Vec<usize> = projects.map(|(place, _)| place).collect();
    let mut needed: HashSet<usize> = open.iter().copied().collect();
    while let Some(package) = open.pop().and_then(|place| packages.get(place)) {
        for name in &package.locked.depends {
            // Once a name has been followed, it leads to nothing new.
            open.extend(
                by_name
                    .remove(&normalized(name))
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|&p| needed.insert(p)),
            );
        }
    }
    (0..packages.len()).map(|place| needed.contains(&place)).collect()
}

#[cfg(test)]
mod tests;
