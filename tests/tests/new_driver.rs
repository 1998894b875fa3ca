//! `cargo xtask new-driver`: what it writes builds, passes its own tests, and lists a real registry.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use regent_tests::artifacts::{regent, target, workspace};
use regent_tests::image::{Compression, Flavor, ImageBuilder, debian_layer};
use regent_tests::registry::{Auth, Registry};

fn succeeded(what: &str, output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {out}\n{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// Runs the tests of the crate, over what has been built for the workspace wherever it is the same: its lock file, its
/// profile and its target folder.
fn tested(folder: &Path) -> String {
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder).args(["test", "--offline", "--test", "contract"]);
    cargo.args(["--config", "profile.dev.debug='line-tables-only'"]);
    for library in ["flate2", "memchr", "sha2"] {
        cargo.args(["--config", &format!("profile.dev.package.{library}.opt-level=2")]);
    }
    cargo.env("CARGO_TARGET_DIR", target().parent().unwrap());
    succeeded("cargo test", &cargo.output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_driver_passes_its_tests_and_lists_a_registry() {
    let desk = tempfile::tempdir().unwrap();
    let folder = desk.path().join("regent-driver-acme");
    let written =
        Command::new(target().join("xtask")).args(["new-driver", "acme", "--path"]).arg(&folder).output();
    succeeded("new-driver", &written.unwrap());

    let out = tested(&folder);
    assert!(out.contains("2 passed"), "{out}");

    let plugins = desk.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let library = "libregent_driver_acme.so";
    fs::copy(target().join("deps").join(library), plugins.join(library)).unwrap();

    let user = ("robot", "s3cr3t");
    let auth = Auth::Htpasswd { username: user.0.to_owned(), password: user.1.to_owned() };
    let registry = Registry::start(auth).await;
    let image = ImageBuilder::new(Flavor::Oci).layer(debian_layer(), Compression::Gzip).build();
    for (repository, tag) in [("team/app", "1.0"), ("team/app", "2.0"), ("team/base", "1.0")] {
        image.push(&registry.authority(), repository, tag, registry.authorization().as_deref()).await;
    }
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(regent());
        command.args(arguments).args([
            "--plain-http",
            "--type",
            "acme-cr",
            "--registry",
            &registry.authority(),
        ]);
        command.args([
            "--field",
            &format!("username={}", user.0),
            "--field",
            &format!("password={}", user.1),
        ]);
        command.env_clear().env("HOME", desk.path()).env("REGENT_PLUGIN_DIR", &plugins);
        command.env("REGENT_DATA_DIR", desk.path().join("data"));
        let out = succeeded("regent", &command.output().unwrap());
        let mut lines: Vec<_> = out.lines().map(str::to_owned).collect();
        lines.sort(); // the registry has any order
        lines
    };
    assert_eq!(ask(&["list"]), ["team/app", "team/base"]);
    assert_eq!(ask(&["tags", "team/app"]), ["1.0", "2.0"]);
}
