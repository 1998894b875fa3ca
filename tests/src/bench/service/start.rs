//! How soon a new process answers, and what it holds of memory then.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::Subject;
use crate::bench::account::memory_mib;
use crate::bench::report::Target;
use crate::bench::sample::Sample;
use crate::process::{Process, free_port};

use super::caller::Caller;

const START_LIMIT_MS: f64 = 50.0;
const IDLE_LIMIT_MIB: f64 = 15.0;
/// Between looks whether it listens: short beside what is measured.
const LOOK: Duration = Duration::from_micros(300);
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts on a data directory that is there, up to the first answer; then all drivers are described.
pub fn measure(subject: &Subject) -> Vec<Target> {
    let data = tempfile::tempdir().unwrap();
    let mut starts = Vec::new();
    let mut resident = Vec::new();
    for i in 0..=subject.or_quick(11, 3) {
        let port = free_port();
        let mut command = Command::new(&subject.regent);
        command
            .arg("serve")
            .env_clear()
            .env("SNYK_PORT", port.to_string())
            .env("REGENT_LISTEN", "127.0.0.1")
            .env("REGENT_PLUGIN_DIR", &subject.plugins)
            .env("REGENT_DATA_DIR", data.path());
        let (milliseconds, process) = tokio::task::block_in_place(|| first_answer(&mut command, port));
        // The first one makes the data directory.
        if i > 0 {
            starts.push(milliseconds);
            resident.push(memory_mib(process.pid().as_raw_nonzero().get(), "VmRSS"));
        }
    }
    let (starts, resident) = (Sample::of(starts), Sample::of(resident));
    vec![
        Target::at_most(
            "cold start to the first answer",
            START_LIMIT_MS,
            " ms",
            starts.median,
            format!("{starts:.0} ms"),
        ),
        Target::at_most(
            "resident when idle, all drivers described",
            IDLE_LIMIT_MIB,
            " MiB",
            resident.median,
            format!("{resident:.1} MiB"),
        ),
    ]
}

fn first_answer(command: &mut Command, port: u16) -> (f64, Process) {
    let begin = Instant::now();
    let process = Process::start("regent", command);
    let mut caller = loop {
        if let Ok(caller) = Caller::to(port) {
            break caller;
        }
        assert!(begin.elapsed() < PATIENCE, "it does not listen:\n{}", process.output());
        std::thread::sleep(LOOK);
    };
    caller.get("/healthcheck", "");
    let milliseconds = begin.elapsed().as_secs_f64() * 1000.0;
    caller.get("/drivers", "");
    (milliseconds, process)
}
