//! `cargo xtask package`: the program and the drivers as they ship, in a folder, an archive and a container image.

mod archive;
mod build;
mod debian;
mod image;
mod notices;
mod own_std;
mod platform;
mod release;
mod sbom;
mod smoke;
mod tree;
mod verify;

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::command::target;
use platform::Platform;
use release::Release;

/// What is packaged, and how far.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Build for this platform in place of this machine's; may be given several times.
    #[arg(long, value_name = "TRIPLE")]
    target: Vec<String>,
    /// Take the program and the drivers that an earlier run has put into this folder; may be given several times.
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    from: Vec<PathBuf>,
    /// Where archives and image go; `target/dist` without it.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Make the container image as well, and bills of materials of it. Takes Debian.
    #[arg(long)]
    image: bool,
    /// Make the image, and run what was made: out of the archive, and the image as a container would (as root).
    #[arg(long)]
    smoke: bool,
    /// Build it all once more in other folders, beside, and fail where a byte differs.
    #[arg(long, conflicts_with = "from")]
    verify: bool,
}

/// Builds, and writes archives beside.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let release = Release::of_source()?;
    let is_image = arguments.image || arguments.smoke;
    let again =
        if arguments.verify { Some(verify::Again::start(&platforms(arguments)?, is_image)?) } else { None };
    let packages = packages(arguments)?;
    let to = arguments.to.clone().unwrap_or_else(|| target().join("dist"));
    fs::create_dir_all(&to)?;
    let mut archives = Vec::new();
    for package in &packages {
        archives.push(archive::write(&release, package, &to)?);
    }
    let mut layout = None;
    if is_image {
        let written = image::write(&release, &packages, &target().join("debian"), &to)?;
        sbom::write(&release, &packages, &written, &to)?;
        layout = Some(written);
    }
    archive::sum(&to)?;
    println!("written to {}", to.display());
    if let (true, Some(layout)) = (arguments.smoke, &layout) {
        smoke::run(&release, &packages, &archives, layout)?;
    }
    if let Some(again) = again {
        again.compare(&packages, &to)?;
    }
    Ok(())
}

/// The program and the drivers for this machine, without anything else: the folder.
pub(crate) fn folder() -> Result<PathBuf> {
    build::build(Platform::here()?)
}

/// What was built for a platform.
struct Package {
    platform: &'static Platform,
    /// With the program, and the drivers in `plugins`.
    folder: PathBuf,
    /// Licences of what others have in it.
    notices: String,
}

impl Package {
    fn new(platform: &'static Platform, folder: PathBuf) -> Result<Self> {
        Ok(Self { platform, folder, notices: notices::text(platform)? })
    }
}

fn packages(arguments: &Arguments) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for folder in &arguments.from {
        packages.push(Package::new(Platform::of_program(&folder.join("regent"))?, folder.clone())?);
    }
    for platform in platforms(arguments)? {
        packages.push(Package::new(platform, build::build(platform)?)?);
    }
    Ok(packages)
}

/// What is built: this machine's platform where nothing else is named.
fn platforms(arguments: &Arguments) -> Result<Vec<&'static Platform>> {
    if arguments.from.is_empty() && arguments.target.is_empty() {
        return Ok(vec![Platform::here()?]);
    }
    arguments.target.iter().map(|triple| Platform::of_triple(triple)).collect()
}
