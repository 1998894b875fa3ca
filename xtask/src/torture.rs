//! `cargo xtask torture`: kills agents for long, and judges what `.ci/run` only counts.

use std::process::Command;

use anyhow::Result;

use crate::command::{self, cargo, target};
use crate::{package, tools};

/// Which of the forms is run, and how; all of it goes to the program.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where operations are kept: embedded, jetstream (one server) or cluster (three, in network namespaces).
    #[arg(long, default_value = "embedded")]
    queue: String,
    /// Scans to be accepted.
    #[arg(long, default_value_t = 500)]
    scans: usize,
    /// Processes to be killed meanwhile.
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// Repeats the choices of an earlier run, which printed it.
    #[arg(long)]
    seed: Option<u64>,
    /// Instead of at random, die at each named point between two durable writes.
    #[arg(long)]
    crash_points: bool,
    /// Instead of killing, run so many scans and see whether anything grows.
    #[arg(long, value_name = "SCANS")]
    soak: Option<usize>,
    /// Instead of killing, let a registry fail in every way beside one that does not.
    #[arg(long)]
    faulty_registry: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    tools::install_packages(&tools::SERVERS)?;
    let package = package::folder()?;
    command::run(cargo().args(["build", "--release", "--package", "regent-tests", "--bin", "torture"]))?;
    let mut torture = Command::new(target().join("release/torture"));
    torture.arg("--regent").arg(package.join("regent")).arg("--plugins").arg(package.join("plugins"));
    torture.args(["--queue", &arguments.queue]);
    torture.args(["--scans", &arguments.scans.to_string(), "--kills", &arguments.kills.to_string()]);
    if let Some(seed) = arguments.seed {
        torture.args(["--seed", &seed.to_string()]);
    }
    if let Some(scans) = arguments.soak {
        torture.args(["--soak", &scans.to_string()]);
    }
    for (flag, is_given) in
        [("--crash-points", arguments.crash_points), ("--faulty-registry", arguments.faulty_registry)]
    {
        torture.args(is_given.then_some(flag));
    }
    command::run(&mut torture)
}
