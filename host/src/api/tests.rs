use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::*;
use crate::admission::Admission;
use crate::breaker::{BreakerConfig, Breakers};
use crate::callbacks::{CallbackRules, Deliveries, DeliveryPolicy};
use crate::drivers::{DriverDocument, Drivers, DriversConfig};
use crate::http::{HttpClient, HttpConfig};
use crate::jobs::EmbeddedQueue;
use crate::settings::{AdmissionSettings, Settings};
use crate::shutdown::{self, Trigger};
use crate::telemetry::Metrics;

mod cancellation;
mod overload;

/// A driver whose user name says how it behaves.
mod scripted {
    use std::time::{Duration, SystemTime};

    use regent_oci::{Digest, RepositoryName, Tag};
    use regent_plugin_api::{
        Access, Authorization, Check, Cursor, Driver, Error, Host, Outcome, Page, PageRequest, Result,
        Settings, TagDetail, Validation,
    };

    struct Scripted(String);

    regent_plugin_api::export_driver! {
        Scripted,
        name: "scripted",
        summary: "behaves as its user name says",
        types: ["scripted"],
    }

    impl Driver for Scripted {
        fn connect(settings: Settings, _: Host) -> Result<Self> {
            Ok(Self(settings.username().unwrap_or_default().to_owned()))
        }

        async fn validate(&self) -> Result<Validation> {
            if self.0 == "unknown" {
                return Err(Error::credentials_rejected("the registry rejects the password"));
            }
            let check =
                |name: &str, outcome| Check { name: name.to_owned(), outcome, detail: "seen".to_owned() };
            let checks = vec![check("reached", Outcome::Passed), check("list", Outcome::Denied)];
            Ok(Validation { registry: "registry.test".to_owned(), checks })
        }

        async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
            match self.0.as_str() {
                "panics" => panic!("on purpose"),
                "down" => Err(Error::new(
                    regent_plugin_api::transport::Class::Unavailable,
                    "registry_unreachable",
                    "the registry can't be reached",
                )
                .with_retry(regent_plugin_api::transport::Retry::Backoff)),
                "no-catalog" => Err(Error::new(
                    regent_plugin_api::transport::Class::Unsupported,
                    "catalog_unsupported",
                    "this registry has no list of repositories",
                )),
                _ => Ok(Page::only(vec!["team/app".parse().unwrap(), "base".parse().unwrap()])),
            }
        }

        async fn tags(&self, repository: &RepositoryName, page: PageRequest) -> Result<Page<Tag>> {
            if repository.as_str() != "team/app" {
                return Err(Error::not_found(format!(
                    "there is no repository {repository} — or none to see"
                )));
            }
            match page.after {
                None => {
                    Ok(Page { items: vec!["1.0".parse().unwrap()], next: Some(Cursor("1.0".to_owned())) })
                }
                Some(_) => Ok(Page::only(vec!["2.0".parse().unwrap()])),
            }
        }

        async fn tag_details(&self, _: &RepositoryName, _: PageRequest) -> Result<Page<TagDetail>> {
            let pushed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            let known = TagDetail {
                tag: "1.0".parse().unwrap(),
                digest: Digest::sha256(b"1.0"),
                pushed: Some(pushed),
                size_bytes: Some(42),
            };
            let bare =
                TagDetail { tag: "2.0".parse().unwrap(), pushed: None, size_bytes: None, ..known.clone() };
            Ok(Page::only(vec![known, bare]))
        }

        async fn authorize(&self, _: Access) -> Result<Authorization> {
            Err(Error::permission_missing("grant the right to pull"))
        }
    }
}

/// A driver that reads files of this machine.
mod files {
    use regent_oci::{RepositoryName, Tag};
    use regent_plugin_api::{
        Access, Authorization, Driver, Error, Host, Page, PageRequest, Result, Settings, Validation,
    };

    struct Files(String);

    regent_plugin_api::export_driver! {
        Files,
        name: "files",
        summary: "says which path it was given",
        types: ["files"],
        capabilities: ["content", "files"],
    }

    impl Driver for Files {
        fn connect(settings: Settings, _: Host) -> Result<Self> {
            Ok(Self(settings.base().unwrap_or_default().to_owned()))
        }

        async fn validate(&self) -> Result<Validation> {
            Ok(Validation { registry: self.0.clone(), checks: Vec::new() })
        }

        async fn repositories(&self, _: PageRequest) -> Result<Page<RepositoryName>> {
            Ok(Page::only(Vec::new()))
        }

