//! `regent drivers pin`: writes `plugins.lock`.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use clap::Args;
use regent_plugin_api::load::{Lock, Pinned};

use crate::cli::{Failure, output, parts};
use crate::drivers::{DriverInfo, read_lock};
use crate::small_file;

#[derive(Debug, Args)]
pub(in crate::cli) struct PinArgs {
    /// Files of the plugin directory; without any all that are drivers.
    files: Vec<PathBuf>,
    /// Take out what is pinned and not there any more.
    #[arg(long)]
    prune: bool,
}

pub(super) fn run(arguments: &PinArgs) -> Result<(), Failure> {
    let parts = parts::Parts::new(parts::settings()?, false)?;
    let directory = parts.settings.plugin_dir();
    let infos = parts.drivers.list();
    let chosen = choose(&infos, arguments)?;
    let path = directory.join(Lock::FILE);
    let text = small_file::change(&path, 0o644, |known| {
        let mut lock = match known {
            None => Lock::default(),
            // Read once more, with the rules for files of the plugin directory: what others may have written is not kept.
            Some(_) => read_lock(&directory).map_err(io::Error::other)?,
        };
        let mut told = String::new();
        for info in chosen {
            told += &pin(&mut lock, info);
        }
        if arguments.prune {
            let gone = lock.retain(|pin| infos.iter().any(|info| info.digest.as_ref() == Some(&pin.digest)));
            told.extend(gone.iter().map(|pin| format!("removed    {}  {}\n", pin.name, pin.digest)));
        }
        Ok::<_, io::Error>((lock.to_string(), told))
    })
    .map_err(|error| Failure::other(format!("{} can't be written: {error}", path.display())))?;
    output::write(None, text.as_bytes())
}

/// The files to pin: what is named has to be a driver, of the rest those that are.
fn choose<'a>(infos: &'a [DriverInfo], arguments: &PinArgs) -> Result<Vec<&'a DriverInfo>, Failure> {
    let is_driver = |info: &&DriverInfo| info.digest.is_some() && info.file.is_some();
    if arguments.files.is_empty() {
        return Ok(infos.iter().filter(is_driver).collect());
    }
    let chosen = arguments.files.iter().map(|file| {
        let name = file.file_name().unwrap_or(OsStr::new(""));
        let found = infos.iter().find(|i| i.file.as_ref().is_some_and(|f| f.file_name() == Some(name)));
        let info = found.ok_or_else(|| {
            Failure::not_there(format!("{} is no driver library of the plugin directory", file.display()))
        })?;
        if is_driver(&info) {
            return Ok(info);
        }
        Err(Failure::refused(info.state.reason().unwrap_or_default()))
    });
    chosen.collect()
}

/// Pins one file, and says what that changed.
fn pin(lock: &mut Lock, info: &DriverInfo) -> String {
    let Some(digest) = &info.digest else { return String::new() };
    let (name, driver) = (info.label(), info.description.as_ref());
    let driver = driver.map(|d| format!("  ({} {})", d.name, d.version)).unwrap_or_default();
    match lock.pin(&name, digest) {
        Pinned::Unchanged => format!("unchanged  {name}  {digest}{driver}\n"),
        Pinned::Added => format!("added      {name}  {digest}{driver}\n"),
        Pinned::Replaced(old) => format!("changed    {name}  {old} -> {digest}{driver}\n"),
    }
}
