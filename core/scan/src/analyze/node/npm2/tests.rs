//! Projects with lock files as npm 7 and later write them.

use std::fmt::Write;

use super::super::tests::{edges, project};
use crate::application::HashAlgorithm;

fn lock(packages: &str) -> String {
    format!(r#"{{"name":"shop","lockfileVersion":3,"requires":true,"packages":{{{packages}}}}}"#)
}

#[track_caller]
fn check(manifest: &str, packages: &str, expected: &[&str]) {
    let application = project("package-lock.json", manifest, &lock(packages)).unwrap();
    assert_eq!(application.target_file, "/app/package.json");
    assert_eq!(edges(&application), expected);
}

#[test]
fn peers_count_and_what_is_for_development_does_not() {
    check(
        r#"{"name":"shop","version":"1.0.0","dependencies":{"a":"^1","both":"1"},"devDependencies":{"both":"1"},
            "optionalDependencies":{"o":"1"},"peerDependencies":{"p":"1"}}"#,
        r#""":{"name":"shop"},"node_modules/a":{"version":"1.5.0","dependencies":{"p":"*"},
             "devDependencies":{"x":"1"},"peerDependencies":{"y":"1"}},
           "node_modules/both":{"version":"1.0.0","dev":true},"node_modules/o":{"version":"1.0.0"},
           "node_modules/p":{"version":"1.9.0","dependencies":{"a":"*"}}"#,
        &[
            "shop@1.0.0 > a@1.5.0",
            "shop@1.0.0 > o@1.0.0",
            "shop@1.0.0 > p@1.9.0",
            "a@1.5.0 > p@1.9.0",
            "p@1.9.0 > a@1.5.0",
        ],
    );
}

#[test]
fn the_only_copy_is_taken_whatever_its_version_and_a_missing_one_has_its_range() {
    check(
        r#"{"name":"shop","dependencies":{"a":"^3","gone":"^1.2.0","al":"npm:gone-too@^4"}}"#,
        r#""node_modules/a":{"version":"1.0.0","optionalDependencies":{"lost":">=4"}}"#,
        &[
            "shop@ > a@1.0.0",
            "shop@ > al@^4 [true]",
            "shop@ > gone@^1.2.0 [true]",
            "a@1.0.0 > lost@>=4 [true]",
        ],
    );
}

#[test]
fn of_several_copies_the_one_on_the_way_and_in_the_range_is_taken() {
    check(
        r#"{"name":"shop","dependencies":{"a":"1","b":"1","ms":"^2.1.0"}}"#,
        r#""node_modules/a":{"version":"1.0.0","dependencies":{"ms":"2.0.0","b":"1"}},
           "node_modules/a/node_modules/ms":{"version":"2.0.0"},
           "node_modules/b":{"version":"1.0.0","dependencies":{"ms":"^1"}},
           "node_modules/b/node_modules/ms":{"version":"1.0.0"},
           "node_modules/ms":{"version":"2.1.3"}"#,
        &[
            "shop@ > a@1.0.0",
            "shop@ > b@1.0.0",
            "shop@ > ms@2.1.3",
            "a@1.0.0 > b@1.0.0",
            "a@1.0.0 > ms@2.0.0",
            "b@1.0.0 > ms@1.0.0",
        ],
    );
}

#[test]
fn where_no_copy_is_in_the_range_the_nearest_place_decides() {
    check(
        r#"{"name":"shop","dependencies":{"a":"1","ms":"github:o/ms"}}"#,
        r#""node_modules/a":{"version":"1.0.0","dependencies":{"ms":"^9","d":"x"}},
           "node_modules/a/node_modules/ms":{"version":"2.0.0"},
           "node_modules/x/node_modules/d":{"version":"1.0.0"},
           "node_modules/y/node_modules/z/node_modules/d":{"version":"2.0.0"},
           "node_modules/ms":{"version":"2.1.3"}"#,
        &["shop@ > a@1.0.0", "shop@ > ms@2.1.3", "a@1.0.0 > d@2.0.0", "a@1.0.0 > ms@2.0.0"],
    );
}

