//! Canary credentials at the most verbose level: they appear nowhere.

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use regent_tests::token_server::TokenServer;
use serde_json::json;

const CANARY: &str = "c4naryP4ssw0rd";

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_no_output_log_metric_or_error() {
    let auth = Auth::Htpasswd { username: "robot".into(), password: CANARY.into() };
    let registry = Registry::start(auth).await;
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    image.push(&registry.authority(), "team/app", "1", registry.authorization().as_deref()).await;
    let tokens = TokenServer::start("robot", CANARY, &[("team/app", &["pull"])], 300).await;
    let tokens_registry =
        Registry::start(Auth::Token { realm: tokens.realm(), certificate: tokens.certificate() }).await;
    let sink = Sink::start().await;
    let plugins = plugin_directory(&["oci", "harbor", "local"]);
    let insecure = format!("{},{},{}", registry.authority(), tokens_registry.authority(), tokens.authority());
    let agent = Agent::start(
        plugins.path(),
        &[
            ("REGENT_INSECURE_REGISTRIES", insecure.as_str()),
            ("BROKER_CLIENT_URL", sink.url().as_str()),
            ("LOG_LEVEL", "trace"),
            ("DEBUG", "*"),
            ("CR_TYPE", "oci-cr"),
            ("CR_BASE", registry.authority().as_str()),
            ("CR_USERNAME", "robot"),
            ("CR_PASSWORD", CANARY),
        ],
    )
    .await;

    let right = Connection::new("oci-cr", &registry.authority(), "robot", CANARY);
    let wrong = Connection::new("oci-cr", &registry.authority(), "robot", &format!("{CANARY}-wrong"));
    let mut by_token = Connection::new("oci-cr", &tokens_registry.authority(), "robot", CANARY);
    by_token.0["tokenService"] = tokens.authority().into();
    let nowhere = Connection::new("oci-cr", "127.0.0.1:1", "robot", CANARY);
    let unknown = Connection::new("no-such-cr", &registry.authority(), "robot", CANARY);
    let harbor = Connection::new("harbor-cr", &registry.authority(), "robot", CANARY);

    let mut seen = Vec::new();
    for connection in [&right, &wrong, &by_token, &nowhere, &unknown, &harbor] {
        for path in [
            "/systemcheck",
            "/list",
            "/list/team/app",
            "/list-with-metadata/team/app",
            "/image-metadata/team/app?reference=1",
            "/get-state-identifier?image=team/app:1",
            "/list/Team/App",
        ] {
            let answer = agent.get(path, connection).await;
            seen.push(format!("{:?}", answer.headers));
            seen.push(answer.text);
        }
    }
    // Broken connections: their content must not be quoted.
    let broken = format!("{{\"type\":\"oci-cr\", \"password\":{CANARY}");
    for header in
        [broken.clone(), base64(&broken), base64(&format!("{{\"type\":\"oci-cr\",\"password\":\"{CANARY}"))]
    {
        seen.push(agent.get_with("/list", &[("x-cr-credentials", &header)]).await.text);
        seen.push(agent.get_with("/list", &[("authorization", &format!("Bearer {header}"))]).await.text);
    }
    for connection in [&right, &wrong] {
        let body = json!({ "image": "team/app:1", "credentials": connection.0 });
        let accepted = agent.post("/scan", &body).await.expect(202);
        let operation = accepted["operationId"].as_str().unwrap().to_owned();
        seen.push(sink.wait_for("/api/v2/import/done", &operation).await.body.to_string());
        seen.push(agent.get_with(&format!("/operations/{operation}"), &[]).await.text);
    }
    seen.push(agent.post("/scan", &json!({ "image": 7, "credentials": right.0 })).await.text);
    for path in ["/metrics", "/drivers", "/readiness", "/openapi.json"] {
        seen.push(agent.get_with(path, &[]).await.text);
    }
    seen.extend(sink.received().iter().map(|c| format!("{:?}{}", c.headers, c.body)));
    let output = agent.output();
    assert!(output.len() > 2000, "the most verbose level says something:\n{output}");
    seen.push(output);

    let encoded = base64(&format!("robot:{CANARY}"));
    for text in &seen {
        for secret in [CANARY, encoded.trim_end_matches('='), &right.encoded()[40..80]] {
            assert!(!text.contains(secret), "a secret appears in:\n{text}");
        }
    }
    assert!(!tokens.requests().is_empty(), "the token flow was exercised");
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
