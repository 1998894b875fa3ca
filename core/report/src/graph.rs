//! Dependency graphs (schema 1.3.0), folded from trees.
//!
//! Equal subtrees with equal labels become one node, so a package has several nodes exactly where it occurs with
//! different subtrees or labels. Whatever names an image brings, the graph is well formed: no id twice, every node
//! reachable, no edge to the root.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use regent_scan::{Graph, GraphPlace, NodeIndex, Tree, TreeNode};

const ROOT_NODE: &str = "root-node";

/// A dependency graph as results carry it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DepGraph {
    schema_version: &'static str,
    pkg_manager: PackageManager,
    pkgs: Vec<GraphPackage>,
    graph: Nodes,
}

/// Who manages the packages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PackageManager {
    /// E.g. `deb`.
    pub(crate) name: &'static str,
    /// For packages of an operating system: which one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) repositories: Vec<Repository>,
}

/// Where packages come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Repository {
    /// E.g. `debian:12`.
    pub(crate) alias: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct GraphPackage {
    id: String,
    info: PackageInfo,
}

/// A package's name, version and URL.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PackageInfo {
    /// As reported.
    pub(crate) name: String,
    /// May be empty, which is not the same as absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// The package URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purl: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Nodes {
    root_node_id: &'static str,
    nodes: Vec<GraphNode>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct GraphNode {
    node_id: String,
    pkg_id: String,
    deps: Vec<Dependency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<NodeInfo>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    node_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct NodeInfo {
    labels: BTreeMap<&'static str, String>,
}

impl DepGraph {
    /// Folds `tree` below the package `root`.
    pub(crate) fn fold(tree: &Tree, root: PackageInfo, pkg_manager: PackageManager) -> Self {
        let mut fold = Fold::new(root);
        let root_deps = fold.children(tree);
        fold.finish(&root_deps, pkg_manager)
    }

    /// The packages of `graph` that can be reached from the root, below the package `root`.
    pub(crate) fn of_graph(graph: &Graph, root: PackageInfo, pkg_manager: PackageManager) -> Self {
        let root_id = package_id(&root.name, root.version.as_deref());
        let mut packages = vec![GraphPackage { id: root_id.clone(), info: root }];
        let mut known = HashSet::from([root_id.clone()]);
        let mut taken = HashSet::from([ROOT_NODE.to_owned()]);
        let mut ids = HashMap::new();
        let reached = reachable(graph);
        for (place, node) in graph.nodes().filter(|(place, _)| reached.contains(place)) {
            let mut id = node.id.clone();
            while !taken.insert(id.clone()) {
                id.push_str("|1");
            }
            ids.insert(place, id);
            let pkg_id = package_id(&node.name, node.version.as_deref());
            if known.insert(pkg_id.clone()) {
                let info = PackageInfo { name: node.name.clone(), version: node.version.clone(), purl: None };
                packages.push(GraphPackage { id: pkg_id, info });
            }
        }
        let deps = |places: &[GraphPlace]| -> Vec<Dependency> {
            places.iter().filter_map(|p| ids.get(p)).map(|id| Dependency { node_id: id.clone() }).collect()
        };
        let mut nodes = vec![GraphNode {
            node_id: ROOT_NODE.into(),
            pkg_id: root_id,
            deps: deps(graph.root()),
            info: None,
        }];
        for (place, node) in graph.nodes() {
            let Some(id) = ids.get(&place) else { continue };
            let labels = Some(node.labels.clone()).filter(|labels| !labels.is_empty());
            nodes.push(GraphNode {
                node_id: id.clone(),
                pkg_id: package_id(&node.name, node.version.as_deref()),
                deps: deps(graph.depends(place)),
                info: labels.map(|labels| NodeInfo { labels }),
            });
        }
        let graph = Nodes { root_node_id: ROOT_NODE, nodes };
        DepGraph { schema_version: "1.3.0", pkg_manager, pkgs: packages, graph }
    }
}

fn reachable(graph: &Graph) -> HashSet<GraphPlace> {
    let mut reached: HashSet<GraphPlace> = graph.root().iter().copied().collect();
    let mut open: Vec<GraphPlace> = graph.root().to_vec();
    while let Some(place) = open.pop() {
        for &child in graph.depends(place) {
            if reached.insert(child) {
                open.push(child);
            }
        }
    }
    reached
}

/// A node of the graph, by its order of creation.
type Node = usize;

struct Package {
    id: String,
    info: PackageInfo,
    nodes: Vec<Node>,
}

/// What makes a node of the tree the same as another.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Shape {
    package: usize,
    labels: BTreeMap<&'static str, String>,
    deps: Vec<Node>,
}

struct Fold {
    /// The root first, then in order of creation.
    packages: Vec<Package>,
    package_ids: HashMap<String, usize>,
    nodes: Vec<Shape>,
    known: HashMap<Shape, Node>,
    /// What each node of the tree became, since one may be attached in several places.
    folded: HashMap<NodeIndex, Node>,
}

/// A node of the tree whose children are being folded.
struct Open {
    node: Option<NodeIndex>,
    waiting: std::vec::IntoIter<NodeIndex>,
    folded: Vec<Node>,
    seen: HashSet<Node>,
}

