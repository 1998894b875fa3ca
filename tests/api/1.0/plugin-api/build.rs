//! Tells the crate which target and compiler it is built with, for [`Description`] of drivers: neither is visible to
//! the driver's own code.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "Cargo speaks to build scripts through the environment")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Layouts name the package that their types are of: here, the one that was released.
    println!("cargo::rustc-env=CARGO_PKG_NAME=regent-plugin-api");
    println!("cargo::rustc-env=REGENT_BUILD_TARGET={}", variable("TARGET"));
    let version = Command::new(variable("RUSTC")).arg("--version").output();
    let version = version.ok().and_then(|out| String::from_utf8(out.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=REGENT_BUILD_RUSTC={}", version.trim());
}
