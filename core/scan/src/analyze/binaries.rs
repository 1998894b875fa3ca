//! Hashes of key binaries, by which runtimes that no package manager installed are recognised.

use std::collections::HashSet;

use super::Want;
use crate::finding::Findings;
use crate::overlay::Overlay;

/// Ends of the paths of key binaries. The text counts, not the file name: `addon.node` and `Main.java` too, whose
/// hashes are never recognised and do no harm.
const ENDINGS: [&str; 2] = ["node", "java"];

/// The hash of key binaries.
pub(super) fn pattern(path: &str) -> Want {
    Want { content: false, sha256: is_key_binary(path) }
}

fn is_key_binary(path: &str) -> bool {
    ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// Lists each hash once, in merge order.
pub(super) fn run(overlay: &Overlay, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for file in overlay.files().filter(|file| is_key_binary(file.path.as_str())) {
        if let Some(digest) = &file.kept.sha256
            && seen.insert(digest)
        {
            findings.key_binaries.push(digest.hex().to_owned());
        }
    }
}
