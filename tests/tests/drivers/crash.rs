//! Drivers that take the process down.

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use serde_json::json;

const SUPERVISED: (&str, &str) = ("REGENT_SUPERVISED", "true");

fn connection(registry_type: &str, field: &str, value: &str) -> Connection {
    Connection(json!({
        "type": registry_type, "registryBase": "x.example", "repositories": "a/b", "tags": "1", field: value,
    }))
}

/// Asks until the agent answers again.
async fn back(agent: &mut Agent) {
    let port = agent.port();
    agent.process().wait_for_port(port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_takes_the_agent_down_is_quarantined_and_the_others_go_on() {
    let plugins = plugin_directory(&["fixture-panic", "fixture-echo"]);
    let mut agent = Agent::start(plugins.path(), &[SUPERVISED]).await;
    let echo = connection("fixture-echo", "username", "u");
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));

    let aborting = connection("fixture-panic", "where", "abort");
    assert!(agent.try_get("/systemcheck", &aborting).await.is_none(), "nobody is left to answer");
    agent.process().wait_until_said("it crashed with SIGABRT").await;
    back(&mut agent).await;
    let refused = agent.get("/systemcheck", &aborting).await;
    assert_eq!(refused.problem(503), "driver_unavailable", "{}", refused.text);
    assert!(refused.text.contains("SIGABRT"), "{}", refused.text);
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));

    let drivers = agent.get_with("/drivers", &[]).await.expect(200);
    let quarantined = drivers.as_array().unwrap().iter().filter(|d| d["state"] == "quarantined").count();
    assert_eq!(quarantined, 1, "{drivers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervised_agent_that_was_killed_is_back_without_blame_and_stops_when_it_is_told_to() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let mut agent = Agent::start(plugins.path(), &[SUPERVISED]).await;
    let echo = connection("fixture-echo", "username", "u");
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    rustix::process::kill_process(agent.child(), rustix::process::Signal::KILL).unwrap();
    agent.process().wait_until_said("it was killed by signal 9").await;
    back(&mut agent).await;
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    assert_eq!(agent.process().terminate().await.code(), Some(0), "{}", agent.output());
    assert!(agent.output().contains("stopped"), "{}", agent.output());
}
