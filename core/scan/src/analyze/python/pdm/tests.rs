//! Locks as PDM writes them.

use super::super::super::tests::{file, overlay_of};
use crate::interest::Interest;

const LOCK: &str = r#"
[metadata]
groups = ["default", "dev"]
lock_version = "4.5.0"

[[package]]
name = "requests"
version = "2.31.0"
requires_python = ">=3.7"
groups = ["default"]
dependencies = ["certifi>=2017.4.17", "idna<4,>=2.5; python_version > \"3\"", "absent"]
files = [{file = "requests-2.31.0.tar.gz", hash = "sha256:ab"}]

[[package]]
name = "requests"
version = "2.31.0"
extras = ["socks"]
groups = ["default", "dev"]
files = [{file = "requests-2.31.0.tar.gz", hash = "sha256:ab"}]
dependencies = ["pysocks", "requests==2.31.0"]

[[package]]
name = "certifi"
version = "2023.7.22"

files = [{file = "a.whl", hash = "sha256:ab"}, {file = "b.whl", hash = "sha256:cd"}]

[[package]]
name = "PySocks"
version = "1.7.1"
groups = ["default"]

[[package]]
name = "idna"
version = "3.6"
groups = ["default", "dev"]

[[package]]
name = "pytest"
version = "8.0"
groups = ["dev"]
"#;

#[test]
fn packages_of_the_default_group_are_listed_once_each() {
    let files = vec![file("/app/pdm.lock", LOCK.as_bytes()), file("/bad/pdm.lock", b"]")];
    let findings = crate::analyze(&overlay_of([files].into_iter()), &Interest::default());
    let [application] = findings.applications.as_slice() else { panic!("one application") };
    let listed: Vec<_> = application
        .components
        .iter()
        .map(|c| format!("{}@{}", c.name, c.version.as_deref().unwrap()))
        .collect();
    assert_eq!(listed, ["requests@2.31.0", "certifi@2023.7.22", "pysocks@1.7.1", "idna@3.6"]);
    assert_eq!(application.components[0].depends, [1, 3, 2], "not itself");
    let hashes: Vec<_> = application.components.iter().map(|c| c.hashes.len()).collect();
    assert_eq!(hashes, [1, 0, 0, 0], "certifi has several files");
    let gaps: Vec<_> = findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect();
    assert_eq!(gaps, [("/bad/pdm.lock", "python_lock_unreadable")]);
}
