use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use regent_oci::{Digest, MediaType, Reference, RepositoryName, Tag};
use regent_plugin_api::{
    Access, Authorization, BlobHandle, Content, Driver, Error, Host, Page, PageRequest, Result, Settings,
    Validation,
};
use regent_report::Compat;
use regent_transport::Class;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::breaker::BreakerConfig;
use crate::callbacks::DeliveryPolicy;
use crate::connection::Connection;
use crate::drivers::DriversConfig;
use crate::http::{HttpClient, HttpConfig};
use crate::jobs::fixtures::target;
use crate::jobs::{
    EmbeddedQueue, LEASE, NewOperation, OperationId, OperationView, Priority, ScanOptions, State,
};

/// A registry without a network: `team/app` is an image of one empty layer, `hang` never answers, nothing else is there.
#[derive(Default)]
struct Images {
    /// What is left to read, by handle.
    open: Mutex<HashMap<u64, Bytes>>,
    n_opened: AtomicU64,
}

regent_plugin_api::export_driver! {
    Images,
    name: "images",
    summary: "An image, for the tests of the worker",
    types: ["images-cr"],
    capabilities: ["content"],
}

fn layer() -> Vec<u8> {
    vec![0; 1024] // the end of a tar archive, and nothing before it
}

fn config() -> Vec<u8> {
    let diff_id = Digest::sha256(&layer());
    json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [diff_id] } })
        .to_string()
        .into_bytes()
}

fn manifest() -> Vec<u8> {
    let descriptor = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len() });
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor(MediaType::OCI_CONFIG, &config()),
        "layers": [descriptor(MediaType::OCI_LAYER, &layer())],
    })
    .to_string()
    .into_bytes()
}

impl Driver for Images {
    fn connect(_: Settings, _: Host) -> Result<Self> {
        Ok(Self::default())
    }

    async fn validate(&self) -> Result<Validation> {
        Ok(Validation { registry: "images".to_owned(), checks: Vec::new() })
    }

    async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
        Err(Error::unsupported("a listing"))
    }

    async fn tags(&self, _: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> {
        Err(Error::unsupported("a listing"))
    }

    async fn authorize(&self, _: Access) -> Result<Authorization> {
        Err(Error::unsupported("the distribution protocol"))
    }

    async fn manifest(&self, repository: &RepositoryName, _: &Reference) -> Result<Content> {
        match repository.as_str() {
            "team/app" => Ok(Content {
                media_type: MediaType::from(MediaType::OCI_MANIFEST.to_owned()),
                bytes: manifest().into(),
            }),
            "hang" => std::future::pending().await,
            "failing" => Err(Error::new(Class::Unavailable, "registry_unavailable", "it fails")),
            other => Err(Error::not_found(format!("there is no {other}"))),
        }
    }

    async fn open_blob(&self, _: &RepositoryName, digest: &Digest) -> Result<BlobHandle> {
        let content = [config(), layer()].into_iter().find(|bytes| Digest::sha256(bytes) == *digest);
        let content = content.ok_or_else(|| Error::not_found("there is no such blob"))?;
        let number = self.n_opened.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap().insert(number, content.into());
        Ok(BlobHandle(number))
    }

    async fn read_blob(&self, BlobHandle(number): BlobHandle, _: usize) -> Result<Bytes> {
        // At once, and nothing the second time.
        Ok(self.open.lock().unwrap().remove(&number).unwrap_or_default())
    }
}

#[derive(Debug, Clone)]
struct Received {
    path: String,
    headers: HeaderMap,
    body: Value,
}

/// Plays the Broker Client: keeps what comes, and answers as it is told, else 200.
struct Sink {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    _tasks: JoinSet<()>,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let answers: Arc<Mutex<VecDeque<u16>>> = Arc::default();
        let (store, script) = (received.clone(), answers.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (store, script) = (store.clone(), script.clone());
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (store, script) = (store.clone(), script.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let body = serde_json::from_slice(&body).unwrap();
                        let path = head.uri.path().to_owned();
                        store.lock().unwrap().push(Received { path, headers: head.headers, body });
                        let status = script.lock().unwrap().pop_front().unwrap_or(200);
                        let mut answer = Response::new(Empty::<Bytes>::new());
                        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                        Ok::<_, Infallible>(answer)
                    }
                });
                connections.spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, received, answers, _tasks: tasks }
    }

    fn paths(&self) -> Vec<String> {
        self.received.lock().unwrap().iter().map(|received| received.path.clone()).collect()
    }

    fn last(&self) -> Received {
        self.received.lock().unwrap().last().unwrap().clone()
    }
}

