//! `regent drivers`: what operators see and decide about the files of the plugin directory.

use std::path::Path;
use std::process::{Command, Stdio};

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::{driver_library, plugin_directory, regent};
use regent_tests::ended::Ended;
use serde_json::{Value, json};

fn drivers(plugins: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let output = Command::new(regent())
        .arg("drivers")
        .args(arguments)
        .env_clear()
        .env("HOME", plugins)
        .env("REGENT_PLUGIN_DIR", plugins)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ended::from(output)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_says_of_drivers_what_the_command_says() {
    let plugins = plugin_directory(&["oci", "fixture-twin-a", "fixture-twin-b"]);
    std::fs::write(plugins.path().join("garbage.so"), b"this is no library").unwrap();
    let agent = Agent::start(plugins.path(), &[]).await;
    let listed = drivers(plugins.path(), &[], &["list", "--json"]);
    assert_eq!(listed.json(), agent.get_with("/drivers", &[]).await.expect(200));
}

#[test]
fn a_driver_is_checked_in_a_process_of_its_own() {
    let rows = [
        ("fixture-echo", None, 0, "ok    validate: "),
        ("fixture-panic", Some("where=connect"), 6, "FAIL  connect: it panics: "),
        ("fixture-panic", Some("where=after-await"), 6, "FAIL  validate: it panics: "),
        (
            "fixture-panic",
            Some("where=abort"),
            6,
            "FAIL  validate: the driver brought its process down with signal 6",
        ),
        (
            "fixture-crash",
            Some("where=segfault"),
            6,
            "FAIL  validate: the driver brought its process down with signal 11 (SIGSEGV: memory corruption or a stack \
             overflow) at libfixture_crash.so+0x",
        ),
        ("fixture-stuck", Some("mode=block"), 6, "FAIL  validate: the driver blocks or hangs"),
    ];
    for (driver, field, exit, line) in rows {
        let library = driver_library(driver);
        let mut arguments = vec!["check", library.to_str().unwrap(), "--within", "3"];
        arguments.extend(field.iter().flat_map(|field| ["--field", field]));
        let ended = drivers(Path::new("/"), &[], &arguments);
        assert_eq!(ended.exit, exit, "{driver} {field:?}: {ended:?}");
        assert!(ended.out.contains(line), "{driver} {field:?}: {ended:?}");
        assert!(ended.out.contains("ok    load: "), "{driver} {field:?}: {ended:?}");
        let told = line.strip_prefix("FAIL  ").map(|worst| format!("does not pass: {worst}"));
        assert!(told.map_or(ended.err.is_empty(), |told| ended.err.contains(&told)), "{driver}: {ended:?}");
        let named = driver != "fixture-crash" || ended.err.contains("fixture_crash::fault::write_to_nowhere");
        assert!(named, "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_files_load_and_others_do_not() {
    let plugins = plugin_directory(&["fixture-echo", "fixture-twin-a"]);
    let pinned = [("REGENT_DRIVER_TRUST", "pinned")];
    let echo = "libfixture_echo.so";
    let refused = drivers(plugins.path(), &pinned, &["list"]);
    assert!(
        refused.out.contains("regent drivers pin") && refused.out.contains("(not_pinned)"),
        "{refused:?}"
    );

    let first = drivers(plugins.path(), &pinned, &["pin", echo]);
    assert!(first.exit == 0 && first.out.starts_with("added      libfixture_echo.so  sha256:"), "{first:?}");
    let again = drivers(plugins.path(), &pinned, &["pin", echo]);
    assert!(again.out.starts_with("unchanged  "), "{again:?}");
    assert_eq!(drivers(plugins.path(), &pinned, &["pin", "no-such.so"]).exit, 4);

    let agent = Agent::start(plugins.path(), &pinned).await;
    let connection = Connection(json!({
        "type": "fixture-echo", "registryBase": "echo.example", "repositories": "a/b", "tags": "1",
    }));
    assert_eq!(agent.get("/list", &connection).await.expect(200), json!(["a/b"]));
    let states = |drivers: &Value| -> Vec<(String, String)> {
        let text = |d: &Value, field: &str| d[field].as_str().unwrap_or_default().to_owned();
        drivers.as_array().unwrap().iter().map(|d| (text(d, "name"), text(d, "state"))).collect()
    };
    let named = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    let told = agent.get_with("/drivers", &[]).await.expect(200);
    assert_eq!(states(&told), [named("fixture-echo", "loaded"), named("fixture-twin-a", "refused")]);
    // Both, and a file that is gone.
    std::fs::remove_file(plugins.path().join(echo)).unwrap();
    let all = drivers(plugins.path(), &pinned, &["pin", "--prune"]);
    assert!(
        all.out.contains("added      libfixture_twin_a.so")
            && all.out.contains("removed    libfixture_echo.so"),
        "{all:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_keeps_to_what_is_decided_about_drivers() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let agent = Agent::start(plugins.path(), &[]).await;
    let data = [("REGENT_DATA_DIR", agent.data().to_str().unwrap())];
    let connection = Connection(json!({
        "type": "fixture-echo", "registryBase": "echo.example", "repositories": "a/b", "tags": "1",
    }));
    assert_eq!(agent.get("/list", &connection).await.expect(200), json!(["a/b"]));
    for (command, state, code) in
        [("disable", "disabled", "driver_unavailable"), ("quarantine", "quarantined", "driver_quarantined")]
    {
        let decided = drivers(plugins.path(), &data, &[command, "fixture-echo", "--reason", "as we please"]);
        assert_eq!(decided.exit, 0, "{decided:?}");
        let refused = agent.get("/list", &connection).await;
        assert_eq!(refused.problem(503), code);
        assert!(refused.text.contains("as we please"), "{}", refused.text);
        let told = agent.get_with("/drivers", &[]).await.expect(200);
        assert_eq!(
            (&told[0]["state"], &told[0]["reason"]),
            (&json!(state), &json!("as we please")),
            "{told}"
        );
        assert!(told[0]["since"].is_string(), "{told}");
        assert_eq!(told, drivers(plugins.path(), &data, &["list", "--json"]).json());
        assert_eq!(drivers(plugins.path(), &data, &["enable", "fixture-echo"]).exit, 0);
        assert_eq!(agent.get("/list", &connection).await.status, 200, "after {command}");
    }
    assert_eq!(drivers(plugins.path(), &data, &["enable", "fixture-echo"]).exit, 4, "it is enabled");
    assert_eq!(drivers(plugins.path(), &data, &["disable", "no-such-driver"]).exit, 4);
}
