//! npm and pnpm: packages installed in `node_modules`.
//!
//! All files below the first `node_modules` of a path belong to the project in front of it. Where a lock file tells
//! what the project depends on, that is its result; what is installed is listed all the same, as the components.

mod components;
mod extraneous;
mod physical;
mod record;
mod store;
mod tree;

use std::collections::{BTreeSet, HashMap};

use super::super::mistaken_whiteout::is_mistaken;
use super::super::pairs::Text;
use super::super::{About, Analyzer, Reported, View, Want};
use super::{LOCKS, MANIFEST, UNREADABLE, Unreadable, directory_of};
use crate::application::{Application, ApplicationKind, Component, Content, Dependencies, Root, TestedFiles};
use crate::distil::{Distil, Distilled, InstalledManifest};
use crate::finding::{Findings, Gap};
use crate::overlay::{Overlay, OverlayFile};
use crate::path::LayerPath;

use self::record::Records;

const MODULES: &str = "/node_modules";

/// Caches of package managers: copies of packages that nothing uses where they lie.
const CACHES: [&str; 10] = [
    ".npm/",
    ".npm\\",
    ".yarn/cache",
    ".yarn\\cache",
    ".cache/yarn",
    ".cache\\yarn",
    "pnpm-store",
    "pnpm/store",
    "pnpm\\store",
    "\\.pnpm-store",
];

/// The row of the table.
pub(in super::super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Node packages (node_modules)",
        detects: "Installed packages, with pnpm's virtual store: as the result of projects without a lock file that \
                  can be read, and as the components of all projects, with the hashes that npm's record or the lock \
                  file has of them. Caches of npm, yarn and pnpm are left out.",
        files: &["**/node_modules/**/package.json", "**/package.json", "**/node_modules/.package-lock.json"],
        limits: &[
            "4 MiB a package.json below node_modules",
            "16 MiB and 50,000 hashes of a record",
            "200,000 nodes and 2,000,000 dependencies of a project's tree",
        ],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &["/node_modules/.package-lock.json", MANIFEST, "package-lock.json", "yarn.lock", "pnpm-lock.yaml"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if path.ends_with(record::PATH) && !is_cached(path) {
        return Want::distilled(Distil::NpmRecord);
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_lock = LOCKS.iter().any(|lock| lock.is_reported && lock.name == name);
    if (name != MANIFEST && !is_lock) || is_cached(path) {
        Want::NOTHING
    } else if directory_of(path).contains(MODULES) {
        if is_lock { Want::NOTHING } else { Want::distilled(Distil::PackageJson) }
    } else if is_lock {
        Want::PRESENCE
    } else {
        Want::APPLICATION_FILE
    }
}

fn is_cached(path: &str) -> bool {
    CACHES.iter().any(|cache| path.contains(cache))
}

fn run(view: &View<'_>, findings: &mut Findings) {
    let records = Records::of(view.overlay);
    for project in projects(view.overlay) {
        project.report(&records, findings);
    }
}

/// An installed package.
#[derive(Debug, Clone, Copy)]
struct Installed<'a> {
    file: &'a OverlayFile,
    manifest: &'a InstalledManifest,
}

/// A directory with a `node_modules`.
struct Project<'a> {
    directory: LayerPath,
    manifest: Option<Text<'a>>,
    has_lock: bool,
    /// In merge order.
    packages: Vec<Installed<'a>>,
}

/// In merge order of the first file of each project.
fn projects(overlay: &Overlay) -> Vec<Project<'_>> {
    let mut places: HashMap<LayerPath, usize> = HashMap::new();
    let mut list: Vec<Project<'_>> = Vec::new();
    for file in overlay.files() {
        let path = file.path.as_str();
        if pattern(path) == Want::NOTHING || path.ends_with(record::PATH) {
            continue;
        }
        let directory = match directory_of(path).split_once(MODULES) {
            Some((project, _)) => LayerPath::new(project),
            None => file.path.parent(),
        };
        let place = *places.entry(directory.clone()).or_insert_with(|| {
            list.push(Project { directory, manifest: None, has_lock: false, packages: Vec::new() });
            list.len() - 1
        });
        let Some(project) = list.get_mut(place) else { continue };
        if directory_of(path).contains(MODULES) {
            if let Some(Distilled::PackageJson(manifest)) = &file.kept.distilled {
                project.packages.push(Installed { file, manifest });
            }
        } else if file.path.file_name() == MANIFEST {
            project.manifest = Text::of(file);
        } else {
            project.has_lock |= file.kept.size_bytes > 0;
        }
    }
    list.retain(|project| !project.packages.is_empty());
    list
}

