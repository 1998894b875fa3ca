//! One `nats-server`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{Process, fixed_port};

/// Debian puts it where an ordinary user's path does not look.
const PROGRAM: &str = "/usr/sbin/nats-server";

/// Where a node tells of its streams.
const STREAMS: &str = "/jsz?streams=true&config=true";
/// Streams whose messages are kept for less long, in nanoseconds, are not waited for: servers forget numbers of what is too old
/// each for themselves.
const SHORT: u64 = 3_600_000_000_000;

/// Where a node listens. It stays the same over restarts.
#[derive(Debug, Clone)]
pub struct NodeAddress {
    /// The interface's address.
    pub ip: String,
    /// For clients.
    pub port: u16,
    /// For the other nodes.
    pub route_port: u16,
    /// For those who look after it.
    pub monitor_port: u16,
}

impl NodeAddress {
    /// Free ports of the loopback interface.
    pub fn on_loopback() -> Self {
        Self {
            ip: "127.0.0.1".into(),
            port: fixed_port(),
            route_port: fixed_port(),
            monitor_port: fixed_port(),
        }
    }

    /// `nats://ip:port`.
    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.ip, self.port)
    }

    fn monitor(&self, target: &str) -> String {
        format!("http://{}:{}{target}", self.ip, self.monitor_port)
    }
}

/// A node, running or not, with its store.
#[derive(Debug)]
pub struct Node {
    name: String,
    address: NodeAddress,
    /// Of all nodes of the cluster; empty without one.
    routes: Vec<NodeAddress>,
    /// What starts the server, if it is not started directly (`ip netns exec …`).
    launcher: Vec<String>,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl Node {
    /// A node by itself, on loopback, running.
    pub async fn start_alone() -> Self {
        let mut node = Self::new("alone", NodeAddress::on_loopback(), Vec::new(), Vec::new());
        node.start();
        node.ready().await;
        node
    }

    /// A node that does not run yet.
    pub fn new(name: &str, address: NodeAddress, routes: Vec<NodeAddress>, launcher: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self { name: name.to_owned(), address, routes, launcher, process: None, folder };
        std::fs::write(node.config(), node.configuration()).unwrap();
        node
    }

    /// `nats://ip:port`.
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// Where its store is.
    pub fn store(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it on what it has stored.
    pub fn start(&mut self) {
        let words: Vec<&str> = self.launcher.iter().map(String::as_str).chain([PROGRAM]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("--config").arg(self.config());
        let log = self.folder.path().join("output.log");
        self.process = Some(Process::start_with_log(&self.name, &mut command, &log));
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.as_mut().expect("it was started").kill();
    }

    /// Waits until it takes work: where it is one of several, until it has caught up with them.
    ///
    /// # Panics
    /// With its output, when it ends.
    pub async fn ready(&mut self) {
        // Whether all consumers are current is left out: the server of Debian may never say so of one that has nothing to do.
        let health = self.address.monitor("/healthz?js-server-only=true");
        let own = self.address.monitor("/jsz");
        let streams = self.address.monitor(STREAMS);
        let all: Vec<_> = self.routes.iter().map(|node| node.monitor(STREAMS)).collect();
        let (http, mut caught_up) = (crate::http::client(), BTreeSet::new());
        let process = self.process.as_mut().expect("it was started");
        process
            .wait_until("healthy", async || {
                let is_healthy = http.get(&health).send().await.is_ok_and(|answer| answer.status() == 200);
                is_healthy
                    && (all.is_empty()
                        || has_leader(&http, &own).await
                            && has_caught_up(&http, (&streams, &all), &mut caught_up).await)
            })
            .await;
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("nats.conf")
    }

    fn configuration(&self) -> String {
        let NodeAddress { ip, port, route_port, monitor_port } = &self.address;
        let store = self.folder.path().join("store");
        let mut text = format!(
            "server_name: {}\nlisten: \"{ip}:{port}\"\nhttp: \"{ip}:{monitor_port}\"\n\
             jetstream {{ store_dir: \"{}\", max_memory_store: 64MB, max_file_store: 1GB }}\n",
            self.name,
            store.display()
        );
        if !self.routes.is_empty() {
            let routes: Vec<String> =
                self.routes.iter().map(|n| format!("\"nats-route://{}:{}\"", n.ip, n.route_port)).collect();
            let _ = writeln!(
                text,
                "cluster {{ name: regent, listen: \"{ip}:{route_port}\", no_advertise: true, routes: [{}] }}",
                routes.join(", ")
            );
        }
        text
    }
}

/// Whether the nodes have agreed on who leads them.
async fn has_leader(http: &reqwest::Client, url: &str) -> bool {
    let told = ask(http, url).await.unwrap_or_default();
    told["meta_cluster"]["leader"].as_str().is_some_and(|name| !name.is_empty())
}

/// Whether of each stream a node had as much at some time as most nodes. One that has only a part of a stream could become its
/// leader, and the others would forget the rest.
async fn has_caught_up(
    http: &reqwest::Client,
    (own, all): (&str, &[String]),
    caught_up: &mut BTreeSet<String>,
) -> bool {
    let mut streams: BTreeMap<String, Vec<(bool, u64)>> = BTreeMap::new();
    for url in all {
        let Some(told) = ask(http, url).await else { return false };
        let accounts = told["account_details"].as_array().into_iter().flatten();
        for stream in accounts.filter_map(|account| account["stream_detail"].as_array()).flatten() {
            // Copies of a work queue may never agree on the number of the last message. What is missing there is put up again.
            let is_short = stream["config"]["max_age"].as_u64().is_some_and(|age| age != 0 && age < SHORT);
            if is_short || stream["config"]["retention"] == "workqueue" {
                continue;
            }
            let last = stream["state"]["last_seq"].as_u64().unwrap_or_default();
            streams.entry(stream["name"].to_string()).or_default().push((url == own, last));
        }
    }
    for (name, copies) in &streams {
        let own = copies.iter().find_map(|(is_own, last)| is_own.then_some(*last));
        let mut all: Vec<u64> = copies.iter().map(|(_, last)| *last).collect();
        all.sort_unstable();
        if own >= all.get(all.len() / 2).copied() {
            caught_up.insert(name.clone());
        }
    }
    streams.keys().all(|name| caught_up.contains(name))
}

/// What a node tells of itself, if it answers.
async fn ask(http: &reqwest::Client, url: &str) -> Option<Value> {
    http.get(url).send().await.ok()?.json().await.ok()
}
