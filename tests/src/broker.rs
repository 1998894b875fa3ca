//! The real broker, server and client, around the agent (npm `snyk-broker`, version pinned by its lock file).
//!
//! ```text
//! caller → broker server → websocket → broker client → agent
//! sink   ← broker server ← websocket ← broker client ← agent
//! ```
//!
//! Everything stays on loopback: start-up checks, dispatcher and probes of the client are off, and the server it is told
//! of is ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::artifacts::tools;
use crate::http::client;
use crate::process::{Process, free_port};

const TOKEN: &str = "5e1f7e57-0000-4000-8000-00000000c0de";

/// A running broker server and client.
#[derive(Debug)]
pub struct Broker {
    server_port: u16,
    client_port: u16,
    // Dropped in this order: the client first, or it would try to reconnect.
    _client: Process,
    _server: Process,
    _directory: tempfile::TempDir,
}

impl Broker {
    /// A port for the client, to be known to the agent before the client runs.
    pub fn choose_client_port() -> u16 {
        free_port()
    }

    /// Starts both. `credentials` is what the client puts in place of `${CR_CREDENTIALS}`; callbacks end at `sink`.
    pub async fn start(client_port: u16, agent: &str, credentials: &str, sink: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server_port = free_port();
        let server_url = format!("http://127.0.0.1:{server_port}");
        let server_folder = directory.path().join("server");
        fs::create_dir_all(&server_folder).unwrap();
        // On the server "public" is what may go down to a client, "private" what may come up from one; the origin of
        // the latter is where callbacks end.
        let any = json!({ "method": "any", "path": "/*" });
        let mut up = any.clone();
        up["origin"] = sink.into();
        let accept = server_folder.join("accept.json");
        fs::write(&accept, json!({ "public": [any], "private": [up] }).to_string()).unwrap();
        let mut command = node(&server_folder);
        command
            .env("BROKER_TYPE", "server")
            .env("PORT", server_port.to_string())
            .env("ACCEPT", &accept)
            .arg(program())
            .arg("server");
        let mut server = Process::start("broker server", &mut command);
        server
            .wait_until("healthy", async || healthy(&format!("{server_url}/healthcheck")).await.is_some())
            .await;

        let client_folder = directory.path().join("client");
        fs::create_dir_all(&client_folder).unwrap();
        fs::copy(install().join(".env"), client_folder.join(".env")).unwrap();
        let mut command = node(&client_folder);
        command
            .env("BROKER_TYPE", "client")
            .env("PORT", client_port.to_string())
            .env("BROKER_SERVER_URL", &server_url)
            .env("API_BASE_URL", &server_url)
            .env("BROKER_CLIENT_URL", format!("http://127.0.0.1:{client_port}"))
            .env("BROKER_TOKEN", TOKEN)
            .env("CR_AGENT_URL", agent)
            .env("CR_CREDENTIALS", credentials)
            .env("ACCEPT", "accept.json")
            .env("BROKER_CLIENT_VALIDATION_URL", format!("{agent}/systemcheck"))
            .env("BROKER_CLIENT_VALIDATION_AUTHORIZATION_HEADER", credentials)
            // What would otherwise look outside: start-up checks, the dispatcher, a probe.
            .env("PREFLIGHT_CHECKS_ENABLED", "false")
            .env("BROKER_HA_MODE_ENABLED", "false")
            .env("IPV6_CONNECTIVITY_CHECK_ENABLED", "false")
            .arg(program())
            .arg("client");
        let mut client = Process::start("broker client", &mut command);
        let healthcheck = format!("http://127.0.0.1:{client_port}/healthcheck");
        let status = format!("{server_url}/connection-status/{TOKEN}");
        client
            .wait_until("connected", async || {
                let sockets = healthy(&healthcheck).await;
                let open = sockets.as_ref().and_then(Value::as_array).is_some_and(|all| {
                    !all.is_empty() && all.iter().all(|c| c["websocketConnectionOpen"] == true)
                });
                // The server knows a websocket only once the client has introduced itself on it.
                let known = healthy(&status).await;
                open && known.is_some_and(|s| {
                    s["clients"]
                        .as_array()
                        .is_some_and(|all| !all.is_empty() && all.iter().all(|c| c["version"] != Value::Null))
                })
            })
            .await;
        Self { server_port, client_port, _client: client, _server: server, _directory: directory }
    }

    /// Calls the agent as the service does.
    pub fn call_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/broker/{TOKEN}{path}", self.server_port)
    }

    /// The client's own `/systemcheck`, which makes it call the agent's.
    pub fn systemcheck_url(&self) -> String {
        format!("http://127.0.0.1:{}/systemcheck", self.client_port)
    }
}

async fn healthy(url: &str) -> Option<Value> {
    let answer = client().get(url).send().await.ok().filter(|a| a.status() == 200)?;
    answer.json().await.ok()
}

fn install() -> PathBuf {
    let folder = tools().join("broker");
    assert!(folder.join("accept.json").is_file(), "the broker is not installed; `cargo xtask test` does it");
    folder
}

fn program() -> PathBuf {
    install().join("node_modules/snyk-broker/dist/cli/index.js")
}

/// The installed broker's version.
fn version() -> String {
    let manifest = std::fs::read(install().join("node_modules/snyk-broker/package.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["version"].as_str().unwrap().to_owned()
}

/// node 24 or newer: the private one where the system's is older.
fn node(folder: &Path) -> Command {
    let private = tools().join("node/bin/node");
    let mut command = Command::new(if private.is_file() { private } else { PathBuf::from("node") });
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("LOG_LEVEL", "info")
        // The other side does not complete a handshake with a version that it can't read.
        .env("BROKER_VERSION", version());
    command
}
