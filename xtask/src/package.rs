//! `cargo xtask package`: the program and the drivers as they ship.
//!
//! Drivers are built apart from the program, for size, in two ways that `cargo build` does not know:
//! - One at a time by `cargo rustc --crate-type cdylib`. Their crates are `rlib`s too, for tests that link them, and cargo
//!   leaves link-time optimization out where a crate is both.
//! - Over a standard library of their own: see [`own_std`].

mod own_std;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::command::{self, cargo, drivers, rustc_says, target};

/// Functions that are the same are one, and relative relocations are packed. The latter asks for glibc 2.36 or newer.
const LINK_FLAGS: [&str; 2] = ["-Clink-arg=-Wl,--icf=all", "-Clink-arg=-Wl,-z,pack-relative-relocs"];
/// The most bytes that a driver's library has, stripped.
const MAX_LIBRARY: u64 = 1024 * 1024;
/// The same for `ecr`, which has the AWS SDK in it with its own HTTP, TLS and runtime: its size (2277 KiB) and a tenth.
const MAX_ECR_LIBRARY: u64 = 2560 * 1024;

/// Builds into `target/package`: `regent` and `plugins/*.so`.
///
/// # Errors
/// Those of the builds; a library that is over its limit. The limits are for the drivers' own standard library: where
/// it can't be built, nothing is held against them.
pub(crate) fn run() -> Result<PathBuf> {
    command::run(cargo().args(["build", "--release", "--package", "regent-host"]))?;
    let package = target().join("package");
    let plugins = package.join("plugins");
    fs::create_dir_all(&plugins)?;
    fs::copy(target().join("release/regent"), package.join("regent"))?;

    let platform = own_std::platform()?;
    let own_std = own_std::can_be_built(&platform)?;
    let flags = flags()?;
    let mut over = Vec::new();
    for driver in drivers()? {
        let mut build = cargo();
        build.args(["rustc", "--profile", "driver", "--crate-type", "cdylib", "--target", &platform]);
        build.args(["--package", &format!("regent-driver-{driver}")]);
        build.env("CARGO_ENCODED_RUSTFLAGS", &flags);
        if own_std {
            own_std::ask_for(&mut build);
        }
        command::run(&mut build)?;
        let library = format!("libregent_driver_{}.so", driver.replace('-', "_"));
        let built = target().join(&platform).join("driver").join(&library);
        let size = fs::copy(built, plugins.join(&library))?;
        println!("{library}  {} KiB", size.div_ceil(1024));
        over.extend(excess(&driver, size));
    }
    println!("packaged in {}", package.display());
    if !own_std {
        eprintln!("notice: {}", own_std::MISSING);
    } else if !over.is_empty() {
        bail!("libraries are too large:\n{}", over.join("\n"));
    }
    Ok(package)
}

/// What each compiler call of a driver gets, in cargo's form. Messages of panics name files: not by the builder's
/// folders.
fn flags() -> Result<String> {
    let std_source = format!("{}/lib/rustlib/src/rust/", rustc_says(&["--print", "sysroot"])?.trim_end());
    let mut flags: Vec<String> = LINK_FLAGS.map(str::to_owned).into();
    flags.push(format!("--remap-path-prefix={std_source}="));
    if let Some(home) = command::cargo_home() {
        flags.push(format!("--remap-path-prefix={}/registry/src/=", home.display()));
    }
    Ok(flags.join("\u{1f}"))
}

/// What to say of a library that is larger than it may be.
fn excess(driver: &str, size: u64) -> Option<String> {
    let limit = if driver == "ecr" { MAX_ECR_LIBRARY } else { MAX_LIBRARY };
    (size > limit).then(|| format!("  {driver}: {size} bytes, {} over its limit of {limit}", size - limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_may_be_as_large_as_its_limit_and_no_larger() {
        for (driver, size, over) in [
            ("oci", 1_048_576, false),
            ("oci", 1_048_577, true),
            ("ecr", 1_048_577, false),
            ("ecr", MAX_ECR_LIBRARY + 1, true),
        ] {
            assert_eq!(excess(driver, size).is_some(), over, "{driver} of {size}");
        }
        let said = excess("oci", 1_048_580).unwrap();
        assert!(said.contains("oci: 1048580 bytes, 4 over its limit of 1048576"), "{said}");
    }
}
