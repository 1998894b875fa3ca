//! Projects with packages in `node_modules`.

use super::super::super::tests::{file, overlay_of};
use super::*;
use crate::capture::Entry;
use crate::interest::Interest;
use crate::tree::NodeIndex;

/// What is found in an image of one layer.
fn findings(files: &[(&str, &str)]) -> Findings {
    let files: Vec<Entry> = files.iter().map(|(path, content)| file(path, content.as_bytes())).collect();
    crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
}

/// A package's `package.json`.
fn package(name: &str, version: &str, rest: &str) -> String {
    format!(r#"{{"name":"{name}","version":"{version}"{rest}}}"#)
}

/// Root and tree, one line a package, indented.
fn lines(application: &Application) -> Vec<String> {
    let Content::Dependencies { root, dependencies, .. } = &application.content else {
        panic!("dependencies")
    };
    let mut lines = vec![format!("{}@{}", root.name, root.version.as_deref().unwrap_or_default())];
    match dependencies {
        Dependencies::Tree(tree) => {
            let mut open: Vec<(usize, NodeIndex)> = tree.root().iter().rev().map(|&node| (1, node)).collect();
            while let Some((depth, place)) = open.pop() {
                let node = &tree[place];
                let version = node.version.as_deref().unwrap_or_default();
                lines.push(format!("{}{}@{version}", "  ".repeat(depth), node.name));
                open.extend(node.children.iter().rev().map(|&child| (depth + 1, child)));
            }
        }
        Dependencies::Graph(graph) => {
            lines.extend(graph.nodes().map(|(_, node)| format!("  {}", node.id)));
        }
    }
    lines
}

#[track_caller]
fn check(files: &[(&str, &str)], target: &str, expected: &[&str]) {
    let findings = findings(files);
    let [application] = findings.applications.as_slice() else { panic!("{:?}", findings.applications) };
    assert_eq!(application.target_file, target);
    assert_eq!(lines(application), expected);
    let Content::Dependencies { tested_files, .. } = &application.content else { panic!("dependencies") };
    assert_eq!(*tested_files, TestedFiles::Path(target.to_owned()));
}

#[test]
fn names_that_begin_like_whiteouts_are_packages() {
    check(
        &[
            (
                "/app/package.json",
                r#"{"name":"wh","version":"1.0.0","dependencies":{"which":"^4","whatwg-url":"*"}}"#,
            ),
            (
                "/app/node_modules/which/package.json",
                &package("which", "4.0.0", r#","dependencies":{"isexe":"*"}"#),
            ),
            ("/app/node_modules/whatwg-url/package.json", &package("whatwg-url", "14.0.0", "")),
            ("/app/node_modules/isexe/package.json", &package("isexe", "3.1.1", "")),
        ],
        "/app/package.json",
        &["wh@1.0.0", "  which@4.0.0", "    isexe@3.1.1", "  whatwg-url@14.0.0"],
    );
}

#[test]
fn a_lock_file_that_cannot_be_read_is_a_gap_and_what_is_installed_is_reported() {
    let findings = findings(&[
        ("/app/package.json", r#"{"name":"hid","version":"1.0.0","dependencies":{"a":"1"}}"#),
        ("/app/package-lock.json", r#"{"lockfileVersion":4,"packages":{}}"#),
        ("/app/node_modules/a/package.json", &package("a", "1.0.0", "")),
    ]);
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/app/package-lock.json", UNREADABLE)]);
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    assert_eq!(application.kind, ApplicationKind::NodeModules);
    assert_eq!(lines(application), ["hid@1.0.0", "  a@1.0.0"]);
}

#[test]
fn beside_a_lock_file_the_installed_packages_are_the_components() {
    let findings = findings(&[
        ("/app/package.json", r#"{"name":"a","dependencies":{"b":"1","c":"1"}}"#),
        (
            "/app/package-lock.json",
            r#"{"lockfileVersion":3,"packages":{"node_modules/b":{"version":"1.0.0",
                "integrity":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},"node_modules/c":{"version":"1.0.0"}}}"#,
        ),
        ("/app/node_modules/b/package.json", &package("b", "1.0.0", r#","license":"ISC""#)),
        ("/app/node_modules/d/package.json", &package("d", "2.0.0", "")),
    ]);
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    assert_eq!(application.kind, ApplicationKind::Npm);
    let names: Vec<_> = application
        .components
        .iter()
        .map(|c| (c.name.as_str(), c.version.as_deref(), c.licenses.len(), c.hashes.len()))
        .collect();
    assert_eq!(names, [("b", Some("1.0.0"), 1, 1), ("d", Some("2.0.0"), 0, 0)]);
}

#[test]
fn a_shrinkwrap_is_listed_and_only_its_hashes_count_beside_what_is_installed() {
    let shrinkwrap = r#"{"lockfileVersion":3,"packages":{"node_modules/b":{"version":"1.0.0",
        "integrity":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},"node_modules/c":{"version":"1.0.0"}}}"#;
    let manifest = ("/app/package.json", r#"{"name":"a","dependencies":{"b":"1","c":"1"}}"#);
    let shrinkwrap = ("/app/npm-shrinkwrap.json", shrinkwrap);
    let alone = findings(&[manifest, shrinkwrap]);
    assert_eq!(alone.applications[0].content, Content::Unreported);
    assert_eq!(alone.applications[0].components.len(), 2);
    let b = package("b", "1.0.0", "");
    let installed = findings(&[manifest, shrinkwrap, ("/app/node_modules/b/package.json", &b)]);
    let [application] = installed.applications.as_slice() else { panic!("one application") };
    assert_eq!(lines(application), ["a@", "  b@1.0.0"]);
    assert_eq!(application.components.len(), 1);
    assert_eq!(application.components[0].hashes.len(), 1);
}

#[test]
fn packages_have_the_hashes_that_npm_has_recorded_at_their_places() {
    let sha1 = |name: char| format!("sha1-{}A=", name.to_string().repeat(26));
    let entry = |path: &str, version: &str, hash: char| {
        format!(r#""{path}":{{"version":"{version}","integrity":"{}"}}"#, sha1(hash))
    };
    let record = |entries: &[String]| format!(r#"{{"packages":{{{}}}}}"#, entries.join(","));
    let of_app = record(&[
        entry("node_modules/a", "1.0.0", 'A'),
        entry("node_modules/b/node_modules/a", "1.0.0", 'B'),
        entry("node_modules/b", "9.0.0", 'C'),
        entry("sub/node_modules/c", "1.0.0", 'D'),
    ]);
    let findings = findings(&[
        ("/app/node_modules/.package-lock.json", &of_app),
        ("/root/.npm/node_modules/.package-lock.json", "{"),
        ("/app/node_modules/a/package.json", &package("a", "1.0.0", "")),
        ("/app/node_modules/b/package.json", &package("b", "1.0.0", "")),
        ("/app/node_modules/b/node_modules/a/package.json", &package("a", "1.0.0", "")),
        ("/app/sub/node_modules/c/package.json", &package("c", "1.0.0", "")),
        ("/top/node_modules/a/package.json", &package("a", "1.0.0", "")),
    ]);
    let hash = |c: &Component| c.hashes.first().map(|(_, hash)| hash.get(..6).unwrap().to_owned());
    let listed: Vec<_> = findings
        .applications
        .iter()
        .flat_map(|application| &application.components)
        .map(|c| (c.evidence[0].as_str(), hash(c)))
        .collect();
    let some = |hash: &str| Some(hash.to_owned());
    assert_eq!(
        listed,
        [
            ("/app/node_modules/a/package.json", some("000000")),
            ("/app/node_modules/b/package.json", None),
            ("/app/node_modules/b/node_modules/a/package.json", some("041041")),
            ("/app/sub/node_modules/c/package.json", some("0c30c3")),
            ("/top/node_modules/a/package.json", None),
        ]
    );
}

#[test]
fn a_version_that_is_locked_with_different_hashes_has_none() {
    let lock = r#"{"lockfileVersion":1,"dependencies":{
        "a":{"version":"1.0.0","requires":{"b":"1"},"dependencies":{
            "b":{"version":"1.0.0","integrity":"sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}},
        "b":{"version":"1.0.0","integrity":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="}}}"#;
    let findings = findings(&[
        ("/app/package.json", r#"{"name":"app","dependencies":{"a":"1","b":"1"}}"#),
        ("/app/package-lock.json", lock),
        ("/app/node_modules/b/package.json", &package("b", "1.0.0", "")),
    ]);
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    assert!(application.components[0].hashes.is_empty());
}

#[test]
fn a_copy_out_of_range_is_skipped_and_prereleases_need_a_range_that_names_them() {
    check(
        &[
            (
                "/app/package.json",
                r#"{"name":"m","version":"2.0.0","dependencies":{"a":"^1.0.0","b":"latest","lost":"1",
                    "git":"git+ssh://host/git.git"}}"#,
            ),
            (
                "/app/node_modules/a/package.json",
                &package("a", "1.1.0", r#","dependencies":{"b":"^1","c":"*"}"#),
            ),
            ("/app/node_modules/a/node_modules/b/package.json", &package("b", "2.2.0", "")),
            (
                "/app/node_modules/b/package.json",
                &package("b", "1.5.0", r#","optionalDependencies":{"a":"1"}"#),
            ),
            ("/app/node_modules/c/package.json", &package("c", "1.0.0-beta", "")),
            ("/app/node_modules/git/package.json", r#"{"name":"git"}"#),
        ],
        "/app/package.json",
        &["m@2.0.0", "  a@1.1.0", "    b@2.2.0", "  b@1.5.0", "    a@1.1.0", "  git@", "  c@1.0.0-beta"],
    );
}

#[test]
fn packages_for_development_go_with_all_that_is_below_them() {
    check(
        &[
            (
                "/app/package.json",
                r#"{"name":"m","version":"1.0.0","dependencies":{"a":"1"},"devDependencies":{"dev":"1","a":"1"}}"#,
            ),
            ("/app/node_modules/a/package.json", &package("a", "1.0.0", r#","devDependencies":{"x":"1"}"#)),
            (
                "/app/node_modules/dev/package.json",
                &package("dev", "1.0.0", r#","dependencies":{"below":"1"}"#),
            ),
            ("/app/node_modules/dev/node_modules/extra/package.json", &package("extra", "1.0.0", "")),
            ("/app/node_modules/below/package.json", &package("below", "1.0.0", "")),
        ],
        "/app/package.json",
        &["m@1.0.0", "  a@1.0.0"],
    );
}

#[test]
fn what_nothing_depends_on_is_added_where_it_lies_and_named_by_its_own_manifest() {
    check(
        &[
            (
                "/opt/node_modules/npm/package.json",
                &package("npm", "10.0.0", r#","dependencies":{"tar":"6"}"#),
            ),
            ("/opt/node_modules/npm/node_modules/tar/package.json", &package("tar", "6.2.1", "")),
            ("/opt/node_modules/npm/node_modules/width-cjs/package.json", &package("width", "4.0.0", "")),
            ("/opt/node_modules/npm/node_modules/width/package.json", &package("width", "5.0.0", "")),
            ("/opt/node_modules/npm/node_modules/.bin/package.json", &package("bin", "1.0.0", "")),
            ("/opt/node_modules/npm/test/package.json", &package("fixture", "1.0.0", "")),
            ("/opt/node_modules/@s/p/package.json", r#"{"version":"1.0.0"}"#),
            ("/opt/node_modules/.cache/x/package.json", &package("cached", "1.0.0", "")),
        ],
        "/opt/node_modules",
        &["opt@", "  @s/p@1.0.0", "  npm@10.0.0", "    tar@6.2.1", "    width@4.0.0"],
    );
}

#[test]
fn caches_of_package_managers_are_left_out() {
    for path in [
        "/root/.npm/_cacache/node_modules/a",
        "/u/.cache/yarn/v6/node_modules/a",
        "/pnpm/store/node_modules/a",
    ] {
        assert_eq!(pattern(&format!("{path}/package.json")), Want::NOTHING, "{path}");
    }
}

#[test]
fn a_package_that_cannot_be_read_costs_itself_only_and_a_project_without_packages_is_none() {
    let broken = findings(&[
        ("/package.json", r#"{"dependencies":{"a":"1"}}"#),
        ("/node_modules/a/package.json", &package("a", "1.0.0", "")),
        ("/node_modules/b/package.json", "{"),
        ("/node_modules/a/test/broken/package.json", "{"),
    ]);
    let gaps: Vec<_> = broken.gaps.iter().map(|gap| gap.path.as_str()).collect();
    assert_eq!(gaps, ["/node_modules/b/package.json"]);
    assert_eq!(lines(&broken.applications[0]), ["/@", "  a@1.0.0"]);
    assert_eq!(broken.applications[0].target_file, "/package.json");
    let none = findings(&[
        ("/app/package.json", r#"{"name":"a","devDependencies":{"d":"*"}}"#),
        ("/app/node_modules/d/package.json", &package("d", "1.0.0", "")),
    ]);
    assert_eq!(none.applications.len(), 1, "the package is there, in tables and SBOMs");
    assert_eq!(none.applications[0].content, Content::Unreported);
}

#[test]
fn pnpms_store_is_a_flat_graph_of_all_that_is_in_it() {
    check(
        &[
            ("/app/package.json", r#"{"name":"graph-api","dependencies":{"koa":"2"}}"#),
            (
                "/app/node_modules/.pnpm/koa@2.16.4/node_modules/koa/package.json",
                &package("koa", "2.16.4", r#","dependencies":{"ms":"2"}"#),
            ),
            (
                "/app/node_modules/.pnpm/koa@2.16.4/node_modules/koa/test/package.json",
                &package("test", "1.0.0", ""),
            ),
            ("/app/node_modules/.pnpm/ms@2.1.3/node_modules/ms/package.json", &package("ms", "2.1.3", "")),
            ("/app/node_modules/.pnpm/x@1/node_modules/x/package.json", r#"{"name":"x"}"#),
        ],
        "/app/package.json",
        &["graph-api@0.0.0", "  koa@2.16.4", "  test@1.0.0", "  ms@2.1.3"],
    );
}

#[test]
fn components_are_the_packages_that_lie_there_with_what_node_finds_for_them() {
    let findings = findings(&[
        ("/app/package.json", r#"{"name":"graph-api"}"#),
        (
            "/app/node_modules/.pnpm/koa@2.16.4/node_modules/koa/package.json",
            &package("koa", "2.16.4", r#","license":{"type":"MIT"},"dependencies":{"ms":"2","@s/own":"1"}"#),
        ),
        (
            "/app/node_modules/.pnpm/koa@2.16.4/node_modules/koa/test/package.json",
            &package("test", "1.0.0", ""),
        ),
        (
            "/app/node_modules/.pnpm/koa@2.16.4/node_modules/koa/node_modules/@s/own/package.json",
            &package("@s/own", "9.0.0", ""),
        ),
        ("/app/node_modules/.pnpm/ms@2.1.3/node_modules/ms/package.json", &package("ms", "2.1.3", "")),
        ("/app/node_modules/.pnpm/ms@1.0.0/node_modules/ms/package.json", &package("ms", "1.0.0", "")),
    ]);
    let components: Vec<_> = findings.applications[0]
        .components
        .iter()
        .map(|c| (c.name.as_str(), c.version.as_deref().unwrap_or_default(), c.depends.as_slice()))
        .collect();
    let expected: [(&str, &str, &[usize]); 4] =
        [("koa", "2.16.4", &[2, 1]), ("own", "9.0.0", &[]), ("ms", "2.1.3", &[]), ("ms", "1.0.0", &[])];
    assert_eq!(components, expected);
    assert_eq!(findings.applications[0].components[0].licenses, ["MIT"]);
}

#[test]
fn packages_that_all_depend_on_each_other_are_listed_where_no_tree_can_be_made() {
    let names: Vec<String> = (0..60).map(|n| format!("p{n}")).collect();
    let all: Vec<String> = names.iter().map(|name| format!(r#""{name}":"*""#)).collect();
    let dependencies = format!(r#","dependencies":{{{}}}"#, all.join(","));
    let files: Vec<(String, String)> = names
        .iter()
        .map(|name| (format!("/app/node_modules/{name}/package.json"), package(name, "1.0.0", &dependencies)))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let findings = findings(&files);
    assert_eq!(findings.gaps[0].code, "dependency_limit_reached");
    assert_eq!(findings.applications[0].content, Content::Unreported);
    assert_eq!(findings.applications[0].components.len(), 60);
}
