//! Tags with their digests at a registry that has no listing of them: a HEAD for each, side by side within a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt as _;
use hyper::{Method, Response};
use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::http::{Body, Server, json as answer_json};
use serde_json::json;
use tokio::sync::Barrier;

/// As many as the host asks at once.
const AT_ONCE: usize = 16;
const TAGS: usize = 8 * AT_ONCE;

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_heads_are_under_way_at_once_and_never_more() {
    let in_flight = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    // Each answer waits for fifteen others: one after the other would never end.
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let heads = Arc::new(AtomicUsize::new(0));
    let (flying, peak, gate, count) = (in_flight.clone(), most.clone(), barrier, heads.clone());
    let server = Server::start(move |request| {
        let (flying, peak, gate, count) = (flying.clone(), peak.clone(), gate.clone(), count.clone());
        async move {
            let path = request.uri().path().to_owned();
            if *request.method() != Method::HEAD {
                let tags: Vec<String> = (0..TAGS).map(|i| format!("v{i}")).collect();
                return answer_json(200, &json!({ "name": "team/app", "tags": tags }));
            }
            count.fetch_add(1, Ordering::SeqCst);
            peak.fetch_max(flying.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.wait().await;
            flying.fetch_sub(1, Ordering::SeqCst);
            head(&path)
        }
    })
    .await;
    let authority = server.authority();
    let plugins = plugin_directory(&["oci"]);
    let agent = Agent::start(plugins.path(), &[("REGENT_INSECURE_REGISTRIES", authority.as_str())]).await;
    let connection = Connection::anonymous("oci-cr", &authority);
    let details = agent.get("/list-with-metadata/team/app", &connection).await.expect(200);
    let details = details.as_array().unwrap();
    assert_eq!(details.len(), TAGS);
    for (i, detail) in details.iter().enumerate() {
        assert_eq!(detail["tag"], format!("v{i}"), "in the registry's order");
        let digest = regent_oci::Digest::sha256(format!("/v2/team/app/manifests/v{i}").as_bytes());
        assert_eq!(detail["digest"], digest.to_string());
    }
    assert_eq!(heads.load(Ordering::SeqCst), TAGS, "one HEAD for each tag");
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
}

/// The head of a manifest whose digest is made from its path.
fn head(path: &str) -> Response<Body> {
    Response::builder()
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .header("docker-content-digest", regent_oci::Digest::sha256(path.as_bytes()).to_string())
        .body(http_body_util::Empty::new().map_err(|never| match never {}).boxed())
        .unwrap()
}
