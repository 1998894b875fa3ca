//! Locks as uv writes them.

use super::super::super::tests::{file, overlay_of};
use crate::interest::Interest;

const LOCK: &str = r#"
version = 1
revision = 2
requires-python = ">=3.11"

[[package]]
name = "shop"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "flask", extra = ["async"] }, { name = "numpy", version = "2.0", marker = "sys_platform == 'linux'" }]

[package.optional-dependencies]
db = [{ name = "psycopg" }]

[package.dev-dependencies]
dev = [{ name = "pytest" }]

[[package]]
name = "flask"
version = "3.0.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "typing-extensions" }]
wheels = [{ url = "https://files.example.org/flask.whl", hash = "sha256:ab", size = 1 }]

[[package]]
name = "numpy"
version = "1.26.4"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "numpy"
version = "2.0"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://files.example.org/numpy.tar.gz", hash = "sha256:ab", size = 1 }
wheels = [{ url = "https://files.example.org/numpy.whl", hash = "sha256:cd", size = 1 }]

[[package]]
name = "psycopg"
version = "3.1"
source = { git = "https://example.org/psycopg.git#ab" }

[[package]]
name = "pytest"
version = "8.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "iniconfig" }]

[[package]]
name = "iniconfig"
version = "2.0"

[[package]]
name = "typing-extensions"
version = "4.9"
"#;

#[test]
fn what_the_project_and_its_extras_need_is_listed_without_groups_for_development() {
    let files =
        vec![file("/app/uv.lock", LOCK.as_bytes()), file("/bad/uv.lock", b"[[package]]\nversion = '1'\n")];
    let findings = crate::analyze(&overlay_of([files].into_iter()), &Interest::default());
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    let listed: Vec<_> = application
        .components
        .iter()
        .map(|c| format!("{}@{}", c.name, c.version.as_deref().unwrap()))
        .collect();
    assert_eq!(listed, ["flask@3.0.0", "numpy@1.26.4", "numpy@2.0", "psycopg@3.1", "typing-extensions@4.9"]);
    assert_eq!(application.components[0].depends, [4]);
    let hashes: Vec<_> = application.components.iter().map(|c| c.hashes.len()).collect();
    assert_eq!(hashes, [1, 0, 0, 0, 0], "numpy has several files");
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/bad/uv.lock", "python_lock_unreadable")]);
}

#[test]
fn a_lock_without_a_project_is_listed_whole() {
    let lock = "[[package]]\nname = 'A.b'\nversion = '1'\n";
    let findings = crate::analyze(
        &overlay_of([vec![file("/app/uv.lock", lock.as_bytes())]].into_iter()),
        &Interest::default(),
    );
    assert_eq!(findings.applications[0].components[0].name, "a-b");
}
