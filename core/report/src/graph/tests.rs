use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn fold(tree: &Tree) -> Value {
    let root = PackageInfo { name: "docker-image|demo".into(), version: Some("v1".into()), purl: None };
    let manager =
        PackageManager { name: "deb", repositories: vec![Repository { alias: "debian:12".into() }] };
    json!(DepGraph::fold(tree, root, manager))
}

fn node(name: &str, children: Vec<NodeIndex>) -> TreeNode {
    TreeNode { name: name.into(), version: Some("1".into()), children, ..TreeNode::default() }
}

#[test]
fn a_package_has_a_node_for_every_different_subtree() {
    let mut tree = Tree::default();
    let leaf = tree.insert(node("b", vec![]));
    let inner = tree.insert(TreeNode { purl: Some("pkg:b".into()), ..node("b", vec![]) });
    let with_b = tree.insert(node("a", vec![inner]));
    let inner = tree.insert(node("a", vec![]));
    let with_a = tree.insert(node("c", vec![inner]));
    for child in [with_a, with_b, leaf] {
        tree.attach_to_root(child);
    }
    let expected = json!({
        "schemaVersion": "1.3.0",
        "pkgManager": { "name": "deb", "repositories": [{ "alias": "debian:12" }] },
        "pkgs": [
            { "id": "docker-image|demo@v1", "info": { "name": "docker-image|demo", "version": "v1" } },
            { "id": "b@1", "info": { "name": "b", "version": "1", "purl": "pkg:b" } },
            { "id": "a@1", "info": { "name": "a", "version": "1" } },
            { "id": "c@1", "info": { "name": "c", "version": "1" } },
        ],
        "graph": {
            "rootNodeId": "root-node",
            "nodes": [
                {
                    "nodeId": "root-node", "pkgId": "docker-image|demo@v1",
                    "deps": [{ "nodeId": "a@1|1" }, { "nodeId": "b@1" }, { "nodeId": "c@1" }],
                },
                { "nodeId": "b@1", "pkgId": "b@1", "deps": [] },
                { "nodeId": "a@1|1", "pkgId": "a@1", "deps": [{ "nodeId": "b@1" }] },
                { "nodeId": "a@1|2", "pkgId": "a@1", "deps": [] },
                { "nodeId": "c@1", "pkgId": "c@1", "deps": [{ "nodeId": "a@1|2" }] },
            ],
        },
    });
    assert_eq!(fold(&tree), expected);
}

#[test]
fn labels_tell_nodes_apart() {
    let mut tree = Tree::default();
    let labelled = TreeNode { labels: [("dockerLayerId", "x".to_owned())].into(), ..node("a", vec![]) };
    let plain = tree.insert(node("a", vec![]));
    let parent = tree.insert(node("b", vec![plain]));
    let labelled = tree.insert(labelled);
    tree.attach_to_root(parent);
    tree.attach_to_root(labelled);
    let graph = fold(&tree);
    let nodes = graph["graph"]["nodes"].as_array().unwrap();
    let of_a: Vec<_> = nodes.iter().filter(|n| n["pkgId"] == "a@1").collect();
    assert_eq!(of_a[0]["info"], json!({ "labels": { "dockerLayerId": "x" } }));
    assert_eq!(of_a[1].get("info"), None);
}

#[test]
fn a_chain_of_twenty_thousand_packages_needs_no_stack() {
    let mut tree = Tree::default();
    let mut last = tree.insert(node("p", vec![]));
    for n in 0..20_000 {
        last = tree.insert(node(&format!("p{n}"), vec![last]));
    }
    tree.attach_to_root(last);
    assert_eq!(fold(&tree)["pkgs"].as_array().unwrap().len(), 20_002);
}

/// What consumers check before they read a graph.
pub(crate) fn check_well_formed(graph: &Value) {
    let ids = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    };
    let packages = ids(&graph["pkgs"], "id");
    let nodes = ids(&graph["graph"]["nodes"], "nodeId");
    let of: HashSet<String> = ids(&graph["graph"]["nodes"], "pkgId").into_iter().collect();
    assert_eq!(packages.iter().collect::<HashSet<_>>().len(), packages.len(), "a package id twice: {graph}");
    assert_eq!(nodes.iter().collect::<HashSet<_>>().len(), nodes.len(), "a node id twice: {graph}");
    assert_eq!(of, packages.into_iter().collect(), "packages without a node or the reverse: {graph}");
    let deps: HashMap<&str, Vec<String>> = graph["graph"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (n["nodeId"].as_str().unwrap(), ids(&n["deps"], "nodeId")))
        .collect();
    let mut reached = HashSet::new();
    let mut open = vec!["root-node".to_owned()];
    while let Some(id) = open.pop() {
        if reached.insert(id.clone()) {
            let next = &deps[id.as_str()];
            assert!(next.iter().all(|id| id != "root-node"), "an edge to the root: {graph}");
            assert_eq!(next.iter().collect::<HashSet<_>>().len(), next.len(), "an edge twice: {graph}");
            open.extend(next.iter().cloned());
        }
    }
    assert_eq!(reached.len(), nodes.len(), "an unreachable node: {graph}");
}

/// Names and versions that are out to collide in ids.
fn hostile() -> impl Strategy<Value = (String, String)> {
    let part =
        || prop::sample::select(vec!["a", "a@1", "1", "1|1", "1|2", "", "docker-image|demo", "v1", "1@2"]);
    (part(), part()).prop_map(|(name, version)| (name.to_owned(), version.to_owned()))
}

proptest! {
    #[test]
    fn a_graph_is_well_formed_whatever_names_it_gets(
        packages in prop::collection::vec((hostile(), prop::collection::vec(any::<prop::sample::Index>(), 0..4)), 1..12),
    ) {
        let mut tree = Tree::default();
        let mut nodes: Vec<NodeIndex> = Vec::new();
        for ((name, version), below) in packages {
            let children = below.iter().filter(|_| !nodes.is_empty()).map(|i| *i.get(&nodes)).collect();
            nodes.push(tree.insert(TreeNode { name, version: Some(version), children, ..TreeNode::default() }));
        }
        for node in nodes {
            tree.attach_to_root(node);
        }
        check_well_formed(&fold(&tree));
    }
}
