//! Which of the artifacts in an archive is the archive itself. The others were merged into it.

use crate::distil::{ArchiveContent, Coordinates};

/// The place of the archive's own artifact as results have it.
///
/// The scanner being replaced takes an artifact whose ID stands anywhere in the location, and of several the last.
/// That is kept where nothing better is known; but an artifact that the file is named after comes first, so that
/// `/opt/gson/lib/tool.jar` is not taken for gson.
pub(super) fn of_location(location: &str, artifacts: &[Coordinates]) -> Option<usize> {
    let stem = stem(location);
    let candidates = artifacts.iter().enumerate().filter(|(_, own)| location.contains(&own.artifact));
    let best = candidates.max_by_key(|&(place, own)| {
        let match_of_name = NameMatch::of(stem, own).filter(|found| *found != NameMatch::Beginning);
        (match_of_name, place)
    });
    best.map(|(place, _)| place)
}

/// The same for those who want to know what is really there: directories say nothing about a file in them.
pub(super) fn of_content(name: &str, content: &ArchiveContent) -> Option<usize> {
    let stem = stem(name);
    let artifacts = content.artifacts.iter().enumerate();
    let by_name = artifacts
        .filter_map(|(place, own)| Some((NameMatch::of(stem, own)?, own.artifact.len(), place)))
        .max()
        .map(|(_, _, place)| place);
    by_name.or_else(|| match content.artifacts.as_slice() {
        // A file that was renamed, as applications are (`app.jar`), unless its manifest has another name for it.
        [only] if is_named(content, only) => Some(0),
        _ => None,
    })
}

/// How a file's name matches an artifact, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NameMatch {
    /// `gson-2.8.9-sources`, `gson-shaded`.
    Beginning,
    /// `gson`.
    Artifact,
    /// `gson-2.8.9`.
    ArtifactAndVersion,
}

impl NameMatch {
    fn of(stem: &str, own: &Coordinates) -> Option<Self> {
        let rest = stem.strip_prefix(own.artifact.as_str())?;
        match rest.strip_prefix(['-', '_', '.']) {
            None if rest.is_empty() => Some(Self::Artifact),
            None => None,
            Some(version) if version == own.version => Some(Self::ArtifactAndVersion),
            Some(_) => Some(Self::Beginning),
        }
    }
}

/// Whether the manifest names the artifact, or nothing.
fn is_named(content: &ArchiveContent, own: &Coordinates) -> bool {
    let dotted = |text: &str| text.replace(['-', '_'], ".");
    let manifest = &content.manifest;
    let title = manifest.implementation_title.as_deref().filter(|title| is_word(title));
    let name = title.or(manifest.bundle_symbolic_name.as_deref());
    name.is_none_or(|name| dotted(name).contains(&dotted(&own.artifact)))
}

/// Whether a title is a name and not a phrase for people.
pub(super) fn is_word(title: &str) -> bool {
    title.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The file's name without its suffix.
pub(super) fn stem(location: &str) -> &str {
    let name = location.rsplit('/').next().unwrap_or_default();
    name.len().checked_sub(4).and_then(|at| name.get(..at)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distil::JarManifest;

    /// IDs and versions.
    type Names = &'static [(&'static str, &'static str)];

    fn artifacts(names: Names) -> Vec<Coordinates> {
        let of = |&(artifact, version): &(&str, &str)| Coordinates {
            group: "g".into(),
            artifact: artifact.into(),
            version: version.into(),
        };
        names.iter().map(of).collect()
    }

    #[test]
    fn the_artifact_that_the_file_is_named_after_comes_first_then_the_last_in_the_path() {
        let rows: [(&str, Names, Option<usize>); 9] = [
            ("/opt/gson/lib/tool.jar", &[("tool", "2.0"), ("gson", "2.8.9")], Some(0)),
            ("/opt/core-utils.jar", &[("core", "1"), ("core-utils", "2"), ("utils", "3")], Some(1)),
            ("/a/csv-1.9.jar", &[("csv", "1.8"), ("csv", "1.9"), ("csv", "2.0")], Some(1)),
            ("/a/csv.jar", &[("csv", "1.8"), ("a", "1")], Some(0)),
            ("/opt/gson/lib/x.jar", &[("gson", "1")], Some(0)),
            ("/a/lib/tool-shaded.jar", &[("tool", "2"), ("gson", "1")], Some(0)),
            ("/a/core-utils-all.jar", &[("core-utils", "2"), ("utils", "3")], Some(1)),
            ("/a/x.jar/lib/b-1.jar", &[("x", "1"), ("b", "1")], Some(1)),
            ("/a/b.jar", &[("gson", "1")], None),
        ];
        for (location, names, expected) in rows {
            assert_eq!(of_location(location, &artifacts(names)), expected, "{location}");
        }
    }

    #[test]
    fn what_is_really_there_is_told_by_the_file_name_and_the_manifest() {
        let rows: [(&str, Names, Option<&str>, Option<usize>); 6] = [
            ("core-utils-all.jar", &[("core", "1"), ("core-utils", "2"), ("utils", "3")], None, Some(1)),
            ("app.jar", &[("shop", "1")], None, Some(0)),
            ("app.jar", &[("shop", "1")], Some("shop"), Some(0)),
            ("app.jar", &[("shop", "1")], Some("A Web Shop"), Some(0)),
            ("tool.jar", &[("gson", "1")], Some("tool"), None),
            ("tool.jar", &[("gson", "1"), ("guava", "1")], None, None),
        ];
        for (name, names, title, expected) in rows {
            let content = ArchiveContent {
                artifacts: artifacts(names),
                manifest: JarManifest {
                    implementation_title: title.map(str::to_owned),
                    ..JarManifest::default()
                },
                ..ArchiveContent::default()
            };
            assert_eq!(of_content(name, &content), expected, "{name} {title:?}");
        }
    }
}
