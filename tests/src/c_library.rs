//! Libraries that tests build with the machine's C compiler, which is there wherever Rust links.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts::workspace;

/// The header of the plugin API, the sample driver, and what stands beside them.
pub fn folder() -> PathBuf {
    workspace().join("plugin-api/c")
}

/// Builds a shared library with all warnings as errors; `flags` are the compiler's.
///
/// # Panics
/// With the compiler's words, when it does not build.
pub fn build(source: &Path, library: &Path, flags: &[String]) {
    let output = Command::new("cc")
        .args(["-std=c11", "-O1", "-g", "-shared", "-fPIC", "-fvisibility=hidden"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg("-I")
        .arg(folder())
        .args(flags)
        .arg("-o")
        .args([library, source])
        .output()
        .unwrap_or_else(|e| panic!("cc can't be started: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Builds the sample driver into a plugin directory.
pub fn sample(plugins: &Path) -> PathBuf {
    let library = plugins.join("example.so");
    build(&folder().join("example.c"), &library, &[]);
    std::fs::set_permissions(&library, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    library
}