        async fn tags(&self, _: &RepositoryName, _: PageRequest) -> Result<Page<Tag>> {
            Ok(Page::only(Vec::new()))
        }

        async fn authorize(&self, _: Access) -> Result<Authorization> {
            Err(Error::unsupported("the distribution protocol"))
        }
    }
}

/// The API over scripted drivers and a queue that nobody works at.
struct Agent {
    context: Context,
    trigger: Trigger,
    dir: tempfile::TempDir,
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status and code of a problem.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        (self.status, self.json()["type"].as_str().unwrap().to_owned())
    }
}

impl Agent {
    async fn new() -> Self {
        Self::with(&[("BROKER_CLIENT_URL", "http://broker.test:8000")]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let map: BTreeMap<_, _> = settings.iter().copied().collect();
        let settings = Settings::from_lookup(|name| map.get(name).map(|v| (*v).to_owned())).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let http = HttpClient::new(&HttpConfig::default()).unwrap();
        let native = [scripted::DRIVER, files::DRIVER];
        let (trigger, shutdown) = shutdown::channel();
        let context = Context {
            drivers: Drivers::with_native(DriversConfig::new(Vec::new()), http.clone(), &native),
            queue: Arc::new(EmbeddedQueue::in_memory(settings.queue_length).await.unwrap()),
            admission: Admission::new(settings.admission, dir.path().to_owned()),
            breakers: Breakers::new(BreakerConfig::default()),
            metrics: Metrics::new(None).unwrap(),
            deliveries: Deliveries::new(
                &http,
                DeliveryPolicy::new(Duration::from_secs(1), Duration::from_secs(1)),
            ),
            callbacks: Arc::new(CallbackRules::new(&settings.callbacks)),
            own_connection: Arc::new(settings.own_connection.clone()),
            local_root: settings.local_root.clone(),
            data_dir: dir.path().to_owned(),
            list_disabled: settings.list_disabled,
            compat: settings.compat,
            shutdown,
        };
        Self { context, trigger, dir }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answered {
        let service = TowerToHyperService::new(warp::service(routes(self.context.clone())));
        let (head, body) = service.call(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(text.is_ascii(), "{text}");
        assert!(head.headers.contains_key("snyk-request-id"));
        if head.status != StatusCode::NO_CONTENT {
            assert_eq!(head.headers["content-length"], text.len().to_string());
        }
        Answered { status: head.status.as_u16(), headers: head.headers, text }
    }

    /// GET by the user of this name; `-` for no connection at all.
    async fn get(&self, user: &str, target: &str) -> Answered {
        let request = Request::get(target);
        let request = if user == "-" {
            request
        } else {
            request.header("x-cr-credentials", connection("scripted", user))
        };
        self.send(request.body(Full::default()).unwrap()).await
    }

    async fn post(&self, target: &str, request_id: Option<&str>, body: impl Into<Bytes>) -> Answered {
        let mut request = Request::post(target);
        if let Some(id) = request_id {
            request = request.header("snyk-request-id", id);
        }
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }
}

fn connection(registry_type: &str, user: &str) -> String {
    let json = json!({"type": registry_type, "username": user, "password": "hunter2", "registryBase": "registry.test"});
    BASE64_STANDARD.encode(json.to_string())
}

fn scan() -> Value {
    json!({"image": "team/app:1.0", "credentials": connection("scripted", "ada"), "correlationId": "c-1"})
}

#[tokio::test]
async fn listings_have_the_shapes_of_the_contract() {
    let agent = Agent::new().await;
    let digest = regent_oci::Digest::sha256(b"1.0").to_string();
    let rows = [
        ("/list", json!(["team/app", "base"])),
        ("/LIST/", json!(["team/app", "base"])),
        ("/list/team/app", json!(["1.0", "2.0"])),
        ("/list/team%2Fapp", json!(["1.0", "2.0"])),
        ("/list-paginated/team/app?pageSize=1", json!({"tags": ["1.0"], "last": "1.0"})),
        ("/list-paginated/team%2Fapp?pageSize=1&last=1.0", json!({"tags": ["2.0"], "last": null})),
        (
            "/list-with-metadata/team/app",
            json!([
                {"tag": "1.0", "digest": digest, "lastPushed": "2023-11-14T22:13:20Z", "sizeBytes": 42},
                {"tag": "2.0", "digest": digest},
            ]),
        ),
        (
            "/systemcheck",
            json!({"ok": true, "type": "scripted", "registry": "registry.test", "checks": [
                {"name": "reached", "outcome": "passed", "detail": "seen"},
                {"name": "list", "outcome": "denied", "detail": "seen"},
            ]}),
        ),
    ];
    for (target, expected) in rows {
        let answer = agent.get("ada", target).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{target}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_a_problem_with_its_own_code() {
    let agent = Agent::new().await;
    let rows = [
        ("ada", "/nothing", 404, "route_unknown"),
        ("ada", "/scan", 405, "method_not_allowed"),
        ("ada", "/list/Team/app", 400, "name_invalid"),
        ("ada", "/list-paginated/a?pageSize=no", 400, "request_malformed"),
        ("ada", "/image-metadata/a?platform=x", 400, "request_malformed"),
        ("-", "/list", 401, "connection_missing"),
        ("unknown", "/validate-credentials", 401, "credentials_rejected"),
        ("no-catalog", "/list", 501, "catalog_unsupported"),
        ("panics", "/list", 502, "driver_panicked"),
        ("ada", "/list/other", 404, "not_found"),
        ("ada", "/image-metadata/team/app:1.0", 403, "permission_missing"),
        ("ada", "/get-state-identifier?image=team/app:1.0", 403, "permission_missing"),
        ("ada", "/operations/x", 404, "operation_unknown"),
        ("ada", "/operations/01890a5d-ac96-774b-bcce-b302099a8057", 404, "operation_unknown"),
    ];
    for (user, target, status, code) in rows {
        let answer = agent.get(user, target).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{user} {target}: {}", answer.text);
        assert!(!answer.text.contains("hunter2"), "{target}");
        assert_eq!(answer.json()["instance"], json!(answer.headers["snyk-request-id"].to_str().unwrap()));
    }
    assert_eq!(agent.get("ada", "/scan").await.headers["allow"], "POST");
    assert_eq!(agent.get("ada", "/list/other").await.json()["driver"], "scripted");
}

#[tokio::test]
async fn connections_that_lead_nowhere_say_why() {
    let agent = Agent::new().await;
    let send = async |value: String| {
        let request = Request::get("/list").header("authorization", value);
        agent.send(request.body(Full::default()).unwrap()).await
    };
    let unknown = send(connection("no-such-cr", "ada")).await;
    assert_eq!(unknown.problem(), (422, "driver_unknown".to_owned()));
    assert!(unknown.text.contains("scripted"), "the types that there are: {}", unknown.text);
    assert_eq!(send("${CR_CREDENTIALS}".to_owned()).await.problem(), (401, "connection_missing".to_owned()));
    assert_eq!(send("%%%".to_owned()).await.problem(), (400, "connection_malformed".to_owned()));
    assert_eq!(send(format!("Bearer {}", connection("scripted", "ada"))).await.status, 200);
}

#[tokio::test]
async fn own_settings_serve_requests_without_a_connection_and_listing_can_be_off() {
    let agent = Agent::with(&[("CR_TYPE", "scripted"), ("CR_USERNAME", "ada")]).await;
    assert_eq!(agent.get("-", "/list").await.json(), json!(["team/app", "base"]));
    let agent = Agent::with(&[("SNYK_DISABLE_LIST_REPOS", "true")]).await;
    assert_eq!(agent.get("-", "/list").await.json(), json!([]));
}

#[tokio::test]
async fn a_scan_is_accepted_once_for_each_request_id() {
    let agent = Agent::new().await;
    let first = agent.post("/scan", Some("r-1"), scan().to_string()).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(first.headers["snyk-request-id"], "r-1");
    let id = first.json()["operationId"].as_str().unwrap().to_owned();
    assert_eq!(agent.post("/scan", Some("r-1"), scan().to_string()).await.json(), first.json());
    assert_ne!(agent.post("/scan", Some("r-2"), scan().to_string()).await.json(), first.json());
    assert_ne!(agent.post("/discover", Some("r-1"), scan().to_string()).await.json(), first.json());
    assert_eq!(agent.post("/pull", None, scan().to_string()).await.status, 202);

    let shown = agent.get("-", &format!("/operations/{id}")).await.json();
    assert_eq!(shown["state"], "queued");
    assert_eq!(shown["image"], "team/app:1.0");
    assert_eq!(shown["correlationId"], "c-1");
    assert_eq!(agent.get("-", "/operations").await.json().as_array().unwrap().len(), 4);
    assert_eq!(agent.get("-", "/operations?deadLetters").await.json(), json!([]));

    let drop = Request::delete(format!("/operations/{id}")).body(Full::default()).unwrap();
    assert_eq!(agent.send(drop).await.status, 202, "it is to be cancelled");
    assert_eq!(agent.get("-", &format!("/operations/{id}")).await.json()["cancelled"], true);
    let again = agent.post(&format!("/operations/{id}/redeliver"), None, "").await;
    assert_eq!(again.problem(), (409, "operation_state".to_owned()));
}

#[tokio::test]
async fn what_was_accepted_is_known_also_when_there_is_room_for_nothing() {
    let mut agent = Agent::new().await;
    let first = agent.post("/scan", Some("r-1"), scan().to_string()).await;
    let settings =
        AdmissionSettings { min_free_disk_bytes: u64::MAX, max_memory_bytes: None, max_requests: 8 };
    agent.context.admission = Admission::new(settings, agent.dir.path().to_owned());
    let another = agent.post("/scan", Some("r-2"), scan().to_string()).await;
    assert_eq!(another.problem(), (503, "disk_full".to_owned()));
    let repeat = agent.post("/scan", Some("r-1"), scan().to_string()).await;
    assert_eq!((repeat.status, repeat.json()), (202, first.json()));
}

#[tokio::test]
async fn requests_that_can_never_work_are_refused_at_once() {
    let agent = Agent::new().await;
    let with = |field: &str, value: Value| {
        let mut body = scan();
        body[field] = value;
        body.to_string()
    };
    let rows = [
        ("not JSON", "hunter2".to_owned(), 400, "request_malformed"),
        ("cut off", "{\"image\":\"a:1\",\"credentials\":\"hunter2".to_owned(), 400, "request_malformed"),
        ("no image", json!({"credentials": "hunter2"}).to_string(), 400, "request_malformed"),
        ("an image that is none", with("image", json!("Team/app:1")), 400, "name_invalid"),
        ("no platform", with("platform", json!("amd64")), 400, "request_malformed"),
        ("a wrong option", with("options", json!({"nestedJarsDepth": "-1"})), 400, "request_malformed"),
        ("a long correlation id", with("correlationId", json!("x".repeat(2000))), 400, "request_malformed"),
        (
            "another callback host",
            with("callbackUrl", json!("http://evil.test:8000")),
            403,
            "callback_refused",
        ),
        ("link-local", with("callbackUrl", json!("http://169.254.169.254")), 403, "callback_refused"),
        ("unknown type", with("credentials", json!({"type": "no-such-cr"})), 422, "driver_unknown"),
        ("no connection", with("credentials", json!("${CR_CREDENTIALS}")), 401, "connection_missing"),
    ];
    for (name, body, status, code) in rows {
        let answer = agent.post("/scan", None, body).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{name}: {}", answer.text);
        assert!(!answer.text.contains("hunter2"), "{name}: {}", answer.text);
    }
    assert_eq!(agent.get("-", "/operations").await.json(), json!([]));
    let large = agent.post("/scan", None, vec![b' '; MAX_BODY_BYTES + 1]).await;
    assert_eq!(large.problem(), (413, "request_too_large".to_owned()));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let agent =
        Agent::with(&[("BROKER_CLIENT_URL", "http://broker.test:8000"), ("REGENT_QUEUE_LENGTH", "1")]).await;
    assert_eq!(agent.post("/scan", None, scan().to_string()).await.status, 202);
    let full = agent.post("/scan", None, scan().to_string()).await;
    assert_eq!(full.problem(), (429, "queue_full".to_owned()));
    assert!(full.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn without_any_callback_setting_the_request_decides() {
    let agent = Agent::with(&[]).await;
    let missing = agent.post("/scan", None, scan().to_string()).await;
    assert_eq!(missing.problem(), (400, "request_malformed".to_owned()));
    let mut body = scan();
    body["callbackUrl"] = json!("https://anywhere.test/api/v2/import/done");
    assert_eq!(agent.post("/scan", None, body.to_string()).await.status, 202);
}

#[tokio::test]
async fn local_images_are_reached_only_below_their_root() {
    let root = tempfile::tempdir().unwrap();
    let below = root.path().join("app");
    std::fs::create_dir(&below).unwrap();
    let check = async |agent: &Agent, base: &Path| {
        let json = json!({"type": "files", "registryBase": base.to_str().unwrap()}).to_string();
        let request = Request::get("/systemcheck").header("x-cr-credentials", BASE64_STANDARD.encode(json));
        agent.send(request.body(Full::default()).unwrap()).await
    };
    let agent = Agent::new().await;
    assert_eq!(check(&agent, &below).await.problem(), (403, "local_root_unset".to_owned()));
    let agent = Agent::with(&[("REGENT_LOCAL_ROOT", root.path().to_str().unwrap())]).await;
    assert_eq!(check(&agent, Path::new("/etc")).await.problem(), (403, "local_path_refused".to_owned()));
    let answer = check(&agent, &below.join("../app")).await;
    assert_eq!(answer.json()["registry"], json!(below.canonicalize().unwrap().to_str().unwrap()));
}

#[tokio::test]
async fn the_agent_tells_of_itself() {
    let agent = Agent::new().await;
    let health = agent.get("-", "/healthcheck").await;
    assert_eq!(health.json(), json!({"ok": true, "version": env!("CARGO_PKG_VERSION"), "drivers": 2}));
    assert_eq!(agent.get("-", "/readiness").await.status, 200);
    let drivers = agent.get("-", "/drivers").await.json();
    assert_eq!(drivers.as_array().unwrap().len(), 2);
    let documents: Vec<_> = agent.context.drivers.list().into_iter().map(DriverDocument::from).collect();
    assert_eq!(drivers, serde_json::to_value(documents).unwrap(), "what `regent drivers list --json` prints");
    let described = agent.get("-", "/openapi.json").await.json();
    assert_eq!(described["openapi"], "3.1.0");
    agent.get("panics", "/list").await;
    let metrics = agent.get("-", "/metrics").await;
    for line in [
        "regent_requests_total{route=\"/healthcheck\",status=\"200\"} 1",
        "regent_driver_calls_total{driver=\"scripted\",outcome=\"driver_panicked\"} 1",
        "regent_operations{state=\"queued\"} 0",
    ] {
        assert!(metrics.text.contains(line), "{line} in\n{}", metrics.text);
    }
}

#[tokio::test]
async fn a_stopping_agent_or_one_without_its_disk_is_not_ready() {
    let agent = Agent::new().await;
    agent.trigger.request();
    let answer = agent.get("-", "/readiness").await;
    assert_eq!((answer.status, answer.json()["checks"][0]["ok"].clone()), (503, json!(false)));
    let refused = agent.post("/scan", None, scan().to_string()).await;
    assert_eq!(refused.problem(), (503, "agent_stopping".to_owned()));
    assert_eq!(refused.headers["retry-after"], "10");
    assert_eq!(agent.get("ada", "/list").await.status, 200);
    let agent = Agent::new().await;
    std::fs::remove_dir(agent.dir.path()).unwrap();
    let answer = agent.get("-", "/readiness").await;
    assert_eq!((answer.status, answer.json()["checks"][3]["ok"].clone()), (503, json!(false)));
    assert_eq!(agent.get("-", "/healthcheck").await.status, 200);
}

/// With `REGENT_WRITE_DOCUMENTS` set the tables are written, as those of `docs/scanning.md` are.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting of the agent")]
fn the_operating_manual_has_the_tables_of_this_build() {
    let tables = [
        ("operating.md", crate::settings::markdown()),
        ("operating.md", super::code::markdown()),
        ("operating.md", crate::telemetry::markdown()),
        ("drivers.md", crate::drivers::bounds::markdown()),
    ];
    let writes = std::env::var_os("REGENT_WRITE_DOCUMENTS").is_some();
    for (page, table) in tables {
        let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let mut manual = std::fs::read_to_string(&path).unwrap();
        if writes {
            let head = table.lines().next().unwrap();
            let from = manual.find(head).unwrap_or_else(|| panic!("no table begins with {head}"));
            let to = manual.get(from..).unwrap().find("\n\n").map_or(manual.len(), |end| from + end + 1);
            manual.replace_range(from..to, &table);
            std::fs::write(path, &manual).unwrap();
        }
        assert!(manual.contains(&table), "docs/{page} should have this table:\n{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let never = futures_util::stream::pending::<Result<Bytes, warp::Error>>();
    let problem = collect(never).await.unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (400, "request_malformed"));
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_cause_of_an_internal_fault_is_logged_under_the_requests_id() {
    // With one subscriber alone, `tracing` asks the thread that comes first whether a line is wanted, and no other.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let request = Request::get("/list")
        .header("x-cr-credentials", connection("scripted", "panics"))
        .header("snyk-request-id", "r-17")
        .body(Full::default())
        .unwrap();
    assert_eq!(Agent::new().await.send(request).await.problem(), (502, "driver_panicked".to_owned()));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.lines().any(|line| line.contains("internal error") && line.contains("r-17")), "{text}");
}
