//! The tree of an operating system's packages.
//!
//! Every package is expanded once, where it is met first; afterwards it is a leaf. Which edge of a cycle is cut
//! depends on that order, so the order of the database is kept throughout. Packages that too many paths lead to
//! hang below the root alone, without dependencies and URL.

use std::collections::{HashMap, HashSet};

use regent_scan::{NodeIndex, Package, PackageDetail, Tree, TreeNode};

use crate::path_count::{Place, too_frequent};

/// The name that a package is reported by: `source/name`, or the name alone where no source is known.
pub(crate) fn display_name(package: &Package) -> String {
    match &package.source {
        Some(source) if !source.name.is_empty() => format!("{}/{}", source.name, package.name),
        _ => package.name.clone(),
    }
}

/// Makes the tree; `purl` gives a package's URL.
pub(crate) fn os_tree(packages: &[Package], purl: impl Fn(&Package) -> Option<String>) -> Tree {
    let database = Database::new(packages);
    let frequent = too_frequent(&database.depends, &database.listed);
    let mut growth = Growth {
        database: &database,
        purl: &purl,
        is_frequent: |place: Place| frequent.get(place).copied().unwrap_or_default(),
        expanded: HashSet::new(),
        tree: Tree::default(),
    };
    for (package, place) in database.entries() {
        if !package.auto_installed {
            growth.attach(place);
        }
    }
    let unreached: Vec<Place> =
        database.entries().map(|(_, place)| place).filter(|place| !growth.expanded.contains(place)).collect();
    for place in unreached {
        growth.attach(place);
    }
    for place in growth.lost() {
        growth.attach(place);
    }
    let mut tree = growth.tree;
    for (package, place) in database.entries() {
        if frequent.get(place) == Some(&true) {
            let node = tree.insert(TreeNode { purl: None, ..node(database.package(place, package), &purl) });
            tree.attach_to_root(node);
        }
    }
    tree
}

/// The packages with their dependencies resolved. A name stands for the last package of the list that has it.
struct Database<'a> {
    packages: &'a [Package],
    names: HashMap<&'a str, Place>,
    depends: Vec<Vec<Place>>,
    listed: Vec<u32>,
}

impl<'a> Database<'a> {
    fn new(packages: &'a [Package]) -> Self {
        let mut names = HashMap::new();
        let mut provided = HashMap::new();
        for (place, package) in packages.iter().enumerate() {
            names.insert(package.name.as_str(), place);
        }
        for package in packages {
            // A package that was replaced by one of the same name provides through that one.
            if let Some(&place) = names.get(package.name.as_str()) {
                provided.extend(package.provides.iter().map(|name| (name.as_str(), place)));
            }
        }
        let mut listed = vec![0; packages.len()];
        for package in packages {
            if let Some(times) = names.get(package.name.as_str()).and_then(|&place| listed.get_mut(place)) {
                *times += 1;
            }
        }
        let resolve = |name: &&str| names.get(name).or_else(|| provided.get(name)).copied();
        let depends = packages
            .iter()
            .zip(&listed)
            .map(|(package, &times)| {
                let mut seen = HashSet::new();
                let distinct = package.depends.iter().map(String::as_str).filter(|name| seen.insert(*name));
                // Those of rpm are known and not reported: the scanner being replaced has none.
                let is_left_out = times == 0 || matches!(package.detail, PackageDetail::Rpm { .. });
                if is_left_out { Vec::new() } else { distinct.filter_map(|name| resolve(&name)).collect() }
            })
            .collect();
        Self { packages, names, depends, listed }
    }

    /// The list, entry by entry, with the package that its name stands for.
    fn entries(&self) -> impl Iterator<Item = (&'a Package, Place)> {
        self.packages.iter().filter_map(|p| Some((p, *self.names.get(p.name.as_str())?)))
    }

    fn package(&self, place: Place, otherwise: &'a Package) -> &'a Package {
        self.packages.get(place).unwrap_or(otherwise)
    }
}

fn node(package: &Package, purl: &impl Fn(&Package) -> Option<String>) -> TreeNode {
    TreeNode {
        name: display_name(package),
        version: Some(package.version.clone().unwrap_or_default()),
        purl: purl(package),
        ..TreeNode::default()
    }
}

struct Growth<'a, P, F> {
    database: &'a Database<'a>,
    purl: &'a P,
    is_frequent: F,
    expanded: HashSet<Place>,
    tree: Tree,
}

/// A package whose dependencies are being expanded.
struct Branch {
    node: NodeIndex,
    name: String,
    dependencies: std::vec::IntoIter<Place>,
    children: HashSet<String>,
}

impl<P: Fn(&Package) -> Option<String>, F: Fn(Place) -> bool> Growth<'_, P, F> {
    /// Packages that were below a node which another one of the same name replaced at the root. They are installed
    /// all the same.
    fn lost(&self) -> Vec<Place> {
        let below = self.tree.root().iter().flat_map(|&child| self.tree.below(child));
        let kept: HashSet<&str> =
            below.chain(self.tree.root().iter().copied()).map(|node| self.tree[node].name.as_str()).collect();
        let is_lost = |place: &Place| {
            self.database
                .packages
                .get(*place)
                .is_some_and(|package| !kept.contains(display_name(package).as_str()))
        };
        self.database.entries().map(|(_, place)| place).filter(is_lost).collect()
    }

    /// Expands a package below the root.
    fn attach(&mut self, place: Place) {
        let Some((node, branch)) = self.grow(place, &HashSet::new()) else { return };
        self.tree.attach_to_root(node);
        let Some(branch) = branch else { return };
        let mut ancestors = HashSet::from([branch.name.clone()]);
        let mut open = vec![branch];
        while let Some(top) = open.last_mut() {
            let Some(dependency) = top.dependencies.next() else {
                ancestors.remove(&top.name);
                open.pop();
                continue;
            };
            let Some((node, branch)) = self.grow(dependency, &ancestors) else { continue };
            // Of several packages that share a display name the first is kept.
            if top.children.insert(self.tree[node].name.clone()) {
                self.tree[top.node].children.push(node);
            }
            if let Some(branch) = branch {
                ancestors.insert(branch.name.clone());
                open.push(branch);
            }
        }
    }

    /// The package's node, and where it is met for the first time what is to be expanded below it.
    fn grow(&mut self, place: Place, ancestors: &HashSet<String>) -> Option<(NodeIndex, Option<Branch>)> {
        let package = self.database.packages.get(place)?;
        let name = display_name(package);
        if (self.is_frequent)(place) || ancestors.contains(&name) {
            return None;
        }
        let node = self.tree.insert(node(package, self.purl));
        let is_first = self.expanded.insert(place);
        let branch = is_first.then(|| Branch {
            node,
            name,
            dependencies: self.database.depends.get(place).cloned().unwrap_or_default().into_iter(),
            children: HashSet::new(),
        });
        Some((node, branch))
    }
}

#[cfg(test)]
mod tests;
