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

/// What one file, or each of the plugin directory, says of itself. A file that is asked for and refused is a failure.
pub(super) fn inspect(file: Option<&Path>, json: bool) -> Result<(), Failure> {
    let infos = match file {
        Some(file) => vec![Drivers::inspect(file)],
        None => parts::Parts::new(parts::settings()?, false)?.drivers.list(),
    };
    let text = if json {
        let mut documents: Vec<_> = infos.iter().map(document).collect();
        let shown = match documents.pop() {
            Some(only) if file.is_some() => only,
            last => documents.into_iter().chain(last).collect(),
        };
        format!("{shown:#}\n")
    } else {
        infos.iter().map(page).collect::<Vec<_>>().join("\n")
    };
    output::write(None, text.as_bytes())?;
    match infos.into_iter().next().map(|info| info.state) {
        Some(DriverState::Refused { reason, .. }) if file.is_some() => Err(Failure::refused(reason)),
        _ => Ok(()),
    }
}

fn document(info: &DriverInfo) -> serde_json::Value {
    json!({
        "file": info.file,
        "digest": info.digest,
        "state": info.state.as_str(),
        "reason": reason(info),
        "description": info.description,
    })
}

/// A driver for people to read.
fn page(info: &DriverInfo) -> String {
    let mut text = match &info.description {
        Some(d) => format!("{} {}: {}\n", d.name, d.version, d.summary),
        None => format!("{}\n", file_name(info)),
    };
    let mut row = |name: &str, value: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    row("file", &info.file.as_ref().map_or_else(|| "(built in)".to_owned(), |f| f.display().to_string()));
    row("state", &format!("{}{}", info.state.as_str(), why(info)));
    let Some(d) = &info.description else { return text };
    row("built", &format!("for API {}, {}, by {}", d.api, d.target, d.rustc));
    row("types", &d.types.join(", "));
    let width = d.settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    for (i, setting) in d.settings.iter().enumerate() {
        let need = if setting.required { "required" } else { "optional" };
        let secret = if setting.secret { ", secret" } else { "" };
        let heading = if i == 0 { "settings" } else { "" };
        row(heading, &format!("{:<width$}  {need}{secret}: {}", setting.name, setting.help));
    }
    let mut hosts = vec!["the registry's own host"];
    hosts.extend(d.egress.iter().map(String::as_str));
    row("egress", &hosts.join(", "));
    if !d.env.is_empty() {
        row("variables", &d.env.join(", "));
    }
    if !d.capabilities.is_empty() {
        row("abilities", &d.capabilities.join(", "));
    }
    text
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
