//! Whether what was made runs: the program of each archive, and the image as a container.

mod container;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Package;
use super::archive::libraries;
use super::platform::Platform;
use super::release::Release;
use crate::command;

/// Packages that the image is found to have.
const EXPECTED: [&str; 3] = ["libc6", "ca-certificates", "libgcc-s1"];

/// Runs it all.
///
/// # Errors
/// With what was not as it should be.
pub(super) fn run(
    release: &Release,
    packages: &[Package],
    archives: &[PathBuf],
    layout: &Path,
) -> Result<()> {
    let to = layout.parent().context("a layout at the root")?;
    command::run(Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(to))?;
    for (Package { platform, folder, .. }, archive) in packages.iter().zip(archives) {
        let drivers = libraries(folder)?.len();
        let scratch = tempfile::tempdir()?;
        command::run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(scratch.path()))?;
        let folder = scratch.path().join(format!("regent-{}-{}", release.version, platform.name));
        let of_archive = Regent {
            platform,
            libraries: platform.libraries(),
            program: folder.join("regent"),
            home: scratch.path().to_owned(),
        };
        of_archive.works(release, drivers, layout)?;
        if platform.is_here()? {
            let mut demo = of_archive.command(&["demo"])?;
            command::run(demo.stdout(std::process::Stdio::null()))?;
        }

        let bundle = container::unpack(release, platform, layout, scratch.path())?;
        if platform.is_here()? {
            container::run(&bundle)?;
        } else {
            let root = bundle.join("rootfs");
            let of_image =
                Regent { libraries: root.clone(), program: root.join("usr/bin/regent"), ..of_archive };
            of_image.works(release, drivers, layout)?;
        }
    }
    println!("all of it runs");
    Ok(())
}

/// A program, and over which libraries it runs where it is not of this machine.
struct Regent<'a> {
    platform: &'a Platform,
    libraries: PathBuf,
    program: PathBuf,
    home: PathBuf,
}

impl Regent<'_> {
    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.platform.command(&self.libraries, &self.program)?;
        command.args(arguments).env_clear().env("HOME", &self.home);
        // An emulated program is at the emulator's place, and looks there for its drivers.
        let beside =
            self.program.parent().map(|folder| folder.join("plugins")).filter(|folder| folder.is_dir());
        command.env("REGENT_PLUGIN_DIR", beside.unwrap_or(self.libraries.join("usr/lib/regent/plugins")));
        command.env("REGENT_DATA_DIR", self.home.join("data"));
        Ok(command)
    }

    /// What a command prints.
    fn says(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(arguments)?;
        let output = command.output().with_context(|| format!("{command:?} can't be started"))?;
        if !output.status.success() {
            bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// It tells its version, takes all its drivers, and reads the image that it is in.
    fn works(&self, release: &Release, drivers: usize, layout: &Path) -> Result<()> {
        let version = self.says(&["--version"])?;
        if version.trim_end() != format!("regent {}", release.version) {
            bail!("{}: it is {version}", self.program.display());
        }
        let listed: Value = serde_json::from_str(&self.says(&["drivers", "list", "--json"])?)?;
        let listed = listed.as_array().map_or(&[][..], Vec::as_slice);
        if listed.len() != drivers || listed.iter().any(|driver| driver["state"] != "ready") {
            bail!("{}: of {drivers} drivers not all are ready: {listed:#?}", self.program.display());
        }
        let image = format!("oci-layout:{}:{}", layout.display(), release.version);
        let platform = format!("linux/{}", self.platform.oci);
        let table = self.says(&["scan", &image, "--platform", &platform])?;
        for package in EXPECTED {
            if !table.contains(package) {
                bail!("{}: no {package} in the image:\n{table}", self.program.display());
            }
        }
        println!("{} works, for {}", self.program.display(), self.platform.name);
        Ok(())
    }
}
