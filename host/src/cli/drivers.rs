//! `regent drivers`.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Failure, output, parts};
use crate::drivers::{DriverDocument, DriverInfo, DriverState, Drivers, TrustPolicy};

mod check;
mod decide;
mod page;
mod pin;

#[derive(Debug, Subcommand)]
pub(super) enum DriversCommand {
    /// List the files of the plugin directory: what each is, whether it serves, and why not.
    List {
        /// Print JSON, as the agent says it at `GET /drivers`.
        #[arg(long)]
        json: bool,
    },
    /// Show what each driver says of itself: types, settings, the hosts and variables that it needs.
    Inspect {
        /// A driver library; without it all of the plugin directory.
        file: Option<PathBuf>,
        /// Print JSON, with everything there is.
        #[arg(long)]
        json: bool,
    },
    /// Load a driver into a process of its own, without network, and see what works.
    #[command(
        after_help = "Examples:\n  regent drivers check ./libregent_driver_example.so\n  regent drivers check \
        ./libregent_driver_example.so --field registryBase=registry.example.com"
    )]
    Check(check::CheckArgs),
    /// Write the digests of driver files into `plugins.lock`, for `REGENT_DRIVER_TRUST=pinned`.
    #[command(
        after_help = "Examples:\n  regent drivers pin\n  regent drivers pin libregent_driver_harbor.so\n  regent drivers pin \
        --prune"
    )]
    Pin(pin::PinArgs),
    /// Use a driver, or a file, again that was disabled or quarantined.
    Enable {
        /// The driver's name, or the file's.
        #[arg(value_name = "DRIVER|FILE")]
        driver: String,
    },
    /// Use no file of a driver any more, until it is enabled. A running agent notices.
    Disable {
        /// The driver's name, or the name of one of its files.
        #[arg(value_name = "DRIVER|FILE")]
        driver: String,
        /// Why, for whoever looks at it later.
        #[arg(long, default_value = "by an operator")]
        reason: String,
    },
    /// Do not use these very bytes any more, until they are enabled; other versions of the driver serve. A running agent
    /// notices.
    Quarantine {
        /// The file's name, or the name of the driver for all its files.
        #[arg(value_name = "DRIVER|FILE")]
        driver: String,
        /// Why, for whoever looks at it later.
        #[arg(long, default_value = "by an operator")]
        reason: String,
    },
}

/// Runs one of the commands.
pub(super) async fn run(command: DriversCommand) -> Result<(), Failure> {
    match command {
        DriversCommand::List { json } => list(json),
        DriversCommand::Inspect { file, json } => inspect(file.as_deref(), json),
        DriversCommand::Check(arguments) => check::run(&arguments).await,
        DriversCommand::Pin(arguments) => pin::run(&arguments),
        DriversCommand::Enable { driver } => decide::enable(&driver),
        DriversCommand::Disable { driver, reason } => decide::disable(&driver, &reason),
        DriversCommand::Quarantine { driver, reason } => decide::quarantine(&driver, &reason),
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let parts = parts::Parts::new(parts::settings()?, false)?;
    let infos = parts.drivers.list();
    if infos.is_empty() {
        output::say(format_args!(
            "regent: there are no driver libraries in {}; REGENT_PLUGIN_DIR names another directory",
            parts.settings.plugin_dir().display()
        ));
    }
    let text = if json {
        let documents: Vec<DriverDocument> = infos.into_iter().map(DriverDocument::from).collect();
        format!("{}\n", serde_json::to_string_pretty(&documents)?)
    } else {
        infos.iter().map(page::line).collect()
    };
    output::write(None, text.as_bytes())
}

/// What one file, or each of the plugin directory, says of itself. A file that is asked for and refused is a failure.
fn inspect(file: Option<&Path>, json: bool) -> Result<(), Failure> {
    let infos = match file {
        Some(file) => vec![look_at(file)?],
        None => parts::Parts::new(parts::settings()?, false)?.drivers.list(),
    };
    let text = if json {
        let mut documents: Vec<DriverDocument> = infos.iter().cloned().map(DriverDocument::from).collect();
        let text = match documents.pop() {
            Some(only) if file.is_some() => serde_json::to_string_pretty(&only),
            last => serde_json::to_string_pretty(&documents.into_iter().chain(last).collect::<Vec<_>>()),
        };
        format!("{}\n", text?)
    } else {
        infos.iter().map(page::text).collect::<Vec<_>>().join("\n")
    };
    output::write(None, text.as_bytes())?;
    match infos.into_iter().next() {
        Some(info) if file.is_some() => refusal(&info).map_or(Ok(()), Err),
        _ => Ok(()),
    }
}

/// What one file is, and whether it is trusted. That it has to be pinned goes for files of the plugin directory alone: others
/// are looked at before they are put there.
fn look_at(file: &Path) -> Result<DriverInfo, Failure> {
    let settings = parts::settings()?;
    let mut trust = crate::serve::driver_trust(&settings)?;
    let directory = std::path::absolute(file)?.parent().map(Path::to_owned);
    if trust.policy == TrustPolicy::Pinned && directory != std::path::absolute(settings.plugin_dir()).ok() {
        trust.policy = TrustPolicy::Directory;
    }
    let mut info = Drivers::inspect(file, &trust);
    if let Some(description) = &info.description {
        info.isolation = settings.driver_isolations.of(&description.name);
    }
    Ok(info)
}

/// The failure that a refused file is.
fn refusal(info: &DriverInfo) -> Option<Failure> {
    match &info.state {
        DriverState::Refused { reason, .. } => Some(Failure::refused(reason.clone())),
        _ => None,
    }
}
