//! Versions of the plugin API against each other, as real libraries: what `tests/api` keeps of each that was released.

#[path = "api_versions/network.rs"]
mod network;
#[path = "api_versions/next_minor.rs"]
mod next_minor;
#[path = "api_versions/older_driver.rs"]
mod older_driver;
#[path = "api_versions/oldest_host.rs"]
mod oldest_host;
#[path = "api_versions/refused.rs"]
mod refused;

use std::collections::BTreeSet;

use regent_tests::artifacts::workspace;

/// The versions that `tests/api` keeps, the oldest first.
const FROZEN: [&str; 1] = ["1.0"];

#[test]
fn each_version_up_to_todays_is_kept() {
    let folders = std::fs::read_dir(workspace().join("tests/api")).unwrap();
    let folders = folders.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let kept: BTreeSet<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(kept, FROZEN.map(str::to_owned).into(), "the tests here run with each that is kept");

    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let api = metadata.packages.iter().find(|p| p.name.as_str() == "regent-plugin-api").unwrap();
    for minor in 0..=api.version.minor {
        let version = format!("{}.{minor}", api.version.major);
        assert!(kept.contains(&version), "plugin API {version} is not kept: run `cargo xtask freeze-api`");
    }
}
