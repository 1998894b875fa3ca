//! Rules about the source itself that people forget.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regent_tests::artifacts::workspace;

/// Who may depend on whom among the workspace's own crates. A new edge is a change of design: it stands here, in
/// `docs/architecture.md`, and nowhere by accident.
const MAY_DEPEND_ON: [(&str, &[&str]); 14] = [
    ("regent-oci", &[]),
    ("regent-transport", &[]),
    ("regent-distribution", &["regent-transport", "regent-oci"]),
    ("regent-scan", &["regent-oci"]),
    ("regent-report", &["regent-scan", "regent-oci"]),
    ("regent-plugin-api", &["regent-transport", "regent-oci"]),
    ("regent-isolation", &["regent-plugin-api", "regent-transport", "regent-oci"]),
    ("regent-google", &["regent-plugin-api", "regent-distribution", "regent-transport", "regent-oci"]),
    (
        "regent-driver-*",
        &["regent-plugin-api", "regent-google", "regent-distribution", "regent-transport", "regent-oci"],
    ),
    ("fixture-api-next", &["regent-transport", "regent-oci"]),
    ("fixture-*", &["regent-plugin-api", "fixture-api-next"]),
    // An API as it was; its driver is built with today's as well.
    ("frozen-*", &["frozen-*", "regent-plugin-api"]),
    (
        "regent-host",
        &[
            "regent-oci",
            "regent-transport",
            "regent-distribution",
            "regent-scan",
            "regent-report",
            "regent-isolation",
            "regent-plugin-api",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that no driver may link: the host does HTTP and TLS for it.
const NOT_IN_A_DRIVER: [&str; 6] = ["reqwest", "hyper", "rustls", "native-tls", "tokio", "warp"];
/// The one exception, with the features that it may have: the SDK of AWS takes its locks from tokio. A reactor, timers or
/// sockets are another matter.
const TOLERATED: (&str, &str, &[&str]) = ("regent-driver-ecr", "tokio", &["default", "sync"]);
/// Crates that the synchronous core may not link.
const NOT_BELOW_THE_LAYER: [&str; 4] = ["tokio", "futures-util", "reqwest", "hyper"];

/// Of what is built here: a crate that is only for a browser is not linked.
fn metadata() -> cargo_metadata::Metadata {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = cargo_metadata::MetadataCommand::new();
    command.manifest_path(workspace().join("Cargo.toml"));
    command.other_options(["--filter-platform".to_owned(), platform]).exec().unwrap()
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[test]
fn crates_depend_only_on_those_they_may_know() {
    let metadata = metadata();
    let own: BTreeSet<String> = metadata.workspace_packages().iter().map(|p| p.name.to_string()).collect();
    for package in metadata.workspace_packages() {
        if package.name.as_str() == "regent-tests" {
            continue; // may use everything, and nothing may use it: see below
        }
        let (_, allowed) = MAY_DEPEND_ON
            .iter()
            .find(|(pattern, _)| matches(pattern, &package.name))
            .unwrap_or_else(|| panic!("{} has no line in MAY_DEPEND_ON", package.name));
        for dependency in &package.dependencies {
            if own.contains(&dependency.name) && dependency.kind == cargo_metadata::DependencyKind::Normal {
                assert!(
                    allowed.iter().any(|pattern| matches(pattern, &dependency.name)),
                    "{} may not depend on {}",
                    package.name,
                    dependency.name
                );
            }
        }
    }
}

/// All crates that a package links, through normal dependencies as resolved.
fn linked(metadata: &cargo_metadata::Metadata, package: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|p| (&p.id, p.name.to_string())).collect();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|n| (&n.id, n)).collect();
    let start = metadata.workspace_packages().into_iter().find(|p| p.name.as_str() == package).unwrap();
    let mut found = BTreeSet::new();
    let mut todo = vec![&start.id];
    while let Some(id) = todo.pop() {
        for dependency in &nodes[id].deps {
            let normal =
                dependency.dep_kinds.iter().any(|k| k.kind == cargo_metadata::DependencyKind::Normal);
            if normal && found.insert(names[&dependency.pkg].clone()) {
                todo.push(&dependency.pkg);
            }
        }
    }
    found
}

#[test]
fn drivers_link_no_http_or_tls_stack_and_the_core_no_runtime() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let forbidden: &[&str] = match package.name.as_str() {
            name if ["regent-driver-", "fixture-", "frozen-"].iter().any(|p| name.starts_with(p)) => {
                &NOT_IN_A_DRIVER
            }
            "regent-plugin-api" => &["reqwest", "hyper", "rustls", "tokio"],
            "regent-oci" | "regent-scan" | "regent-report" => &NOT_BELOW_THE_LAYER,
            _ => continue,
        };
        let linked = linked(&metadata, &package.name);
        for name in forbidden {
            if (package.name.as_str(), *name) != (TOLERATED.0, TOLERATED.1) {
                assert!(!linked.contains(*name), "{} links {name}", package.name);
            }
        }
    }
}

