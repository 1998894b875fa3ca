//! A driver's process, seen from the agent.
//!
//! It is this very program again, with a command of its own ([`inside`]). It is given a socket, the sealed memory with the
//! library's bytes, and a pipe for what the driver prints: no path, no environment, no other file. One thread starts it,
//! speaks with it ([`Link`]), and sees to its end; the thread lives longer than the process, so the kernel ends the process
//! with the agent.

mod confine;
pub(crate) mod inside;
mod printed;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use regent_isolation::Link;
use regent_plugin_api::load::SealedLibrary;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::crash::signal_name;
use printed::Printed;

/// Time for a process to end that has nothing left to do.
const GRACE: Duration = Duration::from_secs(5);
/// Between looks whether it has ended.
const LOOK: Duration = Duration::from_millis(1);

/// What a driver's process is started from, as often as it has to be.
pub(super) struct Launch {
    pub(super) driver: String,
    pub(super) program: PathBuf,
    pub(super) library: SealedLibrary,
    /// The most memory for data, in bytes.
    pub(super) memory_bytes: Option<u64>,
}

/// What is known of one process while and after it runs. Shared with the thread that keeps it.
pub(super) struct Life {
    driver: String,
    began: Instant,
    pid: OnceLock<u32>,
    end: OnceLock<String>,
    ended: Notify,
    condemned: Notify,
}

impl Life {
    pub(super) fn new(driver: &str) -> Self {
        Self {
            driver: driver.to_owned(),
            began: Instant::now(),
            pid: OnceLock::new(),
            end: OnceLock::new(),
            ended: Notify::new(),
            condemned: Notify::new(),
        }
    }

    /// Its number, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid.get().copied().filter(|_| self.end.get().is_none())
    }

    /// How it has ended, in words, once it has.
    pub(super) fn end(&self) -> Option<&str> {
        self.end.get().map(String::as_str)
    }

    /// Returns when it has ended.
    pub(super) async fn over(&self) {
        let ended = self.ended.notified();
        if self.end().is_none() {
            ended.await;
        }
    }

    /// How long it lives, or has lived.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Has it killed.
    pub(super) fn condemn(&self) {
        self.condemned.notify_one();
    }
}

/// Starts a process and stays with it until it has ended, for as long as `work` is going on: calls that go over the link.
pub(super) async fn keep(launch: &Launch, link: &Link, life: &Life, work: impl Future<Output = ()>) {
    // Dropped when it is known how the process has ended: whoever waits for a call asks for that.
    let mut work = Box::pin(work);
    let end = match Process::start(launch) {
        Ok(process) => {
            let _ = life.pid.set(process.child.id());
            tracing::debug!(driver = %life.driver, pid = process.child.id(), "the driver's process has started");
            process.live(link, life, &mut work).await
        }
        Err(error) => {
            let words = format!("it can't be started: {error}");
            tracing::error!(driver = %life.driver, %error, "the driver's process can't be started");
            words
        }
    };
    let _ = life.end.set(end);
    life.ended.notify_waiters();
}

struct Process {
    child: Child,
    stream: UnixStream,
    printed: Printed,
}

/// Why the agent stops speaking with a process.
enum Parting {
    /// It has closed the connection, as one that ends does.
    Closed,
    /// There is nothing more to do for it, and it has ended well.
    Done,
    /// It is to be killed, for this reason.
    Kill(String),
}

impl Process {
    fn start(launch: &Launch) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let mut command = Command::new(&launch.program);
        command.arg0("regent").arg("driver-process").arg(&launch.driver);
        if let Some(bytes) = launch.memory_bytes {
            command.arg("--memory-bytes").arg(bytes.to_string());
        }
        command.env_clear();
        let temporary = std::env::temp_dir();
        if temporary != Path::new("/tmp") {
            command.env("TMPDIR", temporary);
        }
        command
            .current_dir("/")
            // What a terminal sends is for the agent, and what the driver starts ends with it.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(launch.library.to_fd()?))
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let attach = |child: &mut Child| -> io::Result<_> {
            let stderr = child.stderr.take().ok_or_else(|| io::Error::other("it has no standard error"))?;
            Ok((UnixStream::from_std(ours)?, Printed::new(&launch.driver, OwnedFd::from(stderr))?))
        };
        match attach(&mut child) {
            Ok((stream, printed)) => Ok(Self { child, stream, printed }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Speaks with it until its end. Returns how it has ended.
    async fn live(self, link: &Link, life: &Life, work: &mut (impl Future<Output = ()> + Unpin)) -> String {
        let Self { mut child, stream, mut printed } = self;
        let pid = Pid::from_child(&child);
        let parting = printed.beside(part(link, stream, life, work)).await;
        let in_time = match parting {
            Parting::Kill(_) => false,
            Parting::Closed | Parting::Done => printed.beside(timeout(GRACE, ended(pid))).await.is_ok(),
        };
        // With all that it has started, which may be nothing any more. Until its status is asked for, its number and that of
        // its group are given to nobody else.
        let _ = kill_process_group(pid, Signal::KILL);
        let status = child.wait();
        // Nobody is left who could keep the pipe open, but for one who has left the group.
        let _ = timeout(GRACE, printed.rest()).await;
        let end = match (parting, status) {
            (Parting::Done, Ok(status)) if status.success() => return "it is not needed any more".to_owned(),
            // Whoever has it loaded tells why.
            (_, Ok(status)) if status.success() && link.refusal().is_some() => {
                return "its library was refused".to_owned();
            }
            (Parting::Kill(why), _) => why,
            (_, Ok(_)) if !in_time => "it hung at its end".to_owned(),
            (_, Ok(status)) => how(status, printed.wants_memory()),
            (_, Err(error)) => format!("it has ended: {error}"),
        };
        let driver = life.driver.as_str();
        tracing::error!(driver, pid = pid.as_raw_nonzero().get(), %end, "the driver's process has ended");
        end
    }
}

async fn part(
    link: &Link,
    stream: UnixStream,
    life: &Life,
    work: &mut (impl Future<Output = ()> + Unpin),
) -> Parting {
    let mut talk = pin!(link.run(stream));
    let talked = tokio::select! {
        talked = &mut talk => talked,
        () = life.condemned.notified() => return Parting::Kill("it hung".to_owned()),
        () = work => {
            link.close();
            match timeout(GRACE, &mut talk).await {
                Ok(Ok(())) => return Parting::Done,
                Ok(talked) => talked,
                Err(_) => return Parting::Kill("it hung at its end".to_owned()),
            }
        }
    };
    match talked {
        Ok(()) => Parting::Closed,
        Err(broken) => Parting::Kill(format!("it sent what it must not: {broken}")),
    }
}

/// Returns when a child has ended that has closed its connection, which is about to. Its status stays to be asked for.
async fn ended(child: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while let Ok(None) = waitid(WaitId::Pid(child), options) {
        sleep(LOOK).await;
    }
}

/// How a process has ended that was not told to.
fn how(status: ExitStatus, wants_memory: bool) -> String {
    match (status.code(), status.signal()) {
        (_, Some(6)) if wants_memory => "it had no more memory (SIGABRT)".to_owned(),
        (Some(code), _) => format!("it exited with code {code}"),
        (None, Some(number)) => match signal_name(number) {
            Some(name) => format!("it crashed with {name}"),
            None => format!("it was killed by signal {number}"),
        },
        (None, None) => "it ended without a status".to_owned(),
    }
}

#[cfg(test)]
mod tests;
