//! `cargo xtask bench`: the figures of `docs/benchmarks.md`, by a program that anyone can run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command::{self, cargo, target, workspace};
use crate::{package, tools};

/// What is measured; all but `package` goes to the program.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// These parts alone: cold, memory, many, known, lazy, service, listing, peers.
    #[arg(long, value_name = "PARTS")]
    only: Option<String>,
    /// Measure less, for a look whether it works.
    #[arg(long)]
    quick: bool,
    /// Install other scanners, and measure them too.
    #[arg(long)]
    peers: bool,
    /// Make the cold image with debootstrap, npm and pip: as root, once.
    #[arg(long)]
    real: bool,
    /// Fail where a target is missed.
    #[arg(long)]
    strict: bool,
    /// Compressed size of the cold image in MiB.
    #[arg(long, default_value_t = 500)]
    mebibytes: u32,
    /// Counted runs of each program.
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// The program and the drivers that `cargo xtask package` has put there; without it they are built first.
    #[arg(long, value_name = "DIR")]
    package: Option<PathBuf>,
    /// Print the tables, and leave `docs/benchmarks.md` as it is.
    #[arg(long)]
    print: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    tools::install_packages(&[
        ("docker-registry", "docker-registry"),
        ("time", "time"),
        ("taskset", "util-linux"),
    ])?;
    if arguments.real {
        tools::install_packages(&[("debootstrap", "debootstrap")])?;
    }
    let package = match &arguments.package {
        Some(package) => package.clone(),
        None => package::folder()?,
    };
    let mut build = cargo();
    build.args(["build", "--release", "--package", "regent-tests", "--bin", "bench", "--bin", "floor"]);
    command::run(build.args(["--package", "fixture-echo", "--lib"]))?;
    let release = target().join("release");
    let mut bench = Command::new(release.join("bench"));
    bench.arg("--regent").arg(package.join("regent")).arg("--plugins").arg(package.join("plugins"));
    bench.arg("--floor").arg(release.join("floor")).arg("--echo").arg(release.join("libfixture_echo.so"));
    bench.arg("--kept").arg(target().join("bench"));
    bench.args(["--mebibytes", &arguments.mebibytes.to_string(), "--runs", &arguments.runs.to_string()]);
    if let Some(parts) = &arguments.only {
        bench.args(["--only", parts]);
    }
    let flags = [
        ("--quick", arguments.quick),
        ("--peers", arguments.peers),
        ("--real", arguments.real),
        ("--strict", arguments.strict),
    ];
    for (flag, is_given) in flags {
        bench.args(is_given.then_some(flag));
    }
    if !arguments.print {
        bench.arg("--write").arg(workspace().join("docs/benchmarks.md"));
    }
    command::run(&mut bench)
}
