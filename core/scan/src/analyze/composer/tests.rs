//! Composer locks, as Composer writes them.

use super::super::tests::{file, overlay_of};
use super::*;
use crate::interest::Interest;

fn findings(manifest: &str, lock: &str) -> Findings {
    let files =
        vec![file("/app/composer.json", manifest.as_bytes()), file("/app/composer.lock", lock.as_bytes())];
    crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
}

const MANIFEST: &str =
    r#"{"name":"acme/app","require":{"php":">=8.1","monolog/monolog":"^3.0"},"require-dev":{"a/dev":"*"}}"#;
const LOCK: &str = r#"{"packages":[
  {"name":"monolog/monolog","version":"v3.5.0","license":["MIT"],"require":{"php":">=8.1","psr/log":"^3.0"}},
  {"name":"psr/log","version":"dev-main","extra":{"branch-alias":{"dev-main":"3.x-dev"}},"require":{"monolog/monolog":"*"}}
]}"#;

#[test]
fn the_tree_has_constraints_for_what_is_not_locked_and_components_are_what_is_locked() {
    let findings = findings(MANIFEST, LOCK);
    assert_eq!(findings.gaps, []);
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    assert_eq!(application.target_file, "/app/composer.lock");
    let Content::Dependencies { root, dependencies: Dependencies::Tree(tree), .. } = &application.content
    else {
        panic!("a tree")
    };
    assert_eq!((root.name.as_str(), root.version.as_deref()), ("acme/app", Some("0.0.0")));
    let text = |node: NodeIndex| format!("{}@{}", tree[node].name, tree[node].version.as_deref().unwrap());
    let direct: Vec<_> = tree.root().iter().map(|&node| text(node)).collect();
    assert_eq!(direct, ["php@>=8.1", "monolog/monolog@3.5.0"]);
    let below: Vec<_> = tree.below(tree.root()[1]).into_iter().map(text).collect();
    assert_eq!(
        below,
        ["php@>=8.1", "psr/log@3.x-dev", "monolog/monolog@3.5.0"],
        "recursion stops at a name on the path"
    );
    let names: Vec<_> =
        application.components.iter().map(|c| (c.name.as_str(), c.version.as_deref())).collect();
    assert_eq!(names, [("monolog", Some("3.5.0")), ("log", Some("dev-main"))]);
    assert_eq!(application.components[0].depends, [1]);
    assert_eq!(application.components[0].licenses, ["MIT"]);
}

#[test]
fn a_damaged_file_costs_its_project_only_and_is_named() {
    for (manifest, lock, path) in [("{", LOCK, "/app/composer.json"), (MANIFEST, "[", "/app/composer.lock")] {
        let findings = findings(manifest, lock);
        assert_eq!(findings.applications.len(), 0);
        let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
        assert_eq!(gaps, [(path, "file_unreadable")]);
    }
}

#[test]
fn a_lock_without_packages_is_no_application() {
    let findings = findings(MANIFEST, r#"{"packages-dev":[]}"#);
    assert_eq!((findings.applications.len(), findings.gaps.len()), (0, 0));
}

#[test]
fn a_lock_in_which_everything_needs_everything_ends_within_its_limits() {
    let names: Vec<String> = (0..400).map(|n| format!("a/p{n}")).collect();
    let require: Vec<String> = names.iter().map(|name| format!(r#""{name}":"*""#)).collect();
    let require = require.join(",");
    let packages: Vec<String> = names
        .iter()
        .map(|name| format!(r#"{{"name":"{name}","version":"1","require":{{{require}}}}}"#))
        .collect();
    let lock = format!(r#"{{"packages":[{}]}}"#, packages.join(","));
    let findings = findings(&format!(r#"{{"require":{{{require}}}}}"#), &lock);
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    let Content::Dependencies { dependencies: Dependencies::Tree(tree), .. } = &application.content else {
        panic!("a tree")
    };
    assert_eq!((tree.len(), tree.root().len()), (400, 400));
    assert_eq!(findings.gaps[0].code, "dependency_limit_reached");
}

#[test]
fn of_several_licences_one_may_be_chosen() {
    let rows: [(&[&str], &[&str]); 4] = [
        (&[], &[]),
        (&["MIT"], &["MIT"]),
        (&["LGPL-2.1-only", "GPL-3.0-or-later"], &["LGPL-2.1-only OR GPL-3.0-or-later"]),
        (&["MIT and ISC", "Zlib"], &["(MIT and ISC) OR Zlib"]),
    ];
    for (list, expected) in rows {
        assert_eq!(one_of(list), expected);
    }
}
