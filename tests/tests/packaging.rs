//! What `cargo xtask package` makes of a program and its drivers: archive, image and bills of materials. The program is the one
//! that the tests have built; `cargo xtask package --smoke` does the same with the one that ships.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use regent_tests::artifacts::{driver_library, regent, target, tools, workspace};
use regent_tests::skopeo::skopeo;
use serde_json::Value;

/// Runs a command to its end. Returns what it prints.
fn run(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; `cargo xtask test` installs it"));
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder as a build leaves it, without what a release has not: symbols.
fn packaged(folder: &Path) {
    fs::create_dir_all(folder.join("plugins")).unwrap();
    let strip = |from: PathBuf, to: PathBuf| run(Command::new("strip").arg(from).arg("-o").arg(to));
    strip(regent(), folder.join("regent"));
    for driver in ["local", "oci"] {
        let library = driver_library(driver);
        strip(library.clone(), folder.join("plugins").join(library.file_name().unwrap()));
    }
}

fn package(from: &Path, to: &Path, option: &str) -> String {
    let mut command = Command::new(target().join("xtask"));
    command.arg("package").arg("--from").arg(from).arg("--to").arg(to).arg(option);
    // Its own apt lists, beside what was built.
    command.env("CARGO_TARGET_DIR", target().parent().unwrap()).env("SOURCE_DATE_EPOCH", "1700000000");
    run(&mut command)
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn validate(what: &str, file: &Path) {
    let mut validate = Command::new(tools().join("sbom/bin/python"));
    run(validate.arg(workspace().join("tests/sbom/validate.py")).arg(what).arg(file));
}

#[test]
fn what_is_packaged_runs_can_be_read_and_is_the_same_again() {
    let desk = tempfile::tempdir().unwrap();
    let (folder, one, two) = (desk.path().join("package"), desk.path().join("one"), desk.path().join("two"));
    packaged(&folder);
    let said = package(&folder, &one, "--smoke");
    for done in ["the container answers /healthcheck", "the container answers /readiness", "all of it runs"] {
        assert!(said.contains(done), "{said}");
    }

    // The image by what others see of it.
    let layout = one.join("regent-0.1.0-image");
    let named = format!("oci:{}:0.1.0", layout.display());
    let seen: Value = serde_json::from_str(&skopeo(&["inspect", &named])).unwrap();
    assert_eq!(seen["Created"], "2023-11-14T22:13:20Z");
    assert_eq!(seen["Layers"].as_array().unwrap().len(), 2);
    for label in ["title", "version", "created", "source", "licenses", "revision", "description"] {
        assert!(seen["Labels"][format!("org.opencontainers.image.{label}")].is_string(), "{label}: {seen}");
    }
    let configuration: Value = serde_json::from_str(&skopeo(&["inspect", "--config", &named])).unwrap();
    assert_eq!(configuration["config"]["User"], "65532:65532");
    assert_eq!(configuration["config"]["Entrypoint"], serde_json::json!(["/usr/bin/regent"]));
    let archived = format!("oci-archive:{}:0.1.0", one.join("regent-0.1.0-image.tar").display());
    assert_eq!(skopeo(&["inspect", "--raw", &archived]), skopeo(&["inspect", "--raw", &named]));

    // And by its bill of materials: these packages and no more.
    let bill = one.join(format!("regent-0.1.0-{}-linux-gnu.cdx.json", std::env::consts::ARCH));
    validate("cyclonedx", &bill);
    validate("spdx", &bill.with_extension("").with_extension("spdx.json"));
    let components = json(&bill)["components"].as_array().unwrap().clone();
    let mut debian = BTreeSet::new();
    for purl in components.iter().filter_map(|component| component["purl"].as_str()) {
        if let Some(package) = purl.strip_prefix("pkg:deb/debian/") {
            assert!(purl.contains("distro=debian-"), "{purl}");
            debian.insert(package.split('@').next().unwrap().to_owned());
        }
    }
    assert!(debian.remove("gcc-12-base") || debian.remove("gcc-14-base"), "{debian:?}");
    assert_eq!(Vec::from_iter(debian), ["base-files", "ca-certificates", "libc6", "libgcc-s1"]);

    // The archive has one folder, with what the manual's first steps name.
    let archive = one.join(format!("regent-0.1.0-{}-linux-gnu.tar.gz", std::env::consts::ARCH));
    let listed = run(Command::new("tar").arg("-tzf").arg(&archive));
    let top = listed.lines().next().unwrap();
    assert!(listed.lines().all(|path| path.starts_with(top)), "{listed}");
    for file in [
        "regent",
        "plugins/libregent_driver_oci.so",
        "LICENSE",
        "README.md",
        "regent.service",
        "docs/operating.md",
    ] {
        assert!(listed.lines().any(|path| path == format!("{top}{file}")), "{file} is not in {listed}");
    }

    // Whoever packages the same again gets the same, whatever the files' times and modes.
    let copy = desk.path().join("copy");
    run(Command::new("cp").arg("-r").arg(&folder).arg(&copy));
    fs::set_permissions(copy.join("regent"), fs::Permissions::from_mode(0o700)).unwrap();
    package(&copy, &two, "--image");
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(&one), sums(&two));
    assert_eq!(sums(&one).lines().count(), 4, "{}", sums(&one));
}

#[test]
fn the_unit_is_taken_by_systemd_and_names_settings_that_there_are() {
    let unit = fs::read_to_string(workspace().join("deploy/regent.service")).unwrap();
    let desk = tempfile::tempdir().unwrap();
    let file = desk.path().join("regent.service");
    // systemd looks whether the program is there.
    let built = unit.replace("/usr/bin/regent ", &format!("{} ", regent().display()));
    assert_ne!(built, unit);
    fs::write(&file, built).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");

    let manual = fs::read_to_string(workspace().join("docs/operating.md")).unwrap();
    for setting in unit.lines().filter_map(|line| line.strip_prefix("Environment=")) {
        let name = setting.split('=').next().unwrap();
        assert!(manual.contains(&format!("\n| `{name}` |")), "{name} is no setting");
    }
    let value = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let grace =
        manual.lines().find(|line| line.starts_with("| `REGENT_SHUTDOWN_GRACE` | duration |")).unwrap();
    let grace: u32 = grace.split('|').nth(3).unwrap().split('s').next().unwrap().trim().parse().unwrap();
    assert!(
        value("TimeoutStopSec=").parse::<u32>().unwrap() > grace,
        "systemd kills before the grace is over"
    );
    assert_eq!(value("RestartPreventExitStatus="), "2", "settings that can't be used");
}
