//! A tree out of a graph with cycles: every way through the graph, cut where it would come back to where it has been.
//!
//! Written out, such a tree may be far larger than the graph, so equal parts are made once and shared. What is below
//! a node depends on the way to it only as far as the way can come back: on what it has met of the same cycle (of the
//! same strongly connected component). Outside of cycles each node is made once.

use std::collections::{HashMap, HashSet};

use super::Unreadable;
use crate::tree::{NodeIndex, Tree, TreeNode};

/// Nodes of one tree, at most, and edges of it. Only cycles through very many packages reach it.
const MAX_NODES: usize = 200_000;
const MAX_EDGES: usize = 2_000_000;

/// A graph, by number of node.
pub(super) struct Shape<'a> {
    /// What each node leads to, in order.
    pub(super) children: &'a [Vec<usize>],
    /// Nodes of one identity don't come twice on a way. Numbers below the number of nodes.
    pub(super) identity: &'a [usize],
    /// Makes the tree's node, without children.
    pub(super) node: &'a dyn Fn(usize) -> TreeNode,
    /// Makes the leaf where a way comes back to a node, if there is to be one.
    pub(super) cut: Option<&'a dyn Fn(usize) -> TreeNode>,
}

/// What has been made so far, to be shared.
pub(super) struct Unroll<'a> {
    shape: Shape<'a>,
    /// The strongly connected component of each identity.
    component: Vec<usize>,
    made: HashMap<(usize, Vec<usize>), NodeIndex>,
    leaves: HashMap<usize, NodeIndex>,
    reached: HashSet<usize>,
    n_edges: usize,
}

/// A node whose children are being made.
struct Open {
    node: usize,
    /// Identities of the same component on the way to it, itself included, sorted.
    way: Vec<usize>,
    waiting: std::vec::IntoIter<usize>,
    children: Vec<NodeIndex>,
}

impl<'a> Unroll<'a> {
    /// Begins with a graph of which nothing has been made.
    pub(super) fn new(shape: Shape<'a>) -> Self {
        let component = components(&shape);
        Self {
            shape,
            component,
            made: HashMap::new(),
            leaves: HashMap::new(),
            reached: HashSet::new(),
            n_edges: 0,
        }
    }

    /// Makes the tree below a node to which no way leads, or finds it made.
    pub(super) fn make(&mut self, tree: &mut Tree, start: usize) -> Result<NodeIndex, Unreadable> {
        let way = vec![self.identity(start)];
        if let Some(&made) = self.made.get(&(start, way.clone())) {
            return Ok(made);
        }
        let mut open = vec![self.open(start, way)];
        loop {
            let Some(top) = open.last_mut() else { return Err(Self::limit()) };
            if let Some(child) = top.waiting.next() {
                self.n_edges += 1;
                let identity = self.shape.identity.get(child).copied().unwrap_or(child);
                if top.way.binary_search(&identity).is_ok() {
                    let Some(cut) = self.shape.cut else { continue };
                    let leaf = *self.leaves.entry(child).or_insert_with(|| tree.insert(cut(child)));
                    top.children.push(leaf);
                    continue;
                }
                let way =
                    if self.component.get(identity) == top.way.first().and_then(|&i| self.component.get(i)) {
                        let mut way = top.way.clone();
                        way.insert(way.partition_point(|&on_way| on_way < identity), identity);
                        self.n_edges += way.len();
                        way
                    } else {
                        vec![identity]
                    };
                if self.n_edges > MAX_EDGES || tree.len() >= MAX_NODES {
                    return Err(Self::limit());
                }
                let key = (child, way);
                if let Some(&made) = self.made.get(&key) {
                    top.children.push(made);
                } else {
                    open.push(self.open(child, key.1));
                }
                continue;
            }
            let Some(done) = open.pop() else { return Err(Self::limit()) };
            let made = tree.insert(TreeNode { children: done.children, ..(self.shape.node)(done.node) });
            self.reached.insert(done.node);
            self.made.insert((done.node, done.way), made);
            match open.last_mut() {
                Some(parent) => parent.children.push(made),
                None => return Ok(made),
            }
        }
    }

    /// Whether the node is somewhere in what has been made.
    pub(super) fn has_reached(&self, node: usize) -> bool {
        self.reached.contains(&node)
    }

    fn identity(&self, node: usize) -> usize {
        self.shape.identity.get(node).copied().unwrap_or(node)
    }

    fn open(&self, node: usize, way: Vec<usize>) -> Open {
        let waiting = self.shape.children.get(node).cloned().unwrap_or_default().into_iter();
        Open { node, way, waiting, children: Vec::new() }
    }

    fn limit() -> Unreadable {
        Unreadable::limit("the packages depend on each other in more ways than are followed")
    }
}

/// The strongly connected components of the identities (Tarjan's algorithm, with a stack of its own instead of
/// recursion), as a number for each.
fn components(shape: &Shape<'_>) -> Vec<usize> {
    let n = shape.children.len();
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); n];
    for (node, children) in shape.children.iter().enumerate() {
        let Some(list) = shape.identity.get(node).and_then(|&from| edges.get_mut(from)) else { continue };
        list.extend(children.iter().filter_map(|&child| shape.identity.get(child)));
    }
    let mut search =
        Tarjan { order: vec![None; n], low: vec![0; n], component: vec![None; n], ..Tarjan::default() };
    for start in 0..n {
        search.run(start, &edges);
    }
    search.component.into_iter().map(Option::unwrap_or_default).collect()
}

