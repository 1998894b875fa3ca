//! Which layer brought a package of the distribution.

use std::collections::HashMap;

use crate::analyze;
use crate::capture::{CapturedLayer, EntryKind};
use crate::finding::{Findings, Package, PackageFormat, Packages};
use crate::limits::Limits;
use crate::overlay::Overlay;
use crate::ownership;

/// States of the database that are looked at. Images have some ten layers with a database; of one with more than
/// this, packages are attributed to the newest states only.
const MAX_STATES: usize = 64;

/// Says of each package of the distribution which layer brought it, and of each component which of those packages has its
/// files, if one has.
///
/// `layers` are those that the findings are of, base layer first, and `overlay` is their merged view.
pub fn attribute(findings: &mut Findings, overlay: Overlay, layers: &[CapturedLayer], limits: &Limits) {
    ownership::find_owners(findings, &overlay, layers, limits);
    // Other views are made now, and one at a time is enough to have in memory.
    drop(overlay);
    attribute_packages(findings, layers, limits);
    ownership::release_replaced(findings);
}

/// Says of each package which layer brought it: the newest one whose copy of the database introduced that version,
/// also where it had been there before and was gone in between.
///
/// `layers` are those that the findings are of, base layer first. The database is read once more for each layer that
/// has a copy of it, or changes something about its files.
fn attribute_packages(findings: &mut Findings, layers: &[CapturedLayer], limits: &Limits) {
    if findings.packages.list.is_empty() {
        return;
    }
    let changing: Vec<usize> = (0..layers.len()).filter(|&layer| changes_database(layers, layer)).collect();
    let states = changing.get(changing.len().saturating_sub(MAX_STATES)..).unwrap_or_default();
    let mut brought: HashMap<Key, usize> = HashMap::new();
    for &layer in states {
        let Some(below) = layers.get(..=layer) else { continue };
        // What the newest state has is what was found.
        let packages = if Some(&layer) == states.last() {
            keys(findings.databases())
        } else {
            keys(&analyze::databases(&Overlay::new(below, limits).0))
        };
        let now = packages.into_iter().map(|key| {
            let since = brought.get(&key).copied().unwrap_or(layer);
            (key, since)
        });
        brought = now.collect();
    }
    for database in findings.databases_mut() {
        let format = database.format;
        for package in &mut database.list {
            package.layer = brought.get(&key(format, package)).copied();
        }
    }
}

/// What stays the same of a package from layer to layer.
type Key = (PackageFormat, String, Option<String>);

fn key(format: PackageFormat, package: &Package) -> Key {
    (format, package.name.clone(), package.version.clone())
}

fn keys<'a>(databases: impl IntoIterator<Item = &'a Packages>) -> Vec<Key> {
    let of_one = |database: &'a Packages| database.list.iter().map(|package| key(database.format, package));
    databases.into_iter().flat_map(of_one).collect()
}

/// Whether a layer has a file of a database, a link that may stand for one, or something that may hide one. Links lead
/// anywhere, so that each counts whose own path is one of a database or a directory above one.
fn changes_database(layers: &[CapturedLayer], layer: usize) -> bool {
    let Some(captured) = layers.get(layer) else { return false };
    captured.capture.entries.iter().any(|entry| {
        let path = entry.path.as_str();
        match entry.kind {
            EntryKind::File(_) | EntryKind::HardLink(_) => analyze::is_database(path),
            EntryKind::Symlink(_) | EntryKind::Whiteout | EntryKind::Opaque => {
                analyze::is_database(path) || analyze::is_above_database(path)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::tests::{captured_layers, file};
    use crate::capture::Entry;
    use crate::path::LayerPath;
    use crate::{Interest, analyze};

    const STATUS: &str = "/var/lib/dpkg/status";

    fn status(packages: &[(&str, &str)]) -> Entry {
        let stanza = |(name, version): &(&str, &str)| format!("Package: {name}\nVersion: {version}\n");
        let text = packages.iter().map(stanza).collect::<Vec<_>>().join("\n");
        file(STATUS, text.as_bytes())
    }

    fn brought(layers: Vec<Vec<Entry>>) -> Vec<(String, Option<usize>)> {
        let layers = captured_layers(layers.into_iter());
        let (overlay, _) = Overlay::new(&layers, &Limits::default());
        let mut findings = analyze(&overlay, &Interest::default());
        attribute_packages(&mut findings, &layers, &Limits::default());
        findings.packages.list.into_iter().map(|package| (package.name, package.layer)).collect()
    }

    fn named(expected: &[(&str, usize)]) -> Vec<(String, Option<usize>)> {
        expected.iter().map(|(name, layer)| ((*name).to_owned(), Some(*layer))).collect()
    }

    #[test]
    fn a_package_is_of_the_layer_that_brought_its_version_last() {
        let layers = vec![
            vec![status(&[("base", "1"), ("changed", "1"), ("back", "1")])],
            vec![file("/usr/bin/node", b"unrelated")],
            vec![status(&[("base", "1"), ("changed", "2"), ("new", "1")])],
            vec![status(&[("base", "1"), ("changed", "2"), ("new", "1"), ("back", "1")])],
        ];
        assert_eq!(brought(layers), named(&[("base", 0), ("changed", 2), ("new", 2), ("back", 3)]));
    }

    #[test]
    fn a_removed_database_brings_everything_anew() {
        let gone = Entry { path: LayerPath::new("/var/lib/dpkg"), kind: EntryKind::Whiteout };
        let layers = vec![vec![status(&[("a", "1")])], vec![gone], vec![status(&[("a", "1")])]];
        assert_eq!(brought(layers), named(&[("a", 2)]));
    }

    #[test]
    fn with_very_many_states_the_newest_decide() {
        let layers = (0..200).map(|n| vec![status(&[("a", "1"), ("b", &n.to_string())])]).collect();
        assert_eq!(brought(layers), named(&[("a", 200 - MAX_STATES), ("b", 199)]));
    }
}