impl Open {
    fn new(tree: &Tree, node: Option<NodeIndex>) -> Self {
        let mut children = node.map_or(tree.root(), |node| &tree[node].children).to_vec();
        children.sort_by(|&a, &b| tree[a].name.encode_utf16().cmp(tree[b].name.encode_utf16()));
        Self { node, waiting: children.into_iter(), folded: Vec::new(), seen: HashSet::new() }
    }

    /// A child has been folded. Twice is once.
    fn add(&mut self, child: Node) {
        if self.seen.insert(child) {
            self.folded.push(child);
        }
    }
}

impl Fold {
    fn new(root: PackageInfo) -> Self {
        let id = package_id(&root.name, root.version.as_deref());
        Self {
            package_ids: HashMap::from([(id.clone(), 0)]),
            packages: vec![Package { id, info: root, nodes: Vec::new() }],
            nodes: Vec::new(),
            known: HashMap::new(),
            folded: HashMap::new(),
        }
    }

    /// Folds the whole tree, depth first, children by name; gives the root's dependencies.
    fn children(&mut self, tree: &Tree) -> Vec<Node> {
        let mut open = vec![Open::new(tree, None)];
        while let Some(top) = open.last_mut() {
            if let Some(child) = top.waiting.next() {
                match self.folded.get(&child) {
                    Some(&known) => top.add(known),
                    None => open.push(Open::new(tree, Some(child))),
                }
                continue;
            }
            let Some(done) = open.pop() else { break };
            let (Some(node), Some(parent)) = (done.node, open.last_mut()) else { return done.folded };
            let known = self.add(&tree[node], done.folded);
            self.folded.insert(node, known);
            parent.add(known);
        }
        Vec::new()
    }

    fn add(&mut self, node: &TreeNode, deps: Vec<Node>) -> Node {
        let shape = Shape { package: self.package(node), labels: node.labels.clone(), deps };
        if let Some(&known) = self.known.get(&shape) {
            return known;
        }
        let index = self.nodes.len();
        if let Some(package) = self.packages.get_mut(shape.package) {
            package.nodes.push(index);
            // A package met with and without a URL: the later creation decides. The root has none.
            if shape.package != 0 {
                package.info.purl.clone_from(&node.purl);
            }
        }
        self.known.insert(shape.clone(), index);
        self.nodes.push(shape);
        index
    }

    fn package(&mut self, node: &TreeNode) -> usize {
        let id = package_id(&node.name, node.version.as_deref());
        *self.package_ids.entry(id).or_insert_with_key(|id| {
            let info = PackageInfo { name: node.name.clone(), version: node.version.clone(), purl: None };
            self.packages.push(Package { id: id.clone(), info, nodes: Vec::new() });
            self.packages.len() - 1
        })
    }

    fn finish(self, root_deps: &[Node], pkg_manager: PackageManager) -> DepGraph {
        let ids = self.node_ids();
        let deps = |nodes: &[Node]| {
            nodes
                .iter()
                .filter_map(|node| ids.get(node))
                .map(|id| Dependency { node_id: id.clone() })
                .collect()
        };
        let mut nodes = Vec::with_capacity(self.nodes.len() + 1);
        for (place, package) in self.packages.iter().enumerate() {
            if place == 0 {
                nodes.push(GraphNode {
                    node_id: ROOT_NODE.into(),
                    pkg_id: package.id.clone(),
                    deps: deps(root_deps),
                    info: None,
                });
            }
            for node in &package.nodes {
                let (Some(id), Some(shape)) = (ids.get(node), self.nodes.get(*node)) else { continue };
                let labels = Some(shape.labels.clone()).filter(|labels| !labels.is_empty());
                nodes.push(GraphNode {
                    node_id: id.clone(),
                    pkg_id: package.id.clone(),
                    deps: deps(&shape.deps),
                    info: labels.map(|labels| NodeInfo { labels }),
                });
            }
        }
        let pkgs = self.packages.into_iter().map(|p| GraphPackage { id: p.id, info: p.info }).collect();
        DepGraph {
            schema_version: "1.3.0",
            pkg_manager,
            pkgs,
            graph: Nodes { root_node_id: ROOT_NODE, nodes },
        }
    }

    /// `name@version`, with `|1`, `|2`, … where a package has several nodes. Names may themselves end like that, so
    /// an id that is taken gets one more suffix.
    fn node_ids(&self) -> HashMap<Node, String> {
        let mut taken = HashSet::from([ROOT_NODE.to_owned()]);
        let mut ids = HashMap::with_capacity(self.nodes.len());
        for package in &self.packages {
            let single = package.nodes.len() == 1;
            for (n, &node) in (1..).zip(&package.nodes) {
                let mut id = if single { package.id.clone() } else { format!("{}|{n}", package.id) };
                while !taken.insert(id.clone()) {
                    id.push_str("|1");
                }
                ids.insert(node, id);
            }
        }
        ids
    }
}

fn package_id(name: &str, version: Option<&str>) -> String {
    format!("{name}@{}", version.unwrap_or_default())
}

#[cfg(test)]
pub(crate) mod tests;
