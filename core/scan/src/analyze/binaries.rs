//! Hashes of key binaries, by which runtimes that no package manager installed are recognised.

use std::collections::HashSet;

use super::{About, Analyzer, Reported, View, Want};
use crate::finding::Findings;

/// Ends of the paths of key binaries. The text counts, not the file name: `addon.node` and `Main.java` too, whose
/// hashes are never recognised and do no harm.
const ENDINGS: [&str; 2] = ["node", "java"];

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Key binaries",
        detects: "SHA-256 of runtimes that may have been copied into the image.",
        files: &["paths that end in node or java"],
        limits: &[],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &ENDINGS,
    pattern,
    run,
};

/// The hash of key binaries.
fn pattern(path: &str) -> Want {
    if is_key_binary(path) { Want::SHA256 } else { Want::NOTHING }
}

fn is_key_binary(path: &str) -> bool {
    ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// Lists each hash once, in merge order.
fn run(view: &View<'_>, findings: &mut Findings) {
    let overlay = view.overlay;
    let mut seen = HashSet::new();
    for file in overlay.files().filter(|file| is_key_binary(file.path.as_str())) {
        if let Some(digest) = &file.kept.sha256
            && seen.insert(digest)
        {
            findings.key_binaries.push(digest.hex().to_owned());
        }
    }
}
