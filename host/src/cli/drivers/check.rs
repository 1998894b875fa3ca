//! `regent drivers check`: loads a driver into a process of its own, so that a crash is reported and not suffered.
//!
//! The child says on its standard output which step it begins and how each ended, a line of JSON each. One that dies or
//! hangs leaves a step without an end, which names the culprit. What is looked at stands in [`steps`].

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;
use regent_oci::Digest;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::{look_at, page, refusal};
use crate::cli::{Failure, field, output};
use crate::crash;
use crate::drivers::DriverDocument;

mod offline;
mod steps;

/// Time for all steps. They wait for nothing, so whoever needs it hangs.
const DEADLINE: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The driver library.
    #[arg(required_unless_present = "in_this_process")]
    file: Option<PathBuf>,
    /// A setting to connect with, such as `registryBase`. Without one, required settings get a placeholder.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// How long the driver has for all steps, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = DEADLINE.as_secs())]
    within: u64,
    /// What the child is told to do; standard input says with what.
    #[arg(long, hide = true)]
    in_this_process: bool,
    /// Where the child tells of a crash: a pipe that it has inherited.
    #[arg(long, value_name = "NUMBER", hide = true, requires = "in_this_process")]
    crash_pipe: Option<i32>,
}

/// What the child is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Task {
    file: PathBuf,
    /// Of the bytes that were shown.
    digest: Digest,
    fields: Vec<(String, String)>,
}

/// What the child says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Said {
    /// This step begins.
    Begins(String),
    /// This is how it ended.
    Ended(Step),
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    name: String,
    outcome: Outcome,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// The whole of a check.
#[derive(Debug, Serialize)]
struct Report {
    driver: DriverDocument,
    passed: bool,
    checks: Vec<Step>,
}

pub(super) async fn run(arguments: &CheckArgs) -> Result<(), Failure> {
    let Some(file) = arguments.file.as_ref().filter(|_| !arguments.in_this_process) else {
        if let Some(pipe) = arguments.crash_pipe {
            crash::install(pipe)?;
        }
        let task = serde_json::from_reader(std::io::stdin().lock())?;
        return steps::run(&task).await;
    };
    let info = look_at(file)?;
    let mut checks = Vec::new();
    if let (None, Some(digest)) = (refusal(&info), info.digest.clone()) {
        let task = Task { file: std::path::absolute(file)?, digest, fields: arguments.fields.clone() };
        checks = in_child(&task, Duration::from_secs(arguments.within)).await?;
    }
    let worst = worst(&checks).map(|step| format!("{}: {}", step.name, step.detail));
    let refused = refusal(&info);
    let text = if arguments.json {
        let passed = worst.is_none() && refused.is_none();
        let report = Report { driver: info.into(), passed, checks };
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        checks.iter().fold(page::text(&info), |text, step| text + &line(step))
    };
    output::write(None, text.as_bytes())?;
    match (refused, worst) {
        (Some(refused), _) => Err(refused),
        (None, None) => Ok(()),
        (None, Some(worst)) => Err(Failure::refused(format!("{} does not pass: {worst}", file.display()))),
    }
}

/// What an author has to look at first: that a description promises too much is the least of all.
fn worst(checks: &[Step]) -> Option<&Step> {
    let failed = || checks.iter().filter(|step| step.outcome == Outcome::Failed);
    failed().find(|step| step.name != steps::SETTINGS).or_else(|| failed().next())
}

/// Runs the steps in a child without our environment, and adds what its end says.
async fn in_child(task: &Task, deadline: Duration) -> Result<Vec<Step>, Failure> {
    let (crashed, pipe) = crash::pipe()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["drivers", "check", "--in-this-process", "--crash-pipe"])
        .arg(pipe.as_raw_fd().to_string())
        .env_clear()
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    drop(pipe);
    let group = Pid::from_child(&child);
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let drivers = [(task.digest.to_string(), task.file.clone())].into();
    let task = serde_json::to_vec(task)?;
    let mut ended = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        if let (Some(mut stdin), Some(mut stdout)) = (stdin, stdout) {
            // A child that is gone before it has read says more by its end than by this.
            let _ = stdin.write_all(&task);
            drop(stdin);
            stdout.read_to_end(&mut out)?;
        }
        Ok::<_, io::Error>((out, child.wait()?))
    });
    let in_time = tokio::time::timeout(deadline, &mut ended).await;
    let ended = if let Ok(ended) = in_time {
        ended.map(|ended| ended.map(|(out, status)| (out, Some(status))))
    } else {
        // With all that it has started: one of those would keep the pipe open.
        kill_process_group(group, Signal::KILL).map_err(io::Error::from)?;
        ended.await.map(|ended| ended.map(|(out, _)| (out, None)))
    };
    let (out, status) = ended.map_err(io::Error::from)??;
    let fault = crash::Fault::read(File::from(crashed)).ok().flatten();
    let files = crash::Files { drivers, ..crash::Files::default() };
    let stack = fault.map(|fault| crash::unwind(&fault, &files)).unwrap_or_default();
    Ok(gathered(&out, status, &stack))
}

/// The steps that a child told of; one that it did not come to the end of is a failed one.
fn gathered(out: &[u8], status: Option<ExitStatus>, stack: &[crash::Frame]) -> Vec<Step> {
    let (mut steps, mut begun) = (Vec::new(), None);
    // What the driver itself prints is none of it.
    for said in String::from_utf8_lossy(out).lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match said {
            Said::Begins(name) => begun = Some(name),
            Said::Ended(step) => {
                begun = None;
                steps.push(step);
            }
        }
    }
    let how = match status {
        Some(status) if status.success() && begun.is_none() && !steps.is_empty() => return steps,
        Some(status) => match (status.signal(), status.code()) {
            (Some(signal), _) => {
                let place =
                    if stack.is_empty() { String::new() } else { format!(" at {}", crash::in_words(stack)) };
                format!("the driver brought its process down with signal {signal}{}{place}", known(signal))
            }
            (None, code) => format!("the driver ended its process (exit code {})", code.unwrap_or_default()),
        },
        None => "the driver blocks or hangs".to_owned(),
    };
    let name = begun.unwrap_or_else(|| "end".to_owned());
    steps.push(Step { name, outcome: Outcome::Failed, detail: how });
    steps
}

fn known(signal: i32) -> &'static str {
    let names = [
        (Signal::SEGV, " (SIGSEGV: memory corruption or a stack overflow)"),
        (Signal::ABORT, " (SIGABRT: abort, or a panic that could not be caught)"),
        (Signal::BUS, " (SIGBUS)"),
        (Signal::ILL, " (SIGILL: built for another processor, or a trap)"),
        (Signal::KILL, " (SIGKILL: out of memory?)"),
    ];
    names.iter().find(|(s, _)| s.as_raw() == signal).map_or("", |(_, words)| words)
}

fn line(step: &Step) -> String {
    let mark = match step.outcome {
        Outcome::Passed => "ok   ",
        Outcome::Failed => "FAIL ",
        Outcome::Skipped => "-    ",
    };
    format!("{mark} {}: {}\n", step.name, step.detail)
}

#[cfg(test)]
mod tests;
