//! Drivers that take the process down.

use std::path::Path;

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::plugin_directory;
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};
use regent_tests::sink::Sink;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

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

/// Has a driver crash the agent, and waits until it is back.
async fn crash(agent: &mut Agent, place: &str, words: &str) {
    let crashing = connection("fixture-crash", "where", place);
    let said = |agent: &Agent| agent.output().matches(words).count();
    let before = said(agent);
    assert!(agent.try_get("/systemcheck", &crashing).await.is_none(), "{place}: nobody is left to answer");
    let log = agent.log().to_owned();
    let is_said_again =
        async || String::from_utf8_lossy(&std::fs::read(&log).unwrap()).matches(words).count() > before;
    agent.process().wait_until(words, is_said_again).await;
    back(agent).await;
}

/// Names of drivers in this state.
async fn named(agent: &Agent, state: &str) -> Vec<String> {
    let drivers = agent.get_with("/drivers", &[]).await.expect(200);
    let all = drivers.as_array().unwrap().iter().filter(|d| d["state"] == state);
    all.map(|d| d["name"].as_str().unwrap().to_owned()).collect()
}

/// The reports that are kept, the oldest first.
fn reports(data: &Path) -> Vec<Value> {
    let Ok(folder) = std::fs::read_dir(data.join("crashes")) else { return Vec::new() };
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

/// The functions that the stack of a report leads through.
fn functions(report: &Value) -> Vec<String> {
    let stack = report["stack"].as_array().unwrap();
    stack.iter().map(|f| f["function"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_takes_the_agent_down_is_quarantined_by_name_and_stack_and_the_others_go_on() {
    let plugins = plugin_directory(&["fixture-crash", "fixture-echo"]);
    let mut agent = Agent::start(plugins.path(), &[SUPERVISED]).await;
    let echo = connection("fixture-echo", "username", "u");
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));

    let rows = [
        ("segfault", "it crashed with SIGSEGV", "fixture_crash::fault::write_to_nowhere"),
        ("abort", "it crashed with SIGABRT", "fixture_crash::fault::give_up"),
        (
            "overflow",
            "it crashed with SIGSEGV (the stack of the thread has overflowed)",
            "fixture_crash::fault::descend",
        ),
        ("thread", "it crashed with SIGSEGV (thread", "fixture_crash::fault::write_to_nowhere"),
    ];
    for (n, (place, words, function)) in rows.into_iter().enumerate() {
        crash(&mut agent, place, words).await;
        let crashing = connection("fixture-crash", "where", place);
        let refused = agent.get("/systemcheck", &crashing).await;
        assert_eq!(refused.problem(503), "driver_quarantined", "{}", refused.text);
        for part in
            [words, function, "libfixture_crash.so+0x", "driver fixture-crash is quarantined until 20"]
        {
            assert!(refused.text.contains(part), "{place}: no {part} in {}", refused.text);
        }
        assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]), "{place}");
        assert_eq!(named(&agent, "quarantined").await, ["fixture-crash"]);

        let kept = reports(agent.data());
        assert_eq!(kept.len(), n + 1);
        let report = kept.last().unwrap();
        let blamed = &report["blamed"][0];
        assert_eq!((&blamed["driver"], &blamed["version"]), (&json!("fixture-crash"), &json!("0.1.0")));
        assert!(blamed["digest"].as_str().unwrap().starts_with("sha256:"), "{report}");
        assert!(functions(report).iter().any(|f| f == function), "{place}: {report}");
        if place == "segfault" {
            // Down to where the thread began, through the host and the system's library.
            let all = functions(report).join("\n");
            assert!(all.contains("regent_host::drivers::bulkhead"), "{all}");
        }
        let data = [("REGENT_DATA_DIR", agent.data().to_str().unwrap())];
        let enabled = drivers_command(plugins.path(), &data, &["enable", "fixture-crash"]);
        assert!(enabled.success(), "{place}");
    }
}

