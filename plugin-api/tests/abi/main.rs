//! The ABI with real libraries: they are built, loaded and called here.

mod equality;
mod generations;
mod panics;
mod probing;
mod refusals;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once};

use regent_plugin_api::load::{FilePolicy, LibraryFile, LoadedLibrary, load};
use regent_plugin_api::secrecy::SecretString;
use regent_plugin_api::testkit::Script;
use regent_plugin_api::{DynDriver, Settings};

/// Where Cargo puts a fixture's library, built once for all tests.
fn built(fixture: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory");
    BUILT.call_once(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "fixture-echo", "-p", "fixture-panic", "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("Cargo runs");
        assert!(status.success(), "the fixtures don't build");
    });
    target.join("debug").join(format!("lib{}.so", fixture.replace('-', "_")))
}

/// A plugin directory with some bytes as a library in it.
struct Plugins(tempfile::TempDir);

impl Plugins {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("permitted");
        path
    }

    fn policy(&self) -> FilePolicy {
        FilePolicy::in_directory(self.0.path())
    }
}

fn loaded(fixture: &str) -> LoadedLibrary {
    let bytes = std::fs::read(built(fixture)).expect("it was built");
    let plugins = Plugins::new();
    let path = plugins.put("driver.so", &bytes);
    let file = LibraryFile::read(&path, &plugins.policy()).expect("a good library");
    load(&file).expect("it loads")
}

fn settings(registry_type: &str, values: &[(&str, &str)]) -> Settings {
    let values = values.iter().map(|(n, v)| ((*n).to_owned(), SecretString::from(*v)));
    Settings::new(registry_type, values, false)
}

/// Polls a call once and drops it.
fn start_and_drop<T>(mut call: regent_plugin_api::transport::BoxFuture<'static, T>) {
    let polled = call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(polled.is_pending(), "it was to be dropped half way");
}

fn log_of(script: &Script) -> String {
    script.log_lines().into_iter().map(|(_, line)| line + "\n").collect()
}

/// A session of a loaded library, and its host.
fn session(
    library: &LoadedLibrary,
    values: &[(&str, &str)],
    host: Script,
) -> (Arc<Script>, Arc<dyn DynDriver>) {
    let host = host.shared();
    let kind = library.description().types.first().expect("a type");
    let session = library.connect(&settings(kind, values), host.clone()).expect("it connects");
    (host, Arc::new(session))
}
