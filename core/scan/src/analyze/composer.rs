//! PHP: `composer.lock` beside its `composer.json`.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::pairs::{FilePair, pairs};
use super::{About, Analyzer, Reported, View, Want};
use crate::application::{
    Application, ApplicationKind, Component, Content, Dependencies, Ecosystem, Root, TestedFiles,
};
use crate::finding::{Findings, Gap};
use crate::tree::{NodeIndex, Tree, TreeNode};

const MANIFEST: &str = "composer.json";
const LOCK: &str = "composer.lock";

/// How often one package is expanded in the tree, as in the scanner being replaced.
const MAX_OCCURRENCES: u32 = 150;

/// Nodes of a tree, at most.
const MAX_NODES: usize = 200_000;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "PHP packages (Composer)",
        detects: "The locked packages that the manifest requires, without those for development.",
        files: &["**/composer.json with **/composer.lock"],
        limits: &["16 MiB a file", "200,000 places in a dependency tree"],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &["/composer.json", "/composer.lock"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if path.ends_with("/composer.json") || path.ends_with("/composer.lock") {
        Want::APPLICATION_FILE
    } else {
        Want::NOTHING
    }
}

fn run(view: &View<'_>, findings: &mut Findings) {
    for pair in pairs(view.overlay, MANIFEST, LOCK) {
        match read(&pair) {
            Ok(Some((application, gap))) => {
                findings.add(application);
                findings.gaps.extend(gap);
            }
            Ok(None) => {}
            Err(gap) => findings.gaps.push(gap),
        }
    }
}

#[derive(Deserialize)]
struct Lock {
    packages: Option<Vec<Package>>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    name: String,
    #[serde(default)]
    require: Value,
    #[serde(default)]
    license: Value,
    #[serde(flatten)]
    version: Version,
}

/// What tells a package's version.
#[derive(Default, Deserialize)]
struct Version {
    version: Option<String>,
    #[serde(default)]
    extra: Value,
}

impl Version {
    /// Branches may have an alias that looks like a version.
    fn text(&self) -> Option<&str> {
        let aliases = self.extra.get("branch-alias").and_then(Value::as_object);
        let mut values = aliases.into_iter().flat_map(Map::values).filter_map(Value::as_str);
        let Some(version) = self.version.as_deref() else { return values.next() };
        if let Some(alias) = aliases.and_then(|aliases| aliases.get(version)).and_then(Value::as_str) {
            return Some(alias);
        }
        let bare = version.replace("dev-", "");
        Some(values.find(|alias| *alias == bare).unwrap_or(version))
    }
}

fn read(pair: &FilePair<'_>) -> Result<Option<(Application, Option<Gap>)>, Gap> {
    let manifest: Map<String, Value> = pair.first.json()?;
    let lock: Lock = pair.second.json()?;
    let Some(locked) = lock.packages else { return Ok(None) };
    let by_name: HashMap<&str, &Package> =
        locked.iter().rev().map(|package| (package.name.as_str(), package)).collect();
    let mut growth =
        Growth { by_name: &by_name, occurrences: HashMap::new(), tree: Tree::default(), is_cut: false };
    growth.grow(manifest.get("require").unwrap_or(&Value::Null));
    let Growth { mut tree, is_cut, .. } = growth;
    let gap = is_cut.then(|| {
        tree = flat(&locked);
        let reason = "the dependencies make too large a tree; all locked packages are listed without them";
        pair.second.gap("dependency_limit_reached", reason)
    });
    let own = Version {
        version: manifest.get("version").and_then(Value::as_str).map(str::to_owned),
        extra: manifest.get("extra").cloned().unwrap_or_default(),
    };
    let name = manifest.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let application = Application {
        kind: ApplicationKind::Composer,
        target_file: pair.second.file.path.as_str().to_owned(),
        components: components(&locked, pair),
        content: Content::Dependencies {
            root: Root {
                name: name.unwrap_or(pair.first.file.path.as_str()).to_owned(),
                version: Some(own.text().unwrap_or("0.0.0").to_owned()),
            },
            dependencies: Dependencies::Tree(tree),
            tested_files: TestedFiles::List(vec![MANIFEST.into(), LOCK.into()]),
        },
    };
    Ok(Some((application, gap)))
}

