//! The tree of packages that a graph is folded from.
//!
//! An arena: trees may be as deep as an image has packages, which neither recursion nor dropping nested boxes
//! would survive. A node may be attached in several places, so that equal subtrees are there once.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Index, IndexMut};

use crate::finding::size::{of_entries, of_text};

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeIndex(usize);

/// A package at one place of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeNode {
    /// As reported.
    pub name: String,
    /// As reported; may be empty.
    pub version: Option<String>,
    /// The package URL.
    pub purl: Option<String>,
    /// What the graph's node is labelled with.
    pub labels: BTreeMap<&'static str, String>,
    /// In order of attachment, each name once.
    pub children: Vec<NodeIndex>,
}

/// The packages below a root that is described elsewhere.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tree {
    nodes: Vec<TreeNode>,
    root: Vec<NodeIndex>,
    root_names: HashMap<String, usize>,
}

impl Tree {
    /// Puts a node into the tree, attached to nothing yet.
    pub fn insert(&mut self, node: TreeNode) -> NodeIndex {
        self.nodes.push(node);
        NodeIndex(self.nodes.len() - 1)
    }

    /// How many nodes there are, attached or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn cost_bytes(&self) -> usize {
        let of_node = |node: &TreeNode| {
            let TreeNode { name, version, purl, labels, children } = node;
            let texts = [Some(name), version.as_ref(), purl.as_ref()];
            let texts = texts.into_iter().flatten().map(|text| of_text(text)).sum::<usize>();
            let labels = of_entries(labels.len(), labels.values().map(String::len).sum());
            size_of::<TreeNode>() + texts + labels + size_of_val(children.as_slice())
        };
        self.nodes.iter().map(of_node).sum()
    }

    /// Attaches a node to the root. One of the same name is replaced, at its place.
    pub fn attach_to_root(&mut self, node: NodeIndex) {
        let name = self[node].name.clone();
        let place = *self.root_names.entry(name).or_insert(self.root.len());
        match self.root.get_mut(place) {
            Some(child) => *child = node,
            None => self.root.push(node),
        }
    }

    /// The root's children in order of attachment.
    pub fn root(&self) -> &[NodeIndex] {
        &self.root
    }

    /// Keeps only the root's children for which `keep` says so.
    pub fn retain_at_root(&mut self, keep: impl Fn(&TreeNode) -> bool) {
        let root = std::mem::take(&mut self.root);
        self.root_names.clear();
        for node in root {
            if keep(&self[node]) {
                self.attach_to_root(node);
            }
        }
    }

    /// Every node, attached or not.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut TreeNode> {
        self.nodes.iter_mut()
    }

    /// All nodes below `node`, itself left out, nearest first on each branch.
    pub fn below(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut found = Vec::new();
        let mut open: Vec<NodeIndex> = self[node].children.iter().rev().copied().collect();
        while let Some(next) = open.pop() {
            found.push(next);
            open.extend(self[next].children.iter().rev());
        }
        found
    }
}

impl Index<NodeIndex> for Tree {
    type Output = TreeNode;

    #[expect(clippy::indexing_slicing, reason = "only insert makes an index, and nothing is ever taken out")]
    fn index(&self, index: NodeIndex) -> &TreeNode {
        &self.nodes[index.0]
    }
}

impl IndexMut<NodeIndex> for Tree {
    #[expect(clippy::indexing_slicing, reason = "only insert makes an index, and nothing is ever taken out")]
    fn index_mut(&mut self, index: NodeIndex) -> &mut TreeNode {
        &mut self.nodes[index.0]
    }
}
