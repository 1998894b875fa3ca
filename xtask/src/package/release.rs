//! What a release says of itself: version, revision and time.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::command::workspace;

/// The same for the same source: nothing of it is of the time or the machine of the build.
#[derive(Debug, Clone)]
pub(super) struct Release {
    /// The program's.
    pub(super) version: String,
    /// The commit, where the source is in git.
    pub(super) revision: Option<String>,
    /// Seconds since 1970: `SOURCE_DATE_EPOCH`, else the commit's. All files are of this time.
    pub(super) epoch: u64,
    /// Where the source is.
    pub(super) repository: String,
    /// The licence.
    pub(super) license: String,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    version: String,
}

#[derive(Deserialize)]
struct WorkspaceManifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    package: Shared,
}

#[derive(Deserialize)]
struct Shared {
    repository: String,
    license: String,
}

impl Release {
    /// The one of the source as it is.
    pub(super) fn of_source() -> Result<Self> {
        let manifest: Manifest =
            toml::from_str(&std::fs::read_to_string(workspace().join("host/Cargo.toml"))?)?;
        let shared: WorkspaceManifest =
            toml::from_str(&std::fs::read_to_string(workspace().join("Cargo.toml"))?)?;
        let Shared { repository, license } = shared.workspace.package;
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => git(&["log", "-1", "--format=%ct"])
                .context("without git the time of the source has to be given as SOURCE_DATE_EPOCH")?,
        };
        let epoch = epoch.parse().with_context(|| format!("SOURCE_DATE_EPOCH is no number: {epoch}"))?;
        let revision = git(&["rev-parse", "HEAD"]).ok();
        Ok(Self { version: manifest.package.version, revision, epoch, repository, license })
    }

    /// Its time as RFC 3339 has it.
    pub(super) fn time(&self) -> Result<String> {
        let time = OffsetDateTime::from_unix_timestamp(i64::try_from(self.epoch)?)?;
        Ok(time.format(&Rfc3339)?)
    }
}

/// What git says of the source.
pub(super) fn git(question: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .current_dir(workspace())
        .args(question)
        .output()
        .context("git can't be started")?;
    if !output.status.success() {
        bail!("git {}: {}", question.join(" "), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
