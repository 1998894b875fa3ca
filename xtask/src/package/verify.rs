//! Whether the build is reproducible: the committed source, built once more in other folders by its own `cargo xtask package`,
//! has to give the same to the byte.
//!
//! What it takes is in the build itself, not here: `--remap-path-prefix` for the folders of source, target, std and
//! dependencies (`build.rs`), one code generation unit, sorted archives of one time, and versions from the lock file. Equal
//! have to be the compiler, the linker, and the versions of Debian's packages.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Package;
use super::archive::{SUMS, hex};
use super::platform::Platform;
use super::release::git;
use crate::command::{self, target, workspace};
use crate::tools;

/// Names in the folder of the second build.
const BUILT: &str = "another-target";
const LOG: &str = "log";

/// The second build, which goes on beside the first one: most of the time each keeps one core busy, that of its linker.
pub(super) struct Again {
    build: Child,
    /// With all that belongs to it.
    folder: PathBuf,
}

impl Again {
    /// Starts it.
    ///
    /// # Errors
    /// When the source has changes that are not committed.
    pub(super) fn start(platforms: &[&Platform], image: bool) -> Result<Self> {
        let changed = git(&["status", "--porcelain"])?;
        if !changed.is_empty() {
            bail!("what is built again is what is committed, and this is not:\n{changed}");
        }
        let folder = target().join("verify");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let source = folder.join("another/place/of/the/source");
        fs::create_dir_all(&source)?;
        check_out(&source)?;
        fs::create_dir_all(tools::folder())?;
        symlink(tools::folder(), source.join(".tools"))?;

        let mut build = Command::new("cargo");
        build.args(["xtask", "package"]).current_dir(&source);
        build.env("CARGO_TARGET_DIR", folder.join(BUILT)).env("CARGO_HOME", another_home(&folder)?);
        build.env("SOURCE_DATE_EPOCH", git(&["log", "-1", "--format=%ct"])?);
        // The copy is not in git.
        build.env("GIT_DIR", git(&["rev-parse", "--absolute-git-dir"])?);
        for platform in platforms {
            build.args(["--target", platform.triple]);
        }
        build.args(image.then_some("--image"));
        let log = fs::File::create(folder.join(LOG))?;
        build.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        println!("built again beside: {}", folder.join(LOG).display());
        Ok(Self { build: build.spawn().context("cargo can't be started")?, folder })
    }

    /// Waits for its end, and compares what was packaged with it.
    ///
    /// # Errors
    /// With the names of files that differ.
    pub(super) fn compare(mut self, packages: &[Package], to: &Path) -> Result<()> {
        let status = self.build.wait()?;
        if !status.success() {
            let log = fs::read_to_string(self.folder.join(LOG))?;
            bail!("the second build ended with {status}:\n{log}");
        }
        let built = self.folder.join(BUILT);
        let mut differ = Vec::new();
        for Package { folder, .. } in packages {
            let name = folder.file_name().context("a folder without a name")?;
            differ.extend(differences(folder, &built.join(name))?);
        }
        differ.extend(differences(to, &built.join("dist"))?);
        if !differ.is_empty() {
            bail!("these differ from what is built in {}:\n{}", self.folder.display(), differ.join("\n"));
        }
        println!("built again in {}: the same to the byte", self.folder.display());
        Ok(())
    }
}

impl Drop for Again {
    /// One whose outcome nobody wants any more.
    fn drop(&mut self) {
        let _ = self.build.kill();
        let _ = self.build.wait();
    }
}

fn check_out(source: &Path) -> Result<()> {
    let mut archive = Command::new("git");
    archive.current_dir(workspace()).args(["archive", "HEAD"]).stdout(Stdio::piped());
    let mut archive = archive.spawn().context("git can't be started")?;
    let tar = archive.stdout.take().context("git has no output")?;
    let unpacked = Command::new("tar").arg("-x").current_dir(source).stdin(tar).status()?;
    if !archive.wait()?.success() || !unpacked.success() {
        bail!("the source could not be copied");
    }
    Ok(())
}

/// The same crates, by another path.
fn another_home(folder: &Path) -> Result<PathBuf> {
    let home = folder.join("another-home");
    fs::create_dir(&home)?;
    let here = command::cargo_home().context("cargo has no home")?;
    for entry in fs::read_dir(&here)? {
        let entry = entry?;
        symlink(entry.path(), home.join(entry.file_name()))?;
    }
    Ok(home)
}

/// Names of the files of the second folder that the first one has not, or not so. The first may have more, of earlier runs;
/// the digests of all of them are one file, which is left out.
fn differences(first: &Path, second: &Path) -> Result<Vec<String>> {
    let (first, second) = (digests(first)?, digests(second)?);
    let of_one = second.iter().filter(|(name, digest)| *name != SUMS && first.get(*name) != Some(digest));
    Ok(of_one.map(|(name, digest)| format!("  {name}: {:?}, {digest:?}", first.get(name))).collect())
}

fn digests(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder)?.display().to_string();
                digests.insert(name, hex(&fs::read(&path)?));
            }
        }
    }
    Ok(digests)
}
