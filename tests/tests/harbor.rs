//! The Harbor driver as a library in a running agent, against the emulator: what a Broker Client would ask.

use std::collections::BTreeSet;

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::image::{Compression, Flavor, Image, ImageBuilder, Layer, debian_layer};
use regent_tests::sink::Sink;
use regent_tests::vendor::emulator::Emulator;
use regent_tests::vendor::harbor::{Account, HOST, Harbor, Right};
use regent_tests::vendor::internet::Internet;
use regent_tests::vendor::proxy::Proxy;
use serde_json::{Value, json};

const ROBOT: &str = "robot$team+scan";
const PASSWORD: &str = "s3cr3t";

struct Scene {
    harbor: Emulator<Harbor>,
    sink: Sink,
    agent: Agent,
    _proxy: Proxy,
    _plugins: tempfile::TempDir,
}

impl Scene {
    /// `team` with 260 repositories and `other` with one, private both; robots with all rights and with one.
    async fn set() -> Self {
        let mut harbor = Harbor::default();
        for i in 0..260 {
            harbor.store.tag(&format!("team/group/app-{i}"), "1.0", &format!("text {i}"));
        }
        harbor.store.tag("other/app", "1.0", "text");
        let robot = |rights: &[Right]| Account::robot(Some("team"), rights);
        let accounts = [
            ("admin", Account::Admin),
            (ROBOT, robot(&Right::ALL)),
            ("robot$pull", robot(&[Right::PullRepository])),
            ("robot$list", robot(&[Right::ListRepository, Right::ListArtifact])),
        ];
        harbor.accounts = accounts.map(|(name, account)| (name.to_owned(), account)).into();
        let (internet, harbor) = (Internet::new(), Emulator::new(harbor));
        internet.add(harbor.clone());
        let (proxy, sink) = (Proxy::start(&internet).await, Sink::start().await);
        let plugins = plugin_directory(&["harbor"]);
        let environment = [
            ("HTTPS_PROXY", proxy.url()),
            ("NODE_EXTRA_CA_CERTS", proxy.authority()),
            ("BROKER_CLIENT_URL", sink.url()),
        ];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let agent = Agent::start(plugins.path(), &environment).await;
        Self { harbor, sink, agent, _proxy: proxy, _plugins: plugins }
    }

    /// Starts a scan and waits for its end. Returns the operation's id and the last callback's body.
    async fn scan(&self, image: &str, connection: &Connection) -> (String, Value) {
        let body = json!({ "image": image, "credentials": connection.0, "correlationId": "c-1" });
        let accepted = self.agent.post("/scan", &body).await.expect(202);
        let operation = accepted["operationId"].as_str().unwrap().to_owned();
        let done = self.sink.wait_for("/api/v2/import/done", &operation).await;
        (operation, done.body)
    }

    fn count(&self, operation: &'static str) -> usize {
        self.harbor.desk().count(&[operation])
    }
}

fn connection(registry_type: &str, username: &str, password: &str) -> Connection {
    Connection::new(registry_type, HOST, username, password)
}

fn robot() -> Connection {
    connection("harbor-cr", ROBOT, PASSWORD)
}

fn image() -> Image {
    ImageBuilder::new(Flavor::Docker)
        .layer(debian_layer(), Compression::Gzip)
        .layer(Layer::new().file("srv/app", "text"), Compression::Gzip)
        .build()
}