#[test]
fn a_tolerated_crate_has_no_more_features_than_it_is_tolerated_for() {
    let (package, name, allowed) = TOLERATED;
    // As resolved for this package alone: the workspace's metadata has the features of all.
    let arguments =
        ["tree", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}", "--package", package];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo).args(arguments).current_dir(workspace()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with(&format!("{name} "))).collect();
    assert!(!lines.is_empty(), "{package} does not link {name}: take the exception away");
    for line in lines {
        // `tokio v1.0.0 default,sync`, and a mark for what was shown before.
        let features = line.split(' ').nth(2).unwrap_or_default().split(',');
        let more: Vec<_> = features.filter(|f| !f.is_empty() && !allowed.contains(f)).collect();
        assert!(more.is_empty(), "{package} links {name} with {more:?}");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_documented_named_for_what_they_hold_and_of_readable_length() {
    let mut files = Vec::new();
    sources(workspace(), &mut files);
    assert!(files.len() > 50, "the walk found the sources");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(workspace()).unwrap().display().to_string();
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            !["utils", "util", "helpers", "helper", "common", "misc", "types", "manager", "mod"]
                .contains(&stem.as_str()),
            "{shown}: name it for what it holds"
        );
        if stem == "tests" {
            continue; // belongs to the module it stands beside
        }
        // A shebang or a `#![no_main]` may stand in front of a fuzz target's documentation.
        assert!(text.lines().take(3).any(|line| line.starts_with("//!")), "{shown} does not say what it is");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        assert!(code.lines().count() <= 600, "{shown} has {} lines", code.lines().count());
    }
}

/// Where it is needed besides the ABI: a signal handler, and a driver that does what must not be done.
const UNSAFE: [&str; 3] =
    ["host/src/crash/handler.rs", "tests/fixtures/crash/src/fault.rs", "tests/tests/tidy.rs"];

#[test]
fn unsafe_stands_only_at_the_abi_and_where_a_crash_is_told() {
    let mut files = Vec::new();
    sources(workspace(), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(workspace()).unwrap().display().to_string();
        let uses = text.lines().any(|line| {
            let code = line.trim_start();
            !code.starts_with("//")
                && (code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl"))
        });
        assert!(
            !uses
                || shown.starts_with("plugin-api/")
                || shown.starts_with("tests/api/")
                || UNSAFE.contains(&shown.as_str()),
            "{shown} uses unsafe"
        );
    }
}

#[test]
fn the_top_level_holds_what_it_should() {
    let expected: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "deny.toml",
        "core",
        "plugin-api",
        "plugins",
        "host",
        "tests",
        "docs",
        "deploy",
        "xtask",
        "target",
    ]
    .into();
    for entry in std::fs::read_dir(workspace()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || expected.contains(name.as_str()), "{name} has no place at the top");
    }
}
