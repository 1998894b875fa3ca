//! Drivers in processes of their own: what they do to their process, they do to it alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::{plugin_directory, regent};
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{live, panics_and_hangs_are_contained};

const APART: (&str, &str) = ("REGENT_DRIVER_ISOLATION", "process");
const CANARY: &str = "c4naryP4ssw0rd";

fn connection(driver: &str, more: &Value) -> Connection {
    let mut fields = json!({
        "type": driver, "registryBase": "x.example", "username": "u", "password": CANARY,
        "repositories": "a/b", "tags": "1", "where": "nowhere", "mode": "well",
    });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Connection(fields)
}

/// What the agent says of a driver.
async fn told(agent: &Agent, driver: &str) -> Value {
    let drivers = agent.get_with("/drivers", &[]).await.expect(200);
    let all = drivers.as_array().unwrap();
    all.iter().find(|d| d["name"] == driver).unwrap_or_else(|| panic!("no {driver} in {drivers}")).clone()
}

/// The number of a driver's process.
async fn pid(agent: &Agent, driver: &str) -> i32 {
    let told = told(agent, driver).await;
    assert_eq!(told["isolation"], "process", "{told}");
    i32::try_from(told["pid"].as_i64().unwrap_or_else(|| panic!("{told}"))).unwrap()
}

