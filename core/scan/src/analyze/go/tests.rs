//! Go programs in merged views.

use regent_oci::Digest;

use super::super::tests::{file, overlay_of};
use super::*;
use crate::capture::{CAPTURE_VERSION, Capture, CapturedLayer, Entry, EntryKind};
use crate::distil::executable::tests::build::Program;
use crate::interest::Interest;
use crate::limits::Limits;
use crate::overlay::Overlay;
use crate::path::{LayerPath, PathHash};

const TEXT: &str = "path\tx.org/app\nmod\tx.org/app\tv0.3.0\t\ndep\tx.org/lib\tv1.0.0\th1:x=\n\
    dep\tx.org/lib-extra\tv1.9.0\th1:y=\ndep\tx.org/here\tv1.1.1\n=>\t./here\t\t\n";

/// A vendored program with two modules, one name a prefix of the other.
fn program() -> Program {
    let files = vec![
        "/usr/lib/go-1.19/src/runtime/proc.go",
        "/build/app/vendor/x.org/lib/a.go",
        "/build/app/vendor/x.org/lib-extra/a.go",
        "/build/app/vendor/x.org/lib-extra/sub/b.go",
        "/build/app/main.go",
    ];
    Program { version: "go1.19.8", text: TEXT.into(), table: (0xffff_fff0, files), ..Program::default() }
}

fn findings(entries: Vec<Entry>) -> Findings {
    crate::analyze(&overlay_of([entries].into_iter()), &Interest::default())
}

/// What the graph of an application has, without its root.
fn graph_of(application: &Application) -> Vec<String> {
    let Content::Dependencies { dependencies: Dependencies::Graph(graph), .. } = &application.content else {
        panic!("a graph")
    };
    graph.nodes().map(|(_, node)| node.id.clone()).collect()
}

fn targets(findings: &Findings) -> Vec<&str> {
    findings.applications.iter().map(|application| application.target_file.as_str()).collect()
}

#[test]
fn names_of_modules_match_whole_components_only() {
    let findings = findings(vec![file("/usr/bin/pfx", &program().build())]);
    let [application] = findings.applications.as_slice() else { panic!("one program") };
    let expected =
        ["x.org/lib@v1.0.0", "x.org/lib-extra@v1.9.0", "x.org/lib-extra/sub@v1.9.0", "stdlib@1.19.8"];
    assert_eq!(graph_of(application), expected);
    assert_eq!(application.kind.as_str(), "gomodules");
}

#[test]
fn components_are_the_program_itself_all_modules_and_the_standard_library() {
    let findings = findings(vec![file("/usr/bin/app", &program().build())]);
    let components = &findings.applications[0].components;
    let shown: Vec<_> =
        components.iter().map(|c| (c.namespace.as_deref(), c.name.as_str(), c.version.as_deref())).collect();
    let expected = [
        (Some("x.org"), "app", Some("v0.3.0")),
        (Some("x.org"), "lib", Some("v1.0.0")),
        (Some("x.org"), "lib-extra", Some("v1.9.0")),
        (Some("x.org"), "here", None),
        (None, "stdlib", Some("1.19.8")),
    ];
    assert_eq!(shown, expected);
    assert_eq!(components[0].depends, [1, 2, 3, 4]);
}

#[test]
fn programs_count_wherever_they_lie_and_whatever_their_name_is() {
    let paths =
        ["/root/go/bin/tool", "/etcd", "/var/lib/a", "/usr/bin/tool-1.0", "/usr/lib/libgo.so", "/tmp/.x"];
    let found = findings(paths.map(|path| file(path, &program().build())).to_vec());
    assert_eq!(targets(&found), paths);
}

#[test]
fn a_program_with_two_names_counts_once() {
    let link = |path: &str, to: &str| Entry {
        path: LayerPath::new(path),
        kind: EntryKind::HardLink(LayerPath::new(to)),
    };
    let first = file("/usr/bin/tool", &program().build());
    let found = findings(vec![first, link("/usr/bin/second", "/usr/bin/tool")]);
    assert_eq!(targets(&found), ["/usr/bin/tool"]);
}

