//! Walks through lock files that are made up: a map from a range to what it is locked to.

use std::fmt::Write as _;

use super::*;

/// Entries of `name version: dependency dependency`, each dependency wanted in any range.
struct Made(Vec<(String, String, Vec<String>)>);

impl Made {
    fn new(text: &str) -> Self {
        let entry = |line: &str| {
            let (package, depends) = line.split_once(':').unwrap();
            let (name, version) = package.trim().split_once(' ').unwrap();
            (name.to_owned(), version.to_owned(), depends.split_whitespace().map(str::to_owned).collect())
        };
        Self(text.lines().filter(|line| line.contains(':')).map(entry).collect())
    }

    fn graph(&self, direct: &[&str], own_id: Option<&str>) -> Graph {
        let direct: Vec<Wanted<'_>> = direct.iter().map(|name| (*name, "*")).collect();
        graph(self, &direct, own_id).unwrap()
    }
}

impl Locked for Made {
    fn find(&self, _: Option<usize>, (name, range): Wanted<'_>) -> Found {
        let entry = self.0.iter().position(|(known, _, _)| known == name);
        let version = entry.map_or(range, |entry| &self.0[entry].1).to_owned();
        Found {
            id: format!("{name}@{version}"),
            name: name.into(),
            version: Some(version),
            alias: None,
            entry,
        }
    }

    fn dependencies(&self, entry: usize) -> Vec<Wanted<'_>> {
        self.0[entry].2.iter().map(|name| (name.as_str(), "*")).collect()
    }

    fn package(&self, entry: usize) -> LockedPackage<'_> {
        LockedPackage { name: &self.0[entry].0, version: Some(&self.0[entry].1), hashes: BTreeSet::new() }
    }
}

/// Every node with what it depends on, the root first.
fn show(graph: &Graph) -> Vec<String> {
    let ids = |places: &[GraphPlace]| {
        places.iter().map(|place| graph.node(*place).unwrap().id.as_str()).collect::<Vec<_>>().join(" ")
    };
    let mut lines = vec![format!("root: {}", ids(graph.root()))];
    lines.extend(graph.nodes().map(|(place, node)| format!("{}: {}", node.id, ids(graph.depends(place)))));
    lines
}

#[test]
fn below_each_direct_dependency_a_package_is_expanded_once_and_pruned_where_it_comes_again() {
    let made = Made::new("a 1: c b\nb 1: c\nc 1: d\nd 1: a");
    let expected = [
        "root: a@1 b@1 x@*",
        "a@1: c@1 b@1 c@1:pruned b@1:pruned",
        "c@1: d@1",
        "d@1: a@1:pruned a@1",
        "a@1:pruned: ",
        "b@1: c@1:pruned c@1",
        "c@1:pruned: ",
        "b@1:pruned: ",
        "x@*: ",
    ];
    let graph = made.graph(&["a", "b", "x"], None);
    let mut found = show(&graph);
    found[1..].sort();
    let mut sorted = expected.to_vec();
    sorted[1..].sort_unstable();
    // Below `b` it goes b → c → d → a, whose own `c` and `b` are there already.
    assert_eq!(found, sorted);
    let pruned = graph.node(graph.find("c@1:pruned").unwrap()).unwrap();
    assert_eq!(pruned.labels, [("pruned", "true".to_owned()), ("scope", "prod".to_owned())].into());
}

#[test]
fn the_project_itself_is_a_leaf_among_its_dependencies() {
    let made = Made::new("a 1: own\nown 2: a");
    assert_eq!(
        show(&made.graph(&["a"], Some("own@2"))),
        ["root: a@1", "a@1: own@2:pruned", "own@2:pruned: "]
    );
    assert_eq!(show(&made.graph(&["own"], Some("own@2"))), ["root: own@2:pruned", "own@2:pruned: "]);
}

#[test]
fn a_lock_file_in_which_everything_needs_everything_ends_within_its_limits() {
    let names: Vec<String> = (0..140).map(|n| format!("p{n}")).collect();
    let mut text = String::new();
    for name in &names {
        writeln!(text, "{name} 1: {}", names.join(" ")).unwrap();
    }
    let direct: Vec<&str> = names.iter().map(String::as_str).collect();
    // 140 rounds of 19,600 steps are more than are taken.
    let graph = Made::new(&text).graph(&direct, None);
    assert_eq!(graph.root().len(), names.len());
    assert_eq!(graph.nodes().count(), 2 * names.len());
}

#[test]
fn a_long_chain_needs_no_stack() {
    let mut text = String::from("p0 1:\n");
    for n in 1..1000 {
        writeln!(text, "p{n} 1: p{}", n - 1).unwrap();
    }
    let graph = Made::new(&text).graph(&["p999"], None);
    assert_eq!(graph.nodes().count(), 1000);
}
