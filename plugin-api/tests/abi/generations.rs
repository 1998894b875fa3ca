//! What happens to a loaded library when its file changes.

use futures_executor::block_on;
use regent_plugin_api::PageRequest;
use regent_plugin_api::load::{LibraryFile, load};
use regent_plugin_api::testkit::Script;

use crate::{Plugins, built, session};

const VALUES: [(&str, &str); 2] = [("registryBase", "registry.example.com"), ("repositories", "a,b")];

#[test]
fn two_generations_of_one_file_live_side_by_side() {
    let plugins = Plugins::new();
    let first_bytes = std::fs::read(built("fixture-echo")).expect("it was built");
    let path = plugins.put("driver.so", &first_bytes);
    let first = load(&LibraryFile::read(&path, &plugins.policy()).expect("good")).expect("it loads");
    let (_, old) = session(&first, &VALUES, Script::new());

    // The new version says so in its description, and in an answer.
    let second_bytes =
        crate::refusals::replace(&first_bytes, b"\"version\":\"0.1.0\"", b"\"version\":\"0.2.0\"");
    let second_bytes =
        crate::refusals::replace(&second_bytes, b" is not in the settings", b" IS NOT IN THE SETTINGS");
    plugins.put("driver.so", &second_bytes);
    let second = load(&LibraryFile::read(&path, &plugins.policy()).expect("good")).expect("it loads");
    let (_, new) = session(&second, &VALUES, Script::new());

    assert_ne!(first.digest(), second.digest());
    assert_eq!(first.description().version.to_string(), "0.1.0");
    assert_eq!(second.description().version.to_string(), "0.2.0");
    let unknown = "no/such".parse().expect("a name");
    for (session, message) in [(&old, "is not in"), (&new, "IS NOT IN"), (&old, "is not in")] {
        let error = block_on(session.tags(&unknown, PageRequest::first())).expect_err("not there");
        assert!(error.message().contains(message), "{}", error.message());
    }
}

#[test]
fn the_file_on_disk_may_be_overwritten_truncated_and_removed() {
    let plugins = Plugins::new();
    let bytes = std::fs::read(built("fixture-echo")).expect("it was built");
    let path = plugins.put("driver.so", &bytes);
    let file = LibraryFile::read(&path, &plugins.policy()).expect("good");
    // Already before it is loaded: what was checked is what runs.
    plugins.put("driver.so", b"something else");
    let library = load(&file).expect("it loads");
    let (_, session) = session(&library, &VALUES, Script::new());
    for change in ["overwritten", "truncated", "removed"] {
        match change {
            "overwritten" => drop(plugins.put("driver.so", &vec![0xcc; bytes.len()])),
            "truncated" => drop(plugins.put("driver.so", b"")),
            _ => std::fs::remove_file(&path).expect("removed"),
        }
        let page = block_on(session.repositories(PageRequest::first())).expect("listed");
        assert_eq!(page.items.len(), 2, "{change}");
    }
}

#[test]
fn the_same_bytes_load_any_number_of_times() {
    let bytes = std::fs::read(built("fixture-panic")).expect("it was built");
    let file = LibraryFile::from_bytes("driver.so".as_ref(), bytes).expect("good");
    for _ in 0..3 {
        let library = load(&file).expect("it loads");
        assert_eq!(library.description(), file.description());
        assert_eq!(library.digest(), file.digest());
    }
}
