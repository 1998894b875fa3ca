//! Drivers that want or give too much: each bound has its code, names the driver, and costs no one else anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt as _;
use regent_plugin_api::bounds;
use regent_tests::agent::{Agent, Answer, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::http::{Server, answer};
use serde_json::json;
use tokio::sync::Barrier;

struct Scene {
    agent: Agent,
    server: Server,
    /// The most requests that were under way.
    most: Arc<AtomicUsize>,
    _plugins: tempfile::TempDir,
}

impl Scene {
    /// `isolation` says where the driver runs that is too greedy.
    async fn set(isolation: &str) -> Self {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (seen, together) = (Arc::clone(&most), Arc::new(Barrier::new(bounds::MAX_REQUESTS_AT_ONCE)));
        let server = Server::start(move |request| {
            let (now, most, together) = (Arc::clone(&now), Arc::clone(&seen), Arc::clone(&together));
            async move {
                let path = request.uri().path().to_owned();
                let _ = request.into_body().collect().await;
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if path == "/together" {
                    together.wait().await; // nobody is answered before as many have asked as may
                }
                now.fetch_sub(1, Ordering::SeqCst);
                let size = usize::try_from(bounds::MAX_ANSWER_BODY_BYTES).unwrap() + 1;
                answer(200, "text/plain", if path == "/large" { vec![0; size] } else { Vec::new() })
            }
        })
        .await;
        let plugins = plugin_directory(&["fixture-greedy", "fixture-echo"]);
        let authority = server.authority();
        let isolation = format!("fixture-greedy={isolation}");
        let environment =
            [("REGENT_INSECURE_REGISTRIES", &*authority), ("REGENT_DRIVER_ISOLATION", &*isolation)];
        let agent = Agent::start(plugins.path(), &environment).await;
        Self { agent, server, most, _plugins: plugins }
    }

    async fn get(&self, path: &str, what: &str) -> Answer {
        let connection = Connection(json!({
            "type": "fixture-greedy", "registryBase": self.server.authority(), "what": what,
        }));
        self.agent.get(path, &connection).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_has_a_code_that_names_the_driver_and_the_bound() {
    too_much_has_a_code("thread").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_has_where_the_driver_runs_in_a_process_of_its_own() {
    too_much_has_a_code("process").await;
}

async fn too_much_has_a_code(isolation: &str) {
    let scene = Scene::set(isolation).await;
    let rows = [
        ("/list", "items", "driver_contract_broken", "100001 items on a page, at most 100000"),
        ("/list", "cursor", "driver_contract_broken", "a cursor of 8193 bytes, at most 8192"),
        ("/list", "again", "paging_loop", "the list of repositories"),
        ("/list", "endless", "paging_limit", "10000 pages"),
        ("/systemcheck", "checks", "driver_contract_broken", "65 checks, at most 64"),
        ("/systemcheck", "requests", "driver_limit_exceeded", "more than 5000 requests in one call"),
        ("/systemcheck", "headers", "driver_limit_exceeded", "more than 128 headers of a request"),
        ("/systemcheck", "header", "driver_limit_exceeded", "more than 65536 bytes of headers of a request"),
        ("/systemcheck", "url", "driver_limit_exceeded", "more than 16384 bytes of a URL"),
        ("/systemcheck", "body", "driver_limit_exceeded", "more than 8388608 bytes of a request's body"),
        ("/systemcheck", "answer", "driver_limit_exceeded", "more than 67108864 bytes of an answer's body"),
    ];
    for (path, what, code, words) in rows {
        let refused = scene.get(path, what).await;
        assert_eq!(refused.problem(502), code, "{what}: {}", refused.text);
        let problem = refused.json();
        assert!(problem["detail"].as_str().unwrap().contains(words), "{what}: {problem}");
        assert_eq!(problem["driver"], "fixture-greedy", "{what}: {problem}");
    }
    let echo = Connection(json!({
        "type": "fixture-echo", "registryBase": "echo.example", "repositories": "a/b", "tags": "1",
    }));
    assert_eq!(scene.agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_wait_waits_and_what_is_only_text_is_cut() {
    waits_or_is_cut("thread").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_does_where_the_driver_runs_in_a_process_of_its_own() {
    waits_or_is_cut("process").await;
}

async fn waits_or_is_cut(isolation: &str) {
    let scene = Scene::set(isolation).await;
    let most = bounds::MAX_REQUESTS_AT_ONCE;
    let checked = scene.get("/systemcheck", "parallel").await;
    assert!(checked.text.contains(&format!("{} were answered", 4 * most)), "{}", checked.text);
    assert_eq!(scene.most.load(Ordering::SeqCst), most);
    let paused = scene.get("/systemcheck", "pauses").await;
    let n = 4 * bounds::MAX_PAUSES_AT_ONCE;
    assert!(paused.text.contains(&format!("{n} have passed")), "{}", paused.text);

    let cut = scene.get("/systemcheck", "error").await;
    assert_eq!(cut.problem(502), "registry_answer_invalid");
    assert!(cut.text.len() < 2 * regent_plugin_api::Error::MAX_MESSAGE_BYTES, "{}", cut.text.len());

    for what in ["lines", "line"] {
        assert_eq!(scene.get("/systemcheck", what).await.status, 200, "{what}");
    }
    let output = scene.agent.output();
    let lines: Vec<&str> = output.lines().filter(|line| line.contains("greedy line")).collect();
    assert_eq!(lines.len(), usize::try_from(bounds::MAX_LOG_LINES).unwrap());
    let longest = output.lines().map(str::len).max().unwrap();
    assert!((bounds::MAX_LOG_BYTES..2 * bounds::MAX_LOG_BYTES).contains(&longest), "{longest}");
}
