//! `cargo xtask test`: installs what the tests need and passes all of them.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;

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
    // All that fails is told, not the first alone: it takes long to be here again.
    command::run(cargo().args(["test", "--workspace", "--no-fail-fast"]))?;
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
    command::run(cargo_fuzz("build").arg(&folder))?;
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

/// Hardly optimized, since each target runs for a moment: all of them are built for longer than they run.
fn cargo_fuzz(verb: &str) -> Command {
    let mut command = tools::with_own_path(cargo());
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").args([
        "fuzz",
        verb,
        "--release",
        "-s",
        "none",
        "--fuzz-dir",
    ]);
    command
}

fn run_target(folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = folder.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let seeds = folder.join("seeds").join(target);
    command::run(cargo_fuzz("run").arg(folder).arg(target).args([corpus, seeds]).args([
        "--",
        &format!("-max_total_time={seconds}"),
        "-max_len=65536",
        "-verbosity=0",
    ]))
}
