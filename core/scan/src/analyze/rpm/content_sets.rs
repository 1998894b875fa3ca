//! Content sets: the repositories that a Red Hat image was built from.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use crate::finding::Gap;
use crate::overlay::Overlay;

/// Where each layer of the build leaves a manifest.
pub(super) const DIRECTORY: &str = "/root/buildinfo/content_manifests";

/// Largest content manifest that is read. Real ones have some KiB; the limit is that of other JSON metadata.
const MAX_MANIFEST_BYTES: usize = 2 << 20;

/// Content sets of one image. Real images have less than a hundred.
const MAX_CONTENT_SETS: usize = 10_000;

#[derive(Deserialize)]
struct ContentManifest {
    #[serde(default)]
    content_sets: Vec<String>,
}

/// The content sets of all manifests, each once, in merge order. Other files that lie there are ignored; one that is
/// named like a manifest and is none is a gap.
pub(super) fn collect(overlay: &Overlay, gaps: &mut Vec<Gap>) -> Vec<String> {
    let mut sets = Vec::new();
    let mut seen = HashSet::new();
    for file in overlay.files().filter(|file| super::super::is_below(file.path.as_str(), DIRECTORY)) {
        let Some(content) = &file.kept.content else { continue };
        match parse(content) {
            Some(more) => {
                let room = MAX_CONTENT_SETS - sets.len();
                sets.extend(more.into_iter().filter(|set| seen.insert(set.clone())).take(room));
            }
            None if is_named_json(file.path.as_str()) => gaps.push(Gap {
                path: file.path.clone(),
                code: "content_manifest_unreadable",
                reason: "the content manifest is no JSON of the expected form; its repositories are missing"
                    .into(),
            }),
            None => {}
        }
    }
    sets
}

fn is_named_json(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// The content sets of one manifest. `None` if it is no such thing.
fn parse(content: &[u8]) -> Option<Vec<String>> {
    let content = Some(content).filter(|content| content.len() <= MAX_MANIFEST_BYTES)?;
    serde_json::from_slice::<ContentManifest>(content).ok().map(|manifest| manifest.content_sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_list_their_content_sets() {
        let rows: &[(&str, Option<&[&str]>)] = &[
            (
                r#"{"metadata": {"icm_version": 1}, "content_sets": ["a", "b", "a"], "image_contents": []}"#,
                Some(&["a", "b", "a"]),
            ),
            ("{}", Some(&[])),
            ("not json\n", None),
            (r#"{"content_sets": "a"}"#, None),
            ("[]", Some(&[])),
            ("", None),
        ];
        for (content, expected) in rows {
            let sets = parse(content.as_bytes());
            let sets: Option<Vec<&str>> = sets.as_ref().map(|sets| sets.iter().map(String::as_str).collect());
            assert_eq!(sets.as_deref(), *expected, "{content}");
        }
    }
}
