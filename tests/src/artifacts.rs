//! The built program and driver libraries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The workspace's folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Folder of the tools that `cargo xtask test` installs for this workspace alone.
pub fn tools() -> PathBuf {
    workspace().join(".tools")
}

/// Folder with the `regent` binary and the driver libraries, built first where they are not up to date.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        // The whole workspace, as `cargo xtask test` builds it: a selection would unify features otherwise, and build
        // everything once more.
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(workspace()).args(["build", "--quiet", "--workspace"]);
        let status = build.status().unwrap();
        assert!(status.success(), "cargo build of the program and its drivers failed");
        // target/<profile>/deps/<this test> → target/<profile>
        let this = std::env::current_exe().unwrap();
        this.ancestors().nth(2).unwrap().to_owned()
    })
}

/// The `regent` program.
pub fn regent() -> PathBuf {
    target().join("regent")
}

/// A driver library by its driver's folder name (`oci`), or one that is for tests by its package name (`fixture-echo`,
/// `frozen-1-0-driver`).
pub fn driver_library(name: &str) -> PathBuf {
    let of_tests = name.starts_with("fixture-") || name.starts_with("frozen-");
    let package = if of_tests { name.to_owned() } else { format!("regent-driver-{name}") };
    let file = format!("lib{}.so", package.replace('-', "_"));
    let path = target().join(file);
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

/// A plugin directory with these drivers.
pub fn plugin_directory(drivers: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for driver in drivers {
        install_driver(driver, directory.path());
    }
    directory
}

/// Drops a driver into a plugin directory the way an operator should: written beside, then renamed.
pub fn install_driver(driver: &str, directory: &Path) -> PathBuf {
    let library = driver_library(driver);
    let part = directory.join(".part");
    let target = directory.join(library.file_name().unwrap());
    std::fs::copy(&library, &part).unwrap();
    std::fs::set_permissions(&part, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::rename(&part, &target).unwrap();
    target
}
