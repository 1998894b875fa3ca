//! Projects as Poetry writes them.

use super::super::super::tests::{file, overlay_of};
use super::*;
use crate::interest::Interest;

const LOCK_TEXT: &str = r#"
[[package]]
name = "flask"
version = "2.2.0"
category = "main"
optional = false
files = [{file = "flask-2.2.0.tar.gz", hash = "sha256:ab"}]

[package.dependencies]
click = ">=8.0"
importlib-metadata = {version = ">=3.6.0", markers = "python_version < \"3.10\""}
Jinja2 = ">=3.0"
wheel = "*"

[[package]]
name = "jinja2"
version = "3.1.2"
groups = ["main", "dev"]

[package.dependencies]
Flask = "*"

[[package]]
name = "click"
version = "8.1.3"

[[package]]
name = "click"
version = "7.0"
files = [{file = "a.whl", hash = "sha256:ab"}, {file = "b.whl", hash = "sha256:cd"}]

[[package]]
name = "ruamel.yaml"
version = "0.18"

[[package]]
name = "wheel"
version = "1"

[[package]]
name = "isodd"
version = "0.1.2"
category = "dev"

[[package]]
name = "pytest"
version = "8.0"
groups = ["dev"]
"#;

fn findings(manifest: &str, lock: &str) -> Findings {
    let files = vec![
        file("/app/pyproject.toml", manifest.as_bytes()),
        file("/app/poetry.lock", lock.as_bytes()),
        file("/solo/pyproject.toml", b"[tool.poetry]\nname = 'solo'\n"),
    ];
    crate::analyze(&overlay_of([files].into_iter()), &Interest::default())
}

/// Root, and `parent -> child` with labels.
fn shown(findings: &Findings) -> Vec<String> {
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    let Content::Dependencies { root, dependencies: Dependencies::Graph(graph), .. } = &application.content
    else {
        panic!("a graph")
    };
    let node = |place: &GraphPlace| {
        let node = graph.node(*place).unwrap();
        let asked = node.labels.get("pkgIdProvenance").map(|asked| format!(" ({asked})")).unwrap_or_default();
        assert_eq!(node.labels["scope"], "prod");
        format!("{}@{}{asked}", node.name, node.version.as_deref().unwrap())
    };
    let direct = graph.root().iter().map(|child| format!("-> {}", node(child)));
    let deeper = graph.nodes().flat_map(|(place, parent)| {
        graph.depends(place).iter().map(move |child| format!("{} -> {}", parent.name, node(child)))
    });
    let root = format!("{}@{}", root.name, root.version.as_deref().unwrap());
    std::iter::once(root).chain(direct).chain(deeper).collect()
}

#[test]
fn the_graph_follows_the_manifest_and_keeps_the_spelling_of_the_lock() {
    let manifest = "[tool.poetry]\nname = 'shop'\nversion = '1.42.2'\n[tool.poetry.dependencies]\npython = '^3.7'\n\
                    flask = '2.2.0'\n'ruamel.yaml' = '*'\nsetuptools = '*'\n[tool.poetry.dev-dependencies]\nisOdd = '*'\n";
    let findings = findings(manifest, LOCK_TEXT);
    let expected = [
        "shop@1.42.2",
        "-> flask@2.2.0",
        "-> ruamel.yaml@0.18",
        "flask -> click@8.1.3",
        "flask -> jinja2@3.1.2 (Jinja2@3.1.2)",
        "jinja2 -> flask@2.2.0",
    ];
    assert_eq!(shown(&findings), expected);
    let application = &findings.applications[0];
    assert_eq!(application.target_file, "/app/pyproject.toml");
    let listed: Vec<_> = application
        .components
        .iter()
        .map(|c| format!("{}@{}", c.name, c.version.as_deref().unwrap()))
        .collect();
    assert_eq!(
        listed,
        ["flask@2.2.0", "jinja2@3.1.2", "click@8.1.3", "click@7.0", "ruamel-yaml@0.18", "wheel@1"]
    );
    assert_eq!(application.components[0].depends, [2, 3, 1, 5]);
    assert_eq!(findings.gaps, []);
}

#[test]
fn a_project_table_comes_first_and_names_there_end_at_a_dot() {
    let manifest = "[project]\nname = 'standard'\ndependencies = ['Click>=8 ; os_name == \"posix\"', 'ruamel.yaml>0.1', \
                    '_x', 1, 'python']\n[tool.poetry]\nname = 'other'\n[tool.poetry.dependencies]\nflask = '*'\n";
    let expected = [
        "standard@0.0.0",
        "-> click@8.1.3 (Click@8.1.3)",
        "-> flask@2.2.0",
        "flask -> click@8.1.3 (Click@8.1.3)",
        "flask -> jinja2@3.1.2 (Jinja2@3.1.2)",
        "jinja2 -> flask@2.2.0",
    ];
    assert_eq!(shown(&findings(manifest, LOCK_TEXT)), expected);
    assert_eq!(shown(&findings("[project]\n", LOCK_TEXT)), ["_root@0.0.0"]);
}

#[test]
fn a_damaged_file_costs_its_result_only_and_the_lock_is_listed_where_it_can_be_read() {
    let sound = "[tool.poetry]\n";
    let rows = [
        ("[build-system]\nrequires = []\n", LOCK_TEXT, "/app/pyproject.toml", "python_project_missing", 1),
        ("[", LOCK_TEXT, "/app/pyproject.toml", "file_unreadable", 1),
        (sound, "[[package", "/app/poetry.lock", "file_unreadable", 0),
        (sound, "[metadata]\n", "/app/poetry.lock", "file_unreadable", 0),
    ];
    for (manifest, lock, path, code, applications) in rows {
        let findings = findings(manifest, lock);
        let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
        assert_eq!(gaps, [(path, code)], "{manifest} {lock}");
        assert_eq!(findings.applications.len(), applications);
        assert!(findings.applications.iter().all(|found| found.content == Content::Unreported));
    }
}

#[test]
fn a_package_of_one_file_has_its_hash_in_locks_of_any_age() {
    let old = "[[package]]\nname = 'six'\nversion = '1.16'\n[[package]]\nname = 'toml'\nversion = '1'\n\
               [metadata.files]\nsix = [{file = 'six.whl', hash = 'sha256:AB'}]\n\
               toml = [{file = 'a', hash = 'sha256:ab'}, {file = 'b', hash = 'sha256:cd'}]\n";
    let rows: [(&str, &[(&str, usize)]); 2] = [
        (
            LOCK_TEXT,
            &[("flask", 1), ("jinja2", 0), ("click", 0), ("click", 0), ("ruamel-yaml", 0), ("wheel", 0)],
        ),
        (old, &[("six", 1), ("toml", 0)]),
    ];
    for (lock, expected) in rows {
        let findings = findings("[tool.poetry]\nname = 'app'\n", lock);
        let listed: Vec<_> =
            findings.applications[0].components.iter().map(|c| (c.name.as_str(), c.hashes.len())).collect();
        assert_eq!(listed, expected);
    }
}
