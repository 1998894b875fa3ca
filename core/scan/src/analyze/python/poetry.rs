//! Poetry: `poetry.lock` beside its `pyproject.toml`.

use std::collections::{HashMap, HashSet};

use toml::de::DeTable;

use super::super::pairs::{FilePair, pairs};
use super::super::toml_document::{self as document, read};
use super::super::{About, Analyzer, Reported, View, Want};
use super::locked::{self, Locked, hash_of};
use crate::application::{Application, ApplicationKind, Content, Dependencies, Root, TestedFiles};
use crate::finding::{Findings, Gap};
use crate::graph::{Graph, GraphPlace};

const MANIFEST: &str = "pyproject.toml";
const LOCK: &str = "poetry.lock";

/// Packages that results leave out.
const SKIPPED: [&str; 4] = ["setuptools", "distribute", "pip", "wheel"];

/// The row of the table.
pub(in super::super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Python packages (Poetry)",
        detects: "The locked packages that the manifest requires, without those for development. The table and the \
                  SBOMs have the hash where a package has one file.",
        files: &["**/pyproject.toml with **/poetry.lock"],
        limits: &["16 MiB a file", "1,000,000 TOML tokens a file"],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &["/pyproject.toml", "/poetry.lock"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if path.ends_with("/pyproject.toml") || path.ends_with("/poetry.lock") {
        Want::APPLICATION_FILE
    } else {
        Want::NOTHING
    }
}

fn run(view: &View<'_>, findings: &mut Findings) {
    for pair in pairs(view.overlay, MANIFEST, LOCK) {
        let manifest = read(&pair.first, Manifest::new).and_then(|manifest| {
            let reason = "the manifest has neither a table project nor a table tool.poetry";
            manifest.ok_or_else(|| pair.first.gap("python_project_missing", reason))
        });
        let manifest = manifest.map_err(|gap| findings.gaps.push(gap)).ok();
        findings.add_read(read(&pair.second, |lock| application(&pair, manifest, lock)).flatten());
    }
}

/// What the lock says is there also without a usable manifest: then it is a list of packages without a result.
fn application(
    pair: &FilePair<'_>,
    manifest: Option<Manifest>,
    lock: &DeTable<'_>,
) -> Result<Application, Gap> {
    if document::value(lock, &["package"]).is_none() {
        return Err(pair.second.gap("file_unreadable", "the lock has no list of packages"));
    }
    let packages: Vec<Package<'_>> =
        document::tables(lock, &["package"]).filter_map(|package| Package::new(lock, package)).collect();
    let installed: Vec<Locked<'_>> = packages
        .iter()
        .filter(|package| !package.is_for_development)
        .map(|package| package.locked.clone())
        .collect();
    let mut application = Application {
        kind: ApplicationKind::Poetry,
        target_file: pair.first.file.path.as_str().to_owned(),
        components: locked::components(&installed, pair.second.file),
        content: Content::Unreported,
    };
    if let Some(manifest) = manifest {
        let graph = graph(&manifest, &packages);
        if graph.is_cut() {
            return Err(pair
                .second
                .gap("dependency_limit_reached", "the locked packages make too large a graph"));
        }
        application.content = Content::Dependencies {
            root: manifest.root,
            dependencies: Dependencies::Graph(graph),
            tested_files: TestedFiles::List(vec![MANIFEST.into(), LOCK.into()]),
        };
    }
    Ok(application)
}

/// What `pyproject.toml` says of the project.
struct Manifest {
    root: Root,
    /// Names, as written.
    depends: Vec<String>,
}

impl Manifest {
    /// `None` if there is neither of the tables that describe a project.
    fn new(document: &DeTable<'_>) -> Option<Self> {
        let poetry = document::table(document, &["tool", "poetry"]);
        let project = document::table(document, &["project"]);
        let own = project.or(poetry)?;
        let standard = project.into_iter().flat_map(|project| document::texts(project, &["dependencies"]));
        let of_poetry = poetry.and_then(|poetry| document::table(poetry, &["dependencies"]));
        let names = of_poetry.into_iter().flat_map(|table| table.keys()).map(|key| key.get_ref().as_ref());
        Some(Self {
            root: Root {
                name: document::text(own, &["name"]).unwrap_or("_root").to_owned(),
                version: Some(document::text(own, &["version"]).unwrap_or("0.0.0").to_owned()),
            },
            depends: standard
                .filter_map(leading_name)
                .chain(names)
                .filter(|name| *name != "python")
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// The name at the beginning of a requirement. It ends at a dot as well, as in the scanner being replaced.
fn leading_name(requirement: &str) -> Option<&str> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let end = requirement.find(|letter| !is_name(letter)).unwrap_or(requirement.len());
    requirement.get(..end).filter(|name| name.starts_with(|letter: char| letter.is_ascii_alphabetic()))
}

/// A package of the lock.
struct Package<'a> {
    locked: Locked<'a>,
    is_for_development: bool,
}

impl<'a> Package<'a> {
    fn new(lock: &'a DeTable<'_>, package: &'a DeTable<'_>) -> Option<Self> {
        let name = document::text(package, &["name"])?;
        let depends = document::table(package, &["dependencies"]).into_iter().flat_map(|table| table.keys());
        // Old locks have one category, new ones a list of groups.
        let category = document::text(package, &["category"]);
        let mut groups = document::texts(package, &["groups"]).peekable();
        Some(Self {
            is_for_development: category == Some("dev")
                || (groups.peek().is_some() && groups.all(|group| group != "main")),
            locked: Locked {
                name,
                version: document::text(package, &["version"]),
                depends: depends.map(|key| key.get_ref().as_ref()).collect(),
                hash: hash_of(lock, package, &[name]),
            },
        })
    }
}

/// How names are compared: case and `-` or `_` make no difference, a dot does.
fn comparable(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// The packages that can be reached from the manifest, depth first. Of several versions of a name the first counts.
fn graph(manifest: &Manifest, packages: &[Package<'_>]) -> Graph {
    let mut by_name: HashMap<String, &Locked<'_>> = HashMap::new();
    for package in packages {
        by_name.entry(comparable(package.locked.name)).or_insert(&package.locked);
    }
    let mut graph = Graph::default();
    let mut entered = HashSet::new();
    let mut open: Vec<(Option<GraphPlace>, std::vec::IntoIter<&str>)> =
        vec![(None, manifest.depends.iter().map(String::as_str).collect::<Vec<_>>().into_iter())];
    while let Some((parent, waiting)) = open.last_mut() {
        let Some(asked) = waiting.next() else {
            open.pop();
            continue;
        };
        let name = comparable(asked);
        let Some(package) = by_name.get(&name).filter(|_| !SKIPPED.contains(&name.as_str())) else {
            continue;
        };
        let version = package.version.unwrap_or_default();
        let mut labels = vec![("scope", "prod".to_owned())];
        if asked != package.name {
            labels.push(("pkgIdProvenance", format!("{asked}@{version}")));
        }
        let Some(place) = graph.add(package.name, package.name, package.version, labels) else { continue };
        graph.connect(*parent, place);
        if entered.insert(place) {
            open.push((Some(place), package.depends.clone().into_iter()));
        }
    }
    graph
}

#[cfg(test)]
mod tests;
