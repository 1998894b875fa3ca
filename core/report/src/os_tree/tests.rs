use std::collections::BTreeSet;

use proptest::prelude::*;
use regent_scan::{PackageDetail, Source};
use serde_json::json;

use super::*;
use crate::graph::{DepGraph, PackageInfo, PackageManager};

/// `name[=source][!] [dependency …] [+provided …]`; `!` marks what was installed automatically.
fn package(text: &str) -> Package {
    let mut words = text.split(' ');
    let first = words.next().unwrap();
    let auto_installed = first.ends_with('!');
    let (name, source) =
        first.trim_end_matches('!').split_once('=').unwrap_or((first.trim_end_matches('!'), ""));
    let (provides, depends): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with('+'));
    Package {
        source: Some(Source { name: source.into(), version: None }).filter(|s| !s.name.is_empty()),
        provides: provides.iter().map(|p| p.trim_start_matches('+').to_owned()).collect(),
        depends: depends.into_iter().map(str::to_owned).collect(),
        auto_installed,
        ..Package::new(name, Some("1".into()), PackageDetail::Deb)
    }
}

/// The tree as text: `a(b(c) d) b`, names without a URL marked `°`.
fn drawn(tree: &Tree, nodes: &[NodeIndex]) -> String {
    let draw = |&node: &NodeIndex| {
        let TreeNode { name, purl, children, .. } = &tree[node];
        let mark = if purl.is_some() { "" } else { "°" };
        if children.is_empty() {
            format!("{name}{mark}")
        } else {
            format!("{name}{mark}({})", drawn(tree, children))
        }
    };
    nodes.iter().map(draw).collect::<Vec<_>>().join(" ")
}

fn grown(packages: &[Package]) -> Tree {
    os_tree(packages, |package| Some(package.name.clone()))
}

#[test]
fn packages_are_expanded_where_they_are_met_first() {
    let rows: [(&str, &[&str], &str); 14] = [
        ("no packages", &[], ""),
        ("a dependency is below and beside", &["a b", "b"], "a(b) b"),
        ("the second place is a leaf", &["a c", "b c", "c d", "d"], "a(c(d)) b(c) c d"),
        ("an unknown dependency is nothing", &["a x"], "a"),
        ("a dependency on itself is dropped", &["a a"], "a"),
        ("a cycle is cut where it closes", &["a b", "b c", "c a"], "a(b(c)) b c"),
        ("what was reached automatically isn't at the root", &["a b", "b! c", "c!"], "a(b(c))"),
        ("what was not reached is", &["b! c", "c!", "a"], "a b(c) c"),
        ("a virtual name is resolved", &["a v", "b +v"], "a(b) b"),
        ("a real name wins over a virtual one", &["a b", "c +b", "b"], "a(b) c b"),
        ("the later provider wins", &["a v", "b +v", "c +v"], "a(c) b c"),
        ("names carry their source", &["a=s b", "b=t"], "s/a(t/b) t/b"),
        ("a name listed twice ends as a leaf", &["a b", "a b", "b"], "a b"),
        ("what was below it is kept", &["a b", "a b", "b! c", "c!"], "a b c"),
    ];
    for (name, packages, expected) in rows {
        let packages: Vec<Package> = packages.iter().map(|p| package(p)).collect();
        let tree = grown(&packages);
        assert_eq!(drawn(&tree, tree.root()), expected, "{name}");
    }
}

#[test]
fn a_too_frequent_package_is_at_the_root_without_edges_and_url() {
    let mut packages: Vec<Package> = (0..100).map(|n| package(&format!("p{n} lib"))).collect();
    packages.extend([package("lib deep"), package("deep!")]);
    let tree = grown(&packages);
    let root = drawn(&tree, tree.root());
    assert!(root.starts_with("p0 p1 p2 "), "{root}");
    assert!(root.ends_with("p99 lib° deep°"), "{root}");

    packages.remove(0);
    let tree = grown(&packages);
    let root = drawn(&tree, tree.root());
    assert!(root.starts_with("p1(lib) p2(lib)"), "{root}");
    assert!(root.ends_with("p99(lib) lib deep°"), "{root}");
}

#[test]
fn a_thousand_layers_of_diamonds_become_a_tree_at_once() {
    let layer = |n: usize| [format!("a{n} a{0} b{0}", n + 1), format!("b{n} a{0} b{0}", n + 1)];
    let packages: Vec<Package> = (0..1000).flat_map(layer).map(|text| package(&text)).collect();
    assert_eq!(grown(&packages).root().len(), 2000);
}

#[test]
fn a_package_without_version_has_an_empty_one() {
    let tree = grown(&[Package { version: None, ..package("a") }]);
    assert_eq!(tree[tree.root()[0]].version.as_deref(), Some(""));
}

#[test]
fn what_rpm_packages_need_is_not_reported() {
    let detail = PackageDetail::Rpm { epoch: None, modularity: None, source_rpm: None };
    let packages = ["a b", "b"].map(|text| Package { detail: detail.clone(), ..package(text) });
    let tree = grown(&packages);
    assert_eq!(drawn(&tree, tree.root()), "a b");
}

proptest! {
    #[test]
    fn every_package_is_reported_once_in_a_well_formed_graph(
        lists in prop::collection::vec((0_usize..12, prop::collection::vec(0_usize..14, 0..6), any::<bool>()), 0..16),
    ) {
        let packages: Vec<Package> = lists
            .iter()
            .map(|(name, depends, auto_installed)| Package {
                depends: depends.iter().map(|d| format!("p{d}")).collect(),
                auto_installed: *auto_installed,
                ..package(&format!("p{name} +p{}", 12 + name % 2))
            })
            .collect();
        let root = PackageInfo { name: "root".into(), version: None, purl: None };
        let manager = PackageManager { name: "deb", repositories: vec![] };
        let graph = json!(DepGraph::fold(&grown(&packages), root, manager));
        crate::graph::tests::check_well_formed(&graph);
        let mut reported: Vec<String> =
            graph["pkgs"].as_array().unwrap().iter().skip(1).map(|p| p["info"]["name"].as_str().unwrap().to_owned()).collect();
        reported.sort();
        let listed: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
        prop_assert_eq!(reported, listed.into_iter().map(str::to_owned).collect::<Vec<_>>());
    }
}
