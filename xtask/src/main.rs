//! Developer commands: `cargo xtask demo | test | bench | instructions | torture | package | new-driver | freeze-api`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line tool that prints what it does and starts processes"
)]

mod bench;
mod command;
mod demo;
mod freeze_api;
mod instructions;
mod new_driver;
mod package;
mod test;
mod tools;
mod torture;

use clap::{Parser, Subcommand};

/// Regent's developer commands.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build everything and run the main job on a sample image: no registry, no broker, no network needed.
    Demo,
    /// Install what the tests need and pass all tests.
    Test {
        /// Only install.
        #[arg(long)]
        install_only: bool,
        /// Seconds that each fuzz target runs.
        #[arg(long, default_value_t = 10)]
        fuzz_seconds: u32,
    },
    /// Measure scans and the service side by side with a program that only downloads, hashes and inflates.
    Bench(bench::Arguments),
    /// Count the instructions that reading a layer takes: more than before is an error.
    Instructions {
        /// Take what is counted for what it may cost from now on.
        #[arg(long)]
        accept: bool,
    },
    /// Kill agents at random, or let what is around them fail, for long: nothing may be lost.
    Torture(torture::Arguments),
    /// Build the program and the drivers as they ship, into `target/package`, with archives in `target/dist`.
    Package(package::Arguments),
    /// Begin a driver: a crate that builds, passes its tests, and lists.
    NewDriver(new_driver::Arguments),
    /// Keep the plugin API of this version as source: what tests build drivers of that version from.
    FreezeApi(freeze_api::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Demo => demo::run(),
        Task::Test { install_only, fuzz_seconds } => test::run(install_only, fuzz_seconds),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Instructions { accept } => instructions::run(accept),
        Task::Torture(arguments) => torture::run(&arguments),
        Task::Package(arguments) => package::run(&arguments),
        Task::NewDriver(arguments) => new_driver::run(&arguments),
        Task::FreezeApi(arguments) => freeze_api::run(&arguments),
    }
}
