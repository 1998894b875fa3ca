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
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Package;
use super::archive::{SUMS, hex};
use super::release::git;
use crate::command::{self, target, workspace};
use crate::tools;

/// Builds again, and compares.
///
/// # Errors
/// When the source has changes that are not committed, and with the names of files that differ.
pub(super) fn run(packages: &[Package], image: bool, to: &Path) -> Result<()> {
    let changed = git(&["status", "--porcelain"])?;
    if !changed.is_empty() {
        bail!("what is built again is what is committed, and this is not:\n{changed}");
    }
    let folder = target().join("verify");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (source, built) = (folder.join("another/place/of/the/source"), folder.join("another-target"));
    fs::create_dir_all(&source)?;
    fs::create_dir_all(&built)?;
    check_out(&source)?;
    symlink(tools::folder(), source.join(".tools"))?;

    let mut build = Command::new("cargo");
    build.args(["xtask", "package"]).current_dir(&source);
    build.env("CARGO_TARGET_DIR", &built).env("CARGO_HOME", another_home(&folder)?);
    build.env("SOURCE_DATE_EPOCH", git(&["log", "-1", "--format=%ct"])?);
    // The copy is not in git.
    build.env("GIT_DIR", git(&["rev-parse", "--absolute-git-dir"])?);
    for Package { platform, .. } in packages {
        build.args(["--target", platform.triple]);
    }
    build.args(image.then_some("--image"));
    command::run(&mut build)?;

    let mut differ = Vec::new();
    for Package { folder, .. } in packages {
        let name = folder.file_name().context("a folder without a name")?;
        differ.extend(differences(folder, &built.join(name))?);
    }
    differ.extend(differences(to, &built.join("dist"))?);
    if !differ.is_empty() {
        bail!("these differ from what is built in {}:\n{}", folder.display(), differ.join("\n"));
    }
    println!("built again in {}: the same to the byte", folder.display());
    Ok(())
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
