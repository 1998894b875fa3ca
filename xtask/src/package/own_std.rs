//! The standard library that packaged drivers are built over.
//!
//! Each driver carries a copy of std. In the one that ships with the compiler, the default panic hook reads debug
//! information to print backtraces: 170 KB of a driver, which replaces that hook (`plugin-api/src/guard/hook.rs`), so
//! that they are never run; the linker can't know. Built from source without that part and for size, std takes 250 KB
//! less. Panics unwind and are caught as ever, with the same messages.
//!
//! The price is `RUSTC_BOOTSTRAP`: building std is not stable in cargo, and that variable lets the stable compiler do it.
//! Every crate of the build sees it, and the build scripts of some then switch unstable parts on. The program is built
//! without. A driver needs none of this to be loaded: a third party's, built by plain cargo, is just larger.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{self, cargo, is_installed};

/// Said where drivers are packaged with the compiler's own std.
pub(super) const MISSING: &str = "std could not be built from its source, so that the drivers carry the compiler's: \
                                  each is some 250 KB larger, and sizes were not held against the limits";

/// Whether std's source and what it depends on are here, now if not before.
pub(super) fn can_be_built(platform: &str) -> Result<bool> {
    if fetched(platform)? {
        return Ok(true);
    }
    if is_installed("rustup") {
        let added = command::run(Command::new("rustup").args(["component", "add", "rust-src"]));
        if added.is_ok() && fetched(platform)? {
            return Ok(true);
        }
    }
    eprintln!("notice: {MISSING}");
    Ok(false)
}

/// Fetches what a build needs: fails without std's source.
fn fetched(platform: &str) -> Result<bool> {
    let mut fetch = cargo();
    fetch.args(["fetch", "--quiet", "--target", platform]);
    ask_for(&mut fetch);
    Ok(fetch.status().context("cargo can't be started")?.success())
}

/// Has a cargo command build std: with unwinding, without `backtrace`.
pub(super) fn ask_for(command: &mut Command) {
    command.args(["-Zbuild-std=std,panic_unwind", "-Zbuild-std-features=optimize_for_size"]);
    command.env("RUSTC_BOOTSTRAP", "1");
}
