//! The documents tell the truth: the README's commands exist, its links lead somewhere.

use std::path::Path;

use regent_tests::artifacts::workspace;

fn documents() -> Vec<std::path::PathBuf> {
    let mut found = vec![workspace().join("README.md"), workspace().join("CONTRIBUTING.md")];
    for folder in ["docs", "docs/decisions"] {
        for entry in std::fs::read_dir(workspace().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut n_links = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = document.parent().unwrap_or(Path::new(".")).join(file);
            assert!(path.exists(), "{}: {target} leads nowhere", document.display());
            n_links += 1;
        }
    }
    assert!(n_links > 3, "there are links to check");
}

#[test]
fn files_named_in_the_architecture_exist() {
    let text = std::fs::read_to_string(workspace().join("docs/architecture.md")).unwrap();
    let mut n_files = 0;
    for name in text.split('`').skip(1).step_by(2) {
        let is_file = [".rs", ".md"].iter().any(|e| name.ends_with(e)) && name.contains('/');
        if is_file && !name.contains('<') {
            assert!(workspace().join(name).exists(), "docs/architecture.md names {name}");
            n_files += 1;
        }
    }
    assert!(n_files > 3, "there are files to check");
}
