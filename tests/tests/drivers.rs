//! The plugin directory: what is refused and why, what is contained, and what may be dropped in.

#[path = "drivers/bounds.rs"]
mod bounds;
#[path = "drivers/crash.rs"]
mod crash;
#[path = "drivers/live.rs"]
mod live;
#[path = "drivers/memory.rs"]
mod memory;
#[path = "drivers/process.rs"]
mod process;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use regent_tests::agent::{Agent, Connection};
use regent_tests::artifacts::{driver_library, install_driver, plugin_directory};
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};
use serde_json::{Value, json};

fn copy(from: &std::path::Path, to: &std::path::Path, mode: u32) {
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).unwrap();
}

/// The line of `/drivers` for a file.
fn line<'a>(drivers: &'a Value, file: &str) -> &'a Value {
    let all = drivers["drivers"].as_array().or_else(|| drivers.as_array()).unwrap();
    all.iter()
        .find(|d| d["file"].as_str().is_some_and(|f| f.ends_with(file)))
        .unwrap_or_else(|| panic!("no {file} in {drivers}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_are_refused_by_name_and_the_others_serve() {
    let plugins = plugin_directory(&["oci"]);
    let folder = plugins.path();
    let good = driver_library("local");
    let bytes = fs::read(&good).unwrap();
    fs::write(folder.join("garbage.so"), b"this is no library").unwrap();
    fs::write(folder.join("truncated.so"), &bytes[..bytes.len() / 2]).unwrap();
    // A library that is none of Regent's.
    copy(std::path::Path::new("/lib/x86_64-linux-gnu/libm.so.6"), &folder.join("foreign.so"), 0o644);
    copy(&good, &folder.join("writable.so"), 0o666);
    let outside = tempfile::tempdir().unwrap();
    copy(&good, &outside.path().join("outside.so"), 0o644);
    symlink(outside.path().join("outside.so"), folder.join("link.so")).unwrap();
    let newer = replace(&bytes, br#""api":"1."#, br#""api":"9."#);
    fs::write(folder.join("newer.so"), newer).unwrap();
    for file in ["garbage.so", "truncated.so", "newer.so"] {
        fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o644)).unwrap();
    }

    let registry = Registry::start(Auth::None).await;
    let agent = Agent::start(folder, &[("REGENT_INSECURE_REGISTRIES", registry.authority().as_str())]).await;
    let drivers = agent.get_with("/drivers", &[]).await.expect(200);
    for file in ["garbage.so", "truncated.so", "foreign.so", "writable.so", "link.so", "newer.so"] {
        let line = line(&drivers, file);
        assert_eq!(line["state"], "refused", "{line}");
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.len() > 20, "{file} is refused with words: {line}");
        assert!(line["code"].as_str().is_some_and(|code| !code.contains(' ')), "{file} has a code: {line}");
    }
    assert_ne!(line(&drivers, "libregent_driver_oci.so")["state"], "refused");
    let connection = Connection::anonymous("oci-cr", &registry.authority());
    assert_eq!(agent.get("/list", &connection).await.expect(200), json!([]));

    // An error about a type that is not there names what is, and what was looked at.
    let unknown = agent.get("/list", &Connection::anonymous("oci-layout", "/tmp")).await;
    assert!([403, 422].contains(&unknown.status), "{}", unknown.text);
    let unknown = agent.get("/list", &Connection::anonymous("nexus-cr", "nexus.example")).await;
    assert_eq!(unknown.problem(422), "driver_unknown");
    assert!(unknown.json()["detail"].as_str().unwrap().contains("oci-cr"), "{}", unknown.text);
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    let mut out = bytes.to_vec();
    out[at..at + to.len()].copy_from_slice(to);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drivers_that_claim_one_type_are_refused_until_one_is_bound() {
    let plugins = plugin_directory(&["fixture-twin-a", "fixture-twin-b", "fixture-echo"]);
    let connection = Connection(json!({
        "type": "fixture-twin", "registryBase": "twin.example", "repositories": "a/b", "tags": "1",
    }));
    let agent = Agent::start(plugins.path(), &[]).await;
    let refused = agent.get("/list", &connection).await;
    assert_eq!(refused.problem(422), "type_ambiguous");
    assert!(refused.text.contains("REGENT_DRIVER_BINDINGS"), "{}", refused.text);
    let other = Connection(json!({
        "type": "fixture-echo", "registryBase": "echo.example", "repositories": "a/b", "tags": "1",
    }));
    assert_eq!(agent.get("/list", &other).await.expect(200), json!(["a/b"]));

    let bound =
        Agent::start(plugins.path(), &[("REGENT_DRIVER_BINDINGS", "fixture-twin=fixture-twin-b")]).await;
    assert_eq!(bound.get("/list", &connection).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_dropped_in_serves_without_a_restart() {
    let plugins = plugin_directory(&["fixture-echo"]);
    let registry = Registry::start(Auth::None).await;
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Zstd).build();
    image.push(&registry.authority(), "team/app", "1", None).await;
    let agent =
        Agent::start(plugins.path(), &[("REGENT_INSECURE_REGISTRIES", registry.authority().as_str())]).await;
    let connection = Connection::anonymous("oci-cr", &registry.authority());
    assert_eq!(agent.get("/list", &connection).await.problem(422), "driver_unknown");

    install_driver("oci", plugins.path());
    // The directory is looked at again at most a few times a second.
    let mut answer = agent.get("/list", &connection).await;
    for _ in 0..100 {
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        answer = agent.get("/list", &connection).await;
    }
    assert_eq!(answer.expect(200), json!(["team/app"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_panics_or_hangs_does_not_stop_the_others() {
    panics_and_hangs_are_contained("thread").await;
}

async fn panics_and_hangs_are_contained(isolation: &str) {
    let plugins = plugin_directory(&["fixture-panic", "fixture-stuck", "fixture-echo"]);
    let environment = [("REGENT_DRIVER_TIMEOUT", "1s"), ("REGENT_DRIVER_ISOLATION", isolation)];
    let agent = Agent::start(plugins.path(), &environment).await;
    let echo = Connection(json!({
        "type": "fixture-echo", "registryBase": "echo.example", "repositories": "a/b", "tags": "1",
    }));

    for place in ["before-await", "after-await", "payload", "connect"] {
        let panicking =
            Connection(json!({ "type": "fixture-panic", "registryBase": "x.example", "where": place }));
        let answer = agent.get("/systemcheck", &panicking).await;
        assert_eq!(answer.problem(502), "driver_panicked", "{place}");
        assert_eq!(agent.get("/list", &echo).await.expect(200), json!(["a/b"]));
    }
    for place in ["local-drop", "drop"] {
        // One that hangs and panics as its call is given up; one that panics when its session is closed.
        let panicking =
            Connection(json!({ "type": "fixture-panic", "registryBase": "x.example", "where": place }));
        agent.get("/systemcheck", &panicking).await;
    }
    let stuck = Connection(json!({ "type": "fixture-stuck", "registryBase": "x.example", "mode": "block" }));
    let (hung, served) = tokio::join!(agent.get("/systemcheck", &stuck), agent.get("/list", &echo));
    assert_eq!(hung.problem(504), "driver_timeout");
    assert_eq!(served.expect(200), json!(["a/b"]));
    assert_eq!(agent.get_with("/healthcheck", &[]).await.status, 200);
}
