//! `docs/scanning.md` says what the table of analyzers says.
//!
//! The parts between its markers are written anew by `REGENT_WRITE_DOCUMENTS=1 cargo test -p regent-scan --test document`.
#![expect(clippy::disallowed_methods, reason = "a variable asks the test to write the document")]

use std::fmt::Write as _;
use std::path::Path;

use regent_scan::{Limits, Reported, analyzers};

/// Replaces what is between the markers of a part.
fn with_part(document: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = document.split_once(&begin).expect("the document has the part's beginning");
    let (_, after) = rest.split_once(&end).expect("the document has the part's end");
    format!("{before}{begin}\n{part}\n{end}{after}")
}

fn analyzers_part() -> String {
    let mut text = String::from("| | read | detected | limits | where |\n| --- | --- | --- | --- | --- |\n");
    for about in analyzers() {
        let files: Vec<String> = about
            .files
            .iter()
            .map(|file| if file.contains(['/', '*']) { format!("`{file}`") } else { (*file).to_owned() })
            .collect();
        let place = match about.reported {
            Reported::Everywhere => "everywhere",
            Reported::Newer => "scan results with `--compat 9.20`, table, SBOMs",
            Reported::Additions => "table, SBOMs",
        };
        let limits = if about.limits.is_empty() { "–".to_owned() } else { about.limits.join("; ") };
        let _ = writeln!(
            text,
            "| **{}** | {} | {} | {limits} | {place} |",
            about.title,
            files.join("<br>").replace('|', "\\|"),
            about.detects
        );
    }
    text
}

fn limits_part() -> String {
    let Limits {
        kept_file_bytes,
        kept_layer_bytes,
        kept_image_bytes,
        spooled_at_once_bytes,
        spooled_layer_bytes,
        spooled_image_bytes,
        entries,
        path_bytes,
        inflated_bytes,
        inflation_ratio,
        link_depth,
    } = Limits::default();
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let gib = |bytes: u64| format!("{} GiB", bytes >> 30);
    let rows = [
        ("a kept file", mib(kept_file_bytes), "a warning that names the file"),
        ("all that is kept of one layer", mib(kept_layer_bytes), "the scan fails with `limit_exceeded`"),
        ("all that is kept of one image", mib(kept_image_bytes), "the scan fails with `limit_exceeded`"),
        (
            "archives and executables of one layer in temporary files, at one time",
            gib(spooled_at_once_bytes),
            "a warning that names the file",
        ),
        (
            "all that is written to temporary files for one layer",
            gib(spooled_layer_bytes),
            "a warning that names the file, for each that comes behind",
        ),
        (
            "all that is written to temporary files for one image",
            gib(spooled_image_bytes),
            "the scan fails with `limit_exceeded`",
        ),
        ("entries of one layer", entries.to_string(), "the scan fails with `limit_exceeded`"),
        (
            "a path or the target of a link",
            format!("{path_bytes} bytes"),
            "the scan fails with `limit_exceeded`",
        ),
        ("one layer, inflated", gib(inflated_bytes), "the scan fails with `limit_exceeded`"),
        (
            "inflated bytes for each compressed one",
            inflation_ratio.to_string(),
            "the scan fails with `limit_exceeded`",
        ),
        ("links followed to reach one file", link_depth.to_string(), "the link counts as dangling"),
    ];
    let mut text = String::from("| | at most | beyond it |\n| --- | --- | --- |\n");
    for (what, limit, beyond) in rows {
        let _ = writeln!(text, "| {what} | {limit} | {beyond} |");
    }
    text
}

#[test]
fn the_document_says_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scanning.md");
    let document = std::fs::read_to_string(&file).unwrap();
    let expected = with_part(&document, "analyzers", &analyzers_part());
    let expected = with_part(&expected, "limits", &limits_part());
    if std::env::var_os("REGENT_WRITE_DOCUMENTS").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    let document = std::fs::read_to_string(&file).unwrap();
    assert!(
        document == expected,
        "docs/scanning.md is not what the analyzers say: \
         run REGENT_WRITE_DOCUMENTS=1 cargo test -p regent-scan --test document"
    );
}
