//! The agent as a child of itself: when a driver takes the process down, it is started anew, without that driver.
//!
//! The parent runs no driver, opens no port and reads no queue. It forwards signals, waits, and when the child has
//! crashed reads what it left behind: which drivers' code ran ([`Crumbs`]), and which thread it was, with its stack
//! ([`crash`]). The driver at fault is quarantined for a while ([`blame`] says which that is). Whatever the child had
//! accepted is on the disk, and goes on with the next one.

mod blame;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use crate::crash::{self, Cause, Fault, Files, Frame, Report, signal_name};
use crate::drivers::{Change, Crumbs, Line, Suspect, decide};
use blame::{Crashed, Strikes, Verdict};

/// The file with the drivers that run, in the data directory.
const FILE: &str = "running-drivers";
/// The wait before the first new start; twice of it before the next, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A child that has lived for so long has started well: waits begin anew.
const WELL: Duration = Duration::from_mins(1);
/// Time to read the files that a stack leads through.
const UNWIND_TIMEOUT: Duration = Duration::from_secs(20);

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The data directory, which is there.
    pub(crate) data_dir: PathBuf,
    /// The plugin directory.
    pub(crate) plugin_dir: PathBuf,
    /// For how long a driver is quarantined after its first crash.
    pub(crate) quarantine: Duration,
}

/// How a child has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// By itself: the parent ends in the same way.
    Exit(u8),
    /// By its own doing, in these words.
    Crash(String),
    /// By someone else's doing, in these words.
    Killed(String),
}

