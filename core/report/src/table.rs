//! What was found, for people to read in a terminal a hundred columns wide.

use std::fmt::Write as _;

use regent_scan::{Findings, Gap, Package};

use crate::input::{Digests, ImageFacts, ImageName};
use crate::names::{effective_digests, effective_name};
use crate::options::Options;

/// Widths that columns don't grow beyond. A longer cell pushes the rest of its line to the right.
const MAX_NAME: usize = 46;
const MAX_VERSION: usize = 30;
/// Nothing that anyone reads is longer.
const MAX_CELL: usize = 200;

/// A plain text table: what image it is, its packages by name, and what could not be read.
pub fn table(
    image: &ImageFacts,
    name: &ImageName,
    digests: Option<&Digests>,
    findings: &Findings,
    options: &Options,
) -> String {
    let mut text = String::new();
    for (label, value) in header(image, name, digests, findings, options) {
        let _ = writeln!(text, "{label:<9} {value}");
    }
    let mut packages: Vec<&Package> = findings.packages.list.iter().collect();
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let rows: Vec<[String; 3]> = packages.into_iter().map(cells).collect();
    if !rows.is_empty() {
        text.push('\n');
        write_rows(&mut text, &rows);
    }
    if !findings.gaps.is_empty() || !options.warnings.is_empty() {
        text.push('\n');
    }
    for warning in &options.warnings {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    for Gap { path, code, reason } in &findings.gaps {
        let _ = writeln!(text, "warning: {}: {} ({code})", printable(path.as_str()), printable(reason));
    }
    text
}

fn header(
    image: &ImageFacts,
    name: &ImageName,
    digests: Option<&Digests>,
    findings: &Findings,
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
    let count = findings.packages.list.len();
    let rows = [
        ("Image", Some(effective_name(name, options).unwrap_or(&name.archive).to_owned())),
        ("Digest", digests.manifest),
        ("Image ID", Some(image.image_id.clone())),
        ("OS", Some(os)),
        ("Platform", image.config.platform().map(|platform| platform.to_string())),
        ("Packages", Some(format!("{count} ({})", findings.packages.format.as_str()))),
    ];
    rows.into_iter().filter_map(|(label, value)| Some((label, printable(&value?)))).collect()
}

fn cells(package: &Package) -> [String; 3] {
    let source = package.source.as_ref().map_or_else(String::new, |source| match &source.version {
        Some(version) => format!("{} {version}", source.name),
        None => source.name.clone(),
    });
    [
        printable(&package.name),
        printable(package.version.as_deref().unwrap_or("-")),
        if source.is_empty() { "-".to_owned() } else { printable(&source) },
    ]
}

fn write_rows(text: &mut String, rows: &[[String; 3]]) {
    let titles = ["PACKAGE", "VERSION", "SOURCE"].map(str::to_owned);
    let width = |cell: fn(&[String; 3]) -> &String, max: usize| {
        rows.iter().chain([&titles]).map(|row| cell(row).chars().count()).max().unwrap_or(0).min(max)
    };
    let name_width = width(|[name, _, _]| name, MAX_NAME);
    let version_width = width(|[_, version, _]| version, MAX_VERSION);
    for [name, version, source] in [&titles].into_iter().chain(rows) {
        let _ = writeln!(text, "{name:<name_width$}  {version:<version_width$}  {source}");
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
