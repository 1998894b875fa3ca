//! `regent demo`: the main job, end to end, on embedded defaults.
//!
//! The agent runs as its own process, as it does for real; this one plays the Broker Client: it makes the calls that the
//! service would make and takes the callbacks.

mod sample;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use warp::Filter as _;

use super::{Failure, output};

/// The whole demo takes a second or two; a machine under load gets more.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("images");
    sample::write(&root.join("team/app"))?;
    show(&format!("A sample image layout is at {}", root.join("team/app").display()));

    let (callbacks, sink) = start_sink()?;
    let agent = Agent::start(&root, &folder.path().join("data"), &format!("http://127.0.0.1:{sink}")).await?;
    show(&format!("The agent listens on {}, with the driver library for local images\n", agent.url));
    call_it(&agent, callbacks).await
}

async fn call_it(agent: &Agent, mut callbacks: mpsc::Receiver<(String, Value)>) -> Result<(), Failure> {
    for path in [
        "/healthcheck",
        "/systemcheck",
        "/list",
        "/list/team/app",
        "/list-with-metadata/team/app",
        "/get-state-identifier?image=team/app:debian",
    ] {
        let answer = agent.get(path).await?;
        show(&format!("GET {path}\n{}\n", shortened(&answer)));
    }
    for tag in ["debian", "alpine"] {
        let accepted =
            agent.post("/scan", &json!({ "image": format!("team/app:{tag}"), "correlationId": tag })).await?;
        show(&format!("POST /scan team/app:{tag}\n{accepted}"));
        loop {
            let next = tokio::time::timeout(PATIENCE, callbacks.recv()).await;
            let Ok(Some((path, body))) = next else {
                return Err(Failure::other(format!(
                    "no callback for team/app:{tag} within {} s",
                    PATIENCE.as_secs()
                )));
            };
            show(&format!("  callback {path}\n  {}", summary(&body)));
            if path.ends_with("/done") {
                if body.get("status") != Some(&json!("succeeded")) {
                    return Err(Failure::other(format!("the scan of team/app:{tag} failed")));
                }
                break;
            }
        }
        show("");
    }
    Ok(())
}

/// What a callback says, in a line or two.
fn summary(body: &Value) -> String {
    let Some(results) = body.get("scanResults").and_then(Value::as_array) else {
        return shortened(body);
    };
    let mut lines = Vec::new();
    for result in results {
        let facts = result.get("facts").and_then(Value::as_array);
        let graph = facts.into_iter().flatten().find(|f| f.get("type") == Some(&json!("depGraph")));
        let packages = graph.and_then(|g| g.pointer("/data/pkgs")).and_then(Value::as_array);
        // The first is the image itself.
        let names: Vec<&str> =
            packages.into_iter().flatten().skip(1).filter_map(|p| p.get("id")?.as_str()).collect();
        let kind = result.pointer("/identity/type").and_then(Value::as_str).unwrap_or_default();
        lines.push(format!("{} {kind} packages: {}", names.len(), names.join(", ")));
    }
    lines.join("\n  ")
}

/// One line of at most a few hundred characters.
fn shortened(value: &Value) -> String {
    const MOST: usize = 400;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(" …".chars()).collect() }
}

fn show(line: &str) {
    // The reader may have gone; the demo then ends at its next step.
    let _ = output::write(None, format!("{line}\n").as_bytes());
}

/// Takes callbacks; returns them and the port.
fn start_sink() -> Result<(mpsc::Receiver<(String, Value)>, u16), Failure> {
    let (sender, receiver) = mpsc::channel(64);
    let routes = warp::post().and(warp::path::full()).and(warp::body::json()).then(
        move |path: warp::path::FullPath, body: Value| {
            let sender = sender.clone();
            async move {
                let taken = sender.send((path.as_str().to_owned(), body)).await;
                warp::reply::with_status(
                    "",
                    if taken.is_ok() { http::StatusCode::OK } else { http::StatusCode::GONE },
                )
            }
        },
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let server = warp::serve(routes).incoming(listener).run();
    // It ends with the process, which ends with the demo.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server);
    tasks.detach_all();
    Ok((receiver, port))
}

/// The agent as a process of its own.
struct Agent {
    url: String,
    process: Child,
    client: reqwest::Client,
    credentials: String,
}

impl Agent {
    async fn start(root: &Path, data: &Path, broker: &str) -> Result<Self, Failure> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .env("SNYK_PORT", port.to_string())
            .env("REGENT_LISTEN", "127.0.0.1")
            .env("REGENT_LOCAL_ROOT", root)
            .env("REGENT_DATA_DIR", data)
            .env("BROKER_CLIENT_URL", broker)
            .env("LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .spawn()?;
        crate::http::install_tls_provider();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|e| Failure::other(e.to_string()))?;
        let connection = json!({ "type": "oci-layout", "registryBase": root });
        let credentials = base64::engine::general_purpose::STANDARD.encode(connection.to_string());
        let mut agent = Self { url: format!("http://127.0.0.1:{port}"), process, client, credentials };
        agent.wait().await?;
        Ok(agent)
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.get("/healthcheck").await.is_err() {
            if let Some(status) = self.process.try_wait()? {
                return Err(Failure::other(format!("the agent ended at once with {status}")));
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Failure::other("the agent does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.client.post(format!("{}{path}", self.url));
        self.send(request.header("content-type", "application/json").body(body.to_string())).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let failed = |e: reqwest::Error| Failure::other(format!("the agent can't be called: {e}"));
        let answer = request.header("x-cr-credentials", &self.credentials).send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        if !status.is_success() {
            return Err(Failure::other(format!("the agent answered {status}: {text}")));
        }
        Ok(serde_json::from_str(&text)?)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
