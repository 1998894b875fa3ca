//! Components of what is already a graph or a tree.

use std::collections::HashMap;

use crate::application::{Component, Ecosystem};
use crate::graph::{Graph, GraphPlace};
use crate::path::LayerPath;
use crate::tree::{NodeIndex, Tree};

/// The distinct packages of a graph, with their dependencies. The full name's part before the last slash becomes the
/// namespace.
pub(crate) fn of_graph(
    graph: &Graph,
    ecosystem: Ecosystem,
    evidence: &[LayerPath],
    layer: usize,
) -> Vec<Component> {
    let mut list = Distinct::new(ecosystem, evidence, layer);
    let places: HashMap<GraphPlace, usize> =
        graph.nodes().map(|(place, node)| (place, list.place(&node.name, node.version.as_deref()))).collect();
    for (place, _) in graph.nodes() {
        for child in graph.depends(place) {
            list.connect(places.get(&place), places.get(child));
        }
    }
    list.components
}

/// The distinct packages of a tree, likewise.
pub(crate) fn of_tree(
    tree: &Tree,
    ecosystem: Ecosystem,
    evidence: &[LayerPath],
    layer: usize,
) -> Vec<Component> {
    let mut list = Distinct::new(ecosystem, evidence, layer);
    let mut open: Vec<(NodeIndex, usize)> = Vec::new();
    for &node in tree.root() {
        open.push((node, list.place(&tree[node].name, tree[node].version.as_deref())));
    }
    while let Some((node, place)) = open.pop() {
        for &child in &tree[node].children {
            let child_place = list.place(&tree[child].name, tree[child].version.as_deref());
            list.connect(Some(&place), Some(&child_place));
            open.push((child, child_place));
        }
    }
    list.components
}

struct Distinct<'a> {
    ecosystem: Ecosystem,
    evidence: &'a [LayerPath],
    layer: usize,
    components: Vec<Component>,
    places: HashMap<(String, Option<String>), usize>,
    edges: std::collections::HashSet<(usize, usize)>,
}

impl<'a> Distinct<'a> {
    fn new(ecosystem: Ecosystem, evidence: &'a [LayerPath], layer: usize) -> Self {
        let (components, places, edges) = (Vec::new(), HashMap::new(), std::collections::HashSet::new());
        Self { ecosystem, evidence, layer, components, places, edges }
    }

    fn place(&mut self, name: &str, version: Option<&str>) -> usize {
        let version = version.filter(|version| !version.is_empty()).map(str::to_owned);
        *self.places.entry((name.to_owned(), version)).or_insert_with_key(|(name, version)| {
            let component = Component {
                evidence: self.evidence.to_vec(),
                ..Component::new(self.ecosystem, "", version.clone(), LayerPath::new("/"), self.layer)
            };
            self.components.push(component.with_full_name(name));
            self.components.len() - 1
        })
    }

    fn connect(&mut self, parent: Option<&usize>, child: Option<&usize>) {
        let (Some(&parent), Some(&child)) = (parent, child) else { return };
        if parent != child
            && self.edges.insert((parent, child))
            && let Some(component) = self.components.get_mut(parent)
        {
            component.depends.push(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_several_nodes_is_one_component_with_all_its_dependencies() {
        let mut graph = Graph::default();
        let mut add = |id: &str, name: &str| graph.add(id, name, Some("1"), []).unwrap();
        let (first, second) = (add("a|1", "@s/a"), add("a|2", "@s/a"));
        let (b, c) = (add("b", "b"), add("c", "c"));
        for (parent, child) in [(first, b), (second, c), (second, b), (second, second)] {
            graph.connect(Some(parent), child);
        }
        let components = of_graph(&graph, Ecosystem::Npm, &[LayerPath::new("/lock")], 2);
        assert_eq!(components.len(), 3);
        assert_eq!((components[0].namespace.as_deref(), components[0].name.as_str()), (Some("@s"), "a"));
        assert_eq!(components[0].depends, [1, 2]);
        assert_eq!((components[0].layer, components[0].evidence.len()), (2, 1));
    }
}