#[test]
fn aliases_bear_their_targets_name_and_a_label() {
    check(
        r#"{"name":"shop","dependencies":{"lodash3":"npm:lodash@^3.0.0","@o/x":"npm:@p/y@1"}}"#,
        r#""node_modules/lodash3":{"name":"lodash","version":"3.10.1"},"node_modules/@o/x":{"version":"1.2.0"}"#,
        &["shop@ > @p/y@1.2.0 [@o/x=>@p/y@1.2.0]", "shop@ > lodash@3.10.1 [lodash3=>lodash@3.10.1]"],
    );
}

#[test]
fn inside_a_bundle_only_the_bundles_copies_count() {
    check(
        r#"{"name":"shop","dependencies":{"npm":"1"}}"#,
        r#""node_modules/npm":{"version":"1.0.0","bundleDependencies":["tar","gone"],
             "dependencies":{"tar":"1","gone":"2"}},
           "node_modules/npm/node_modules/tar":{"version":"1.0.0","inBundle":true,"dependencies":{"ms":"*"}},
           "node_modules/npm/node_modules/ms":{"version":"1.0.0","inBundle":true},
           "node_modules/ms":{"version":"2.0.0"}"#,
        &["shop@ > npm@1.0.0", "npm@1.0.0 > gone@ gone@2", "npm@1.0.0 > tar@1.0.0", "tar@1.0.0 > ms@1.0.0"],
    );
}

#[test]
fn links_to_workspaces_are_followed_and_others_have_no_version() {
    let packages = |workspaces: &str| {
        format!(
            r#""":{{"workspaces":{workspaces}}},"node_modules/a":{{"resolved":"packages/a","link":true}},
               "packages/a":{{"version":"0.1.0","dependencies":{{"b":"1"}}}},"node_modules/b":{{"version":"1.0.0"}},
               "node_modules/out":{{"resolved":"../out","link":true}}"#
        )
    };
    let manifest = r#"{"name":"shop","dependencies":{"a":"*","out":"file:../out"}}"#;
    for workspaces in [r#"["packages/*"]"#, r#"{"packages":["./packages/{a,b}"]}"#] {
        let expected = ["shop@ > a@0.1.0", "shop@ > out@undefined", "a@0.1.0 > b@1.0.0"];
        check(manifest, &packages(workspaces), &expected);
    }
    check(manifest, &packages("[]"), &["shop@ > a@undefined", "shop@ > out@undefined"]);
}

