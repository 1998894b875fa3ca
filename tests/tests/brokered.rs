//! The whole path: service → real broker → agent → driver library → real registry, and the callbacks back.

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::broker::Broker;
use regent_tests::http::client;
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use serde_json::{Value, json};

const PASSWORD: &str = "pa\"ss\\w0rd";

struct Scene {
    registry: Registry,
    sink: Sink,
    agent: Agent,
    _plugins: tempfile::TempDir,
    broker: Broker,
}

impl Scene {
    /// `credentials`: what the Broker Client puts in place of its placeholder, made from the registry's address.
    async fn set(credentials: impl FnOnce(&Registry) -> String) -> Self {
        let auth = Auth::Htpasswd { username: "robot".into(), password: PASSWORD.into() };
        let registry = Registry::start(auth).await;
        let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
        let authorization = registry.authorization();
        for tag in ["1.0", "1.1"] {
            image.push(&registry.authority(), "team/app", tag, authorization.as_deref()).await;
        }
        let sink = Sink::start().await;
        let plugins = plugin_directory(&["oci", "harbor", "local"]);
        let client_port = Broker::choose_client_port();
        let agent = Agent::start(
            plugins.path(),
            &[
                ("BROKER_CLIENT_URL", &format!("http://127.0.0.1:{client_port}")),
                ("REGENT_INSECURE_REGISTRIES", &registry.authority()),
            ],
        )
        .await;
        let broker = Broker::start(client_port, &agent.url(), &credentials(&registry), &sink.url()).await;
        Self { registry, sink, agent, _plugins: plugins, broker }
    }

    async fn call(&self, path: &str) -> (u16, Value) {
        let answer = client()
            .get(self.broker.call_url(path))
            .header("x-cr-credentials", "${CR_CREDENTIALS}")
            .header("x-broker-var-sub", "x-cr-credentials")
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn scan(&self, path: &str, image: &str) -> String {
        let body = json!({
            "image": image, "correlationId": "c-1", "credentials": "${CR_CREDENTIALS}",
            "callbackUrl": "${BROKER_CLIENT_URL}", "BROKER_VAR_SUB": ["credentials", "callbackUrl"],
        });
        let answer = client().post(self.broker.call_url(path)).json(&body).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 202, "{body}");
        body["operationId"].as_str().unwrap().to_owned()
    }
}

fn packages(result: &Value) -> Vec<String> {
    let facts = result["facts"].as_array().unwrap();
    let graph = facts.iter().find(|f| f["type"] == "depGraph").unwrap();
    let mut ids: Vec<String> = graph["data"]["pkgs"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .map(|p| p["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_the_service_asks_through_the_broker_is_answered() {
    let scene =
        Scene::set(|registry| Connection::new("oci-cr", &registry.authority(), "robot", PASSWORD).encoded())
            .await;

    let check: Value =
        client().get(scene.broker.systemcheck_url()).send().await.unwrap().json().await.unwrap();
    assert!(check.to_string().contains("true") && !check.to_string().contains("\"ok\":false"), "{check}");
    let (status, check) = scene.call("/validate-credentials").await;
    assert_eq!((status, &check["ok"]), (200, &json!(true)), "{check}");

    assert_eq!(scene.call("/list").await, (200, json!(["team/app"])));
    let (status, tags) = scene.call("/list/team/app").await;
    let mut tags: Vec<String> = serde_json::from_value(tags).unwrap();
    tags.sort();
    assert_eq!((status, tags), (200, vec!["1.0".to_owned(), "1.1".to_owned()]));
    // The same name escaped, as some callers send it, and in another case.
    assert_eq!(scene.call("/LIST/team%2Fapp/").await.0, 200);

    let (status, metadata) = scene.call("/image-metadata/team/app?reference=1.0").await;
    assert_eq!(status, 200, "{metadata}");
    assert!(metadata.to_string().contains("linux"), "{metadata}");
    let (status, state) = scene.call("/get-state-identifier?image=team%2Fapp%3A1.0").await;
    assert_eq!(status, 200, "{state}");

    let operation = scene.scan("/scan", "team/app:1.0").await;
    let result = scene.sink.wait_for("/api/v2/import/result", &operation).await;
    let done = scene.sink.wait_for("/api/v2/import/done", &operation).await;
    assert_eq!(
        packages(&result.body["scanResults"][0]),
        ["bash@5.2.15-2+b2", "glibc/libc6@2.36-9+deb12u4", "openssl@3.0.11-1~deb12u2"]
    );
    assert_eq!(done.body["status"], "succeeded", "{}", done.body);
    assert_eq!(done.body["correlationId"], "c-1");
    assert!(done.headers.contains_key("idempotency-key"));
    let order: Vec<String> = scene.sink.received().into_iter().map(|c| c.path).collect();
    assert_eq!(order, ["/api/v2/import/result", "/api/v2/import/done"]);
    assert!(!scene.registry.output().contains("panic"));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_entrypoint_breaks_and_scans_that_fail_are_answered_all_the_same() {
    // What the broker image's entrypoint makes of a password with a quote and a backslash: no JSON.
    let scene = Scene::set(|registry| {
        use base64::Engine as _;
        let text = format!(
            "{{\"type\":\"oci-cr\", \"username\":\"robot\", \"password\":\"{PASSWORD}\", \"registryBase\":\"{}\"}}\n",
            registry.authority()
        );
        base64::engine::general_purpose::STANDARD.encode(text)
    })
    .await;
    assert_eq!(scene.call("/list").await, (200, json!(["team/app"])));

    let operation = scene.scan("/scan", "team/app:no-such-tag").await;
    let done = scene.sink.wait_for("/api/v2/import/done", &operation).await;
    assert_eq!(done.body["status"], "failed");
    assert_eq!(done.body["error"]["type"], "not_found", "{}", done.body);

    let operation = scene.scan("/discover", "team/app:1.1").await;
    let dependencies = scene.sink.wait_for("/api/v1/recurring-tests/dependencies", &operation).await;
    assert_eq!(packages(&dependencies.body["scanResults"][0]).len(), 3, "{}", dependencies.body);

    // A service that is down for a moment: the callbacks are tried again.
    scene.sink.fail_with(&[503, 503]);
    let operation = scene.scan("/scan", "team/app:1.0").await;
    let done = scene.sink.wait_for("/api/v2/import/done", &operation).await;
    assert_eq!(done.body["status"], "succeeded");
    assert!(!scene.agent.output().contains("w0rd"), "{}", scene.agent.output());
}