/// The locked packages themselves: no platform requirements, and no ranges for versions.
fn components(locked: &[Package], pair: &FilePair<'_>) -> Vec<Component> {
    let places: HashMap<&str, usize> =
        locked.iter().enumerate().map(|(place, package)| (package.name.as_str(), place)).collect();
    let component = |package: &Package| {
        let version = package.version.version.as_deref().map(|version| without_v(version).to_owned());
        let file = pair.second.file;
        let mut component = Component::new(Ecosystem::Composer, "", version, file.path.clone(), file.layer)
            .with_full_name(&package.name);
        let requires = package.require.as_object().into_iter().flat_map(Map::keys);
        component.depends = requires.filter_map(|name| places.get(name.as_str()).copied()).collect();
        component.licenses = match &package.license {
            Value::String(license) => vec![license.clone()],
            Value::Array(list) => one_of(&list.iter().filter_map(Value::as_str).collect::<Vec<_>>()),
            _ => Vec::new(),
        };
        component
    };
    locked.iter().map(component).collect()
}

/// Licences of a list, of which one may be chosen (Composer, "The composer.json schema", `license`).
fn one_of(licenses: &[&str]) -> Vec<String> {
    let grouped = |license: &&str| match license.split_once(' ') {
        Some(_) if licenses.len() > 1 => format!("({license})"),
        _ => (*license).to_owned(),
    };
    let text = licenses.iter().map(grouped).collect::<Vec<_>>().join(" OR ");
    if text.is_empty() { Vec::new() } else { vec![text] }
}

/// `v1.2` → `1.2`.
fn without_v(version: &str) -> &str {
    version.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(version)
}

fn node(name: &str, version: &str) -> TreeNode {
    TreeNode {
        name: name.to_owned(),
        version: Some(without_v(version).to_owned()),
        labels: BTreeMap::from([("scope", "prod".to_owned())]),
        ..TreeNode::default()
    }
}

/// All locked packages below the root.
fn flat(locked: &[Package]) -> Tree {
    let mut tree = Tree::default();
    for package in locked.iter().take(MAX_NODES) {
        let node = tree.insert(node(&package.name, package.version.text().unwrap_or_default()));
        tree.attach_to_root(node);
    }
    tree
}

struct Growth<'a> {
    by_name: &'a HashMap<&'a str, &'a Package>,
    occurrences: HashMap<&'a str, u32>,
    tree: Tree,
    is_cut: bool,
}

/// A package whose requirements are being added.
struct Branch<'a> {
    node: Option<NodeIndex>,
    name: Option<&'a str>,
    requires: Vec<(&'a str, &'a str)>,
}

impl<'a> Growth<'a> {
    fn grow(&mut self, require: &'a Value) {
        let mut open = vec![Branch { node: None, name: None, requires: requirements(require) }];
        let mut path = HashSet::new();
        while let Some(top) = open.last_mut() {
            let Some((name, constraint)) = top.requires.pop() else {
                top.name.map(|name| path.remove(name));
                open.pop();
                continue;
            };
            let occurrences = self.occurrences.entry(name).or_default();
            *occurrences += 1;
            let is_leaf = *occurrences > MAX_OCCURRENCES || path.contains(name);
            if self.tree.len() == MAX_NODES {
                self.is_cut = true;
                return;
            }
            let parent = top.node;
            let package = self.by_name.get(name).copied();
            let version = package.and_then(|package| package.version.text()).unwrap_or(constraint);
            let node = self.tree.insert(node(name, version));
            match parent {
                None => self.tree.attach_to_root(node),
                Some(parent) => self.tree[parent].children.push(node),
            }
            if let Some(package) = package.filter(|_| !is_leaf) {
                path.insert(name);
                open.push(Branch {
                    node: Some(node),
                    name: Some(name),
                    requires: requirements(&package.require),
                });
            }
        }
    }
}

/// Last one first, to be taken from the end.
fn requirements(require: &Value) -> Vec<(&str, &str)> {
    let pairs = require.as_object().into_iter().flatten();
    pairs.rev().map(|(name, range)| (name.as_str(), range.as_str().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests;
