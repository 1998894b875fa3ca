//! `regent drivers`: what operators see and decide about the files of the plugin directory.

use std::path::Path;
use std::process::{Command, Stdio};

use regent_tests::agent::Agent;
use regent_tests::artifacts::{driver_library, plugin_directory, regent};
use serde_json::Value;

/// A command that has ended: exit code, standard output, standard error.
#[derive(Debug)]
struct Ended {
    exit: i32,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

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
    Ended {
        exit: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
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
        assert_eq!(ended.err.is_empty(), exit == 0, "{driver} {field:?}: {ended:?}");
    }
}
