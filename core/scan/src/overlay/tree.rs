//! Which entry of which layer is visible at a path.

use std::collections::HashMap;

use crate::capture::{CapturedLayer, Entry, EntryKind};
use crate::path::{LayerPath, PathHash};

/// An entry: which layer, and which of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) layer: usize,
    pub(super) index: usize,
}

impl Place {
    pub(super) fn entry(self, layers: &[CapturedLayer]) -> Option<&Entry> {
        layers.get(self.layer)?.capture.entries.get(self.index)
    }
}

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(u32);

/// All paths of kept entries and their directories, of all layers, with the newest layer that hides each. What is
/// not kept is found by its hash, so that time and memory grow with the sum of all captures and no faster.
pub(super) struct Tree<'a> {
    layers: &'a [CapturedLayer],
    nodes: Vec<Node>,
    children: HashMap<(NodeId, &'a str), NodeId>,
}

struct Node {
    parent: NodeId,
    hash: PathHash,
    /// The newest layer's entry that is a file or a link.
    newest: Option<Place>,
    hiders: Hiders,
    /// Whether `newest` is visible.
    is_visible: bool,
}

/// The newest layers in which something that hides lower layers is at a path.
#[derive(Default, Clone, Copy)]
struct Hiders {
    non_directory: Option<usize>,
    directory: Option<usize>,
    whiteout: Option<usize>,
    opaque: Option<usize>,
    /// The newest layer below which nothing at or below this path is visible, for what its ancestors hold.
    above: Option<usize>,
}

impl Hiders {
    /// Entries of lower layers than this are hidden at the path.
    fn at(&self) -> Option<usize> {
        self.above.max(self.non_directory).max(self.directory).max(self.whiteout)
    }

    /// Entries of lower layers than this are hidden below the path.
    fn below(&self) -> Option<usize> {
        self.above.max(self.non_directory).max(self.whiteout).max(self.opaque)
    }
}

impl<'a> Tree<'a> {
    pub(super) const ROOT: NodeId = NodeId(0);

    pub(super) fn new(layers: &'a [CapturedLayer]) -> Self {
        let root = Node {
            parent: Self::ROOT,
            hash: PathHash::ROOT,
            newest: None,
            hiders: Hiders::default(),
            is_visible: false,
        };
        let mut tree = Self { layers, nodes: vec![root], children: HashMap::new() };
        for (layer, captured) in layers.iter().enumerate() {
            for (index, entry) in captured.capture.entries.iter().enumerate() {
                tree.insert(entry, Place { layer, index });
            }
        }
        tree.take_hashes();
        tree.settle();
        tree
    }