const RESULT: &str = "/api/v2/import/result";
const DONE: &str = "/api/v2/import/done";
const DEPENDENCIES: &str = "/api/v1/recurring-tests/dependencies";

/// An agent's back end with its Broker Client.
struct Bench {
    sink: Sink,
    queue: Arc<dyn Queue>,
    parts: WorkerParts,
    _data: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let http = HttpClient::new(&HttpConfig::default()).unwrap();
        let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::in_memory(10).await.unwrap());
        let data = tempfile::tempdir().unwrap();
        let mut policy = DeliveryPolicy::new(Duration::from_secs(10), Duration::from_mins(1));
        policy.retry.backoff.first = Duration::ZERO;
        let parts = WorkerParts {
            queue: Arc::clone(&queue),
            drivers: Drivers::with_native(DriversConfig::new(Vec::new()), http.clone(), &[DRIVER]),
            scanner: Scanner::new(1 << 20),
            limits: ScanLimits::default(),
            breakers: Breakers::new(BreakerConfig::default()),
            lease: LEASE,
            run_deadline: Duration::from_mins(1),
            retry: RetryPolicy::never(),
            deliveries: Deliveries::new(&http, policy),
            layers_dir: data.path().join("layers"),
            metrics: Metrics::new(None).unwrap(),
            threads: Threads::shared(),
        };
        Self { sink: Sink::start().await, queue, parts, _data: data }
    }

    async fn ask(&self, kind: OperationKind, image: &str) -> OperationId {
        self.ask_at("images.example", kind, image).await
    }

    async fn ask_at(&self, registry: &str, kind: OperationKind, image: &str) -> OperationId {
        let operation = NewOperation {
            request_id: None,
            kind,
            priority: Priority::Bulk,
            image: image.parse().unwrap(),
            requested_name: image.to_owned(),
            platform: None,
            connection: Connection::new(
                "images-cr",
                [("registryBase".to_owned(), registry.to_owned().into())],
            ),
            callback: (kind != OperationKind::Pull).then(|| target(&self.sink.url)),
            correlation_id: Some("corrélation".to_owned()),
            options: ScanOptions::parse(serde_json::Map::new(), Compat::default()).unwrap(),
        };
        self.queue.accept(operation).await.unwrap().id
    }

    /// Starts workers, and waits until the operation has ended.
    async fn end_of(&self, kind: OperationKind, image: &str) -> OperationView {
        let id = self.ask(kind, image).await;
        let workers = Workers::start(1, self.parts.clone());
        let view = self.queue.ended(id).await.unwrap();
        workers.drain(Duration::from_secs(10)).await;
        view
    }
}

fn code(view: &OperationView) -> Option<&str> {
    view.state.outcome().and_then(Outcome::problem).map(|problem| problem.code.as_str())
}

#[tokio::test]
async fn a_scan_delivers_its_results_and_then_its_end() {
    let bench = Bench::new().await;
    let view = bench.end_of(OperationKind::Scan, "team/app:1").await;
    assert_eq!((view.state.as_str(), code(&view)), ("done", None));
    assert_eq!(bench.sink.paths(), [RESULT, DONE]);

    let received = bench.sink.received.lock().unwrap().clone();
    let keys = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&received[0].body), ["operationId", "correlationId", "image", "scanResults"]);
    assert_eq!(received[0].body["scanResults"].as_array().unwrap().len(), 1);
    assert_eq!(received[0].body["scanResults"][0]["target"]["image"], "docker-image|team/app");
    let done = &received[1].body;
    assert_eq!(keys(done), ["operationId", "correlationId", "image", "status", "counts", "durations"]);
    assert_eq!(done["status"], "succeeded");
    assert_eq!(
        done["counts"],
        json!({ "scanResults": 1, "layers": 1, "cachedLayers": 0, "fetchedBytes": 1024 })
    );
    for (received, part) in received.iter().zip(["result-0", "done"]) {
        assert_eq!(received.body["operationId"], view.id.to_string());
        assert_eq!(received.body["correlationId"], "corrélation");
        assert_eq!(received.headers["idempotency-key"], format!("{}/{part}", view.id));
        assert_eq!(received.headers["content-type"], "application/json");
        assert!(received.headers.contains_key("content-length"));
        assert!(!received.headers.contains_key("transfer-encoding"));
    }
}

