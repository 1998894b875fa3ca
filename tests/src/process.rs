//! Child processes that end with the test that started them.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to come up. Generous: machines are shared.
const STARTUP: Duration = Duration::from_secs(90);

/// A running process in a group of its own, killed with its descendants on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Keeps the log's directory until the process is gone.
    _directory: tempfile::TempDir,
}

impl Process {
    /// Starts a command; what it prints goes to a file.
    ///
    /// # Panics
    /// When the program is not there.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("output.log");
        let out = File::create(&log).unwrap();
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
        let deadline = Instant::now() + STARTUP;
        while !ready().await {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status} before {what}:\n{}", self.name, self.output());
            }
            assert!(Instant::now() < deadline, "{}: {what} not in time:\n{}", self.name, self.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the port takes connections.
    pub async fn wait_for_port(&mut self, port: u16) {
        self.wait_until("listening", async || is_listening(port)).await;
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> std::process::ExitStatus {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + STARTUP;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} ignores SIGTERM:\n{}", self.name, self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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
            eprintln!("--- output of {}\n{}", self.name, self.output());
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
