//! The agent as a child of itself: when a driver takes the process down, it is started anew, without that driver.
//!
//! The parent runs no driver, opens no port and reads no queue. It forwards signals, waits, and when the child has
//! crashed reads which driver's code ran ([`Crumbs`]). One that ran alone is quarantined, and so is one that ran at two
//! crashes beside others. Whatever the child had accepted is on the disk, and goes on with the next one.

use std::collections::HashMap;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use regent_oci::Digest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::drivers::{Change, Crumbs, Suspect, decide};

/// The file with the drivers that run, in the data directory.
const FILE: &str = "running-drivers";
/// The wait before the first new start; twice of it before the next, and so on.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A child that has lived for so long has started well: waits begin anew.
const WELL: Duration = Duration::from_mins(1);
/// Crashes at which a driver ran beside others, until it is held to be the cause.
const STRIKES: u32 = 2;

/// Signals by which a process ends that does what it must not (`signal(7)`).
const CRASHES: [(i32, &str); 7] = [
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (11, "SIGSEGV"),
    (31, "SIGSYS"),
];

/// The name of a signal by which a process ends that does what it must not.
pub(crate) fn signal_name(number: i32) -> Option<&'static str> {
    CRASHES.iter().find(|(crash, _)| *crash == number).map(|(_, name)| *name)
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
/// `data_dir` is there.
///
/// # Errors
/// The child can't be started, or signals not be received.
pub(crate) async fn run(data_dir: &Path) -> io::Result<u8> {
    let mut signals = Forwarded::new()?;
    let file = data_dir.join(FILE);
    let mut strikes = HashMap::new();
    let mut wait = FIRST_WAIT;
    loop {
        let started = Instant::now();
        let mut child = start(&file)?;
        let status = signals.wait(&mut child).await?;
        let inside = Crumbs::inside(&file);
        let words = match end(status, !inside.is_empty()) {
            End::Exit(code) => return Ok(code),
            _ if signals.stopping => return Ok(1),
            End::Crash(how) => {
                for suspect in blamed(inside, &mut strikes) {
                    quarantine(data_dir, &suspect, &how);
                }
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
/// comes to it once.
fn start(running: &Path) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("regent").arg("serve").arg("--running-drivers").arg(running).process_group(0);
    command.spawn()
}

fn end(status: ExitStatus, in_a_driver: bool) -> End {
    match (status.code(), status.signal()) {
        // A driver may call `exit`; the agent itself ends when it is told to, or can't start.
        (Some(code), _) if code != 0 && in_a_driver => End::Crash(format!("it exited with code {code}")),
        (Some(code), _) => End::Exit(u8::try_from(code).unwrap_or(1)),
        (None, Some(number)) => match signal_name(number) {
            Some(name) => End::Crash(format!("it crashed with {name}")),
            None => End::Killed(format!("it was killed by signal {number}")),
        },
        (None, None) => End::Killed("it ended without a status".to_owned()),
    }
}

/// The drivers that are held to be the cause of a crash.
fn blamed(inside: Vec<Suspect>, strikes: &mut HashMap<Digest, u32>) -> Vec<Suspect> {
    if inside.len() == 1 {
        return inside;
    }
    let names: Vec<&str> = inside.iter().map(|s| s.driver.as_str()).collect();
    if names.is_empty() {
        tracing::error!("no driver's code ran when the agent crashed");
    } else {
        tracing::error!(drivers = names.join(", "), "code of several drivers ran when the agent crashed");
    }
    let mut is_guilty = |suspect: &Suspect| {
        let count = strikes.entry(suspect.digest.clone()).or_default();
        *count += 1;
        *count >= STRIKES
    };
    inside.into_iter().filter(|suspect| is_guilty(suspect)).collect()
}

fn quarantine(data_dir: &Path, suspect: &Suspect, how: &str) {
    let Suspect { driver, version, file, digest } = suspect;
    let reason = format!("the agent was in its code when {how} (thread driver-{driver})");
    let change = Change::Quarantine { digest: digest.clone(), file: file.clone() };
    match decide(data_dir, &change, &reason) {
        Ok(_) => {
            tracing::error!(driver, version, file, %digest, how, "a driver took the agent down and is quarantined");
        }
        Err(error) => {
            tracing::error!(driver, %error, how, "a driver took the agent down and can't be quarantined");
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
