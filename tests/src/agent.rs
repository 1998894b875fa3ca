//! The agent as a process.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::artifacts;
use crate::process::{Process, free_port};

/// A running `regent serve`.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    port: u16,
    data: tempfile::TempDir,
}

impl Agent {
    /// Starts it on a plugin directory, with nothing in its environment but what is given.
    pub async fn start(plugins: &Path, environment: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        Self::start_by(Command::new(artifacts::regent()), plugins, data, environment).await
    }

    /// The same by a command that ends where the arguments of the program begin, and with this data directory.
    pub async fn start_by(
        mut command: Command,
        plugins: &Path,
        data: tempfile::TempDir,
        environment: &[(&str, &str)],
    ) -> Self {
        let port = free_port();
        command
            .arg("serve")
            .env_clear()
            .env("SNYK_PORT", port.to_string())
            .env("REGENT_LISTEN", "127.0.0.1")
            .env("REGENT_PLUGIN_DIR", plugins)
            .env("REGENT_DATA_DIR", data.path())
            // A failure is seen at once, unless a test is about beginning again.
            .env("REGENT_SCAN_RETRY", "1ms")
            .env("REGENT_SHUTDOWN_DELAY", "1ms")
            .envs(environment.iter().copied());
        let mut process = Process::start("regent", &mut command);
        process.wait_for_port(port).await;
        Self { process, port, data }
    }

    /// Ends it by SIGTERM; its data directory is there for the next one.
    pub async fn stop(mut self) -> tempfile::TempDir {
        self.process.terminate().await;
        self.data
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// A figure of `/metrics` without labels.
    ///
    /// # Panics
    /// When there is none of this name.
    pub async fn metric(&self, name: &str) -> u64 {
        let metrics = self.get_with("/metrics", &[]).await.text;
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// GET with a connection in the header.
    pub async fn get(&self, path: &str, connection: &Connection) -> Answer {
        self.get_with(path, &[("x-cr-credentials", &connection.encoded())]).await
    }

    /// The same, for an agent that may end before it answers.
    pub async fn try_get(&self, path: &str, connection: &Connection) -> Option<u16> {
        let request = crate::http::client().get(format!("{}{path}", self.url()));
        let answer = request.header("x-cr-credentials", connection.encoded()).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// The process that serves, where the agent runs as a child of itself.
    ///
    /// # Panics
    /// When it has no child.
    pub fn child(&self) -> rustix::process::Pid {
        let parent = self.process.pid().as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let child =
            children.split_whitespace().next().unwrap_or_else(|| panic!("no child:\n{}", self.output()));
        rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap()
    }

    /// GET with any headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = crate::http::client().get(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(crate::http::client().post(format!("{}{path}", self.url())).json(body)).await
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The file of what it has printed.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, text: answer.text().await.unwrap() }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {}", self.text))
    }

    /// The body as JSON, after checking the status.
    ///
    /// # Panics
    /// With the body, when the status is another one.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The problem's code, after checking the status.
    ///
    /// # Panics
    /// When it is no problem document of that status.
    pub fn problem(&self, status: u16) -> String {
        let body = self.expect(status);
        let content_type = self.headers["content-type"].to_str().unwrap();
        assert!(content_type.starts_with("application/problem+json"), "{content_type}");
        body["type"].as_str().unwrap().to_owned()
    }
}

/// The connection as a Broker Client would send it.
#[derive(Debug, Clone)]
pub struct Connection(pub Value);

impl Connection {
    /// With user and password.
    pub fn new(registry_type: &str, base: &str, username: &str, password: &str) -> Self {
        Self(json!({
            "type": registry_type, "username": username, "password": password, "registryBase": base,
        }))
    }

    /// Without credentials.
    pub fn anonymous(registry_type: &str, base: &str) -> Self {
        Self::new(registry_type, base, "", "")
    }

    /// Base64 of the JSON with a newline behind, as the broker's entrypoint makes it.
    pub fn encoded(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(format!("{}\n", self.0))
    }
}
