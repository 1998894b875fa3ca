//! From what a manifest requires through a lock file of yarn or pnpm.
//!
//! The graph repeats the scanner being replaced: below each direct dependency on its own, a package is expanded where it
//! is met first, and is a leaf marked `pruned` wherever it is met again. The components are each package once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::{Lock, Unreadable};
use crate::application::{Component, HashAlgorithm};
use crate::graph::{Graph, GraphPlace};

/// Dependencies among the packages of one lock file that are looked up, at most. The largest real ones have some
/// ten thousand.
const MAX_EDGES: usize = 200_000;
/// Packages that are reached, at most: a bound on memory. The largest real lock files have some ten thousand.
const MAX_REACHED: usize = 30_000;
/// Steps of walks below the single direct dependencies. Once they are used up, what was expanded below one direct
/// dependency is not expanded below another: packages and dependencies stay the same, with more leaves.
const MAX_STEPS: usize = 2_000_000;

/// A dependency: the name by which it is wanted, and what is wanted of it.
pub(super) type Wanted<'a> = (&'a str, &'a str);

/// What a lock file holds, to be asked while walking.
pub(super) trait Locked {
    /// What is locked for a dependency of the entry `parent`, or of the project itself.
    fn find(&self, parent: Option<usize>, wanted: Wanted<'_>) -> Found;

    /// The entry that is really meant, where [`Locked::find`] has to repeat another scanner's mistake.
    fn find_exactly(&self, parent: Option<usize>, wanted: Wanted<'_>) -> Option<usize> {
        self.find(parent, wanted).entry
    }

    /// What an entry depends on.
    fn dependencies(&self, entry: usize) -> Vec<Wanted<'_>>;

    /// The package of an entry.
    fn package(&self, entry: usize) -> LockedPackage<'_>;
}

/// A dependency as it is reported.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The node's id.
    pub(super) id: String,
    /// The package's name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: Option<String>,
    /// The label `alias`.
    pub(super) alias: Option<String>,
    /// The entry of the lock file; `None` when it has none for this dependency.
    pub(super) entry: Option<usize>,
}

/// A package as it is.
#[derive(Debug)]
pub(super) struct LockedPackage<'a> {
    /// Its true name, whatever it is called by those who depend on it.
    pub(super) name: &'a str,
    /// Its version.
    pub(super) version: Option<&'a str>,
    /// Hashes of what is downloaded for it.
    pub(super) hashes: BTreeSet<(HashAlgorithm, String)>,
}

/// The graph below the direct dependencies. What has the id `own_id` is always a leaf.
pub(super) fn graph(
    locked: &impl Locked,
    direct: &[Wanted<'_>],
    own_id: Option<&str>,
) -> Result<Graph, Unreadable> {
    let mut walk = Walk {
        locked,
        own_id,
        graph: Graph::default(),
        nodes: Vec::new(),
        node_places: HashMap::new(),
        packages: Vec::new(),
        package_places: HashMap::new(),
        edges: Vec::new(),
        steps: 0,
    };
    for (round, &wanted) in (1..).zip(direct) {
        let top = walk.package(None, wanted)?;
        if walk.meet(None, top, round)? {
            walk.descend(top, round)?;
        }
    }
    Ok(walk.graph)
}

struct Walk<'a, L> {
    locked: &'a L,
    own_id: Option<&'a str>,
    graph: Graph,
    nodes: Vec<Node>,
    /// By id.
    node_places: HashMap<String, usize>,
    packages: Vec<Package>,
    /// By node and entry.
    package_places: HashMap<(usize, Option<usize>), usize>,
    /// Places of packages: what each depends on, one after another.
    edges: Vec<usize>,
    steps: usize,
}

/// Everything with the same id.
struct Node {
    id: String,
    name: String,
    version: Option<String>,
    alias: Option<String>,
    /// Never expanded.
    is_own: bool,
    /// The last direct dependency below which it was expanded, counted from 1.
    expanded: usize,
    place: Option<GraphPlace>,
    pruned: Option<GraphPlace>,
}

struct Package {
    node: usize,
    entry: Option<usize>,
    /// In `edges`, once they are looked up.
    depends: Option<Range<usize>>,
}

