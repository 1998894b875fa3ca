//! Projects with lock files as npm 5 and 6 write them.

use super::super::tests::project;
use super::*;
use crate::application::{Application, Content};
use crate::tree::NodeIndex;

/// The tree below the root, one line a package.
fn lines(application: &Application) -> Vec<String> {
    let Content::Dependencies { dependencies: Dependencies::Tree(tree), .. } = &application.content else {
        panic!("a tree")
    };
    let mut lines = Vec::new();
    let mut open: Vec<(usize, NodeIndex)> = tree.root().iter().rev().map(|&node| (0, node)).collect();
    while let Some((depth, place)) = open.pop() {
        let node = &tree[place];
        let labels: Vec<&str> = node.labels.values().map(String::as_str).collect();
        let version = node.version.as_deref().unwrap_or_default();
        lines.push(format!("{}{}@{version} {}", "  ".repeat(depth), node.name, labels.join(" ")));
        open.extend(node.children.iter().rev().map(|&child| (depth + 1, child)));
    }
    lines
}

#[track_caller]
fn check(manifest: &str, lock: &str, expected: &[&str]) {
    let application = project("package-lock.json", manifest, lock).unwrap();
    assert_eq!(lines(&application), expected);
}

#[test]
fn requirements_are_looked_for_in_the_package_and_then_further_and_further_up() {
    check(
        r#"{"dependencies":{"a":"^1.0.0","b":"1"},"optionalDependencies":{"o":"2"},"devDependencies":{"b":"1"}}"#,
        r#"{"lockfileVersion":1,"requires":true,"dependencies":{
            "a":{"version":"1.1.0","requires":{"ms":"2.0.0","b":"1","gone":"^7"},
              "dependencies":{"ms":{"version":"2.0.0"},"x":{"version":"1.0.0"}}},
            "b":{"version":"1.0.0","dev":true,"requires":{"ms":"^1","x":"1"}},
            "ms":{"version":"1.0.0"}}}"#,
        &[
            "a@1.1.0 prod",
            "  ms@2.0.0 prod",
            "  b@1.0.0 dev",
            "    ms@1.0.0 prod",
            "    x@1 true prod",
            "  gone@^7 true prod",
            "b@1.0.0 dev",
            "  ms@1.0.0 prod",
            "  x@1 true prod",
            "o@2 true prod",
        ],
    );
}

#[test]
fn a_package_that_comes_again_on_its_own_way_is_a_leaf() {
    check(
        r#"{"dependencies":{"d":"1"}}"#,
        r#"{"dependencies":{"d":{"version":"1.0.2","requires":{"es5-ext":"^0.10"}},
            "es5-ext":{"version":"0.10.64","requires":{"d":"1","es6-symbol":"3"}},
            "es6-symbol":{"version":"3.1.4","requires":{"d":"1"}}}}"#,
        &[
            "d@1.0.2 prod",
            "  es5-ext@0.10.64 prod",
            "    d@1.0.2 cyclic prod",
            "    es6-symbol@3.1.4 prod",
            "      d@1.0.2 cyclic prod",
        ],
    );
}

#[test]
fn peers_count_in_files_without_a_version_unless_they_are_optional() {
    let manifest = r#"{"dependencies":{"a":"1"},"peerDependencies":{"p":"1","q":"1"},
        "peerDependenciesMeta":{"q":{"optional":true}}}"#;
    let locked =
        r#""dependencies":{"a":{"version":"1.0.0"},"p":{"version":"1.0.0"},"q":{"version":"1.0.0"}}"#;
    check(manifest, &format!("{{{locked}}}"), &["a@1.0.0 prod", "p@1.0.0 prod"]);
    check(manifest, &format!(r#"{{"lockfileVersion":1,{locked}}}"#), &["a@1.0.0 prod"]);
}

#[test]
fn without_dependencies_there_is_nothing_but_the_root() {
    for manifest in
        [r#"{"optionalDependencies":{"a":"1"}}"#, r#"{"dependencies":{},"optionalDependencies":{"a":"1"}}"#]
    {
        check(manifest, r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0"}}}"#, &[]);
    }
}

#[test]
fn an_alias_is_reported_as_it_is_written_and_listed_as_what_it_is() {
    let application = project(
        "package-lock.json",
        r#"{"dependencies":{"lodash3":"npm:lodash@3.10.1","gone":"1"}}"#,
        r#"{"lockfileVersion":1,"dependencies":{"lodash3":{"version":"npm:lodash@3.10.1","requires":{"lodash3":"*"}}}}"#,
    )
    .unwrap();
    assert_eq!(
        lines(&application),
        ["lodash3@npm:lodash@3.10.1 prod", "  lodash3@npm:lodash@3.10.1 cyclic prod", "gone@1 true prod"]
    );
    let components: Vec<_> =
        application.components.iter().map(|c| (c.name.as_str(), c.version.as_deref())).collect();
    assert_eq!(components, [("lodash", Some("3.10.1"))]);
}

#[test]
fn packages_that_all_require_each_other_end_at_the_limit() {
    let names: Vec<String> = (0..60).map(|n| format!("p{n}")).collect();
    let requires: Vec<String> = names.iter().map(|name| format!(r#""{name}":"*""#)).collect();
    let requires = requires.join(",");
    let packages: Vec<String> = names
        .iter()
        .map(|name| format!(r#""{name}":{{"version":"1.0.0","requires":{{{requires}}}}}"#))
        .collect();
    let lock = format!(r#"{{"lockfileVersion":1,"dependencies":{{{}}}}}"#, packages.join(","));
    let gaps =
        project("package-lock.json", &format!(r#"{{"dependencies":{{{requires}}}}}"#), &lock).unwrap_err();
    assert_eq!(gaps[0].code, "dependency_limit_reached");
}
