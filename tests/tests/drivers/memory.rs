//! Where drivers are loaded from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::{plugin_directory, regent, target};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn drivers_load_from_a_private_directory_where_memory_as_a_file_is_forbidden() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let echo = Connection(json!({
        "type": "fixture-echo", "registryBase": "x.example", "repositories": "a/b", "tags": "1",
    }));
    let mut command = Command::new(target().join("without_memfd"));
    command.arg(regent());
    let mut agent = Agent::start_by(command, plugins.path(), tempfile::tempdir().unwrap(), &[]).await;
    assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]), "{}", agent.output());

    let directory = agent.data().join("libraries");
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "it is gone as soon as it is loaded");
    let pid = agent.process().pid().as_raw_nonzero();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let copy = format!("{}/regent-driver-fixture-echo-", directory.display());
    assert!(maps.lines().any(|line| line.contains(&copy) && line.ends_with("(deleted)")), "{maps}");
    assert!(!maps.contains("memfd:regent"), "{maps}");
}
