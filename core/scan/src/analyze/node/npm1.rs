//! `package-lock.json` of version 1: packages nested as they are installed, each with what it requires.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::manifest::{NodeManifest, merged, object_of, text, truthy};
use super::unroll::{Shape, Unroll};
use super::{Lock, Resolved, Unreadable, integrity};
use crate::application::{Component, Dependencies};
use crate::ordered::Pairs;
use crate::tree::{Tree, TreeNode};

/// Packages of one lock file, at most, and what they require together.
const MAX_ENTRIES: usize = 200_000;
const MAX_EDGES: usize = 2_000_000;

/// Reads the lock file for what the manifest requires.
pub(super) fn read(manifest: &NodeManifest, lock: &Lock<'_>) -> Result<Resolved, Unreadable> {
    let file: File = object_of(lock.text)?;
    let mut packages = Packages::of(&file.dependencies);
    let starts = direct(manifest, file.lockfile_version)
        .into_iter()
        .map(|(name, range)| packages.find(None, name, range))
        .collect::<Vec<usize>>();
    let mut children: Vec<Vec<usize>> = Vec::with_capacity(packages.locked.len());
    let mut n_edges = 0;
    for place in 0..packages.locked.len() {
        let requires = packages.locked.get(place).map(|package| &package.entry.requires);
        let found: Vec<usize> = requires
            .into_iter()
            .flat_map(Pairs::iter)
            .map(|(name, range)| packages.find(Some(place), name, range))
            .collect();
        n_edges += found.len();
        if n_edges > MAX_EDGES {
            return Err(Unreadable::limit("the locked packages require too many others"));
        }
        children.push(found);
    }
    children.resize(packages.locked.len() + packages.missing.len(), Vec::new());
    Ok(Resolved {
        dependencies: Dependencies::Tree(tree(&packages, &children, &starts)?),
        components: components(&packages, &children, &starts, lock),
    })
}

/// What the manifest requires. Without `dependencies` it is nothing at all, and peers were installed by the first
/// releases of npm only, whose lock files bear no version.
fn direct(manifest: &NodeManifest, has_version: bool) -> Vec<(&str, &str)> {
    if manifest.dependencies.is_empty() {
        return Vec::new();
    }
    let mut lists = vec![&manifest.dependencies, &manifest.optional_dependencies];
    if has_version {
        return merged(&lists);
    }
    lists.push(&manifest.peer_dependencies);
    let is_there = |name: &str| lists.iter().take(2).any(|list| list.get(name).is_some());
    merged(&lists)
        .into_iter()
        .filter(|(name, _)| !manifest.optional_peers.contains(*name) || is_there(name))
        .collect()
}

fn tree(packages: &Packages<'_>, children: &[Vec<usize>], starts: &[usize]) -> Result<Tree, Unreadable> {
    let identity: Vec<usize> = (0..children.len()).collect();
    let node = |number: usize| packages.node(number);
    let cut = |number: usize| {
        let mut node = packages.node(number);
        node.labels.insert("pruned", "cyclic".to_owned());
        node
    };
    let mut tree = Tree::default();
    let mut unroll = Unroll::new(Shape { children, identity: &identity, node: &node, cut: Some(&cut) });
    for &start in starts {
        let made = unroll.make(&mut tree, start)?;
        tree.attach_to_root(made);
    }
    Ok(tree)
}

/// The locked packages that are required, aliases under their targets' names.
fn components(
    packages: &Packages<'_>,
    children: &[Vec<usize>],
    starts: &[usize],
    lock: &Lock<'_>,
) -> Vec<Component> {
    let mut open: Vec<usize> = starts.iter().rev().copied().collect();
    let mut places = HashMap::new();
    let mut reached = Vec::new();
    while let Some(number) = open.pop() {
        if number < packages.locked.len() && !places.contains_key(&number) {
            places.insert(number, reached.len());
            reached.push(number);
            open.extend(children.get(number).into_iter().flatten().rev());
        }
    }
    let component = |&number: &usize| {
        let package = packages.locked.get(number)?;
        let version = package.entry.version.as_deref().unwrap_or_default();
        let target = version.strip_prefix("npm:").and_then(|target| target.rsplit_once('@'));
        let (name, version) = target.unwrap_or((package.name, version));
        let mut component = lock.component(name, version);
        component.hashes = integrity::hashes(package.entry.integrity.as_deref().unwrap_or_default());
        let depends = children.get(number).into_iter().flatten();
        component.depends = depends.filter_map(|child| places.get(child).copied()).collect();
        Some(component)
    };
    reached.iter().filter_map(component).collect()
}

