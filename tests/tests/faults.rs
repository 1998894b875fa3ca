//! A registry that breaks: each fault ends in success or in its named error, and wrong bytes are never scanned.

use std::time::Duration;

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::faults::{Fault, FaultyRegistry};
use regent_tests::http::{Server, answer};
use regent_tests::image::{Compression, Flavor, Image, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use serde_json::{Value, json};

struct Scene {
    upstream: Registry,
    proxy: FaultyRegistry,
    agent: Agent,
    _plugins: tempfile::TempDir,
    sink: Sink,
    image: Image,
    connection: Connection,
}

impl Scene {
    async fn set() -> Self {
        let auth = Auth::Htpasswd { username: "robot".into(), password: "secret".into() };
        let upstream = Registry::start(auth).await;
        let image =
            ImageBuilder::new(Flavor::Oci).layer(debian_layer().noise("opt", 2), Compression::Gzip).build();
        image.push(&upstream.authority(), "team/app", "1", upstream.authorization().as_deref()).await;
        let proxy = FaultyRegistry::start(&upstream.authority()).await;
        let sink = Sink::start().await;
        let plugins = plugin_directory(&["oci"]);
        let agent = Agent::start(
            plugins.path(),
            &[
                ("REGENT_INSECURE_REGISTRIES", proxy.authority().as_str()),
                ("BROKER_CLIENT_URL", sink.url().as_str()),
            ],
        )
        .await;
        let connection = Connection::new("oci-cr", &proxy.authority(), "robot", "secret");
        Self { upstream, proxy, agent, _plugins: plugins, sink, image, connection }
    }

    async fn scan(&self) -> Value {
        let body = json!({ "image": "team/app:1", "credentials": self.connection.0 });
        let accepted = self.agent.post("/scan", &body).await.expect(202);
        let operation = accepted["operationId"].as_str().unwrap().to_owned();
        self.sink.wait_for("/api/v2/import/done", &operation).await.body
    }

    fn layer_path(&self) -> String {
        format!("/blobs/{}", self.image.layers[0])
    }

    async fn succeeds(&self) {
        let done = self.scan().await;
        assert_eq!(done["status"], "succeeded", "{done}");
    }

    async fn fails_with(&self, code: &str) {
        let done = self.scan().await;
        assert_eq!(done["status"], "failed", "{done}");
        assert_eq!(done["error"]["type"], code, "{done}");
        assert!(
            !self.sink.received().iter().any(|c| c.path.ends_with("/result")),
            "nothing is reported of an image that could not be verified"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_out() {
    let scene = Scene::set().await;
    scene.proxy.break_with("/manifests/", 2, Fault::Status(429, vec![("retry-after", "1".into())]));
    scene.succeeds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_server_errors_is_survived() {
    let scene = Scene::set().await;
    scene.proxy.break_with("/blobs/", 2, Fault::Status(503, vec![]));
    scene.proxy.break_with("/manifests/", 1, Fault::Status(503, vec![]));
    scene.succeeds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_waits_out_what_its_listing_meets() {
    let scene = Scene::set().await;
    scene.proxy.break_with("/tags/list", 1, Fault::Status(429, vec![("retry-after", "1".into())]));
    scene.proxy.break_with("/tags/list", 1, Fault::Status(503, vec![]));
    scene.proxy.break_with("/_catalog", 1, Fault::Reset { after_bytes: 1 });
    assert_eq!(scene.agent.get("/list/team/app", &scene.connection).await.expect(200), json!(["1"]));
    assert_eq!(scene.agent.get("/list", &scene.connection).await.expect(200), json!(["team/app"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_a_blob_is_resumed_where_it_broke() {
    let scene = Scene::set().await;
    scene.proxy.break_with(&scene.layer_path(), 2, Fault::Reset { after_bytes: 700_000 });
    scene.succeeds().await;
    let ranges: Vec<_> = scene.proxy.seen().into_iter().filter_map(|s| s.range).collect();
    assert!(ranges.iter().any(|r| r != "bytes=0-"), "it went on by range: {ranges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_ends_early_is_completed_by_range() {
    let scene = Scene::set().await;
    scene.proxy.break_with(&scene.layer_path(), 3, Fault::Truncate { to_bytes: 500_000 });
    scene.succeeds().await;
    let ranges: Vec<_> = scene.proxy.seen().into_iter().filter_map(|s| s.range).collect();
    assert!(ranges.iter().any(|r| r.starts_with("bytes=500000-")), "{ranges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_does_not_grow_is_a_named_error() {
    let scene = Scene::set().await;
    scene.proxy.break_with(&scene.layer_path(), usize::MAX, Fault::Truncate { to_bytes: 0 });
    scene.fails_with("blob_truncated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_never_scanned() {
    let scene = Scene::set().await;
    scene.proxy.break_with(&scene.layer_path(), usize::MAX, Fault::WrongByte);
    scene.fails_with("digest_mismatch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_a_wrong_byte_is_refused() {
    let scene = Scene::set().await;
    scene.proxy.break_with("/manifests/", usize::MAX, Fault::WrongByte);
    let done = scene.scan().await;
    assert_eq!(done["status"], "failed", "{done}");
    let code = done["error"]["type"].as_str().unwrap();
    assert!(["digest_mismatch", "manifest_invalid"].contains(&code), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_registry_is_waited_for() {
    let scene = Scene::set().await;
    let drip = Fault::Drip { piece_bytes: 100_000, pause: Duration::from_millis(50) };
    scene.proxy.break_with(&scene.layer_path(), 1, drip);
    scene.succeeds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let scene = Scene::set().await;
    // The storage behind a registry: it has the blob, takes signed URLs, and refuses a second credential.
    let blobs = scene.image.blobs.clone();
    let storage = Server::start(move |request| {
        let blobs = blobs.clone();
        async move {
            if request.headers().contains_key("authorization") {
                return answer(400, "application/xml", "<Error>Only one auth mechanism allowed</Error>");
            }
            let digest = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
            answer(200, "binary/octet-stream", blobs[&digest].clone())
        }
    })
    .await;
    scene.proxy.break_with("/blobs/", usize::MAX, Fault::Redirect { to: storage.authority() });
    scene.succeeds().await;
    assert!(!scene.upstream.output().contains("panic"));
}
