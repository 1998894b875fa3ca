//! Packages that lie there and that nothing depends on.

use std::collections::{HashMap, HashSet};

use super::super::Unreadable;
use super::super::unroll::Unroll;
use super::physical::Physical;
use crate::tree::{NodeIndex, Tree};

/// Adds packages to the tree where they lie.
#[derive(Default)]
pub(super) struct Extraneous {
    passed_over: HashSet<usize>,
    /// The tree's node for a package in its place, which is there once.
    places: HashMap<usize, Option<NodeIndex>>,
    /// Children of the root and of those nodes by name: the place among the children.
    names: HashMap<Option<NodeIndex>, HashMap<String, usize>>,
}

impl Extraneous {
    /// Leaves out what is installed below that package.
    pub(super) fn pass_over(&mut self, package: usize) {
        self.passed_over.insert(package);
    }

    /// Attaches a node to another, or to the root. One of the same name is replaced.
    pub(super) fn attach(&mut self, tree: &mut Tree, parent: Option<NodeIndex>, node: NodeIndex) {
        let name = tree[node].name.clone();
        let next = parent.map_or(tree.root().len(), |parent| tree[parent].children.len());
        let place = *self.names.entry(parent).or_default().entry(name).or_insert(next);
        let Some(parent) = parent else { return tree.attach_to_root(node) };
        match tree[parent].children.get_mut(place) {
            Some(child) => *child = node,
            None => tree[parent].children.push(node),
        }
    }

    /// Adds all packages that no way leads to, each with its own dependencies, which then are not extraneous.
    pub(super) fn add(
        &mut self,
        physical: &Physical<'_>,
        unroll: &mut Unroll<'_>,
        tree: &mut Tree,
    ) -> Result<(), Unreadable> {
        let children = |number: usize| {
            physical.0.get(number).map(|package| package.children.iter().rev().copied()).into_iter().flatten()
        };
        let mut open: Vec<usize> = children(0).collect();
        while let Some(number) = open.pop() {
            if self.passed_over.contains(&number) {
                continue;
            }
            if !unroll.has_reached(number) {
                let made = unroll.make(tree, number)?;
                let parent = physical.0.get(number).and_then(|package| package.parent);
                let place = self.place(physical, tree, parent.unwrap_or(0));
                self.attach(tree, place, made);
            }
            open.extend(children(number));
        }
        Ok(())
    }

    /// The node of a package in its place: below the node of the package that it lies in, by its name. Where that has
    /// no such node, it is itself the place. Paths are bounded, and so is the way down.
    fn place(&mut self, physical: &Physical<'_>, tree: &mut Tree, package: usize) -> Option<NodeIndex> {
        let mut way = Vec::new();
        let mut above = Some(package).filter(|&number| number != 0);
        while let Some(number) = above.filter(|number| !self.places.contains_key(number)) {
            way.push(number);
            above = physical.0.get(number).and_then(|package| package.parent).filter(|&parent| parent != 0);
        }
        let mut place = above.and_then(|number| self.places.get(&number).copied()).flatten();
        for number in way.into_iter().rev() {
            let name = physical.0.get(number).map_or("", |package| package.name);
            if let Some(shared) = self.child(tree, place, name) {
                // Others may share the node: what is added to it here isn't there.
                let mut own = tree[shared].clone();
                let children = std::mem::take(&mut own.children);
                let own = tree.insert(own);
                for child in children {
                    self.attach(tree, Some(own), child);
                }
                self.attach(tree, place, own);
                place = Some(own);
            }
            self.places.insert(number, place);
        }
        place
    }

    fn child(&self, tree: &Tree, parent: Option<NodeIndex>, name: &str) -> Option<NodeIndex> {
        let place = *self.names.get(&parent)?.get(name)?;
        parent.map_or(tree.root(), |parent| &tree[parent].children).get(place).copied()
    }
}
