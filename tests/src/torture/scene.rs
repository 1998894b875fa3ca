//! Registry, images, sink, queue and agents of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::backend::{Backend, QueueKind};
use super::client::{Client, Order};
use super::failing_sink::FailingSink;
use super::fleet::{Fleet, Member};
use super::ledger::{Expected, Ledger, Verdict};
use super::progress::Progress;
use super::replica::{Installation, Replica};
use crate::agent::Connection;
use crate::faults::{Fault, FaultyRegistry};
use crate::registry::{Auth, Registry};

/// In nobody's file and nobody's log.
const PASSWORD: &str = "torture-s3cret-pa55word";
const REPOSITORY: &str = "fleet/app";
/// How long nothing may happen while something is still to come.
const STANDSTILL: Duration = Duration::from_mins(3);
/// How often the agents are asked whether all is done.
const POLL: Duration = Duration::from_millis(250);
/// What the agents are told besides: short times, so that a run is short.
const SETTINGS: [(&str, &str); 6] = [
    ("MAX_ACTIVE_OPERATIONS", "4"),
    ("REGENT_CALLBACK_TIMEOUT", "2s"),
    ("REGENT_SHUTDOWN_GRACE", "10s"),
    ("REGENT_SHUTDOWN_DELAY", "1ms"),
    ("REGENT_QUEUE_LENGTH", "20000"),
    ("REGENT_MIN_FREE_DISK", "1048576"),
];

/// Everything around a run.
#[derive(Debug)]
pub struct Scene {
    /// The agents.
    pub replicas: Vec<Replica>,
    /// What their queue is kept by.
    pub backend: Backend,
    /// Where callbacks end.
    pub sink: FailingSink,
    /// The one who asks.
    pub client: Arc<Client>,
    /// What was promised.
    pub ledger: Arc<Ledger>,
    /// The images.
    pub fleet: Arc<Fleet>,
    /// How far it is.
    pub progress: Progress,
    /// Between the agents and the registry.
    pub proxy: Option<FaultyRegistry>,
    _registry: Registry,
}

/// What a scene is set with.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Where the program is.
    pub installation: &'a Installation,
    /// Which queue.
    pub queue: QueueKind,
    /// How many agents.
    pub replicas: usize,
    /// How many images.
    pub images: usize,
    /// Of what is random.
    pub seed: u64,
    /// How many of a hundred callbacks fail.
    pub failing_percent: u32,
    /// What the registry does wrong at first: part of a path, and how often.
    pub faults: &'a [(&'a str, usize)],
    /// What the agents are told besides.
    pub settings: &'a [(&'a str, &'a str)],
}

