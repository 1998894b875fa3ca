//! Tags with metadata of a registry that has no listing of them: a HEAD for each, at some distance.

use std::process::Command;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::{Method, Response};
use serde_json::json;

use crate::agent::{Agent, Connection};
use crate::http::{Server, client, json as answer_json};

use super::report::{Section, Target};
use super::{Subject, progress};

const LATENCY: Duration = Duration::from_millis(20);
const RATIO_LIMIT: f64 = 10.0;
const TAGS: usize = 10_000;

/// All tags by the agent, and some of them one after the other on one connection.
pub async fn measure(subject: &Subject) -> Section {
    let (n_tags, n_single) = subject.or_quick((TAGS, 500_u32), (1_000, 100));
    let registry = far_registry(n_tags).await;
    let authority = registry.authority();
    let (command, data) = (Command::new(&subject.regent), tempfile::tempdir().unwrap());
    let environment = [("REGENT_INSECURE_REGISTRIES", authority.as_str()), ("LOG_LEVEL", "warn")];
    let agent = Agent::start_by(command, &subject.plugins, data, &environment).await;
    progress(&format!("{n_tags} tags"));
    let begin = Instant::now();
    let connection = Connection::anonymous("oci-cr", &authority);
    let details = agent.get("/list-with-metadata/team/app", &connection).await.expect(200);
    let together = begin.elapsed().as_secs_f64();
    assert_eq!(details.as_array().map(Vec::len), Some(n_tags));

    progress("one request at a time");
    let client = client();
    let begin = Instant::now();
    for i in 0..n_single {
        let answer =
            client.head(format!("{}/v2/team/app/manifests/v{i}", registry.url())).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let single = begin.elapsed().as_secs_f64() / f64::from(n_single) * n_tags as f64;
    let ratio = single / together;
    Section {
        subject: format!(
            "{n_tags} tags at a registry that answers after {} ms; one at a time by {n_single} of them on one kept \
             connection.",
            LATENCY.as_millis()
        ),
        tables: Vec::new(),
        targets: vec![Target::at_least(
            "one request at a time / `/list-with-metadata`",
            RATIO_LIMIT,
            " ×",
            ratio,
            format!("{ratio:.1} ({single:.0} s / {together:.1} s)"),
        )],
    }
}

/// Tags `v0`, `v1` …, in pages as large as they are asked for.
async fn far_registry(n_tags: usize) -> Server {
    Server::start(move |request| async move {
        tokio::time::sleep(LATENCY).await;
        let path = request.uri().path().to_owned();
        if *request.method() == Method::HEAD {
            return Response::builder()
                .header("content-type", "application/vnd.oci.image.manifest.v1+json")
                .header("docker-content-digest", regent_oci::Digest::sha256(path.as_bytes()).to_string())
                .body(http_body_util::Empty::new().map_err(|never| match never {}).boxed())
                .unwrap();
        }
        if !path.ends_with("/tags/list") {
            return answer_json(200, &json!({}));
        }
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let value = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let start =
            value("last").map_or(0, |last| last.trim_start_matches('v').parse::<usize>().unwrap() + 1);
        let size = value("n").map_or(n_tags, |n| n.parse().unwrap());
        let tags: Vec<String> = (start..n_tags.min(start + size)).map(|i| format!("v{i}")).collect();
        let next = tags.last().filter(|_| start + size < n_tags).cloned();
        let mut answer = answer_json(200, &json!({ "name": "team/app", "tags": tags }));
        if let Some(last) = next {
            let link = format!("</v2/team/app/tags/list?n={size}&last={last}>; rel=\"next\"");
            answer.headers_mut().insert("link", link.parse().unwrap());
        }
        answer
    })
    .await
}
