//! The long form of `tests/torture.rs`, with what is judged by its figures. `cargo xtask torture` builds and calls it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use regent_tests::torture::{
    Installation, Plan, QueueKind, crash_at, crash_points, run, sick_registry, soak,
};

/// Kills agents and lets services fail, and counts what is lost.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program.
    #[arg(long)]
    regent: PathBuf,
    /// The directory of its drivers.
    #[arg(long)]
    plugins: PathBuf,
    /// embedded, jetstream or cluster.
    #[arg(long, default_value = "embedded")]
    queue: QueueKind,
    /// Scans to be accepted.
    #[arg(long, default_value_t = 500)]
    scans: usize,
    /// Processes to be killed.
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// Of what is random; printed with the tally.
    #[arg(long)]
    seed: Option<u64>,
    /// Instead: die at each crash point.
    #[arg(long)]
    crash_points: bool,
    /// Instead: so many scans without kills, to see whether anything grows.
    #[arg(long, value_name = "SCANS")]
    soak: Option<usize>,
    /// Instead: a registry that fails beside one that does not.
    #[arg(long)]
    faulty_registry: bool,
    /// How long each fault of the faulty registry lasts.
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    phase: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Arguments { queue, scans, kills, .. } = arguments;
    let installation = Installation { regent: arguments.regent, plugins: arguments.plugins };
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let is_clean = if arguments.crash_points {
        let mut all = true;
        for point in crash_points(&installation, queue).await {
            let crash = crash_at(&point, queue, &installation).await;
            println!("{}{}", if crash.hit { "" } else { "NOT HIT: " }, crash.report);
            all &= crash.hit && crash.report.is_clean();
        }
        all
    } else if let Some(scans) = arguments.soak {
        let soak = soak(&installation, queue, scans, seed).await;
        println!("{soak}");
        soak.is_clean()
    } else if arguments.faulty_registry {
        let sickness = sick_registry(&installation, Duration::from_secs(arguments.phase), seed).await;
        println!("{sickness}");
        sickness.is_clean()
    } else {
        let replicas = if queue == QueueKind::Embedded { 1 } else { 3 };
        let plan = Plan { scans, kills, seed, queue, replicas, images: 100, failing_percent: 25 };
        let report = run(&plan, &installation).await;
        println!("{report}");
        report.is_clean()
    };
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