#[tokio::test]
async fn a_discovery_delivers_everything_at_once() {
    let bench = Bench::new().await;
    let view = bench.end_of(OperationKind::Discover, "team/app:1").await;
    assert_eq!((view.state.as_str(), code(&view)), ("done", None));
    assert_eq!(bench.sink.paths(), [DEPENDENCIES]);
    assert_eq!(bench.sink.last().body["scanResults"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_failure_is_delivered_as_one() {
    for (kind, path) in [(OperationKind::Scan, DONE), (OperationKind::Discover, DEPENDENCIES)] {
        let bench = Bench::new().await;
        let view = bench.end_of(kind, "absent:1").await;
        assert_eq!((view.state.as_str(), code(&view)), ("done", Some("not_found")));
        assert_eq!(bench.sink.paths(), [path]);
        let body = bench.sink.last().body;
        assert_eq!((&body["status"], &body["error"]["type"]), (&json!("failed"), &json!("not_found")));
        assert_eq!(body["error"]["driver"], "images");
    }
}

#[tokio::test]
async fn an_image_that_is_too_large_is_a_failure() {
    let mut bench = Bench::new().await;
    bench.parts.limits.max_image_bytes = 1023;
    for kind in [OperationKind::Scan, OperationKind::Pull] {
        let id = bench.ask(kind, "team/app:1").await;
        let workers = Workers::start(1, bench.parts.clone());
        assert_eq!(code(&bench.queue.ended(id).await.unwrap()), Some("image_too_large"));
        drop(workers);
    }
}

#[tokio::test]
async fn a_passing_failure_of_the_broker_client_is_outlasted() {
    let bench = Bench::new().await;
    bench.sink.answers.lock().unwrap().extend([500, 503, 200, 500]);
    let view = bench.end_of(OperationKind::Scan, "team/app:1").await;
    assert_eq!((view.state.as_str(), code(&view)), ("done", None));
    assert_eq!(bench.sink.paths(), [RESULT, RESULT, RESULT, DONE, DONE]);
}

#[tokio::test]
async fn a_result_that_is_refused_makes_the_end_a_failure() {
    let bench = Bench::new().await;
    bench.sink.answers.lock().unwrap().push_back(400);
    let view = bench.end_of(OperationKind::Scan, "team/app:1").await;
    assert_eq!((view.state.as_str(), code(&view)), ("done", Some("callback_rejected")));
    assert_eq!(bench.sink.paths(), [RESULT, DONE]);
    assert_eq!(bench.sink.last().body["status"], "failed");
}

#[tokio::test]
async fn what_can_not_be_delivered_is_a_dead_letter_and_can_be_redelivered() {
    let bench = Bench::new().await;
    bench.sink.answers.lock().unwrap().extend([200, 404]);
    let view = bench.end_of(OperationKind::Scan, "team/app:1").await;
    assert_eq!((view.state.as_str(), code(&view)), ("dead_lettered", None));
    assert_eq!(bench.sink.paths(), [RESULT, DONE]);

    // Anew, since a queue that was drained takes nothing any more.
    let bench = Bench::new().await;
    bench.sink.answers.lock().unwrap().extend([200, 404]);
    let id = bench.ask(OperationKind::Scan, "team/app:1").await;
    let workers = Workers::start(1, bench.parts.clone());
    assert_eq!(bench.queue.ended(id).await.unwrap().state.as_str(), "dead_lettered");
    bench.queue.redeliver(id).await.unwrap();
    let view = bench.queue.ended(id).await.unwrap();
    assert_eq!((view.state.as_str(), view.attempts), ("done", 1));
    assert_eq!(bench.sink.paths(), [RESULT, DONE, DONE], "what had arrived is not sent again");
    workers.drain(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn beyond_the_deadline_an_outcome_is_a_dead_letter() {
    let mut bench = Bench::new().await;
    let policy = DeliveryPolicy::new(Duration::from_secs(10), Duration::ZERO);
    bench.parts.deliveries = Deliveries::new(&HttpClient::new(&HttpConfig::default()).unwrap(), policy);
    bench.sink.answers.lock().unwrap().extend([500; 4]);
    for image in ["team/app:1", "absent:1"] {
        let id = bench.ask(OperationKind::Scan, image).await;
        let workers = Workers::start(1, bench.parts.clone());
        let view = bench.queue.ended(id).await.unwrap();
        let State::DeadLettered { reason, .. } = &view.state else { panic!("{view:?}") };
        assert_eq!(reason.code, "callback_undeliverable");
        drop(workers);
    }
}

#[tokio::test]
async fn a_pull_stores_the_image_once_and_calls_no_one() {
    let bench = Bench::new().await;
    let digest = Digest::sha256(&manifest());
    let workers = Workers::start(1, bench.parts.clone());
    for fetched_bytes in [1024, 0] {
        let id = bench.ask(OperationKind::Pull, "team/app:1").await;
        let view = bench.queue.ended(id).await.unwrap();
        let Some(Outcome::Succeeded(summary)) = view.state.outcome() else { panic!("{view:?}") };
        assert_eq!((summary.digest.as_ref(), summary.fetched_bytes), (Some(&digest), fetched_bytes));
    }
    let stored = bench.parts.layers_dir.join(format!("sha256-{}", digest.hex()));
    assert!(stored.join("index.json").is_file());
    assert!(bench.sink.paths().is_empty());
    workers.drain(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn at_the_end_of_the_agent_what_runs_and_what_waits_stays_in_the_queue() {
    let bench = Bench::new().await;
    let running = bench.ask(OperationKind::Scan, "hang:1").await;
    let waiting = bench.ask(OperationKind::Scan, "team/app:1").await;
    let workers = Workers::start(1, bench.parts.clone());
    while bench.queue.counts().await.unwrap().running == 0 {
        tokio::task::yield_now().await;
    }
    workers.drain(Duration::from_millis(300)).await;
    for id in [running, waiting] {
        let view = bench.queue.operation(id).await.unwrap();
        assert_eq!((view.state.as_str(), view.attempts), ("queued", 0));
    }
    assert!(bench.sink.paths().is_empty());
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_broker_client_that_is_gone() {
    let bench = Bench::new().await;
    bench.sink.answers.lock().unwrap().extend(std::iter::repeat_n(500, 1_000_000));
    let id = bench.ask(OperationKind::Scan, "absent:1").await;
    let workers = Workers::start(1, bench.parts.clone());
    while bench.queue.counts().await.unwrap().delivering == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    workers.drain(Duration::from_millis(300)).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(bench.queue.operation(id).await.unwrap().state.as_str(), "delivering");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_stops_and_is_reported() {
    let bench = Bench::new().await;
    let id = bench.ask(OperationKind::Scan, "hang:1").await;
    let workers = Workers::start(1, bench.parts.clone());
    while bench.queue.counts().await.unwrap().running == 0 {
        tokio::task::yield_now().await;
    }
    bench.queue.cancel(id).await.unwrap();
    let view = bench.queue.ended(id).await.unwrap();
    assert_eq!((view.state.as_str(), code(&view)), ("done", Some("operation_cancelled")));
    assert_eq!(bench.sink.paths(), [DONE]);
    workers.drain(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_has_its_time_and_one_that_fails_in_passing_is_begun_again() {
    let mut bench = Bench::new().await;
    bench.parts.run_deadline = Duration::from_secs(5);
    let view = bench.end_of(OperationKind::Scan, "hang:1").await;
    assert_eq!((code(&view), view.attempts), (Some("registry_timeout"), 1));

    let mut bench = Bench::new().await;
    bench.parts.retry = WorkerParts::retry_for(Duration::from_mins(15));
    let view = bench.end_of(OperationKind::Scan, "failing:1").await;
    assert_eq!(code(&view), Some("registry_unavailable"));
    assert!(view.attempts > 2, "{view:?}");
    assert_eq!(bench.sink.paths(), [DONE]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_hangs_does_not_hold_up_the_others_whatever_is_asked_of_it() {
    let mut bench = Bench::new().await;
    bench.parts.run_deadline = Duration::from_secs(20);
    let (mut hanging, mut quick) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        hanging.push(bench.ask_at("slow.example", OperationKind::Scan, "hang:1").await);
        quick.push(bench.ask_at("quick.example", OperationKind::Scan, "team/app:1").await);
    }
    let workers = Workers::start(1, bench.parts.clone());
    for id in quick {
        assert_eq!(code(&bench.queue.ended(id).await.unwrap()), None);
    }
    let mut states = Vec::new();
    for id in &hanging {
        let view = bench.queue.operation(*id).await.unwrap();
        states.push((view.state.as_str(), view.attempts));
    }
    states.sort_unstable();
    assert_eq!(states, [("queued", 0), ("queued", 0), ("running", 1), ("running", 1)]);
    // Those that were not taken up come to their turn.
    for id in hanging {
        assert_eq!(code(&bench.queue.ended(id).await.unwrap()), Some("registry_timeout"));
    }
    workers.drain(Duration::from_secs(10)).await;
}