impl Scene {
    /// Starts all but the agents.
    pub async fn set(stage: Stage<'_>) -> Self {
        let auth = Auth::Htpasswd { username: "robot".into(), password: PASSWORD.into() };
        let registry = Registry::start(auth).await;
        let authority = registry.authority();
        let fleet =
            Fleet::push(&authority, registry.authorization().as_deref(), REPOSITORY, stage.images).await;
        let progress = Progress::default();
        let sink = FailingSink::start(stage.seed, stage.failing_percent, progress.clone()).await;
        let backend = Backend::start(stage.queue).await;
        let mut environment = backend.environment();
        let proxy = failing(&authority, stage.faults).await;
        let seen = proxy.as_ref().map_or(authority, FaultyRegistry::authority);
        let own = [("BROKER_CLIENT_URL", sink.url()), ("REGENT_INSECURE_REGISTRIES", seen.clone())];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let settings = SETTINGS.iter().chain(stage.settings);
        environment.extend(settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let replicas: Vec<Replica> = (0..stage.replicas)
            .map(|number| Replica::new(stage.installation, &format!("agent-{number}"), &environment))
            .collect();
        let connection = Connection::new("oci-cr", &seen, "robot", PASSWORD);
        let urls = replicas.iter().map(Replica::url).collect();
        let client = Arc::new(Client::new(urls, connection, progress.clone()));
        Self {
            replicas,
            backend,
            sink,
            client,
            ledger: Arc::default(),
            fleet: Arc::new(fleet),
            progress,
            proxy,
            _registry: registry,
        }
    }

    /// Starts all agents and waits until they take work.
    pub async fn start_agents(&mut self) {
        for replica in &mut self.replicas {
            replica.start(&[]);
        }
        for replica in &mut self.replicas {
            replica.ready().await;
        }
    }

    /// Has a scan of the image with this number accepted, and notes the promise.
    pub async fn scan(&self, number: usize) -> String {
        let Member { image, packages } = self.fleet.member(number).clone();
        self.order(&Order::new("/scan", &image, &format!("scan-{number}")), Expected::Packages(packages))
            .await
    }

    /// Has an operation accepted, and notes the promise.
    pub async fn order(&self, order: &Order, expected: Expected) -> String {
        let operation = self.client.submit(order).await;
        self.ledger.promise(&operation, &order.correlation, expected);
        operation
    }

    /// Waits until everything that was promised is there, or nothing has happened for long.
    pub async fn settle(&self) {
        let mut counts = self.progress.subscribe();
        loop {
            let n_ended = counts.borrow_and_update().ended;
            if n_ended >= self.ledger.n_certain() && self.ledger.judge(&self.sink.tally()).lost.is_empty() {
                return;
            }
            if tokio::time::timeout(STANDSTILL, counts.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Waits until no operation of the queue is open, and returns those that stay so.
    pub async fn unended(&self) -> Vec<Value> {
        let begin = Instant::now();
        loop {
            let (status, operations) = self.client.get("/operations").await;
            assert_eq!(status, 200, "{operations}");
            let all: Vec<Value> = serde_json::from_value(operations).unwrap();
            let is_open = |o: &Value| o["state"] != "done" && o["state"] != "dead_lettered";
            let open: Vec<Value> = all.into_iter().filter(is_open).collect();
            if open.is_empty() || begin.elapsed() > STANDSTILL {
                return open;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Compares what arrived with what was promised. What is lost is told with all that is known of it.
    pub async fn judge(&self) -> Verdict {
        let mut verdict = self.ledger.judge(&self.sink.tally());
        for (operation, correlation) in verdict.lost.clone().iter().take(5) {
            let (status, state) = self.client.get(&format!("/operations/{operation}")).await;
            let mut said = format!("lost: {correlation} ({operation}) is {status} {state}");
            for replica in &self.replicas {
                let output = replica.output();
                for line in output.lines().filter(|line| line.contains(operation)) {
                    said.push_str("\n    ");
                    said.push_str(line);
                }
            }
            verdict.wrong.push(said);
        }
        verdict
    }

    /// Where a password can be read that should be sealed: files of the agents and of the queue's servers, and logs.
    pub fn readable_secrets(&self) -> Vec<String> {
        let mut found = Vec::new();
        for replica in &self.replicas {
            search(replica.data(), &mut found);
            if replica.output().contains(PASSWORD) {
                found.push("the password is in an agent's log".to_owned());
            }
        }
        if let Backend::Jetstream(node) = &self.backend {
            search(node.store(), &mut found);
        }
        found
    }
}

/// A proxy that answers 503 so often, if it is to.
async fn failing(registry: &str, faults: &[(&str, usize)]) -> Option<FaultyRegistry> {
    if faults.is_empty() {
        return None;
    }
    let proxy = FaultyRegistry::start(registry).await;
    for (path, times) in faults {
        proxy.break_with(path, *times, Fault::Status(503, Vec::new()));
    }
    Some(proxy)
}

fn search(folder: &std::path::Path, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            search(&path, found);
        } else if std::fs::read(&path).is_ok_and(|content| holds(&content, PASSWORD.as_bytes())) {
            found.push(format!("the password is in {}", path.display()));
        }
    }
}

fn holds(content: &[u8], wanted: &[u8]) -> bool {
    content.windows(wanted.len()).any(|window| window == wanted)
}
