//! Drivers that can't run here are refused before any code of them does, in words that say which side to upgrade.
//!
//! Each is a library whose constructor writes a file: the dynamic linker runs it as the library is loaded.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::regent;
use regent_tests::c_library::build;
use serde_json::{Value, json};

const SOURCE: &str = r#"
#include <stdio.h>

__attribute__((constructor)) static void ran(void) {
    FILE *mark = fopen(MARK, "w");
    if (mark) {
        fclose(mark);
    }
}

const char meta[sizeof(META) - 1] __asm__("regent_driver_meta_v1.marked")
    __attribute__((used, visibility("default"), section(".regent.meta"))) = META;
const char root[256] __asm__("regent_driver_root_v1.marked") __attribute__((used, visibility("default"))) = {0};
const char root_c[256] __asm__("regent_driver_c_v1.marked") __attribute__((used, visibility("default"))) = {0};
"#;

/// What is put into the description, why that is refused, and what the words have to say.
const ROWS: [(&str, &str, &str, &str); 6] = [
    ("api", "2.0.0", "api_too_new", "upgrade Regent, or take an older driver"),
    ("api", "0.9.0", "api_too_old", "upgrade the driver"),
    ("requires_api", "1.99.0", "api_too_new", "upgrade Regent, or take an older driver"),
    ("target", "sparc64-unknown-linux-gnu", "wrong_target", "take the library for"),
    ("layouts", "another", "layouts_unknown", "the regent_driver.h of a release"),
    ("format", "2", "bad_description", "this program reads 1"),
];

struct Marked {
    library: PathBuf,
    mark: PathBuf,
}

/// A library that would leave a mark, and whose description says this.
fn marked(folder: &Path, name: &str, key: &str, value: &str) -> Marked {
    let api = if key == "requires_api" { value } else { "1.0.0" };
    let mut description = json!({
        "format": 1, "name": "marked", "version": "1.0.0", "api": api, "requires_api": "1.0.0",
        "target": format!("{}-unknown-linux-gnu", std::env::consts::ARCH), "rustc": "cc", "abi_stable": "0.11.3",
        "types": ["marked"],
    });
    description[key] = match key {
        "format" => json!(2),
        "layouts" => json!({ "1.0": value }),
        _ => json!(value),
    };
    let (source, mark) = (folder.join("marked.c"), folder.join(format!("{name}.ran")));
    let library = folder.join(format!("{name}.so"));
    std::fs::write(&source, SOURCE).unwrap();
    // The text of a JSON string is one of C, too.
    let literal = |text: &str| Value::from(text).to_string();
    let flags = [
        format!("-DMETA={}", literal(&description.to_string())),
        format!("-DMARK={}", literal(mark.to_str().unwrap())),
    ];
    build(&source, &library, &flags);
    std::fs::remove_file(&source).unwrap();
    std::fs::set_permissions(&library, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    Marked { library, mark }
}

fn regent_says(arguments: &[&str]) -> String {
    let output = Command::new(regent())
        .arg("drivers")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_run_here_is_refused_before_any_code_of_it_runs() {
    let plugins = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (at, (key, value, code, words)) in ROWS.into_iter().enumerate() {
        let made = marked(plugins.path(), &format!("{at}-{key}"), key, value);
        let said = regent_says(&["check", made.library.to_str().unwrap()]);
        assert!(said.contains(code) && said.contains(words), "{key} {value}: {said}");
        all.push((made, code, words));
    }
    // The agent says the same of them, and uses none.
    let agent = Agent::start(plugins.path(), &[]).await;
    let drivers = agent.get_with("/drivers", &[]).await.expect(200);
    for (made, code, words) in &all {
        let name = made.library.file_name().unwrap().to_str().unwrap();
        let driver =
            drivers.as_array().unwrap().iter().find(|d| d["file"].as_str().unwrap().ends_with(name)).unwrap();
        assert_eq!((&driver["state"], &driver["code"]), (&json!("refused"), &json!(code)), "{driver:#}");
        assert!(driver["reason"].as_str().unwrap().contains(words), "{driver:#}");
    }
    let answer =
        agent.get("/list", &Connection(json!({ "type": "marked", "registryBase": "x.example" }))).await;
    assert!([422, 503].contains(&answer.status), "{}", answer.text);
    for (made, code, _) in &all {
        assert!(!made.mark.exists(), "code of a driver ran that is refused as {code}");
    }
}

#[test]
fn the_mark_is_left_where_nothing_is_wrong_until_the_library_is_loaded() {
    let plugins = tempfile::tempdir().unwrap();
    let made = marked(plugins.path(), "good", "summary", "What it says is right, and it has no entry point");
    let said = regent_says(&["check", made.library.to_str().unwrap()]);
    assert!(said.contains("root_failed"), "{said}");
    assert!(made.mark.exists(), "the constructor is one: {said}");
}