fn drivers_command(
    plugins: &Path,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> std::process::ExitStatus {
    let mut command = std::process::Command::new(regent_tests::artifacts::regent());
    command.arg("drivers").args(arguments).env_clear().env("REGENT_PLUGIN_DIR", plugins);
    command.envs(environment.iter().copied()).stdout(std::process::Stdio::null());
    command.status().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_whose_thread_crashed_is_blamed_and_not_the_one_that_is_held_beside_it() {
    let plugins = plugin_directory(&["fixture-crash", "fixture-stuck"]);
    let mut agent = Agent::start(plugins.path(), &[SUPERVISED]).await;
    let hold = agent.data().join("hold");
    std::fs::write(&hold, "").unwrap();
    let stuck = Connection(json!({
        "type": "fixture-stuck", "registryBase": "x.example", "mode": "hold", "hold": hold,
    }));
    let asked = tokio::spawn(systemcheck(agent.url(), stuck.clone()));
    is_inside(&mut agent, "fixture-stuck").await;

    // Somebody's kill is nobody's fault, whoever is in a driver then.
    let child = agent.child();
    kill_process(child, Signal::SEGV).unwrap();
    agent.process().wait_until_said("it was sent SIGSEGV by process").await;
    assert!(asked.await.unwrap().is_none(), "who was held gets no answer");
    back(&mut agent).await;
    assert_eq!(named(&agent, "quarantined").await, [""; 0]);
    assert_eq!(reports(agent.data()).len(), 0);

    let asked = tokio::spawn(systemcheck(agent.url(), stuck));
    is_inside(&mut agent, "fixture-stuck").await;
    crash(&mut agent, "segfault", "it crashed with SIGSEGV").await;
    assert!(asked.await.unwrap().is_none());
    assert_eq!(named(&agent, "quarantined").await, ["fixture-crash"]);
    let report = reports(agent.data()).pop().unwrap();
    assert_eq!(report["blamed"][0]["driver"], "fixture-crash");
    assert_eq!(report["beside"][0]["driver"], "fixture-stuck");
}

/// The status, if there is an answer.
async fn systemcheck(url: String, connection: Connection) -> Option<u16> {
    let request = regent_tests::http::client().get(format!("{url}/systemcheck"));
    let answer = request.header("x-cr-credentials", connection.encoded()).send().await;
    answer.ok().map(|answer| answer.status().as_u16())
}

/// Waits until it is noted that a driver's code runs.
async fn is_inside(agent: &mut Agent, driver: &str) {
    let noted = agent.data().join("running-drivers");
    let name = format!("\"{driver}\"");
    agent
        .process()
        .wait_until("a driver's code to run", async move || {
            let text = std::fs::read_to_string(&noted).unwrap_or_default();
            text.lines().any(|line| line.starts_with('!') && line.contains(&name))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_of_other_drivers_goes_on_and_that_of_the_one_that_crashed_ends_as_failed() {
    let registry = Registry::start(Auth::None).await;
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    image.push(&registry.authority(), "team/app", "1", None).await;
    let sink = Sink::start().await;
    let plugins = plugin_directory(&["fixture-crash", "oci"]);
    let environment = [
        SUPERVISED,
        ("REGENT_INSECURE_REGISTRIES", &registry.authority()),
        ("BROKER_CLIENT_URL", &sink.url()),
        ("MAX_ACTIVE_OPERATIONS", "1"),
    ];
    let mut agent = Agent::start(plugins.path(), &environment).await;
    let hold = agent.data().join("hold");
    std::fs::write(&hold, "").unwrap();
    let crashing = json!({
        "type": "fixture-crash", "registryBase": "x.example", "where": "manifest", "hold": hold,
    });
    let good = Connection::anonymous("oci-cr", &registry.authority()).0;
    let mut accepted = Vec::new();
    for (n, credentials) in [&crashing, &good, &crashing, &good, &good, &crashing, &good].iter().enumerate() {
        let body = json!({ "image": "team/app:1", "credentials": credentials });
        let answer = agent.post("/scan", &body).await.expect(202);
        let operation = answer["operationId"].as_str().unwrap().to_owned();
        accepted.push((operation, *credentials == &good));
        if n == 0 {
            is_inside(&mut agent, "fixture-crash").await;
        }
    }
    std::fs::remove_file(&hold).unwrap();
    agent.process().wait_until_said("a driver took the agent down and is quarantined").await;
    back(&mut agent).await;
    for (operation, is_good) in accepted {
        let done = sink.wait_for("/api/v2/import/done", &operation).await.body;
        if is_good {
            assert_eq!(done["status"], "succeeded", "{done}");
        } else {
            assert_eq!(
                (&done["status"], &done["error"]["type"]),
                (&json!("failed"), &json!("driver_quarantined"))
            );
            assert!(done.to_string().contains("SIGSEGV"), "{done}");
        }
    }
    // It crashed once: what was queued of it found it in quarantine.
    assert_eq!(reports(agent.data()).len(), 1);
    assert_eq!(agent.get_with("/operations?deadLetters", &[]).await.expect(200), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_after_a_crash_ends_in_a_trial_and_another_file_is_not_held_by_it() {
    let plugins = plugin_directory(&["fixture-crash"]);
    let short = [SUPERVISED, ("REGENT_DRIVER_QUARANTINE", "1s")];
    let mut agent = Agent::start(plugins.path(), &short).await;
    crash(&mut agent, "abort", "it crashed with SIGABRT").await;
    let well = connection("fixture-crash", "where", "nowhere");
    let url = agent.url();
    // It serves again by itself, and says what it was.
    agent
        .process()
        .wait_until("the end of the quarantine", async || {
            systemcheck(url.clone(), well.clone()).await == Some(200)
        })
        .await;
    assert_eq!(named(&agent, "trial").await, ["fixture-crash"]);
    let drivers = agent.get_with("/drivers", &[]).await.expect(200);
    assert!(drivers[0]["reason"].as_str().unwrap().contains("SIGABRT"), "{drivers}");

    // The second time it takes twice as long.
    crash(&mut agent, "abort", "it crashed with SIGABRT").await;
    let decided = std::fs::read(agent.data().join("drivers.json")).unwrap();
    let decided: Value = serde_json::from_slice(&decided).unwrap();
    let quarantined = decided["quarantined"].as_object().unwrap().values().next().unwrap();
    assert_eq!(quarantined["ends"]["crashes"], 2, "{decided}");

    // A file with other bytes is another matter, also while the old one is held for good.
    let data = [("REGENT_DATA_DIR", agent.data().to_str().unwrap())];
    assert!(drivers_command(plugins.path(), &data, &["quarantine", "fixture-crash"]).success());
    assert_eq!(agent.get("/systemcheck", &well).await.problem(503), "driver_quarantined");
    let file = plugins.path().join("libfixture_crash.so");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.push(0);
    std::fs::write(plugins.path().join(".part"), bytes).unwrap();
    std::fs::rename(plugins.path().join(".part"), &file).unwrap();
    let url = agent.url();
    agent
        .process()
        .wait_until("the new file to serve", async || {
            systemcheck(url.clone(), well.clone()).await == Some(200)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervised_agent_that_was_killed_is_back_without_blame_and_stops_when_it_is_told_to() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let mut agent = Agent::start(plugins.path(), &[SUPERVISED]).await;
    let echo = connection("fixture-echo", "username", "u");
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    let rows =
        [(Signal::KILL, "it was killed by signal 9"), (Signal::SEGV, "it was sent SIGSEGV by process")];
    for (signal, words) in rows {
        kill_process(agent.child(), signal).unwrap();
        agent.process().wait_until_said(words).await;
        back(&mut agent).await;
        assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
        assert_eq!(named(&agent, "quarantined").await, [""; 0]);
    }
    assert_eq!(agent.process().terminate().await.code(), Some(0), "{}", agent.output());
    assert!(agent.output().contains("stopped"), "{}", agent.output());
}
