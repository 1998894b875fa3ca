//! The crates that authors of drivers need can be published: they say what registries ask for, and pack.

use std::process::Command;

use regent_tests::artifacts::workspace;

/// Each after those that it depends on.
const PUBLISHED: [&str; 4] = ["regent-oci", "regent-transport", "regent-distribution", "regent-plugin-api"];

#[test]
fn the_crates_for_authors_of_drivers_say_what_registries_ask_for() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let published: Vec<_> = metadata.packages.iter().filter(|p| p.publish.is_none()).collect();
    let mut names: Vec<_> = published.iter().map(|p| p.name.as_str()).collect();
    names.sort_unstable();
    let mut expected = PUBLISHED;
    expected.sort_unstable();
    assert_eq!(names, expected, "what may be published is what authors need");
    for package in published {
        let name = &package.name;
        assert!(package.description.as_ref().is_some_and(|d| d.len() > 20), "{name} has no description");
        assert!(
            package.license.is_some() && package.rust_version.is_some(),
            "{name} has no license or Rust version"
        );
        assert!((1..=5).contains(&package.keywords.len()), "{name} has keywords {:?}", package.keywords);
        assert!(
            (1..=5).contains(&package.categories.len()),
            "{name} has categories {:?}",
            package.categories
        );
        let readme = package.readme().unwrap_or_else(|| panic!("{name} has no readme"));
        assert!(readme.exists(), "{readme}");
    }
}

#[test]
fn the_crates_for_authors_of_drivers_pack() {
    let target = tempfile::tempdir().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--offline", "--no-verify", "--allow-dirty", "--target-dir"]).arg(target.path());
    cargo.args(PUBLISHED.iter().flat_map(|name| ["--package", *name]));
    let output = cargo.current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packed = std::fs::read_dir(target.path().join("package")).unwrap();
    let files = packed.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "crate"));
    assert_eq!(files.count(), PUBLISHED.len());
}
