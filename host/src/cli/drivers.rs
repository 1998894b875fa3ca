//! `regent drivers`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::{Failure, output, parts};
use crate::drivers::{DriverInfo, DriverState, Drivers};

/// One line a file: what it is, whether it serves, why not.
pub(super) fn list() -> Result<(), Failure> {
    let parts = parts::Parts::new(parts::settings()?, false)?;
    let infos = parts.drivers.list();
    if infos.is_empty() {
        output::say(format_args!(
            "regent: there are no driver libraries in {}; REGENT_PLUGIN_DIR names another directory",
            parts.settings.plugin_dir().display()
        ));
    }
    let mut text = String::new();
    for info in &infos {
        let (name, types) = info.description.as_ref().map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |d| (format!("{} {}", d.name, d.version), d.types.join(", ")),
        );
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "{:<40} {name:<16} {:<10} {types}{}",
            file_name(info),
            info.state.as_str(),
            why(info)
        );
    }
    output::write(None, text.as_bytes())
}

/// Everything that a file says of itself, as JSON. A refused file is shown with its reason, and is a failure.
pub(super) fn inspect(file: &Path) -> Result<(), Failure> {
    let info = Drivers::inspect(file);
    let shown = json!({
        "file": info.file,
        "digest": info.digest,
        "state": info.state.as_str(),
        "reason": reason(&info),
        "description": info.description,
    });
    let mut text = serde_json::to_string_pretty(&shown)?;
    text.push('\n');
    output::write(None, text.as_bytes())?;
    match info.state {
        DriverState::Refused { reason, .. } => Err(Failure::refused(reason)),
        _ => Ok(()),
    }
}

fn file_name(info: &DriverInfo) -> String {
    let name = info.file.as_ref().and_then(|f| f.file_name());
    name.map_or_else(|| "(built in)".to_owned(), |n| n.to_string_lossy().into_owned())
}

fn why(info: &DriverInfo) -> String {
    reason(info).map_or_else(String::new, |reason| format!("  {reason}"))
}

fn reason(info: &DriverInfo) -> Option<String> {
    match &info.state {
        DriverState::Refused { code, reason } => Some(format!("{reason} ({code})")),
        DriverState::Superseded { by } => Some(format!("{by} is a higher version of it")),
        DriverState::Ambiguous { types } => {
            Some(format!("another driver claims {}; bind it with REGENT_DRIVER_BINDINGS", types.join(", ")))
        }
        DriverState::Quarantined => Some("it hung too often".to_owned()),
        DriverState::Ready | DriverState::Loaded => None,
    }
}
