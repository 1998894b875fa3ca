//! Debian's packages, fetched by apt and read without being installed.
//!
//! apt works in a folder of its own with this machine's list of sources: neither the machine's architectures nor what is
//! installed on it matter, and it needs no rights. The release is the machine's, so that the C library in the image is not
//! older than the one that was linked with.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tar::EntryType;

use super::tree::Content;

/// Where Debian lists its own archive: the newer place, the older one.
const SOURCES: [&str; 2] = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

/// A package, unpacked in memory.
#[derive(Debug)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// What the package says of itself: a paragraph of fields.
    pub(super) control: String,
    /// MD5 of its files, a line each.
    pub(super) sums: String,
    /// Its files and links by path, without a slash in front, with their modes.
    pub(super) files: BTreeMap<String, (u32, Content)>,
}

impl Package {
    /// A field of its description.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.control.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }

    fn read(file: &Path) -> Result<Self> {
        let control = said(Command::new("dpkg-deb").arg("--field").arg(file))?;
        let control = String::from_utf8(control).context("a package's description is no text")?;
        // Packages without files have none.
        let sums = said(Command::new("dpkg-deb").arg("--info").arg(file).arg("md5sums")).unwrap_or_default();
        let data = said(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(file))?;
        let mut package =
            Self { name: String::new(), control, sums: String::from_utf8(sums)?, files: BTreeMap::new() };
        package.name = package.field("Package").context("a package without a name")?.to_owned();
        package.take(&data).with_context(|| format!("reading {}", file.display()))?;
        Ok(package)
    }

    fn take(&mut self, data: &[u8]) -> Result<()> {
        let mut archive = tar::Archive::new(Cursor::new(data));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path =
                entry.path()?.to_string_lossy().trim_start_matches("./").trim_end_matches('/').to_owned();
            let content = match entry.header().entry_type() {
                EntryType::Regular => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    Content::File(bytes)
                }
                EntryType::Symlink => {
                    let target = entry.link_name()?.context("a link to nowhere")?;
                    Content::Link(target.to_string_lossy().into_owned())
                }
                EntryType::Directory => continue,
                other => bail!("{path} is a {other:?}, which is not expected of these packages"),
            };
            self.files.insert(path, (entry.header().mode()?, content));
        }
        Ok(())
    }
}

/// Debian's archive for one architecture.
#[derive(Debug)]
pub(super) struct Archive {
    folder: PathBuf,
    options: Vec<String>,
}

impl Archive {
    /// With today's lists, kept in a folder.
    pub(super) fn open(architecture: &str, folder: &Path) -> Result<Self> {
        let folder = folder.join(architecture);
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(folder.join(part))?;
        }
        // Nothing is installed.
        let status = folder.join("status");
        fs::write(&status, "")?;
        let sources = SOURCES.iter().find(|sources| Path::new(sources).is_file());
        let sources =
            sources.with_context(|| format!("apt has no {}: this takes Debian", SOURCES.join(" or ")))?;
        let (state, cache) = (folder.join("state"), folder.join("cache"));
        let options = [
            ("APT::Architecture", architecture),
            ("APT::Architectures", architecture),
            ("APT::Sandbox::User", ""),
            ("Acquire::Languages", "none"),
            ("Acquire::Retries", "3"),
            ("Dir::State", &state.to_string_lossy()),
            ("Dir::State::status", &status.to_string_lossy()),
            ("Dir::Cache", &cache.to_string_lossy()),
            ("Dir::Etc::SourceList", sources),
            ("Dir::Etc::SourceParts", "-"),
        ];
        let options = options.map(|(name, value)| format!("-o{name}={value}")).into();
        let archive = Self { folder, options };
        eprintln!("looking at Debian's packages for {architecture}");
        said(archive.apt().args(["update", "-qq"]))?;
        Ok(archive)
    }

    fn apt(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.args(&self.options).current_dir(self.folder.join("packages"));
        command
    }

    /// Fetches a package, in the version that apt prefers, and reads it. What is there already is not fetched again.
    pub(super) fn package(&self, name: &str) -> Result<Package> {
        // 'http://…/libc6_2.36-9_amd64.deb' libc6_2.36-9_amd64.deb 2755784 SHA256:…
        // It says nothing of what is there already, so it is asked in another place.
        let mut ask = self.apt();
        ask.args(["download", "--print-uris", name]).current_dir(&self.folder);
        let told = String::from_utf8(said(&mut ask)?)?;
        let file = told.split_whitespace().nth(1).with_context(|| format!("apt knows no file of {name}"))?;
        said(self.apt().args(["download", "-qq", name]))?;
        Package::read(&self.folder.join("packages").join(file))
    }
}

fn said(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{program} can't be started"))?;
    if !output.status.success() {
        bail!(
            "{program} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(output.stdout)
}