#[derive(Default)]
struct Tarjan {
    /// When each was met.
    order: Vec<Option<usize>>,
    /// The earliest that each can come back to.
    low: Vec<usize>,
    component: Vec<Option<usize>>,
    /// Met, and not yet in a component.
    pending: Vec<usize>,
    n_met: usize,
    n_components: usize,
}

impl Tarjan {
    #[expect(
        clippy::indexing_slicing,
        reason = "identities are below the number of nodes, as are the lists' lengths"
    )]
    fn run(&mut self, start: usize, edges: &[Vec<usize>]) {
        if self.order[start].is_some() {
            return;
        }
        self.meet(start);
        let mut open = vec![(start, 0)];
        while let Some((node, next)) = open.last_mut() {
            let node = *node;
            if let Some(&child) = edges[node].get(*next) {
                *next += 1;
                match self.order[child] {
                    None => {
                        self.meet(child);
                        open.push((child, 0));
                    }
                    Some(met) if self.component[child].is_none() => {
                        self.low[node] = self.low[node].min(met);
                    }
                    Some(_) => {}
                }
                continue;
            }
            open.pop();
            if let Some(&(parent, _)) = open.last() {
                self.low[parent] = self.low[parent].min(self.low[node]);
            }
            if Some(self.low[node]) == self.order[node] {
                while let Some(member) = self.pending.pop() {
                    self.component[member] = Some(self.n_components);
                    if member == node {
                        break;
                    }
                }
                self.n_components += 1;
            }
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "identities are below the number of nodes, as are the lists' lengths"
    )]
    fn meet(&mut self, node: usize) {
        self.order[node] = Some(self.n_met);
        self.low[node] = self.n_met;
        self.n_met += 1;
        self.pending.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tree: &Tree, node: NodeIndex) -> String {
        let below: Vec<String> = tree[node].children.iter().map(|&child| text(tree, child)).collect();
        format!("{}({})", tree[node].name, below.join(" "))
    }

    fn unroll(children: &[Vec<usize>], identity: &[usize], has_leaves: bool) -> (String, usize) {
        let node = |n: usize| TreeNode { name: n.to_string(), ..TreeNode::default() };
        let cut = |n: usize| TreeNode { name: format!("{n}!"), ..TreeNode::default() };
        let cut: Option<&dyn Fn(usize) -> TreeNode> = if has_leaves { Some(&cut) } else { None };
        let mut tree = Tree::default();
        let mut unroll = Unroll::new(Shape { children, identity, node: &node, cut });
        let root = unroll.make(&mut tree, 0).unwrap();
        (text(&tree, root), tree.len())
    }

    #[test]
    fn a_way_that_comes_back_is_cut_with_or_without_a_leaf() {
        let children = [vec![1, 2], vec![0, 2], vec![1]];
        assert_eq!(unroll(&children, &[0, 1, 2], true).0, "0(1(0!() 2(1!())) 2(1(0!() 2!())))");
        assert_eq!(unroll(&children, &[0, 1, 2], false).0, "0(1(2()) 2(1()))");
    }

    #[test]
    fn nodes_of_one_identity_do_not_come_twice_on_a_way() {
        assert_eq!(unroll(&[vec![1], vec![2], vec![]], &[0, 1, 0], false).0, "0(1())");
    }

    #[test]
    fn what_lies_outside_of_cycles_is_made_once_however_many_ways_lead_to_it() {
        // A ladder of diamonds: two to the power of 1000 ways.
        let n = 3000;
        let children: Vec<Vec<usize>> = (0..n)
            .map(|node| match node % 3 {
                0 => vec![node + 1, node + 2],
                1 => vec![node + 2],
                _ => vec![node + 1],
            })
            .map(|list| list.into_iter().filter(|&child| child < n).collect())
            .collect();
        let identity: Vec<usize> = (0..n).collect();
        let node = |n: usize| TreeNode { name: n.to_string(), ..TreeNode::default() };
        let mut tree = Tree::default();
        Unroll::new(Shape { children: &children, identity: &identity, node: &node, cut: None })
            .make(&mut tree, 0)
            .unwrap();
        assert_eq!(tree.len(), n);
    }

    #[test]
    fn a_graph_in_which_everything_leads_to_everything_ends_at_the_limit() {
        let n = 40;
        let children: Vec<Vec<usize>> = (0..n).map(|_| (0..n).collect()).collect();
        let identity: Vec<usize> = (0..n).collect();
        let node = |n: usize| TreeNode { name: n.to_string(), ..TreeNode::default() };
        let mut tree = Tree::default();
        let made =
            Unroll::new(Shape { children: &children, identity: &identity, node: &node, cut: Some(&node) })
                .make(&mut tree, 0);
        assert!(made.is_err());
        assert!(tree.len() <= MAX_NODES);
    }
}
