//! What a driver's process prints: its standard output and standard error are one pipe to the agent's log.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use super::super::services::LogWindow;

/// Longest line, in bytes; more of one is another line.
const MAX_LINE_BYTES: usize = 1024;
/// How that line begins.
const WANTS_MEMORY: &str = "memory allocation of ";

/// The agent's end of the pipe.
pub(super) struct Printed {
    driver: String,
    pipe: Receiver,
    line: Vec<u8>,
    wants_memory: bool,
    window: LogWindow,
    is_over: bool,
}

impl Printed {
    pub(super) fn new(driver: &str, pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            driver: driver.to_owned(),
            pipe: Receiver::from_owned_fd(pipe)?,
            line: Vec::new(),
            wants_memory: false,
            window: LogWindow::default(),
            is_over: false,
        })
    }

    /// Does something, and logs what is printed meanwhile.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.read(), if !self.is_over => {}
            }
        }
    }

    /// Logs what is still to come, up to the end.
    pub(super) async fn rest(&mut self) {
        while !self.is_over {
            self.read().await;
        }
    }

    /// Whether it said that it had no more memory, as Rust's standard library does before it aborts.
    pub(super) fn wants_memory(&self) -> bool {
        self.wants_memory
    }

    /// May be dropped at any time.
    async fn read(&mut self) {
        let mut piece = [0; MAX_LINE_BYTES];
        let read = self.pipe.read(&mut piece).await.unwrap_or_default();
        self.is_over = read == 0;
        for byte in piece.iter().take(read) {
            if *byte == b'\n' || self.line.len() >= MAX_LINE_BYTES {
                self.say();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        if self.is_over {
            self.say();
        }
    }

    fn say(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim().escape_debug().to_string();
        self.line.clear();
        if line.is_empty() {
            return;
        }
        self.wants_memory |= line.starts_with(WANTS_MEMORY);
        let driver = self.driver.as_str();
        if self.window.let_through(driver) {
            tracing::warn!(driver, "printed: {line}");
        }
    }
}
