//! What was found, for people to read in a terminal a hundred columns wide.

use std::fmt::Write as _;

use regent_scan::{Findings, Gap};

use crate::input::{Digests, ImageFacts, ImageName};
use crate::inventory::{Inventory, Item, Origin};
use crate::names::{effective_digests, effective_name};
use crate::options::Options;

/// Width that columns don't grow beyond. A longer cell pushes the rest of its line to the right.
const MAX_WIDTH: usize = 46;
/// Nothing that anyone reads is longer.
const MAX_CELL: usize = 200;

/// A plain text table: what image it is, the distribution's packages by name, those of applications by kind and name,
/// and what could not be read.
pub fn table(
    image: &ImageFacts,
    name: &ImageName,
    digests: Option<&Digests>,
    findings: &Findings,
    options: &Options,
) -> String {
    let inventory = Inventory::new(findings, options);
    let mut text = String::new();
    for (label, value) in header(image, name, digests, findings, &inventory, options) {
        let _ = writeln!(text, "{label:<9} {value}");
    }
    let of = |origin| inventory.items.iter().filter(move |item| item.origin == origin);
    write_rows(
        &mut text,
        ["PACKAGE", "VERSION", "LAYER", "SOURCE"],
        of(Origin::Distribution).map(of_distribution),
    );
    write_rows(
        &mut text,
        ["PACKAGE", "VERSION", "TYPE", "LAYER", "FOUND IN"],
        of(Origin::Application).map(of_application),
    );
    if !findings.gaps.is_empty() || !options.warnings.is_empty() {
        text.push('\n');
    }
    for warning in options.warnings.iter().map(|warning| printable(warning)).chain(warnings(findings)) {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

/// What could not be read, a line each, for terminals and logs: also what scan results don't tell, since the scanner
/// being replaced doesn't.
pub fn warnings(findings: &Findings) -> impl Iterator<Item = String> + '_ {
    findings.gaps.iter().map(|Gap { path, code, reason }| {
        format!("{}: {} ({code})", printable(path.as_str()), printable(reason))
    })
}

fn header(
    image: &ImageFacts,
    name: &ImageName,
    digests: Option<&Digests>,
    findings: &Findings,
    inventory: &Inventory<'_>,
    options: &Options,
) -> Vec<(&'static str, String)> {
    let digests = effective_digests(digests, options).unwrap_or_default();
    let os = findings.os.as_ref().map_or_else(
        || "unknown".to_owned(),
        |os| match os.pretty_name.as_str() {
            "" => format!("{}:{}", os.name, os.version),
            pretty => format!("{pretty} ({}:{})", os.name, os.version),
        },
    );
    let rows = [
        ("Image", Some(effective_name(name, options).unwrap_or(&name.archive).to_owned())),
        ("Digest", digests.manifest),
        ("Image ID", Some(image.image_id.clone())),
        ("OS", Some(os)),
        ("Platform", image.config.platform().map(|platform| platform.to_string())),
        ("Packages", Some(counts(inventory))),
    ];
    rows.into_iter().filter_map(|(label, value)| Some((label, printable(&value?)))).collect()
}

/// `88 deb, 12 npm`: how many of each kind, in the order of the list.
fn counts(inventory: &Inventory<'_>) -> String {
    let of_kinds = inventory.items.chunk_by(|a, b| a.kind == b.kind);
    let counts = of_kinds.filter_map(|alike| Some(format!("{} {}", alike.len(), alike.first()?.kind)));
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

fn of_distribution(item: &Item<'_>) -> [String; 4] {
    let source = item.source.map(|(name, version)| match version {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    });
    [item.full_name(), version(item), layer(item), source.unwrap_or_else(none)]
}

fn of_application(item: &Item<'_>) -> [String; 5] {
    let more = item.found.len().saturating_sub(1);
    let found = item.found.first().map(|(path, _)| match more {
        0 => (*path).to_owned(),
        more => format!("{path} and {more} more"),
    });
    [item.full_name(), version(item), item.kind.to_owned(), layer(item), found.unwrap_or_else(none)]
}

fn version(item: &Item<'_>) -> String {
    item.version.filter(|version| !version.is_empty()).map_or_else(none, str::to_owned)
}

fn layer(item: &Item<'_>) -> String {
    item.layer().map_or_else(none, |layer| layer.to_string())
}

fn none() -> String {
    "-".to_owned()
}

/// Writes rows below their titles, after an empty line; nothing where there are none.
fn write_rows<const N: usize>(text: &mut String, titles: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let rows: Vec<[String; N]> = rows.map(|row| row.map(|cell| printable(&cell))).collect();
    if rows.is_empty() {
        return;
    }
    let titles = titles.map(str::to_owned);
    let mut widths = [0; N];
    for row in rows.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().min(MAX_WIDTH).max(*width);
        }
    }
    text.push('\n');
    for row in [&titles].into_iter().chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Text on which a terminal doesn't act: control characters, and those that change the direction of writing or have
/// no width, are escaped. Cut where it is longer than anyone reads.
fn printable(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut printable = String::with_capacity(text.len().min(MAX_CELL));
    for (n, c) in text.chars().enumerate() {
        if n == MAX_CELL {
            printable.push('…');
            break;
        }
        if is_hidden(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests;