#[test]
fn overrides_are_applied_where_name_range_and_ancestors_match() {
    let packages = r#"
        "node_modules/a":{"version":"1.0.0","dependencies":{"ms":"^1","b":"1"}},
        "node_modules/b":{"version":"1.0.0","dependencies":{"ms":"^1"}},
        "node_modules/ms":{"version":"1.0.0"},
        "node_modules/a/node_modules/ms":{"version":"2.0.0"},
        "node_modules/b/node_modules/ms":{"version":"3.0.0"}"#;
    let rows: [(&str, [&str; 2]); 8] = [
        ("{}", ["1.0.0", "1.0.0"]),
        (r#"{"ms":"^3"}"#, ["2.0.0", "3.0.0"]),
        (r#"{"ms@1.x":"^3"}"#, ["2.0.0", "3.0.0"]),
        (r#"{"ms@>=1.1":"^3"}"#, ["1.0.0", "1.0.0"]),
        (r#"{"a":{"ms":"2"}}"#, ["2.0.0", "2.0.0"]),
        (r#"{"a@1":{"b":{"ms":{".":"3","x":"1"}}},"z":1}"#, ["1.0.0", "3.0.0"]),
        (r#"{"a@2":{"ms":"2"}}"#, ["1.0.0", "1.0.0"]),
        (r#"{"b":{"ms":"$ms"}}"#, ["1.0.0", "3.0.0"]),
    ];
    for (overrides, [below_a, below_b]) in rows {
        let manifest = format!(
            r#"{{"name":"s","dependencies":{{"a":"1"}},"devDependencies":{{"ms":"3"}},"overrides":{overrides}}}"#
        );
        let application = project("package-lock.json", &manifest, &lock(packages)).unwrap();
        let edges = edges(&application);
        for edge in [format!("a@1.0.0 > ms@{below_a}"), format!("b@1.0.0 > ms@{below_b}")] {
            assert!(edges.contains(&edge), "{overrides}: {edge} in {edges:?}");
        }
    }
}

#[test]
fn components_are_what_is_locked_with_hashes_and_licences() {
    let packages = r#"
        "node_modules/@s/a":{"version":"1.0.0","license":"MIT","dependencies":{"b":"1","gone":"1"},
          "integrity":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
        "node_modules/b":{"version":"1.0.0"},"node_modules/l":{"link":true,"resolved":"l"}"#;
    let manifest = r#"{"dependencies":{"@s/a":"1","l":"file:l"}}"#;
    let application = project("package-lock.json", manifest, &lock(packages)).unwrap();
    let names: Vec<_> = application
        .components
        .iter()
        .map(|c| (c.namespace.as_deref(), c.name.as_str(), c.version.as_deref(), c.depends.as_slice()))
        .collect();
    let expected: [(_, _, _, &[usize]); 3] =
        [(Some("@s"), "a", Some("1.0.0"), &[1]), (None, "b", Some("1.0.0"), &[]), (None, "l", None, &[])];
    assert_eq!(names, expected);
    let first = &application.components[0];
    assert_eq!(first.licenses, ["MIT"]);
    let sha1 = (HashAlgorithm::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned());
    assert_eq!(first.hashes.iter().collect::<Vec<_>>(), [&sha1]);
}

#[test]
fn what_is_no_lock_file_is_a_gap() {
    let rows = [
        "{",
        "[]",
        r#"{"lockfileVersion":4,"packages":{}}"#,
        r#"{"lockfileVersion":"2","packages":{}}"#,
        r#"{"lockfileVersion":2}"#,
        r#"{"lockfileVersion":3,"packages":[]}"#,
    ];
    for text in rows {
        let gaps = project("package-lock.json", r#"{"dependencies":{"a":"1"}}"#, text).unwrap_err();
        let gaps: Vec<_> = gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
        assert_eq!(gaps, [("/app/package-lock.json", "node_file_unreadable")], "{text}");
    }
}

#[test]
fn a_lock_file_made_to_be_slow_ends_at_its_limits() {
    // Places longer than any path, texts beyond counting, overrides that multiply.
    let long = lock(&format!(r#""{}x":{{}}"#, "node_modules/a/".repeat(400)));
    assert!(project("package-lock.json", "{}", &long).is_err());
    let texts = lock(&format!(r#""node_modules/a":{{"x":[{}""]}}"#, r#""","#.repeat(1_300_000)));
    assert!(project("package-lock.json", "{}", &texts).is_err());
    let mut chain = String::from(r#""node_modules/z":{"version":"1.0.0"}"#);
    for n in 0..60 {
        let place = "a/node_modules/".repeat(n);
        let entry = format!(r#"{{"version":"1.0.{n}","dependencies":{{"a":"1.0.{}"}}}}"#, n + 1);
        write!(chain, r#","node_modules/{place}a":{entry}"#).unwrap();
    }
    let overrides = format!("{}\"1\"{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    let manifest = format!(r#"{{"dependencies":{{"a":"1.0.0"}},"overrides":{overrides}}}"#);
    assert!(project("package-lock.json", &manifest, &lock(&chain)).is_ok());
}