fn packages(result: &Value) -> BTreeSet<String> {
    let facts = result["facts"].as_array().unwrap();
    let graph = facts.iter().find(|f| f["type"] == "depGraph").unwrap();
    let all = graph["data"]["pkgs"].as_array().unwrap().iter().skip(1);
    all.map(|package| package["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systemcheck_says_what_it_looked_at() {
    let scene = Scene::set().await;
    scene.harbor.with(|harbor| harbor.robots_see_public_only = true);
    let rows = [
        (ROBOT, [("reached", "passed"), ("authenticated", "passed"), ("list", "passed"), ("pull", "passed")]),
        (
            "robot$pull",
            [("reached", "passed"), ("authenticated", "passed"), ("list", "denied"), ("pull", "skipped")],
        ),
    ];
    for (account, expected) in rows {
        let connection = connection("harbor-cr", account, PASSWORD);
        for path in ["/systemcheck", "/validate-credentials"] {
            let check = scene.agent.get(path, &connection).await.expect(200);
            assert_eq!((&check["ok"], &check["type"]), (&json!(true), &json!("harbor-cr")), "{check}");
            assert!(check["registry"].as_str().unwrap().contains(HOST), "{check}");
            let checks = check["checks"].as_array().unwrap();
            let outcomes: Vec<_> = checks
                .iter()
                .map(|c| (c["name"].as_str().unwrap(), c["outcome"].as_str().unwrap()))
                .collect();
            assert_eq!(outcomes, expected, "{account}: {check}");
            assert!(checks.iter().all(|c| c["detail"].as_str().unwrap().len() > 10), "{check}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_described_and_scanned_and_its_result_called_back() {
    let scene = Scene::set().await;
    let image = image();
    scene.harbor.with(|harbor| harbor.store.push("team/group/image", "1.0", &image));
    for registry_type in ["harbor-cr", "HarborCR"] {
        let connection = connection(registry_type, ROBOT, PASSWORD);
        let metadata =
            scene.agent.get("/image-metadata/team/group/image?reference=1.0", &connection).await.expect(200);
        assert_eq!(metadata["manifestDigest"], image.digest().to_string(), "{metadata}");
        assert_eq!(metadata["imageId"], image.config.to_string(), "{metadata}");
        assert_eq!(metadata["platform"], "linux/amd64", "{metadata}");
        assert_eq!(metadata["mediaType"], image.media_type, "{metadata}");
        let layers: Vec<&str> =
            metadata["layers"].as_array().unwrap().iter().map(|l| l["digest"].as_str().unwrap()).collect();
        assert_eq!(layers, image.layers.iter().map(ToString::to_string).collect::<Vec<_>>(), "{metadata}");

        let (operation, done) = scene.scan("team/group/image:1.0", &connection).await;
        assert_eq!((&done["status"], &done["correlationId"]), (&json!("succeeded"), &json!("c-1")), "{done}");
        let result = scene.sink.wait_for("/api/v2/import/result", &operation).await;
        assert_eq!(
            packages(&result.body["scanResults"][0]),
            ["bash@5.2.15-2+b2", "glibc/libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u2"]
                .map(str::to_owned)
                .into()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_rejected_everywhere() {
    let scene = Scene::set().await;
    scene.harbor.with(|harbor| {
        harbor.public.insert("open".to_owned());
        harbor.store.push("open/image", "1.0", &image());
    });
    let wrong = connection("harbor-cr", ROBOT, "wrong");
    for path in [
        "/systemcheck",
        "/validate-credentials",
        "/list",
        "/list/team/group/app-1",
        "/list-with-metadata/team/group/app-1",
        "/image-metadata/team/group/app-1?reference=1.0",
        // Anyone may read this one, and still the password is wrong.
        "/image-metadata/open/image?reference=1.0",
    ] {
        assert_eq!(scene.agent.get(path, &wrong).await.problem(401), "credentials_rejected", "{path}");
    }
    let (operation, done) = scene.scan("open/image:1.0", &wrong).await;
    assert_eq!(done["status"], "failed", "{done}");
    assert_eq!(done["error"]["type"], "credentials_rejected", "{done}");
    let callbacks = scene.sink.received();
    let of_it: Vec<_> = callbacks.iter().filter(|c| c.body["operationId"] == operation).collect();
    assert_eq!(of_it.len(), 1, "nothing but the failure: {callbacks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_is_told_the_right_that_it_lacks() {
    let scene = Scene::set().await;
    scene.harbor.with(|harbor| harbor.robots_see_public_only = true);
    scene.harbor.with(|harbor| harbor.store.push("team/group/image", "1.0", &image()));
    let rows = [
        ("robot$pull", "/list", "List Repository"),
        ("robot$pull", "/list-with-metadata/team/group/app-1", "List Artifact"),
        ("robot$list", "/image-metadata/team/group/image?reference=1.0", "Pull Repository"),
        (ROBOT, "/image-metadata/other/app?reference=1.0", "Pull Repository"),
    ];
    for (account, path, right) in rows {
        let answer = scene.agent.get(path, &connection("harbor-cr", account, PASSWORD)).await;
        assert_eq!(answer.problem(403), "permission_missing", "{account} {path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(right), "{account}: {}", answer.text);
    }
    let lister = connection("harbor-cr", "robot$list", PASSWORD);
    let (_, done) = scene.scan("team/group/image:1.0", &lister).await;
    assert_eq!(done["error"]["type"], "permission_missing", "{done}");
    assert!(done["error"]["detail"].as_str().unwrap().contains("Pull Repository"), "{done}");
    // What is not there is another thing than what one may not see.
    let absent = scene.agent.get("/list/team/nothing", &robot()).await;
    assert_eq!(absent.problem(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_expire_between_two_requests_are_renewed() {
    let scene = Scene::set().await;
    scene.harbor.with(|harbor| harbor.store.push("team/group/image", "1.0", &image()));
    let robot = robot();
    let path = "/image-metadata/team/group/image?reference=1.0";
    let first = scene.agent.get(path, &robot).await.expect(200);
    for round in 0..3 {
        let before = scene.count("token");
        scene.harbor.with(Harbor::expire_tokens);
        assert_eq!(scene.agent.get(path, &robot).await.expect(200), first);
        assert!(scene.count("token") > before, "round {round}: a new token");
    }
    scene.harbor.with(Harbor::expire_tokens);
    let before = scene.count("token");
    let (_, done) = scene.scan("team/group/image:1.0", &robot).await;
    assert_eq!(done["status"], "succeeded", "{done}");
    assert!(scene.count("token") > before, "a new token for the scan");
}