/// All packages by number: the locked ones, then those that are required and missing.
struct Packages<'a> {
    locked: Vec<Package<'a>>,
    /// Names and ranges.
    missing: Vec<(String, String)>,
    missing_numbers: HashMap<(String, String), usize>,
    top: HashMap<&'a str, usize>,
}

struct Package<'a> {
    name: &'a str,
    entry: &'a Entry,
    /// Below which package it is installed.
    parent: Option<usize>,
    /// What is installed below it.
    nested: HashMap<&'a str, usize>,
}

impl<'a> Packages<'a> {
    fn of(top: &'a Nested) -> Self {
        let mut packages = Self {
            locked: Vec::new(),
            missing: Vec::new(),
            missing_numbers: HashMap::new(),
            top: HashMap::new(),
        };
        let mut open = vec![(None, top)];
        while let Some((parent, level)) = open.pop() {
            for (name, entry) in &level.0 {
                let number = packages.locked.len();
                packages.locked.push(Package { name, entry, parent, nested: HashMap::new() });
                packages.level(parent).insert(name, number);
                if !entry.dependencies.0.is_empty() {
                    open.push((Some(number), &entry.dependencies));
                }
            }
        }
        packages
    }

    fn level(&mut self, parent: Option<usize>) -> &mut HashMap<&'a str, usize> {
        match parent.and_then(|parent| self.locked.get_mut(parent)) {
            Some(parent) => &mut parent.nested,
            None => &mut self.top,
        }
    }

    /// What `name` means for a package: looked for below itself, then further and further up.
    fn find(&mut self, from: Option<usize>, name: &str, range: &str) -> usize {
        let mut level = from;
        while let Some(package) = level.and_then(|number| self.locked.get(number)) {
            if let Some(&found) = package.nested.get(name) {
                return found;
            }
            level = package.parent;
        }
        if let Some(&found) = self.top.get(name) {
            return found;
        }
        let key = (name.to_owned(), range.to_owned());
        *self.missing_numbers.entry(key).or_insert_with_key(|key| {
            self.missing.push(key.clone());
            self.locked.len() + self.missing.len() - 1
        })
    }

    fn node(&self, number: usize) -> TreeNode {
        let scope = |is_dev: bool| ("scope", if is_dev { "dev" } else { "prod" }.to_owned());
        if let Some(package) = self.locked.get(number) {
            return TreeNode {
                name: package.name.to_owned(),
                version: package.entry.version.clone(),
                labels: BTreeMap::from([scope(package.entry.is_dev)]),
                ..TreeNode::default()
            };
        }
        let (name, range) = number
            .checked_sub(self.locked.len())
            .and_then(|n| self.missing.get(n))
            .cloned()
            .unwrap_or_default();
        TreeNode {
            name,
            version: Some(range),
            labels: BTreeMap::from([scope(false), ("missingLockFileEntry", "true".to_owned())]),
            ..TreeNode::default()
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct File {
    #[serde(deserialize_with = "is_there")]
    lockfile_version: bool,
    dependencies: Nested,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    #[serde(deserialize_with = "text")]
    version: Option<String>,
    #[serde(deserialize_with = "text")]
    integrity: Option<String>,
    #[serde(deserialize_with = "truthy", rename = "dev")]
    is_dev: bool,
    requires: Pairs,
    dependencies: Nested,
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Packages by name, in order of the file; as deep as the JSON reader lets maps be nested. Of a name that comes twice
/// the last counts.
#[derive(Default)]
struct Nested(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NestedVisitor)
    }
}

struct NestedVisitor;

impl<'de> Visitor<'de> for NestedVisitor {
    type Value = Nested;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packages by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nested, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = map.next_entry::<String, Entry>()? {
            if list.len() == MAX_ENTRIES {
                return Err(A::Error::custom("more packages than are read of one file"));
            }
            list.push(entry);
        }
        Ok(Nested(list))
    }
}

#[cfg(test)]
mod tests;
