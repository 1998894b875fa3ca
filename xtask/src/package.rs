//! `cargo xtask package`: the program and the drivers as they ship.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::command::{self, cargo, drivers, target};

/// Functions that are the same are one, and relative relocations are packed: a fifth of a driver. The latter asks for
/// glibc 2.36 or newer.
const LINK_FLAGS: &str = "-C link-arg=-Wl,--icf=all -C link-arg=-Wl,-z,pack-relative-relocs";

/// Builds into `target/package`: `regent` and `plugins/*.so`. Drivers are built for size.
pub(crate) fn run() -> Result<PathBuf> {
    command::run(cargo().args(["build", "--release", "--package", "regent-host"]))?;
    let mut build = cargo();
    build.args(["build", "--profile", "driver"]);
    for driver in drivers()? {
        build.args(["--package", &format!("regent-driver-{driver}")]);
    }
    build.env("RUSTFLAGS", LINK_FLAGS);
    command::run(&mut build)?;
    let package = target().join("package");
    let plugins = package.join("plugins");
    fs::create_dir_all(&plugins)?;
    fs::copy(target().join("release/regent"), package.join("regent"))?;
    for driver in drivers()? {
        let library = format!("libregent_driver_{}.so", driver.replace('-', "_"));
        let size = fs::copy(target().join("driver").join(&library), plugins.join(&library))?;
        println!("{library}  {} KiB", size.div_ceil(1024));
    }
    println!("packaged in {}", package.display());
    Ok(package)
}
