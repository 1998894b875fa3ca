//! `cargo xtask bench`: the numbers of `docs/benchmarks.md`, by a program that anyone can run.

use std::process::Command;

use anyhow::Result;

use crate::command::{self, cargo, target};
use crate::{package, tools};

pub(crate) fn run(mebibytes: u32, runs: u32) -> Result<()> {
    tools::install_packages(&[("docker-registry", "docker-registry"), ("time", "time")])?;
    let package = package::run()?;
    command::run(cargo().args(["build", "--release", "--package", "regent-tests", "--bins"]))?;
    let release = target().join("release");
    command::run(
        Command::new(release.join("bench"))
            .arg(package.join("regent"))
            .arg(release.join("floor"))
            .arg(package.join("plugins"))
            .args([mebibytes.to_string(), runs.to_string()]),
    )
}
