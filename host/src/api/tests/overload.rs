//! What is refused at once, and when to come back.

use super::*;

#[tokio::test]
async fn a_registry_that_keeps_failing_is_left_alone_and_the_answer_tells_for_how_long() {
    let agent = Agent::new().await;
    for _ in 0..5 {
        assert_eq!(agent.get("down", "/list").await.problem(), (502, "registry_unreachable".to_owned()));
    }
    let refused = agent.get("ada", "/list/team/app").await;
    assert_eq!(refused.problem(), (503, "circuit_open".to_owned()));
    assert_eq!(refused.json()["driver"], "scripted");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    let metrics = agent.get("-", "/metrics").await.text;
    assert!(metrics.contains("regent_breakers_open{side=\"registry\"} 1"), "{metrics}");
    assert!(metrics.contains("regent_breaker_refusals_total{side=\"registry\"} 1"), "{metrics}");
}

#[tokio::test]
async fn an_operation_for_which_there_is_no_room_is_refused_and_the_agent_is_not_ready() {
    let rows = [
        (("REGENT_MIN_FREE_DISK", "18446744073709551615"), "disk_full", "60", "disk"),
        (("REGENT_MAX_MEMORY", "1"), "overloaded", "30", "memory"),
    ];
    for (setting, code, retry_after, reason) in rows {
        let agent = Agent::with(&[setting]).await;
        for target in ["/scan", "/discover", "/pull"] {
            let refused = agent.post(target, None, scan().to_string()).await;
            assert_eq!(refused.problem(), (503, code.to_owned()), "{target}");
            assert_eq!(refused.headers["retry-after"], retry_after);
        }
        let ready = agent.get("-", "/readiness").await;
        assert_eq!(ready.status, 503);
        let checks = ready.json()["checks"].as_array().unwrap().clone();
        let red: Vec<_> =
            checks.iter().filter(|check| check["ok"] == false).map(|check| &check["name"]).collect();
        assert_eq!(red, [reason]);
        let metrics = agent.get("-", "/metrics").await.text;
        assert!(metrics.contains(&format!("regent_refusals_total{{reason=\"{reason}\"}} 3")), "{metrics}");
        assert_eq!(agent.get("ada", "/list").await.status, 200);
    }
}

#[tokio::test]
async fn above_a_number_of_requests_only_those_about_the_agent_are_answered() {
    let agent =
        Agent::with(&[("REGENT_MAX_REQUESTS", "1"), ("BROKER_CLIENT_URL", "http://broker.test:8000")]).await;
    {
        // Nobody works at the queue, so it waits until it is dropped.
        let mut waiting = std::pin::pin!(agent.post("/pull?wait=true", None, scan().to_string()));
        let accepted = async {
            while agent.context.queue.counts().await.unwrap().queued == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = &mut waiting => panic!("{}", answer.text),
            () = accepted => {}
        }
        let refused = agent.get("ada", "/list").await;
        assert_eq!(refused.problem(), (503, "overloaded".to_owned()));
        assert_eq!(refused.headers["retry-after"], "5");
        for target in ["/healthcheck", "/readiness", "/metrics"] {
            assert_eq!(agent.get("-", target).await.status, 200, "{target}");
        }
    }
    assert_eq!(agent.get("ada", "/list").await.status, 200);
}
