//! `cargo xtask test`: installs what the tests need and passes all of them.

use std::num::NonZero;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use crate::command::{self, cargo, workspace};
use crate::tools;

pub(crate) fn run(install_only: bool, fuzz_seconds: u32) -> Result<()> {
    tools::install()?;
    if install_only {
        return Ok(());
    }
    // The end-to-end tests run the program and load the drivers, so these are built first.
    command::run(cargo().args(["build", "--workspace"]))?;
    command::run(cargo().args(["test", "--workspace"]))?;
    fuzz(fuzz_seconds)
}

/// Runs each fuzz target for a moment on its seeds. `-s none`: the sanitizers need a nightly compiler.
fn fuzz(seconds: u32) -> Result<()> {
    let folder = workspace().join("tests/fuzz");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets"))? {
        let path = entry?.path();
        let name = path.file_stem().context("a fuzz target without a name")?;
        targets.push(name.to_string_lossy().into_owned());
    }
    targets.sort();
    let build = ["fuzz", "build", "-s", "none", "--fuzz-dir"];
    command::run(tools::with_own_path(cargo()).args(build).arg(&folder))?;
    // Each takes one core and the same time.
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    for some in targets.chunks(at_once) {
        std::thread::scope(|scope| {
            let folder = &folder;
            let running: Vec<_> =
                some.iter().map(|target| scope.spawn(move || run_target(folder, target, seconds))).collect();
            running
                .into_iter()
                .try_for_each(|one| one.join().map_err(|_| anyhow!("a fuzz target's run panicked"))?)
        })?;
    }
    Ok(())
}

fn run_target(folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = folder.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let seeds = folder.join("seeds").join(target);
    command::run(
        tools::with_own_path(cargo())
            .args(["fuzz", "run", "-s", "none", "--fuzz-dir"])
            .arg(folder)
            .arg(target)
            .args([corpus, seeds])
            .args(["--", &format!("-max_total_time={seconds}"), "-max_len=65536", "-verbosity=0"]),
    )
}
