//! `cargo xtask instructions`: what reading a layer costs, in instructions, held against what it did cost.
//!
//! Instructions and not seconds, since they are the same on a busy machine. callgrind counts those of a small program that
//! reads generated layers, once as a scan does and once only to hash and inflate: the floor. What is held is both the floor
//! and what comes on top of it, for each layer.

mod baseline;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use self::baseline::{Baseline, Cost};
use crate::command::{self, cargo, target, workspace};
use crate::tools;

const BASELINE: &str = "core/scan/benches/instructions.toml";
/// Size of a layer when it is inflated.
const MEBIBYTES: &str = "2";
/// callgrind counts `rep movsb` once for each byte that it moves, which no processor takes that long for.
const NO_STRING_INSTRUCTIONS: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824";

pub(crate) fn run(accept: bool) -> Result<()> {
    tools::install_packages(&[("valgrind", "valgrind")])?;
    command::run(
        cargo().args(["build", "--quiet", "--profile", "measure", "--package", "regent-scan"]).args([
            "--features",
            "measure",
            "--bin",
            "read-layer",
        ]),
    )?;
    let program = target().join("measure/read-layer");
    let layers = target().join("measure/layers");
    command::run(Command::new(&program).arg("make").arg(&layers).arg(MEBIBYTES))?;
    let now = measure(&program, &layers)?;
    let path = workspace().join(BASELINE);
    if accept {
        std::fs::write(&path, now.to_text())?;
        println!("{now}\naccepted: {BASELINE}");
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("{BASELINE} can't be read"))?;
    let accepted = Baseline::parse(&text).with_context(|| format!("{BASELINE} can't be read"))?;
    println!("{now}");
    let regressions = accepted.regressions(&now);
    if regressions.is_empty() {
        return Ok(());
    }
    bail!(
        "reading a layer takes more instructions than {BASELINE} has:\n  {}\n\
         Where that is worth it, or the compiler or the C library is another one, `cargo xtask instructions --accept` \
         writes what it takes now; say in the commit why.",
        regressions.join("\n  ")
    )
}

/// Counts all layers, two programs side by side.
fn measure(program: &Path, layers: &Path) -> Result<Baseline> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(layers)? {
        let path = entry?.path();
        if path.extension().is_none() {
            names.push(path.file_name().context("a layer without a name")?.to_string_lossy().into_owned());
        }
    }
    let costs = names.into_iter().map(|name| {
        let layer = layers.join(&name);
        let start = |mode| {
            Command::new("valgrind")
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(program)
                .args([mode])
                .arg(&layer)
                .env("GLIBC_TUNABLES", NO_STRING_INSTRUCTIONS)
                .stderr(std::process::Stdio::piped())
                .spawn()
                .context("valgrind can't be started")
        };
        let (floor, capture) = (start("floor")?, start("capture")?);
        let count = |process: std::process::Child| -> Result<u64> {
            let output = process.wait_with_output()?;
            let text = String::from_utf8_lossy(&output.stderr);
            let count = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
            match count {
                Some(count) if output.status.success() => Ok(count),
                _ => bail!("valgrind ended with {} and said:\n{text}", output.status),
            }
        };
        let (floor, capture) = (count(floor)?, count(capture)?);
        Ok((name, Cost { floor, own: capture.saturating_sub(floor) }))
    });
    Ok(Baseline(costs.collect::<Result<_>>()?))
}
