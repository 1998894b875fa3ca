//! A driver, and a list of them, for people to read.

use std::fmt::Write as _;

use crate::drivers::{DriverInfo, Isolation, SignatureState};

/// One line: what it is, whether it serves, why not.
pub(super) fn line(info: &DriverInfo) -> String {
    let (name, types) = info.description.as_ref().map_or_else(
        || ("-".to_owned(), "-".to_owned()),
        |d| (format!("{} {}", d.name, d.version), d.types.join(", ")),
    );
    let state = info.state.as_str();
    format!("{:<40} {name:<16} {state:<11} {types}{}\n", info.label(), why(info))
}

/// A driver for people to read.
pub(super) fn text(info: &DriverInfo) -> String {
    let mut text = match &info.description {
        Some(d) => format!("{} {}: {}\n", d.name, d.version, d.summary),
        None => format!("{}\n", info.label()),
    };
    let mut row = |name: &str, value: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    row("file", &info.file.as_ref().map_or_else(|| "(built in)".to_owned(), |f| f.display().to_string()));
    row("state", &format!("{}{}", info.state.as_str(), why(info)));
    row("runs", runs(info));
    if let Some(digest) = &info.digest {
        row("digest", &digest.to_string());
        row("signature", &signature(info));
    }
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

fn runs(info: &DriverInfo) -> &'static str {
    match info.isolation {
        Isolation::Thread => "on a thread of the agent",
        Isolation::Process => "in a process of its own",
    }
}

fn signature(info: &DriverInfo) -> String {
    match &info.signature {
        SignatureState::Missing => "none".to_owned(),
        SignatureState::Unchecked { key: Some(key) } => {
            format!("by key {key}, not checked: REGENT_DRIVER_KEYS is not set")
        }
        SignatureState::Unchecked { key: None } => "not checked: REGENT_DRIVER_KEYS is not set".to_owned(),
        SignatureState::Valid { key } => format!("by key {key}"),
        SignatureState::Invalid { code, reason, .. } => format!("{reason} ({code})"),
    }
}

fn why(info: &DriverInfo) -> String {
    let Some(reason) = info.state.reason() else { return String::new() };
    let until = info.state.until().map(|until| format!(", until {until}")).unwrap_or_default();
    let told = info.state.code().or(info.state.since());
    told.map_or_else(|| format!("  {reason}"), |told| format!("  {reason} ({told}{until})"))
}
