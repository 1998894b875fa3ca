use std::collections::HashMap;

use serde_json::json;

use super::*;
use crate::http::test_server::{TestServer, answer};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let map: HashMap<_, _> = pairs.iter().copied().collect();
    Settings::from_lookup(|name| map.get(name).map(|v| (*v).to_owned())).unwrap()
}

fn dead_letter() -> Value {
    json!({
        "operationId": ID, "kind": "scan", "image": "team/app:1.0", "type": "harbor-cr", "state": "dead_lettered",
        "correlationId": "c-1\u{1b}[2J", "acceptedAt": "2026-01-01T00:00:00Z", "since": "2026-01-02T00:00:00Z",
        "attempts": 1, "status": "succeeded", "summary": {"manifestDigest": "sha256:aa"},
        "undelivered": {"type": "callback_undeliverable", "detail": "the callback did not arrive"},
    })
}

/// An agent with one dead letter and one operation that waits.
async fn agent_with_two() -> (TestServer, Agent) {
    let server = TestServer::plain(|request| {
        let waiting = json!({
            "operationId": OTHER, "kind": "pull", "image": "base:1", "state": "queued", "attempts": 0,
        });
        let problem = |status: u16, code: &str, detail: &str| {
            answer(status, json!({"type": code, "status": status, "detail": detail}).to_string())
        };
        let (dead, other) = (format!("/prefix/operations/{ID}"), format!("/prefix/operations/{OTHER}"));
        let line = format!("{} {}", request.method, request.uri);
        match line.split_once(' ').unwrap() {
            ("GET", "/prefix/operations") => answer(200, json!([dead_letter(), waiting]).to_string()),
            ("GET", "/prefix/operations?deadLetters") => answer(200, json!([dead_letter()]).to_string()),
            ("GET", path) if path == dead => answer(200, dead_letter().to_string()),
            ("POST", path) if path == format!("{dead}/redeliver") => {
                answer(202, json!({"operationId": ID}).to_string())
            }
            ("DELETE", path) if path == dead => answer(204, ""),
            ("DELETE", path) if path == other => problem(409, "operation_state", "operation is queued"),
            ("POST", path) if path == format!("{other}/redeliver") => problem(503, "overloaded", "later"),
            ("GET", path) if path == other => {
                problem(404, "operation_unknown", "there is no such\roperation")
            }
            _ => answer(200, "<html>"),
        }
    })
    .await;
    // The proxy is one that nobody listens at.
    let settings = settings(&[("HTTP_PROXY", "http://127.0.0.1:9")]);
    let agent = Agent::new(agent_url(&server.url("/prefix/")).unwrap(), settings).unwrap();
    (server, agent)
}

#[tokio::test]
async fn operations_are_listed_shown_redelivered_and_dropped() {
    let (server, agent) = agent_with_two().await;
    let (id, other) = (ID.parse().unwrap(), OTHER.parse().unwrap());
    let dead = format!(
        "{ID}  dead_lettered  scan      2026-01-01T00:00:00Z  team/app:1.0  callback_undeliverable\n"
    );
    let waiting = format!("{OTHER}  queued         pull      -  base:1  -\n");
    assert_eq!(table(&agent.list(false).await.unwrap()), format!("{dead}{waiting}"));
    assert_eq!(table(&agent.list(true).await.unwrap()), dead);
    let shown = agent.show(id).await.unwrap();
    assert_eq!(shown, dead_letter());
    assert_eq!(
        page(&shown),
        "operation    01890a5d-ac96-774b-bcce-b302099a8057\n\
         kind         scan\n\
         image        team/app:1.0\n\
         type         harbor-cr\n\
         correlation  c-1 [2J\n\
         accepted     2026-01-01T00:00:00Z\n\
         attempts     1\n\
         state        dead_lettered\n\
         since        2026-01-02T00:00:00Z\n\
         status       succeeded\n\
         undelivered  the callback did not arrive (callback_undeliverable)\n\
         digest       sha256:aa\n"
    );
    agent.redeliver(id).await.unwrap();
    agent.drop(id).await.unwrap();
    assert_eq!(server.seen().len(), 5);

    let rows = [
        (agent.show(other).await, "there is no such operation (operation_unknown)", 4),
        (agent.drop(other).await, "operation is queued (operation_state)", 1),
        (agent.redeliver(other).await, "later (overloaded)", 5),
    ];
    for (outcome, message, exit) in rows {
        let failure = outcome.unwrap_err();
        assert_eq!((failure.to_string().as_str(), failure.exit()), (message, exit));
    }
}

#[tokio::test]
async fn what_does_not_answer_as_an_agent_is_told_with_its_address() {
    let server = TestServer::plain(|_| answer(200, "<html>")).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rows = [
        (server.url(""), "is no agent (status 200 OK) (agent_unreachable)"),
        (format!("http://{closed}"), "connection refused (agent_unreachable)"),
    ];
    for (url, end) in rows {
        let agent = Agent::new(agent_url(&url).unwrap(), settings(&[])).unwrap();
        let failure = agent.list(false).await.unwrap_err();
        assert!(failure.to_string().ends_with(end), "{failure}");
        assert!(failure.to_string().contains(url.trim_start_matches("http://")), "{failure}");
        assert_eq!(failure.exit(), 5);
    }
}

#[test]
fn without_a_url_it_is_the_agent_of_the_settings() {
    let rows: [(&[(&str, &str)], &str); 4] = [
        (&[], "http://127.0.0.1:17500/"),
        (&[("SNYK_PORT", "8081"), ("REGENT_LISTEN", "::")], "http://127.0.0.1:8081/"),
        (&[("REGENT_LISTEN", "::1")], "http://[::1]:17500/"),
        (&[("HTTPS_CERT", "/crt"), ("HTTPS_KEY", "/key")], "https://127.0.0.1:17500/"),
    ];
    for (pairs, expected) in rows {
        assert_eq!(own_agent(&settings(pairs)).unwrap().as_str(), expected);
    }
    for text in ["127.0.0.1:17500", "ftp://agent", "agent", "http://"] {
        assert!(agent_url(text).is_err(), "{text}");
    }
}
