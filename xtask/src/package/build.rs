//! The program and the drivers of one platform, built.
//!
//! Drivers are built apart from the program, for size, in two ways that `cargo build` does not know:
//! - One at a time by `cargo rustc --crate-type cdylib`. Their crates are `rlib`s too, for tests that link them, and cargo
//!   leaves link-time optimization out where a crate is both.
//! - Over a standard library of their own: see [`own_std`].
//!
//! `cargo auditable` leaves in each a list of the crates that are in it, which scanners of images read: so the bill of
//! materials of Regent is what Regent finds in its own image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::own_std;
use super::platform::Platform;
use crate::command::{self, cargo, drivers, rustc_says, target, workspace};
use crate::tools;

/// Functions that are the same are one, and relative relocations are packed. The latter asks for glibc 2.36 or newer.
const LINK_FLAGS: [&str; 2] = ["-Clink-arg=-Wl,--icf=all", "-Clink-arg=-Wl,-z,pack-relative-relocs"];
/// Name of the section with the list of crates.
const CRATES: &[u8] = b".dep-v0\0";
/// The most bytes that a driver's library has, stripped.
const MAX_LIBRARY: u64 = 1024 * 1024;
/// The same for `ecr`, which has the AWS SDK in it with its own HTTP, TLS and runtime: its size (2277 KiB) and a tenth.
const MAX_ECR_LIBRARY: u64 = 2560 * 1024;

/// Builds into `target/package`, of another platform `target/package-<triple>`: `regent` and `plugins/*.so`.
///
/// # Errors
/// Those of the builds; a library that is over its limit. The limits are for the drivers' own standard library: where
/// it can't be built, nothing is held against them.
pub(super) fn build(platform: &Platform) -> Result<PathBuf> {
    let cross = platform.prepare()?;
    tools::install_auditable()?;
    let auditable = |flags: &[String]| {
        let mut build = tools::with_own_path(cargo());
        build.arg("auditable").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        build.envs(cross.environment.iter().cloned());
        build
    };
    let mut flags = paths_left_out()?;
    flags.extend(cross.flags.iter().cloned());
    let mut build = auditable(&flags);
    command::run(build.args([
        "build",
        "--release",
        "--target",
        platform.triple,
        "--package",
        "regent-host",
    ]))?;
    let built = target().join(platform.triple);

    let name =
        if platform.is_here()? { "package".to_owned() } else { format!("package-{}", platform.triple) };
    let package = target().join(name);
    let plugins = package.join("plugins");
    if plugins.exists() {
        fs::remove_dir_all(&plugins)?;
    }
    fs::create_dir_all(&plugins)?;
    fs::copy(built.join("release/regent"), package.join("regent"))?;
    lists_its_crates(&package.join("regent"))?;

    flags.extend(LINK_FLAGS.map(str::to_owned));
    let own_std = own_std::can_be_built(platform.triple)?;
    let mut over = Vec::new();
    for driver in drivers()? {
        let mut build = auditable(&flags);
        build.args(["rustc", "--profile", "driver", "--crate-type", "cdylib", "--target", platform.triple]);
        build.args(["--package", &format!("regent-driver-{driver}")]);
        if own_std {
            own_std::ask_for(&mut build);
        }
        command::run(&mut build)?;
        let library = format!("libregent_driver_{}.so", driver.replace('-', "_"));
        let size = fs::copy(built.join("driver").join(&library), plugins.join(&library))?;
        lists_its_crates(&plugins.join(&library))?;
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

/// What keeps the builder's folders out of what is built: messages of panics name files. Of several prefixes that fit a
/// path the last one counts.
fn paths_left_out() -> Result<Vec<String>> {
    let std_source = format!("{}/lib/rustlib/src/rust/", rustc_says(&["--print", "sysroot"])?.trim_end());
    let mut prefixes =
        vec![format!("{}/", workspace().display()), format!("{}/", target().display()), std_source];
    if let Some(home) = command::cargo_home() {
        prefixes.push(format!("{}/registry/src/", home.display()));
    }
    Ok(prefixes.into_iter().map(|prefix| format!("--remap-path-prefix={prefix}=")).collect())
}

/// Fails where `cargo auditable` has left nothing.
fn lists_its_crates(file: &Path) -> Result<()> {
    let bytes = fs::read(file)?;
    // Name of the section, in the table of names.
    if !bytes.windows(CRATES.len()).any(|window| window == CRATES) {
        bail!("{} has no list of its crates", file.display());
    }
    Ok(())
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