/// Runs `regent serve` as a child, again and again, until it ends by itself or is told to. Returns its exit code.
///
/// # Errors
/// The child can't be started, or signals not be received.
pub(crate) async fn run(places: &Places) -> io::Result<u8> {
    let mut signals = Forwarded::new()?;
    let running = places.data_dir.join(FILE);
    let mut strikes = Strikes::default();
    let mut wait = FIRST_WAIT;
    loop {
        let started = Instant::now();
        let (mut child, pipe) = start(&running)?;
        let id = child.id();
        let status = signals.wait(&mut child).await?;
        let lines = Crumbs::read(&running);
        // Nothing but a pipe that is not empty and not well is an error, and then nothing is known.
        let fault = Fault::read(File::from(pipe)).ok().flatten();
        let cause = fault.as_ref().map(|fault| fault.cause(id));
        let words = match end(status, cause, lines.iter().any(|line| line.is_inside)) {
            End::Exit(code) => return Ok(code),
            _ if signals.stopping => return Ok(1),
            End::Crash(how) => {
                look_into(places, &how, fault, lines, &mut strikes).await;
                how
            }
            End::Killed(how) => how,
        };
        if started.elapsed() >= WELL {
            wait = FIRST_WAIT;
        }
        tracing::error!(%words, wait_ms = wait.as_millis(), "the agent was ended and is started anew");
        tokio::select! {
            () = sleep(wait) => {}
            () = signals.stop() => return Ok(0),
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The same program, also when its file was replaced meanwhile; in a group of its own, so that what a terminal sends
/// comes to it once. With it comes the end of the pipe that it writes to when it crashes.
fn start(running: &Path) -> io::Result<(Child, OwnedFd)> {
    let (read, write) = crash::pipe()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("regent").arg("serve").arg("--running-drivers").arg(running);
    command.arg("--crash-pipe").arg(write.as_raw_fd().to_string()).process_group(0);
    Ok((command.spawn()?, read))
}

fn end(status: ExitStatus, cause: Option<Cause>, in_a_driver: bool) -> End {
    match (status.code(), status.signal(), cause) {
        // A driver may call `exit`; the agent itself ends when it is told to, or can't start.
        (Some(code), ..) if code != 0 && in_a_driver => End::Crash(format!("it exited with code {code}")),
        (Some(code), ..) => End::Exit(u8::try_from(code).unwrap_or(1)),
        (None, Some(number), Some(Cause::Sent(by))) => {
            End::Killed(format!("it was sent {} by process {by}", name(number)))
        }
        (None, Some(_), Some(Cause::Own(what))) => End::Crash(format!("it crashed with {what}")),
        (None, Some(number), None) if signal_name(number).is_some() => {
            End::Crash(format!("it crashed with {}", name(number)))
        }
        (None, Some(number), None) => End::Killed(format!("it was killed by {}", name(number))),
        (None, None, _) => End::Killed("it ended without a status".to_owned()),
    }
}

fn name(signal: i32) -> String {
    signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// Finds out whose fault a crash was, keeps a report, and takes the driver out of use.
async fn look_into(
    places: &Places,
    how: &str,
    fault: Option<Fault>,
    lines: Vec<Line>,
    strikes: &mut Strikes,
) {
    let thread = fault.as_ref().map(|fault| (fault.thread, fault.thread_name.clone()));
    let stack = match fault {
        Some(fault) => stack_of(fault, files(places, &lines)).await,
        None => Vec::new(),
    };
    let crashed = thread.as_ref().map(|(thread, _)| Crashed { thread: *thread, stack: &stack });
    let (blamed, beside): Verdict = strikes.judge(lines, crashed);
    let told = |suspects: &[Suspect]| {
        let names: Vec<&str> = suspects.iter().map(|suspect| suspect.driver.as_str()).collect();
        names.join(", ")
    };
    let thread = thread.map(|(id, name)| format!("{name} ({id})"));
    let report = Report::new(how, thread.clone(), (blamed.clone(), beside.clone()), &stack);
    let report = report.keep(&places.data_dir).unwrap_or_else(|error| {
        tracing::error!(%error, "the report of a crash can't be kept");
        String::new()
    });
    let thread = thread.unwrap_or_else(|| "unknown".to_owned());
    tracing::error!(
        how,
        thread,
        blamed = told(&blamed),
        beside = told(&beside),
        report,
        "the agent has crashed"
    );
    for (n, frame) in stack.iter().enumerate() {
        tracing::error!(n, %frame, "where it was");
    }
    for suspect in blamed {
        quarantine(places, &suspect, &reason(how, &thread, &stack, &report));
    }
}

/// Why a driver is out of use, in a line.
fn reason(how: &str, thread: &str, stack: &[Frame], report: &str) -> String {
    let mut reason = format!("the agent was in its code when {how} (thread {thread})");
    if !stack.is_empty() {
        reason = format!("{reason} at {}", crash::in_words(stack));
    }
    if report.is_empty() { reason } else { format!("{reason}; all of it is in {report}") }
}

/// Where the files are that the child has run.
fn files(places: &Places, lines: &[Line]) -> Files {
    let file = |suspect: &Suspect| (suspect.digest.to_string(), places.plugin_dir.join(&suspect.file));
    let drivers: BTreeMap<_, _> = lines.iter().map(|line| file(&line.suspect)).collect();
    Files { program: program(), drivers }
}

/// The program's file, as the child has it mapped.
fn program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.into_os_string().into_string().ok()?;
    Some(path.strip_suffix(" (deleted)").unwrap_or(&path).into())
}

/// The frames of a crash. Files are parsed for it that may be anything: what fails there is a stack that is not known.
async fn stack_of(fault: Fault, files: Files) -> Vec<Frame> {
    match timeout(UNWIND_TIMEOUT, spawn_blocking(move || crash::unwind(&fault, &files))).await {
        Ok(Ok(stack)) => stack,
        Ok(Err(error)) => {
            tracing::error!(%error, "the stack of a crash can't be followed");
            Vec::new()
        }
        Err(_) => {
            tracing::error!("the stack of a crash can't be followed in time");
            Vec::new()
        }
    }
}

fn quarantine(places: &Places, suspect: &Suspect, reason: &str) {
    let Suspect { driver, version, file, digest } = suspect;
    let change = Change::Suspend { digest: digest.clone(), file: file.clone(), first: places.quarantine };
    match decide(&places.data_dir, &change, reason) {
        Ok(_) => {
            tracing::error!(driver, version, file, %digest, reason, "a driver took the agent down and is quarantined");
        }
        Err(error) => {
            tracing::error!(driver, %error, reason, "a driver took the agent down and can't be quarantined");
        }
    }
}

/// Signals that are the child's, and the one that it has ended.
struct Forwarded {
    terminate: Signals,
    interrupt: Signals,
    hang_up: Signals,
    ended: Signals,
    stopping: bool,
}

impl Forwarded {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            ended: signal(SignalKind::child())?,
            stopping: false,
        })
    }

    /// Waits for the end of the child. Everything else that arrives meanwhile is passed on.
    async fn wait(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            let signal = tokio::select! {
                _ = self.ended.recv() => continue,
                _ = self.terminate.recv() => Signal::TERM,
                _ = self.interrupt.recv() => Signal::INT,
                _ = self.hang_up.recv() => Signal::HUP,
            };
            self.stopping |= signal != Signal::HUP;
            // Fails when it has ended just now.
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, signal));
        }
    }

    /// Returns when the stop is asked for while there is no child.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests;
