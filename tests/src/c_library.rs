//! Libraries that tests build with the machine's C compiler, which is there wherever Rust links.

use std::path::Path;
use std::process::Command;

/// Builds a shared library with all warnings as errors; `flags` are the compiler's.
///
/// # Panics
/// With the compiler's words, when it does not build.
pub fn build(source: &Path, library: &Path, flags: &[String]) {
    let output = Command::new("cc")
        .args(["-std=c11", "-O1", "-g", "-shared", "-fPIC", "-fvisibility=hidden"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(flags)
        .arg("-o")
        .args([library, source])
        .output()
        .unwrap_or_else(|e| panic!("cc can't be started: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
