//! A real `nats-server` for tests.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::jobs::LEASE;
use crate::settings::{NatsServers, NatsSettings};

pub mod accounts;
pub mod cluster;
pub mod trust;

/// A server with JetStream on a port of its own, killed when it is dropped.
#[derive(Debug)]
pub struct NatsServer {
    process: Option<Child>,
    port: u16,
    directory: TempDir,
    config: String,
}

impl NatsServer {
    /// Starts one without authentication.
    pub async fn start() -> Self {
        Self::with(|_| String::new()).await
    }

    /// Starts one with these lines in its configuration, made for its directory.
    pub async fn with(config: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let mut server = Self { process: None, port: 0, directory, config };
        server.resume().await;
        server
    }

    /// Kills it, without a word to its clients.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again, on its port and with what it has stored.
    pub async fn resume(&mut self) {
        let path = self.directory.path().join("server.conf");
        // -1 for a port that is free.
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        let store = self.directory.path().join("store");
        let text = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {:?}, max_file: 1G, max_mem: 64M }}\n{}\n",
            store.display().to_string(),
            self.config
        );
        std::fs::write(&path, text).unwrap();
        let mut process = Command::new("nats-server")
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nats-server is installed (the package nats-server)");
        let mut log = BufReader::new(process.stderr.take().unwrap());
        self.process = Some(process);
        let ready = spawn_blocking(move || {
            let (mut port, mut seen) = (0, String::new());
            loop {
                let mut line = String::new();
                assert!(log.read_line(&mut line).unwrap() > 0, "the server ended:\n{seen}");
                seen.push_str(&line);
                if let Some((_, address)) = line.split_once("Listening for client connections on 127.0.0.1:")
                {
                    port = address.trim().parse().unwrap();
                }
                if line.contains("Server is ready") {
                    // What it says from now on is nobody's business, but has to go somewhere.
                    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                    return port;
                }
            }
        });
        self.port = ready.await.unwrap();
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A file of its directory, with this text.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Whether this text is anywhere in what it has stored.
    pub fn has(&self, text: &str) -> bool {
        fn search(directory: &Path, text: &[u8]) -> bool {
            std::fs::read_dir(directory).unwrap().any(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    return search(&path, text);
                }
                // A file may vanish while it is looked at.
                let bytes = std::fs::read(&path).unwrap_or_default();
                bytes.windows(text.len()).any(|window| window == text)
            })
        }
        search(&self.directory.path().join("store"), text.as_bytes())
    }

    /// How it is reached, for things whose names begin with this.
    pub fn settings(&self, prefix: &str) -> NatsSettings {
        NatsSettings {
            servers: NatsServers::parse(&self.url()).unwrap(),
            credentials: None,
            nkey: None,
            authorities: None,
            certificate: None,
            prefix: prefix.to_owned(),
            replicas: 1,
            lease: LEASE,
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
