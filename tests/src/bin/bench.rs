//! Measures all that `docs/benchmarks.md` says. `cargo xtask bench` builds and calls it.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use futures_util::FutureExt as _;
use regent_tests::bench::report::{Target, write_between_marks};
use regent_tests::bench::{Part, Subject};

/// Measures scans and the service side by side with the least that they can cost.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// These parts alone.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Other scanners too, which are installed.
    #[arg(long)]
    peers: bool,
    /// Fail where a target is missed.
    #[arg(long)]
    strict: bool,
    /// Write each part between its marks of this document.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut parts = if arguments.only.is_empty() { Part::USUAL.to_vec() } else { arguments.only };
    if arguments.peers && !parts.contains(&Part::Peers) {
        parts.push(Part::Peers);
    }
    let machine = machine(&arguments.subject);
    let (mut has_failed, mut has_missed) = (false, false);
    for part in parts {
        eprintln!("{}:", part.name());
        // A part that can't be measured does not keep the others from it.
        let measured = AssertUnwindSafe(part.measure(&arguments.subject)).catch_unwind().await;
        let Ok(section) = measured else {
            eprintln!("{} could not be measured", part.name());
            has_failed = true;
            continue;
        };
        has_missed |= !section.targets.iter().all(Target::is_met);
        let text = section.markdown(&machine);
        println!("## {}\n\n{text}", part.name());
        if let Some(document) = &arguments.write {
            write_between_marks(document, &part.name(), &text);
        }
    }
    if has_failed || (arguments.strict && has_missed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// When, on what and of which program.
fn machine(subject: &Subject) -> String {
    let today = time::OffsetDateTime::now_utc().date();
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    let version = Command::new(&subject.regent).arg("--version").output().expect("the program is there");
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let look = if subject.quick { ", a quick look" } else { "" };
    format!("{today}, {n_cores} cores, {}, {version}{look}", std::env::consts::ARCH)
}
