//! The image as a container: unpacked by umoci, run by runc, as its configuration says, with a read-only root and no
//! capabilities.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::command;
use crate::package::platform::Platform;
use crate::package::release::Release;
use crate::tools;

/// Debian's programs that do it.
const PROGRAMS: [(&str, &str); 3] = [("skopeo", "skopeo"), ("umoci", "umoci"), ("runc", "runc")];
/// The user that the image names.
const USER: u32 = 65532;
/// How long the agent may take to come up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Unpacks the image of a platform: a folder with `rootfs` and the configuration of a container.
pub(super) fn unpack(
    release: &Release,
    platform: &Platform,
    layout: &Path,
    scratch: &Path,
) -> Result<PathBuf> {
    tools::install_packages(&PROGRAMS)?;
    // skopeo takes one platform out of the index; umoci takes no index.
    let one = format!("oci:{}:one", scratch.join("one").display());
    let mut copy = Command::new("skopeo");
    copy.args([
        "--insecure-policy",
        "--override-os",
        "linux",
        "--override-arch",
        platform.oci,
        "copy",
        "--quiet",
    ]);
    command::run(copy.arg(format!("oci:{}:{}", layout.display(), release.version)).arg(one))?;
    let bundle = scratch.join("bundle");
    let mut unpack = Command::new("umoci");
    unpack.args(["unpack", "--image"]).arg(format!("{}:one", scratch.join("one").display()));
    command::run(unpack.arg(&bundle))?;
    Ok(bundle)
}

/// Runs it, asks whether it is well, and ends it.
pub(super) fn run(bundle: &Path) -> Result<()> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    configure(bundle, port)?;
    let name = format!("regent-smoke-{}", std::process::id());
    let pid_file = bundle.join("pid");
    let mut start = Command::new("runc");
    start.args(["run", "--bundle"]).arg(bundle).arg("--pid-file").arg(&pid_file);
    let mut container =
        Container { process: start.arg(&name).spawn().context("runc can't be started")?, name };
    for path in ["/healthcheck", "/readiness"] {
        container.answers(port, path)?;
    }
    let pid = fs::read_to_string(&pid_file)?;
    holds(&Path::new("/proc").join(pid.trim()))?;
    container.end()
}

/// Changes what is told of the container: this machine's network, a port that is free, and as little as an orchestrator
/// with strict rules gives.
fn configure(bundle: &Path, port: u16) -> Result<()> {
    let data = bundle.join("data");
    fs::create_dir(&data)?;
    chown(&data, Some(USER), Some(USER))?;
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let part = |config: &mut Value, pointer: &str, change: &mut dyn FnMut(&mut Value)| -> Result<()> {
        change(config.pointer_mut(pointer).with_context(|| format!("umoci wrote no {pointer}"))?);
        Ok(())
    };
    part(&mut config, "/root", &mut |root| root["readonly"] = true.into())?;
    part(&mut config, "/process", &mut |process| {
        process["terminal"] = false.into();
        process["noNewPrivileges"] = true.into();
        process["capabilities"] = json!({});
    })?;
    part(&mut config, "/process/env", &mut |environment| {
        if let Some(environment) = environment.as_array_mut() {
            environment.push(format!("SNYK_PORT={port}").into());
            environment.push("REGENT_LISTEN=127.0.0.1".into());
        }
    })?;
    part(&mut config, "/linux/namespaces", &mut |namespaces| {
        if let Some(namespaces) = namespaces.as_array_mut() {
            namespaces.retain(|one| one["type"] != "network");
        }
    })?;
    part(&mut config, "/mounts", &mut |mounts| {
        if let Some(mounts) = mounts.as_array_mut() {
            mounts.retain(|mount| mount["destination"] != "/data" && mount["type"] != "cgroup");
            mounts.push(
                json!({ "destination": "/data", "type": "bind", "source": data, "options": ["rbind", "rw"] }),
            );
        }
    })?;
    fs::write(&file, serde_json::to_vec(&config)?)?;
    Ok(())
}

/// Whether a process has the user, the rights and the root that it should have.
fn holds(process: &Path) -> Result<()> {
    let status = fs::read_to_string(process.join("status"))?;
    for (field, value) in
        [("Uid", "65532\t65532\t65532\t65532"), ("CapEff", "0000000000000000"), ("NoNewPrivs", "1")]
    {
        if !status.lines().any(|line| line == format!("{field}:\t{value}")) {
            bail!("the agent's {field} is not {value}:\n{status}");
        }
    }
    let mounts = fs::read_to_string(process.join("mountinfo"))?;
    // 36 35 98:0 /somewhere / ro,relatime …
    let root = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .rfind(|fields| fields.get(4) == Some(&"/"));
    let options = root.as_ref().and_then(|fields| fields.get(5)).copied().unwrap_or_default();
    if options.split(',').next() != Some("ro") {
        bail!("the container's root can be written:\n{mounts}");
    }
    Ok(())
}

/// A container that ends with this value.
struct Container {
    process: Child,
    name: String,
}

impl Container {
    /// Waits until a path is answered with 200.
    fn answers(&mut self, port: u16, path: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = get(port, path).unwrap_or_default();
            if answer.starts_with("HTTP/1.1 200") {
                println!("the container answers {path}");
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the container ended with {status} before it answered {path}");
            }
            if Instant::now() > deadline {
                bail!("the container does not answer {path}: {answer}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as an orchestrator does.
    fn end(mut self) -> Result<()> {
        command::run(Command::new("runc").args(["kill", &self.name, "TERM"]))?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the container ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            let _ = Command::new("runc").args(["delete", "--force", &self.name]).status();
            let _ = self.process.wait();
        }
    }
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