impl<L: Locked> Walk<'_, L> {
    /// The package that is locked for a dependency.
    fn package(&mut self, parent: Option<usize>, wanted: Wanted<'_>) -> Result<usize, Unreadable> {
        let Found { id, name, version, alias, entry } = self.locked.find(parent, wanted);
        if self.packages.len() == MAX_REACHED {
            return Err(Unreadable::limit("the lock file leads to more packages than are followed"));
        }
        let next = self.nodes.len();
        let node = *self.node_places.entry(id.clone()).or_insert(next);
        if node == next {
            let is_own = self.own_id == Some(id.as_str());
            let (place, pruned) = (None, None);
            self.nodes.push(Node { id, name, version, alias, is_own, expanded: 0, place, pruned });
        }
        let next = self.packages.len();
        let place = *self.package_places.entry((node, entry)).or_insert(next);
        if place == next {
            self.packages.push(Package { node, entry, depends: None });
        }
        Ok(place)
    }

    fn node_of(&self, package: usize) -> usize {
        self.packages.get(package).map_or(usize::MAX, |package| package.node)
    }

    /// Whether the node is met for the first time in this round.
    fn visit(&mut self, node: usize, round: usize) -> bool {
        let is_spent = self.steps > MAX_STEPS;
        self.nodes.get_mut(node).is_some_and(|node| {
            let is_new = if is_spent { node.expanded == 0 } else { node.expanded != round };
            node.expanded = round;
            is_new && !node.is_own
        })
    }

    /// Adds a package below a node, or the root: whether it is to be expanded there.
    fn meet(&mut self, parent: Option<GraphPlace>, package: usize, round: usize) -> Result<bool, Unreadable> {
        let node = self.node_of(package);
        let is_new = self.visit(node, round);
        let Some(node) = self.nodes.get_mut(node) else { return Ok(false) };
        let known = if is_new { node.place } else { node.pruned };
        let place = if let Some(place) = known {
            place
        } else {
            let mut labels = vec![("scope", "prod".to_owned())];
            labels.extend(node.alias.clone().map(|alias| ("alias", alias)));
            let mut id = node.id.clone();
            if !is_new {
                labels.push(("pruned", "true".to_owned()));
                id.push_str(":pruned");
            }
            let place = self
                .graph
                .add(&id, &node.name, node.version.as_deref(), labels)
                .ok_or_else(|| Unreadable::limit("the locked packages make too large a graph"))?;
            *(if is_new { &mut node.place } else { &mut node.pruned }) = Some(place);
            place
        };
        self.graph.connect(parent, place);
        Ok(is_new)
    }

    /// Expands a package that was just met.
    fn descend(&mut self, top: usize, round: usize) -> Result<(), Unreadable> {
        let mut open = vec![(top, self.depends(top)?)];
        while let Some((package, rest)) = open.last_mut() {
            let Some(child) = rest.next().and_then(|edge| self.edges.get(edge).copied()) else {
                open.pop();
                continue;
            };
            let parent = self.nodes.get(self.node_of(*package)).and_then(|node| node.place);
            self.steps += 1;
            if self.meet(parent, child, round)? {
                let depends = self.depends(child)?;
                open.push((child, depends));
            }
        }
        Ok(())
    }

    fn depends(&mut self, package: usize) -> Result<Range<usize>, Unreadable> {
        let Some(Package { entry, depends, .. }) = self.packages.get(package) else { return Ok(0..0) };
        if let Some(known) = depends {
            return Ok(known.clone());
        }
        let parent = *entry;
        let wanted = parent.map(|entry| self.locked.dependencies(entry)).unwrap_or_default();
        if self.edges.len() + wanted.len() > MAX_EDGES {
            return Err(Unreadable::limit("the locked packages have more dependencies than are followed"));
        }
        let start = self.edges.len();
        for wanted in wanted {
            let child = self.package(parent, wanted)?;
            self.edges.push(child);
        }
        let range = start..self.edges.len();
        if let Some(package) = self.packages.get_mut(package) {
            package.depends = Some(range.clone());
        }
        Ok(range)
    }
}

/// The locked packages that the direct dependencies lead to.
pub(super) fn components(locked: &impl Locked, direct: &[Wanted<'_>], lock: &Lock<'_>) -> Vec<Component> {
    let mut list = Packages { lock, components: Vec::new(), places: HashMap::new() };
    let mut seen = HashMap::new();
    let mut open = Vec::new();
    let mut edges = Vec::new();
    let mut place_of = |entry: usize, open: &mut Vec<usize>| {
        *seen.entry(entry).or_insert_with(|| {
            open.push(entry);
            list.place(locked.package(entry))
        })
    };
    for &wanted in direct {
        if let Some(entry) = locked.find_exactly(None, wanted) {
            place_of(entry, &mut open);
        }
    }
    while let Some(entry) = open.pop() {
        let parent = place_of(entry, &mut open);
        for wanted in locked.dependencies(entry) {
            if let Some(child) = locked.find_exactly(Some(entry), wanted) {
                edges.push((parent, place_of(child, &mut open)));
            }
        }
    }
    let mut known = HashSet::new();
    edges.retain(|edge| edge.0 != edge.1 && known.insert(*edge));
    for (parent, child) in edges {
        if let Some(component) = list.components.get_mut(parent) {
            component.depends.push(child);
        }
    }
    list.components
}

struct Packages<'a, 'l> {
    lock: &'a Lock<'l>,
    components: Vec<Component>,
    /// By name and version: entries for several sets of peers are one package.
    places: HashMap<(String, Option<String>), usize>,
}

impl Packages<'_, '_> {
    fn place(&mut self, package: LockedPackage<'_>) -> usize {
        let key = (package.name.to_owned(), package.version.map(str::to_owned));
        let next = self.components.len();
        let place = *self.places.entry(key).or_insert(next);
        if let Some(known) = self.components.get_mut(place) {
            known.hashes.extend(package.hashes);
        } else {
            let component = self.lock.component(package.name, package.version.unwrap_or_default());
            let version = package.version.map(str::to_owned);
            self.components.push(Component { version, hashes: package.hashes, ..component });
        }
        place
    }
}

#[cfg(test)]
mod tests;
