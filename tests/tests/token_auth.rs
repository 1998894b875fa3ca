//! A registry that enforces tokens itself, and a token server that signs them.

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::image::{Compression, Flavor, Image, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry, basic};
use regent_tests::sink::Sink;
use regent_tests::token_server::TokenServer;
use serde_json::json;

struct Scene {
    registry: Registry,
    tokens: TokenServer,
    agent: Agent,
    _plugins: tempfile::TempDir,
    sink: Sink,
}

impl Scene {
    async fn set(grants: &[(&str, &[&str])], lifetime_seconds: u64) -> Self {
        let tokens = TokenServer::start("robot", "secret", grants, lifetime_seconds).await;
        let auth = Auth::Token { realm: tokens.realm(), certificate: tokens.certificate() };
        let registry = Registry::start(auth).await;
        let sink = Sink::start().await;
        let plugins = plugin_directory(&["oci"]);
        let insecure = format!("{},{}", registry.authority(), tokens.authority());
        let agent = Agent::start(
            plugins.path(),
            &[("REGENT_INSECURE_REGISTRIES", insecure.as_str()), ("BROKER_CLIENT_URL", sink.url().as_str())],
        )
        .await;
        Self { registry, tokens, agent, _plugins: plugins, sink }
    }

    fn connection(&self, password: &str) -> Connection {
        let mut connection = Connection::new("oci-cr", &self.registry.authority(), "robot", password);
        // The token service is on another port: the operator names it.
        connection.0["tokenService"] = self.tokens.authority().into();
        connection
    }

    async fn push(&self, image: &Image, repository: &str, tag: &str) {
        // The pusher's own token, from the same server.
        let url =
            format!("{}?service=regent-tests&scope=repository:{repository}:pull,push", self.tokens.realm());
        let request = regent_tests::http::client().get(url).header("authorization", basic("robot", "secret"));
        let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        let bearer = format!("Bearer {}", answer["token"].as_str().unwrap());
        image.push(&self.registry.authority(), repository, tag, Some(&bearer)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_fetched_for_the_scope_at_hand_and_kept() {
    let grants: &[(&str, &[&str])] =
        &[("team/app", &["pull", "push"]), ("team/hidden", &["push"]), ("catalog", &["*"])];
    let scene = Scene::set(grants, 300).await;
    let image = ImageBuilder::new(Flavor::Docker).layer(debian_layer(), Compression::Gzip).build();
    scene.push(&image, "team/app", "1").await;
    let connection = scene.connection("secret");

    assert_eq!(scene.agent.get("/list", &connection).await.expect(200), json!(["team/app"]));
    assert_eq!(scene.agent.get("/list/team/app", &connection).await.expect(200), json!(["1"]));
    let details = scene.agent.get("/list-with-metadata/team/app", &connection).await.expect(200);
    assert_eq!(details[0]["digest"], image.digest().to_string());

    let before = scene.tokens.requests().len();
    for _ in 0..3 {
        scene.agent.get("/list/team/app", &connection).await.expect(200);
    }
    assert_eq!(scene.tokens.requests().len(), before, "the token is kept: {:?}", scene.tokens.requests());

    let body = json!({ "image": "team/app:1", "credentials": connection.0 });
    let accepted = scene.agent.post("/scan", &body).await.expect(202);
    let done = scene.sink.wait_for("/api/v2/import/done", accepted["operationId"].as_str().unwrap()).await;
    assert_eq!(done.body["status"], "succeeded", "{}", done.body);

    let scopes: Vec<String> = scene.tokens.requests().into_iter().flat_map(|r| r.scopes).collect();
    assert!(scopes.iter().all(|s| !s.contains("delete") && !s.contains("*,")), "{scopes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_missing_right_are_told_apart() {
    let scene = Scene::set(&[("team/app", &["pull", "push"]), ("team/hidden", &["push"])], 300).await;

    let wrong = scene.agent.get("/list/team/app", &scene.connection("wrong")).await;
    assert_eq!(wrong.problem(401), "credentials_rejected");

    let hidden = scene.agent.get("/list/team/hidden", &scene.connection("secret")).await;
    assert_eq!(hidden.problem(403), "permission_missing");

    // The password was right, so the connection as such is; only the right to list is missing.
    let check = scene.agent.get("/systemcheck", &scene.connection("secret")).await.expect(200);
    let list = check["checks"].as_array().unwrap().iter().find(|c| c["name"] == "list").unwrap();
    assert_eq!(list["outcome"], "denied", "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_never_goes_to_a_token_service_that_no_one_named() {
    let scene = Scene::set(&[("team/app", &["pull", "push"])], 300).await;
    let mut connection = scene.connection("secret");
    connection.0.as_object_mut().unwrap().remove("tokenService");

    let refused = scene.agent.get("/list/team/app", &connection).await;
    assert_eq!(refused.problem(502), "realm_refused");
    assert!(scene.tokens.requests().is_empty());
}