fn proc(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// Waits for the end of a process that is no child of the test.
async fn ended(agent: &mut Agent, pid: i32) {
    agent.process().wait_for(async |_| !proc(pid).exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_driver_does_to_its_process_is_told_and_others_and_the_agent_go_on() {
    let plugins = plugin_directory(&["fixture-panic", "fixture-echo"]);
    let memory = ("REGENT_DRIVER_MEMORY", "268435456");
    let mut agent = Agent::start(plugins.path(), &[APART, memory]).await;
    let hold = plugins.path().join("hold");
    fs::write(&hold, "").unwrap();
    let held = connection("fixture-echo", &json!({ "hold": hold }));
    let request = regent_tests::http::client().get(format!("{}/list", agent.url()));
    let under_way = tokio::spawn(request.header("x-cr-credentials", held.encoded()).send());
    let echo = connection("fixture-echo", &json!({}));
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    let of_echo = pid(&agent, "fixture-echo").await;

    let well = connection("fixture-panic", &json!({}));
    let rows = [
        ("abort", "it crashed with SIGABRT"),
        ("exit", "it exited with code 7"),
        ("memory", "it had no more memory"),
        ("overflow", "it crashed with SIGABRT"),
    ];
    for (restarts, (place, words)) in (0..).zip(rows) {
        assert_eq!(agent.get("/systemcheck", &well).await.status, 200, "a session is opened again");
        let before = told(&agent, "fixture-panic").await;
        assert_eq!(before["restarts"].as_i64().unwrap_or_default(), restarts, "{before}");
        let bad = connection("fixture-panic", &json!({ "where": place }));
        let answer = agent.get("/systemcheck", &bad).await;
        assert_eq!(answer.problem(503), "driver_crashed", "{place}");
        assert!(answer.text.contains(words) && answer.text.contains("fixture-panic"), "{}", answer.text);
        agent.process().wait_until_said(words).await;
        assert!(!proc(i32::try_from(before["pid"].as_i64().unwrap()).unwrap()).exists());
        assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]), "{place}");
    }
    // What it printed comes to the log in its name.
    agent.process().wait_until_said("has overflowed its stack").await;
    // That was too often.
    assert_eq!(agent.get("/systemcheck", &well).await.problem(503), "driver_quarantined");
    let given_up = told(&agent, "fixture-panic").await;
    assert_eq!(given_up["state"], "quarantined", "{given_up}");
    assert!(given_up["reason"].as_str().unwrap().contains("SIGABRT"), "{given_up}");

    assert_eq!(pid(&agent, "fixture-echo").await, of_echo);
    assert!(!under_way.is_finished());
    fs::remove_file(hold).unwrap();
    let answer = under_way.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, r#"["a/b"]"#.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_and_hangs_are_contained_in_processes_as_on_threads() {
    panics_and_hangs_are_contained("process").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_in_a_process_is_upgraded_under_requests_and_none_fails() {
    live::upgrades_fail_no_request("process").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_is_killed_and_started_anew() {
    let plugins = plugin_directory(&["fixture-stuck", "fixture-echo"]);
    let isolation = ("REGENT_DRIVER_ISOLATION", "fixture-stuck=process");
    let mut agent = Agent::start(plugins.path(), &[isolation, ("REGENT_DRIVER_TIMEOUT", "300ms")]).await;
    let well = connection("fixture-stuck", &json!({}));
    assert_eq!(agent.get("/systemcheck", &well).await.status, 200);
    let hanging = pid(&agent, "fixture-stuck").await;
    let stuck = connection("fixture-stuck", &json!({ "mode": "block" }));
    assert_eq!(agent.get("/systemcheck", &stuck).await.problem(504), "driver_timeout");
    let mut codes = Vec::new();
    while codes.last().is_none_or(|code| code == "driver_timeout") {
        assert!(codes.len() < 10, "{codes:?}");
        let answer = agent.get("/systemcheck", &well).await;
        codes.push(answer.json()["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(codes.last().unwrap(), "driver_wedged", "{codes:?}");
    ended(&mut agent, hanging).await;
    assert_eq!(agent.get("/systemcheck", &well).await.status, 200);
    assert_ne!(pid(&agent, "fixture-stuck").await, hanging);
    let echo = connection("fixture-echo", &json!({}));
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    assert_eq!(told(&agent, "fixture-echo").await["isolation"], "thread");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_is_left_when_the_agent_stops_or_is_killed() {
    let plugins = plugin_directory(&["fixture-stuck", "fixture-echo"]);
    for signal in [Signal::TERM, Signal::KILL] {
        let mut agent = Agent::start(plugins.path(), &[APART, ("REGENT_DRIVER_TIMEOUT", "60s")]).await;
        let echo = connection("fixture-echo", &json!({ "farewell": "goodbye" }));
        assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
        let mut of_drivers = vec![pid(&agent, "fixture-echo").await];
        if signal == Signal::KILL {
            // It does not notice by itself that the agent is gone.
            let stuck = connection("fixture-stuck", &json!({ "mode": "block" }));
            let request = regent_tests::http::client().get(format!("{}/systemcheck", agent.url()));
            tokio::spawn(request.header("x-cr-credentials", stuck.encoded()).send());
            agent.process().wait_until_said("driver=fixture-stuck").await;
            of_drivers.push(pid(&agent, "fixture-stuck").await);
        }
        kill_process(agent.process().pid(), signal).unwrap();
        agent.process().wait_for(async |process| process.ended().is_some()).await;
        let waved = agent.output().contains("goodbye from 0.1.0");
        assert_eq!(waved, signal == Signal::TERM, "{}", agent.output());
        for pid in of_drivers {
            ended(&mut agent, pid).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drivers_process_has_no_secret_no_file_and_no_right_that_it_does_not_need() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let secrets = [("CR_TYPE", "oci-cr"), ("CR_PASSWORD", CANARY), APART];
    let agent = Agent::start(plugins.path(), &secrets).await;
    let echo = connection("fixture-echo", &json!({}));
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    let process = proc(pid(&agent, "fixture-echo").await);
    assert_eq!(fs::read(process.join("environ")).unwrap(), b"");
    let command = fs::read_to_string(process.join("cmdline")).unwrap();
    assert_eq!(command, "regent\0driver-process\0fixture-echo\0");
    assert_eq!(fs::read_link(process.join("cwd")).unwrap(), Path::new("/"));
    let status = fs::read_to_string(process.join("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    for entry in fs::read_dir(process.join("fd")).unwrap() {
        // Sockets and pipes of its own, the runtime's, and the library.
        let leads_to = fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned();
        let expected =
            ["socket:[", "pipe:[", "anon_inode:", "/dev/null", "/memfd:regent-driver-fixture-echo"];
        assert!(expected.iter().any(|start| leads_to.starts_with(start)), "{leads_to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_in_a_process_reaches_no_file_no_network_and_not_the_agent() {
    let plugins = plugin_directory(&["fixture-reach"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "content").unwrap();
    let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reaching = Connection(json!({
        "type": "fixture-reach", "registryBase": open.local_addr().unwrap().to_string(), "file": file,
    }));
    // Of what the same driver reaches on a thread of the agent.
    for (isolation, reached) in [("thread", 7), ("process", 1)] {
        let agent = Agent::start(plugins.path(), &[("REGENT_DRIVER_ISOLATION", isolation)]).await;
        let answer = agent.get("/systemcheck", &reaching).await;
        let outcomes: Vec<&str> = answer.text.matches("reached").collect();
        assert_eq!(outcomes.len(), reached, "{isolation}: {}", answer.text);
        assert_eq!(folder.path().join("file.new").exists(), isolation == "thread");
        let _ = fs::remove_file(folder.path().join("file.new"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_from_outside_is_started_anew() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let mut agent = Agent::start(plugins.path(), &[APART]).await;
    let echo = connection("fixture-echo", &json!({}));
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    let first = pid(&agent, "fixture-echo").await;
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    agent.process().wait_until_said("it was killed by signal 9").await;
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    let second = told(&agent, "fixture-echo").await;
    assert_eq!((&second["restarts"], second["pid"] == first), (&json!(1), false), "{second}");
    ended(&mut agent, first).await;
    let metrics = agent.get_with("/metrics", &[]).await.text;
    assert!(metrics.contains("regent_driver_restarts_total{driver=\"fixture-echo\"} 1"), "{metrics}");
}

#[test]
fn an_image_is_read_through_a_process_as_it_is_on_a_thread() {
    let plugins = plugin_directory(&["local"]);
    let folder = tempfile::tempdir().unwrap();
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    image.write_layout(folder.path(), "1");
    let scanned = |isolation: &str| {
        let output = Command::new(regent())
            .args(["scan", "--format", "scan-result"])
            .arg(format!("oci-layout:{}:1", folder.path().display()))
            .env_clear()
            .env("HOME", folder.path())
            .env("REGENT_PLUGIN_DIR", plugins.path())
            .env("REGENT_DRIVER_ISOLATION", isolation)
            .output()
            .unwrap();
        assert!(output.status.success(), "{isolation}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let on_a_thread = scanned("thread");
    assert!(on_a_thread.contains("debian"), "{on_a_thread}");
    assert_eq!(scanned("process"), on_a_thread);
}
