//! Child processes that end with the test that started them.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt as _;

/// How long a server may take to come up. Generous: machines are shared.
const STARTUP: Duration = Duration::from_secs(90);
/// Lines that a process has said last and that a failed test shows.
const LAST_LINES: usize = 400;
/// Where ports that stay a server's own over its restarts are looked for, up to those that the system gives out.
const LOWEST_FIXED_PORT: u16 = 15_000;

/// A running process in a group of its own, killed with its descendants on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Keeps the log's directory until the process is gone; `None` where the log is the caller's.
    _directory: Option<tempfile::TempDir>,
}

impl Process {
    /// Starts a command; what it prints goes to a file.
    ///
    /// # Panics
    /// When the program is not there.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("output.log");
        Self::spawn(name, command, log, Some(directory))
    }

    /// The same; what it prints goes to the end of the caller's own file.
    ///
    /// # Panics
    /// When the program is not there.
    pub fn start_with_log(name: &str, command: &mut Command, log: &Path) -> Self {
        Self::spawn(name, command, log.to_owned(), None)
    }

    fn spawn(name: &str, command: &mut Command, log: PathBuf, directory: Option<tempfile::TempDir>) -> Self {
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let err = out.try_clone().unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} can't be started ({e}); `cargo xtask test` installs it"));
        Self { name: name.to_owned(), child, log, _directory: directory }
    }

    /// The file of everything that it has printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Everything that it has printed.
    pub fn output(&self) -> String {
        let mut text = Vec::new();
        File::open(&self.log).unwrap().read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until `ready` says so.
    ///
    /// # Panics
    /// With the output, when the process ends first or is not ready in time.
    pub async fn wait_until(&mut self, what: &str, mut ready: impl AsyncFnMut() -> bool) {
        let wait = self.wait_for(async |process| {
            let is_ready = ready().await;
            if let Some(status) = process.ended().filter(|_| !is_ready) {
                panic!("{} ended with {status} before {what}:\n{}", process.name, process.output());
            }
            is_ready
        });
        wait.await;
    }

    /// Waits until `seen` says so, whether the process lives or not.
    ///
    /// # Panics
    /// With the output, when that takes too long.
    pub async fn wait_for(&mut self, mut seen: impl AsyncFnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + STARTUP;
        while !seen(self).await {
            assert!(Instant::now() < deadline, "{} not in time:\n{}", self.name, self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it has printed these words.
    pub async fn wait_until_said(&mut self, words: &str) {
        let log = self.log.clone();
        let said = async || String::from_utf8_lossy(&std::fs::read(&log).unwrap()).contains(words);
        self.wait_until(words, said).await;
    }

    /// Waits until the port takes connections.
    pub async fn wait_for_port(&mut self, port: u16) {
        self.wait_until("listening", async || is_listening(port)).await;
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> ExitStatus {
        if self.ended().is_none() {
            rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        }
        self.wait_for(async |process| process.ended().is_some()).await;
        self.ended().expect("it has ended")
    }

    /// Sends SIGKILL to it and its descendants, and waits for the end. What it has written to files is still there.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            let _ = rustix::process::kill_process_group(self.pid(), rustix::process::Signal::KILL);
            self.child.wait().unwrap();
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// The operating system's id.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group is gone already where the process ended by itself: nothing to do then.
        let _ = rustix::process::kill_process_group(self.pid(), rustix::process::Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let output = self.output();
            let n_lines = output.lines().count();
            eprintln!("--- output of {}, the last {LAST_LINES} of {n_lines} lines", self.name);
            for line in output.lines().skip(n_lines.saturating_sub(LAST_LINES)) {
                eprintln!("{line}");
            }
        }
    }
}

/// Whether a port of this machine takes connections.
pub fn is_listening(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A free port for a server that is started again on the same one. The system gives it to no outgoing connection in
/// between, as it could with [`free_port`].
///
/// # Panics
/// When none is found.
pub fn fixed_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let lowest_given_out: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    // At random, so that tests side by side do not take the same ones.
    let tries = std::iter::repeat_with(|| rand::rng().random_range(LOWEST_FIXED_PORT..lowest_given_out));
    tries.take(1000).find(is_free).expect("a free port below those that the system gives out")
}
