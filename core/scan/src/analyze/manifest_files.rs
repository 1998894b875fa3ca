//! Files that a request's globs name, handed out as they are.

use super::{About, Analyzer, Reported, View, no_pattern};
use crate::finding::{Findings, FoundFile};

/// Bytes of all files that are handed out, at most: they travel in the result.
const MAX_BYTES: usize = 32 << 20;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Files by glob",
        detects: "The content of files, where the request asks for them (`globsToFind`).",
        files: &["what the request names"],
        limits: &["256 globs, 1024 after braces are written out", "4 MiB a file, 32 MiB in all"],
        reported: Reported::Everywhere,
    },
    files: &[],
    directories: &[],
    ends: &[],
    pattern: no_pattern,
    run,
};

/// In merge order, empty files left out. What is too large is a gap.
fn run(view: &View<'_>, findings: &mut Findings) {
    let globs = &view.interest.globs;
    let mut n_bytes = 0;
    for file in view.overlay.files().filter(|file| globs.matches(file.path.as_str())) {
        match &file.kept.content {
            Some(content) if content.is_empty() => {}
            Some(content) if n_bytes + content.len() <= MAX_BYTES => {
                n_bytes += content.len();
                findings.files.push(FoundFile { path: file.path.clone(), content: content.clone() });
            }
            _ => findings.gaps.push(crate::finding::Gap {
                path: file.path.clone(),
                code: "file_too_large",
                reason: "a glob names the file, and it is too large to be handed out with the result"
                    .to_owned(),
            }),
        }
    }
}
