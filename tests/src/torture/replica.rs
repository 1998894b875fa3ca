//! An agent that is killed and started again, on the same port and the same data.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::artifacts;
use crate::process::{Process, fixed_port};

/// Where the program and its drivers are.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The program.
    pub regent: PathBuf,
    /// The directory of the drivers.
    pub plugins: PathBuf,
}

impl Installation {
    /// What was built together with the tests. The directory of the drivers has to be kept.
    pub fn built() -> (Self, tempfile::TempDir) {
        let plugins = artifacts::plugin_directory(&["oci"]);
        (Self { regent: artifacts::regent(), plugins: plugins.path().to_owned() }, plugins)
    }
}

/// An agent, running or not.
#[derive(Debug)]
pub struct Replica {
    installation: Installation,
    name: String,
    port: u16,
    environment: Vec<(String, String)>,
    /// What starts the program, if it is not started directly.
    launcher: Vec<String>,
    process: Option<Process>,
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Replica {
    /// One that does not run yet, with nothing in its environment but what is given.
    pub fn new(installation: &Installation, name: &str, environment: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            installation: installation.clone(),
            name: name.to_owned(),
            port: fixed_port(),
            environment: environment.to_vec(),
            launcher: Vec::new(),
            process: None,
            data: folder.path().join("data"),
            folder,
        }
    }

    /// The same, with its data elsewhere, started by another program (`nsenter …`).
    #[must_use]
    pub fn on(mut self, data: &Path, launcher: Vec<String>) -> Self {
        data.clone_into(&mut self.data);
        self.launcher = launcher;
        self
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Everything that it has printed, over all its lives.
    pub fn output(&self) -> String {
        std::fs::read(self.log()).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// Starts it, with more in its environment for this once.
    pub fn start(&mut self, more: &[(&str, &str)]) {
        let regent = self.installation.regent.display().to_string();
        let words: Vec<&str> = self.launcher.iter().map(String::as_str).chain([&*regent, "serve"]).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SNYK_PORT", self.port.to_string())
            .env("REGENT_LISTEN", "127.0.0.1")
            .env("REGENT_PLUGIN_DIR", &self.installation.plugins)
            .env("REGENT_DATA_DIR", &self.data)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(more.iter().copied());
        self.process = Some(Process::start_with_log(&self.name, &mut command, &self.log()));
    }

    /// Waits until it takes work, or has ended.
    ///
    /// # Panics
    /// When neither happens in time.
    pub async fn ready_or_ended(&mut self) -> Option<ExitStatus> {
        let http = crate::http::client();
        let url = format!("{}/readiness", self.url());
        let process = self.process.as_mut().expect("it was started");
        let mut ended = None;
        process
            .wait_for(async |process| {
                ended = process.ended();
                ended.is_some() || http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200)
            })
            .await;
        ended
    }

    /// Waits until it takes work.
    ///
    /// # Panics
    /// With its output, when it ends first.
    pub async fn ready(&mut self) {
        if let Some(status) = self.ready_or_ended().await {
            panic!("{} ended with {status}:\n{}", self.name, self.output());
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().expect("it was started").ended()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.as_mut().expect("it was started").kill();
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.as_mut().expect("it was started").terminate().await
    }

    /// The process's id.
    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("it was started").pid().as_raw_nonzero().get()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("output.log")
    }
}
