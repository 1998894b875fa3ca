//! The real skopeo.

use std::process::Command;

/// Runs it. Returns what it prints.
///
/// # Panics
/// When it is not there, or ends otherwise than well.
pub fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("skopeo can't be started ({e}); `cargo xtask test` installs it"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}
