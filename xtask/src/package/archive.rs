//! The release archive: one folder with the program, its drivers, the licence, the manual and the unit of systemd.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::Package;
use super::release::Release;
use super::tree::{Content, Tree, add_folder, gzip};
use crate::command::workspace;

/// The file with the digests of all others, as `sha256sum --check` takes it.
pub(super) const SUMS: &str = "SHA256SUMS";

/// The licences of others, in archive and image.
pub(super) const NOTICES: &str = "THIRD-PARTY.txt";

/// Makes the archive of a packaged folder.
pub(super) fn write(release: &Release, package: &Package, to: &Path) -> Result<PathBuf> {
    let Package { platform, folder, notices } = package;
    let name = format!("regent-{}-{}", release.version, platform.name);
    let mut tree = Tree::default();
    tree.add_copy(&format!("{name}/regent"), 0o755, &folder.join("regent"))?;
    for library in libraries(folder)? {
        tree.add_copy(&format!("{name}/plugins/{library}"), 0o644, &folder.join("plugins").join(&library))?;
    }
    for (file, source) in [
        ("LICENSE", "LICENSE"),
        ("README.md", "README.md"),
        ("CHANGELOG.md", "CHANGELOG.md"),
        ("regent.service", "deploy/regent.service"),
    ] {
        tree.add_copy(&format!("{name}/{file}"), 0o644, &workspace().join(source))?;
    }
    tree.add(&format!("{name}/{NOTICES}"), 0o644, Content::File(notices.as_bytes().into()));
    add_folder(&mut tree, &format!("{name}/docs"), &workspace().join("docs"))?;
    let archive = to.join(format!("{name}.tar.gz"));
    put(&archive, &gzip(&tree.tar(release.epoch)?)?)?;
    Ok(archive)
}

/// The drivers' files in a packaged folder, in order.
pub(super) fn libraries(folder: &Path) -> Result<Vec<String>> {
    let plugins = folder.join("plugins");
    let mut libraries = Vec::new();
    for entry in fs::read_dir(&plugins).with_context(|| format!("reading {}", plugins.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "so") && !name.starts_with('.') {
            libraries.push(name.to_owned());
        }
    }
    libraries.sort();
    Ok(libraries)
}

/// Writes a file as a whole, or not at all.
pub(super) fn put(file: &Path, bytes: &[u8]) -> Result<()> {
    let part = file.with_added_extension("part");
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, file))
        .with_context(|| format!("writing {}", file.display()))
}

/// Notes the digests of all files of a folder in the folder itself.
pub(super) fn sum(folder: &Path) -> Result<PathBuf> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && name != SUMS {
            lines.push(format!("{}  {name}\n", hex(&fs::read(entry.path())?)));
        }
    }
    // By name, which stands behind 64 digits and two blanks.
    lines.sort_by(|one, other| one.get(66..).cmp(&other.get(66..)));
    let sums = folder.join(SUMS);
    put(&sums, lines.concat().as_bytes())?;
    Ok(sums)
}

/// SHA-256 in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
