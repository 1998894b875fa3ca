//! Bills of materials of the image: what Regent finds in it, Debian's packages and the crates that `cargo auditable` noted in
//! the program and in each driver.

use std::path::Path;

use anyhow::Result;

use super::Package;
use super::release::Release;
use crate::command;

/// The formats, and how their files' names end.
const FORMATS: [(&str, &str); 2] = [("cyclonedx", "cdx.json"), ("spdx", "spdx.json")];

/// Writes them for each platform.
pub(super) fn write(release: &Release, packages: &[Package], layout: &Path, to: &Path) -> Result<()> {
    // One that runs here without an emulator, if there is one.
    let mut here = packages.iter().filter(|package| package.platform.is_here().unwrap_or(false));
    let Some(Package { platform: of, folder, .. }) = here.next().or(packages.first()) else { return Ok(()) };
    let scratch = tempfile::tempdir()?;
    for Package { platform, .. } in packages {
        for (format, ending) in FORMATS {
            let mut scan = of.command(&of.libraries(), &folder.join("regent"))?;
            scan.env_clear().env("HOME", scratch.path()).env("REGENT_DATA_DIR", scratch.path().join("data"));
            scan.env("REGENT_PLUGIN_DIR", folder.join("plugins"));
            scan.arg("scan").arg(format!("oci-layout:{}:{}", layout.display(), release.version));
            scan.args(["--platform", &format!("linux/{}", platform.oci), "--format", format]);
            scan.args(["--name", &format!("regent:{}", release.version), "--output"]);
            scan.arg(to.join(format!("regent-{}-{}.{ending}", release.version, platform.name)));
            command::run(&mut scan)?;
        }
    }
    Ok(())
}