#[test]
fn a_program_that_a_script_replaces_is_gone() {
    let layer = |entries: Vec<Entry>, passed: &[&str]| {
        let capture = Capture {
            version: CAPTURE_VERSION,
            entries,
            hidden_by_files: passed.iter().map(|path| PathHash::of(&LayerPath::new(path)).value()).collect(),
            hidden_by_directories: Vec::new(),
            spooled_bytes: 0,
        };
        CapturedLayer::from_cache(Digest::sha256(b"layer"), capture).unwrap()
    };
    let program = layer(vec![file("/usr/bin/tool", &program().build())], &[]);
    let script = layer(Vec::new(), &["/usr/bin/tool"]);
    for (layers, expected) in [(vec![program.clone()], 1), (vec![program, script], 0)] {
        let (overlay, _) = Overlay::new(&layers, &Limits::default());
        assert_eq!(crate::analyze(&overlay, &Interest::default()).applications.len(), expected);
    }
}

#[test]
fn a_name_whose_twin_is_removed_still_counts() {
    let lower = vec![
        file("/usr/bin/tool", &program().build()),
        Entry {
            path: LayerPath::new("/usr/bin/second"),
            kind: EntryKind::HardLink(LayerPath::new("/usr/bin/tool")),
        },
    ];
    let upper = vec![Entry { path: LayerPath::new("/usr/bin/tool"), kind: EntryKind::Whiteout }];
    let found = crate::analyze(&overlay_of([lower, upper].into_iter()), &Interest::default());
    assert_eq!(targets(&found), ["/usr/bin/second"]);
}

#[test]
fn a_program_outside_of_modules_has_the_distribution_for_its_root() {
    let text = "path\tgithub.com/tianon/gosu\nbuild\t-trimpath=true\n";
    let found = findings(vec![file("/usr/sbin/gosu", &Program { text: text.into(), ..program() }.build())]);
    let [Application { content: Content::Dependencies { root, .. }, components, .. }] =
        found.applications.as_slice()
    else {
        panic!("one program")
    };
    assert_eq!(root.name, "go-distribution@github.com/tianon/gosu");
    assert_eq!(graph_of(&found.applications[0]), ["stdlib@1.19.8"]);
    assert_eq!(components[0].name, "gosu");
}

#[test]
fn a_program_without_any_text_is_unreported_and_its_standard_library_is_known() {
    let found = findings(vec![file("/usr/bin/old", &Program { text: String::new(), ..program() }.build())]);
    let [application] = found.applications.as_slice() else { panic!("one program") };
    assert_eq!(application.content, Content::Unreported);
    assert_eq!(application.components.len(), 1);
}

#[test]
fn the_standard_library_has_the_version_of_the_release() {
    let rows = [
        ("go1.21.13", Some("1.21.13")),
        ("go1.20", Some("1.20.0")),
        ("go1.22rc1", Some("1.22.0-rc.1")),
        ("go1.21beta2", Some("1.21.0-beta.2")),
        ("go1.21.3 X:boringcrypto", Some("1.21.3")),
        ("go1.19.6b4", Some("1.19.6")),
        ("go1", None),
        ("go1.", None),
        ("devel go1.23-4c71af0 Tue", None),
        ("", None),
    ];
    for (toolchain, version) in rows {
        assert_eq!(standard_library(toolchain).as_deref(), version, "{toolchain}");
    }
}

#[test]
fn a_damaged_program_is_named() {
    let mut damaged = program().build();
    let at = memchr::memmem::find(&damaged, b"\xff Go buildinf:").unwrap();
    damaged[at + 32..at + 40].copy_from_slice(&[0xff; 8]);
    let found = findings(vec![file("/usr/bin/damaged", &damaged), file("/usr/bin/tool", &program().build())]);
    assert_eq!(targets(&found), ["/usr/bin/tool"]);
    let gaps: Vec<_> = found.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/usr/bin/damaged", "executable_unreadable")]);
}