    pub(super) fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.children.get(&(parent, name)).copied()
    }

    /// The entry that is visible at a node.
    pub(super) fn visible_at(&self, id: NodeId) -> Option<Place> {
        self.node(id).filter(|node| node.is_visible)?.newest
    }

    /// The entry that is visible at a path.
    pub(super) fn visible(&self, path: &LayerPath) -> Option<Place> {
        self.visible_at(self.find(path)?)
    }

    pub(super) fn is_visible(&self, path: &LayerPath, place: Place) -> bool {
        self.visible(path) == Some(place)
    }

    pub(super) fn find(&self, path: &LayerPath) -> Option<NodeId> {
        path.components().try_fold(Self::ROOT, |id, name| self.child(id, name))
    }

    /// The layer whose file is visible at a path though it was not kept.
    pub(super) fn passed_layer(&self, path: &LayerPath) -> Option<usize> {
        let own = PathHash::of(path).value();
        let mut found = None;
        self.each_uncovered_layer(path, |layer, captured| {
            if contains(&captured.capture.hidden_by_files, own) {
                found = Some(layer);
            }
            found.is_none() && !contains(&captured.capture.hidden_by_directories, own)
        });
        found
    }

    /// The layers whose directory of that path is visible, newest first.
    pub(super) fn directory_layers(&self, path: &LayerPath) -> Vec<usize> {
        let own = PathHash::of(path).value();
        let mut found = Vec::new();
        self.each_uncovered_layer(path, |layer, captured| {
            if contains(&captured.capture.hidden_by_directories, own) {
                found.push(layer);
            }
            !contains(&captured.capture.hidden_by_files, own)
        });
        found
    }

    /// Calls `look` for layers from the newest down, until it says no or something hides the path in all lower ones.
    fn each_uncovered_layer(&self, path: &LayerPath, mut look: impl FnMut(usize, &CapturedLayer) -> bool) {
        let mut ancestors = Vec::new();
        let (mut hash, mut id) = (PathHash::ROOT, Some(Self::ROOT));
        let mut covered_by = None;
        for name in path.components() {
            covered_by = covered_by.max(id.and_then(|id| self.node(id)?.hiders.below()));
            ancestors.push(hash.value());
            hash = hash.child(name);
            id = id.and_then(|id| self.child(id, name));
        }
        let own = id.and_then(|id| self.node(id)).map(|node| node.hiders);
        covered_by = covered_by.max(own.and_then(|own| own.non_directory.max(own.whiteout)));
        for (layer, captured) in self.layers.iter().enumerate().rev() {
            let passed = &captured.capture.hidden_by_files;
            if !look(layer, captured)
                || Some(layer) <= covered_by
                || ancestors.iter().any(|&ancestor| contains(passed, ancestor))
            {
                return;
            }
        }
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    fn insert(&mut self, entry: &'a Entry, place: Place) {
        let mut id = Self::ROOT;
        for name in entry.path.components() {
            id = self.child_or_new(id, name);
        }
        let Some(node) = self.nodes.get_mut(id.0 as usize) else { return };
        match entry.kind {
            EntryKind::File(_) | EntryKind::Symlink(_) | EntryKind::HardLink(_) => {
                node.newest = Some(place);
                node.hiders.non_directory = Some(place.layer);
            }
            EntryKind::Whiteout => node.hiders.whiteout = Some(place.layer),
            EntryKind::Opaque => node.hiders.opaque = Some(place.layer),
        }
    }

    fn child_or_new(&mut self, parent: NodeId, name: &'a str) -> NodeId {
        if let Some(id) = self.child(parent, name) {
            return id;
        }
        // Captures are bounded far below that.
        let Ok(next) = u32::try_from(self.nodes.len()) else { return parent };
        let hash = self.node(parent).map_or(PathHash::ROOT, |node| node.hash).child(name);
        let (newest, hiders) = (None, Hiders::default());
        self.nodes.push(Node { parent, hash, newest, hiders, is_visible: false });
        self.children.insert((parent, name), NodeId(next));
        NodeId(next)
    }

    /// Enters what the layers have at the tree's paths without having kept it.
    fn take_hashes(&mut self) {
        let mut newest: HashMap<u64, (Option<usize>, Option<usize>)> =
            self.nodes.iter().map(|node| (node.hash.value(), (None, None))).collect();
        for (layer, captured) in self.layers.iter().enumerate() {
            for hash in &captured.capture.hidden_by_files {
                if let Some((file, _)) = newest.get_mut(hash) {
                    *file = Some(layer);
                }
            }
            for hash in &captured.capture.hidden_by_directories {
                if let Some((_, directory)) = newest.get_mut(hash) {
                    *directory = Some(layer);
                }
            }
        }
        for node in &mut self.nodes {
            if let Some(&(file, directory)) = newest.get(&node.hash.value()) {
                node.hiders.non_directory = node.hiders.non_directory.max(file);
                node.hiders.directory = directory;
            }
        }
    }

    /// Carries what hides downwards, and decides what is visible. A parent always comes before its children.
    fn settle(&mut self) {
        for i in 0..self.nodes.len() {
            let above = self
                .nodes
                .get(i)
                .filter(|_| i > 0)
                .and_then(|node| self.node(node.parent))
                .and_then(|parent| parent.hiders.below());
            if let Some(node) = self.nodes.get_mut(i) {
                node.hiders.above = above;
                node.is_visible = node.newest.is_some_and(|place| node.hiders.at() <= Some(place.layer));
            }
        }
    }
}

fn contains(sorted: &[u64], hash: u64) -> bool {
    sorted.binary_search(&hash).is_ok()
}
