//! Dependency graphs of applications whose ecosystems describe them as graphs.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::finding::size::{of_entries, of_text};

/// Nodes of one graph, at most. The largest real lock files have some ten thousand.
const MAX_NODES: usize = 200_000;
/// Edges of one graph, at most.
const MAX_EDGES: usize = 2_000_000;

/// A node's place in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GraphPlace(usize);

/// A package at one place of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphNode {
    /// Tells it from the others; nothing more is promised of it.
    pub id: String,
    /// The package's name, as reported.
    pub name: String,
    /// Its version, as reported.
    pub version: Option<String>,
    /// What the node is labelled with.
    pub labels: BTreeMap<&'static str, String>,
    /// In order of connection, each once.
    depends: Vec<GraphPlace>,
}

/// A graph below a root that is described elsewhere. Cycles are possible; every node is reachable once its makers
/// have connected it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<GraphNode>,
    places: HashMap<String, GraphPlace>,
    root: Vec<GraphPlace>,
    edges: HashSet<(Option<GraphPlace>, GraphPlace)>,
    is_cut: bool,
}

impl Graph {
    /// The node of that id.
    pub fn find(&self, id: &str) -> Option<GraphPlace> {
        self.places.get(id).copied()
    }

    /// Adds a node, unless there is one with the id: then that one is meant. `None` when the graph is full.
    pub fn add(
        &mut self,
        id: &str,
        name: &str,
        version: Option<&str>,
        labels: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Option<GraphPlace> {
        if let Some(known) = self.find(id) {
            return Some(known);
        }
        if self.nodes.len() == MAX_NODES {
            self.is_cut = true;
            return None;
        }
        let place = GraphPlace(self.nodes.len());
        self.nodes.push(GraphNode {
            id: id.to_owned(),
            name: name.to_owned(),
            version: version.map(str::to_owned),
            labels: labels.into_iter().collect(),
            depends: Vec::new(),
        });
        self.places.insert(id.to_owned(), place);
        Some(place)
    }

    /// Notes that `parent`, or the root, depends on `child`. Twice is once.
    pub fn connect(&mut self, parent: Option<GraphPlace>, child: GraphPlace) {
        if self.edges.len() == MAX_EDGES {
            self.is_cut = true;
            return;
        }
        if !self.edges.insert((parent, child)) {
            return;
        }
        match parent {
            None => self.root.push(child),
            Some(GraphPlace(parent)) => {
                if let Some(node) = self.nodes.get_mut(parent) {
                    node.depends.push(child);
                }
            }
        }
    }

    /// What the root depends on.
    pub fn root(&self) -> &[GraphPlace] {
        &self.root
    }

    /// What a node depends on.
    pub fn depends(&self, place: GraphPlace) -> &[GraphPlace] {
        self.node(place).map_or(&[], |node| &node.depends)
    }

    /// A node of this graph.
    pub fn node(&self, place: GraphPlace) -> Option<&GraphNode> {
        self.nodes.get(place.0)
    }

    /// All nodes with their places, in order of addition.
    pub fn nodes(&self) -> impl Iterator<Item = (GraphPlace, &GraphNode)> {
        self.nodes.iter().enumerate().map(|(place, node)| (GraphPlace(place), node))
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn cost_bytes(&self) -> usize {
        let of_node = |node: &GraphNode| {
            // The id is there twice, and each edge in the set as well.
            let texts = 2 * of_text(&node.id)
                + of_text(&node.name)
                + node.version.iter().map(|text| of_text(text)).sum::<usize>();
            let labels = of_entries(node.labels.len(), node.labels.values().map(String::len).sum());
            size_of::<GraphNode>() + texts + labels + node.depends.len() * 8 * size_of::<GraphPlace>()
        };
        self.nodes.iter().map(of_node).sum()
    }

    /// Whether nodes or edges are missing since the graph was full: to be said as a gap.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_and_an_edge_that_come_twice_are_there_once() {
        let mut graph = Graph::default();
        let a = graph.add("a@1", "a", Some("1"), []).unwrap();
        assert_eq!(graph.add("a@1", "other", None, []), Some(a));
        for _ in 0..2 {
            graph.connect(None, a);
            graph.connect(Some(a), a);
        }
        assert_eq!(graph.nodes().count(), 1);
        assert_eq!((graph.root(), graph.depends(a)), (&[a][..], &[a][..]));
    }

    #[test]
    fn a_full_graph_says_so() {
        let mut graph = Graph::default();
        for n in 0..=MAX_NODES {
            graph.add(&n.to_string(), "a", None, []);
        }
        assert!(graph.is_cut());
        assert_eq!(graph.nodes().count(), MAX_NODES);
    }
}