impl Project<'_> {
    fn report(&self, records: &Records<'_>, findings: &mut Findings) {
        for unreadable in self.packages.iter().filter(|package| !package.manifest.is_readable) {
            if physical::place_of(unreadable.file.path.as_str()).is_some() {
                findings.gaps.push(Gap {
                    path: unreadable.file.path.clone(),
                    code: UNREADABLE,
                    reason: "the file is not what its name says: it is no JSON object".into(),
                });
            }
        }
        let mut components = components::of(&self.packages);
        let target = self.directory.join(MANIFEST);
        let locked = findings.applications.iter().position(|application| {
            matches!(application.kind, ApplicationKind::Npm | ApplicationKind::Yarn | ApplicationKind::Pnpm)
                && application.target_file == target.as_str()
        });
        if let Some(application) = locked.and_then(|at| findings.applications.get(at)) {
            take_hashes(&application.components, &mut components);
        }
        records.give_hashes(&mut components);
        if let Some((place, application)) = locked.and_then(|at| Some((at, findings.applications.get(at)?))) {
            if application.content != Content::Unreported {
                if !components.is_empty() {
                    findings.set_components(place, components);
                }
                return;
            }
            // Lock files that results don't know of don't take their place.
            if !components.is_empty() {
                findings.applications.remove(place);
            }
        }
        let manifest = self.manifest.map(|text| InstalledManifest::parse(text.lossy().as_bytes()));
        if let (Some(text), Some(manifest), false) = (self.manifest, &manifest, self.has_lock)
            && !manifest.is_readable
        {
            findings
                .gaps
                .push(text.gap(UNREADABLE, "the file is not what its name says: it is no JSON object"));
        }
        // A lock file that nothing looks at, since a directory's name looks like `node_modules`: the scanner being
        // replaced has no result for such a project.
        let is_passed_over =
            self.manifest.is_some() && self.has_lock && self.directory.as_str().contains("node_modules");
        let content = if is_passed_over { Ok(None) } else { self.content(manifest.as_ref()) };
        let (kind, content) = match content {
            Ok(Some((kind, content))) => (kind, content),
            Ok(None) => (ApplicationKind::NodeModules, Content::Unreported),
            Err(Unreadable { code, reason }) => {
                let path = self.directory.join("node_modules");
                findings.gaps.push(Gap { path, code, reason });
                (ApplicationKind::NodeModules, Content::Unreported)
            }
        };
        if content == Content::Unreported && components.is_empty() {
            return;
        }
        findings.add(Application { kind, target_file: self.target_file(), content, components });
    }

    /// The manifest, or the `node_modules` of a project without one.
    fn target_file(&self) -> String {
        let name = if self.manifest.is_some() { MANIFEST } else { "node_modules" };
        self.directory.join(name).as_str().to_owned()
    }

    /// What the result tells. `None` where there is nothing to tell.
    fn content(
        &self,
        manifest: Option<&InstalledManifest>,
    ) -> Result<Option<(ApplicationKind, Content)>, Unreadable> {
        let packages: Vec<Installed<'_>> =
            self.packages.iter().filter(|package| !is_mistaken(package.file)).copied().collect();
        if let Some((root, graph)) = store::graph(&self.directory, manifest, &packages) {
            if graph.is_cut() {
                return Err(Unreadable::limit("the virtual store has more packages than are reported"));
            }
            let content = self.dependencies(root, Dependencies::Graph(graph));
            return Ok(Some((ApplicationKind::PnpmStore, content)));
        }
        let nothing = InstalledManifest::default();
        let manifest = manifest.unwrap_or(&nothing);
        let name = manifest.name.clone().unwrap_or_else(|| match self.directory.file_name() {
            // The scanner being replaced makes up a name at random there.
            "" => "/".to_owned(),
            name => name.to_owned(),
        });
        let root = Root { name, version: manifest.version.clone() };
        let tree = tree::of(&root, manifest, &self.directory, &packages)?;
        if tree.root().is_empty() {
            return Ok(None);
        }
        Ok(Some((ApplicationKind::NodeModules, self.dependencies(root, Dependencies::Tree(tree)))))
    }

    fn dependencies(&self, root: Root, dependencies: Dependencies) -> Content {
        Content::Dependencies { root, dependencies, tested_files: TestedFiles::Path(self.target_file()) }
    }
}

/// Gives installed packages the hashes that a lock file has of them. A version that is locked with different ones, from
/// different places, has none that is certain.
fn take_hashes(locked: &[Component], installed: &mut [Component]) {
    let mut hashes: HashMap<_, Option<&BTreeSet<_>>> = HashMap::new();
    for locked in locked {
        hashes
            .entry((&locked.namespace, &locked.name, &locked.version))
            .and_modify(|known| *known = known.filter(|known| **known == locked.hashes))
            .or_insert(Some(&locked.hashes));
    }
    for component in installed {
        let key = (&component.namespace, &component.name, &component.version);
        if let Some(Some(hashes)) = hashes.get(&key) {
            component.hashes.clone_from(hashes);
        }
    }
}

#[cfg(test)]
mod tests;
