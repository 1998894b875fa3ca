//! `package-lock.json` of versions 2 and 3: a flat map from places in `node_modules` to packages.

mod entries;
mod overrides;
mod place;
mod workspaces;

use std::collections::HashMap;

use super::manifest::{NodeManifest, merged};
use super::{Lock, Resolved, Unreadable, integrity};
use crate::application::Dependencies;
use crate::graph::{Graph, GraphPlace};

use entries::{Bundles, Entries, Entry};
use overrides::Overrides;
use place::Ancestors;

/// Reads the lock file for what the manifest requires.
pub(super) fn read(manifest: &NodeManifest, lock: &Lock<'_>) -> Result<Resolved, Unreadable> {
    let entries = Entries::parse(lock.text, manifest)?;
    let direct = manifest.direct(&[
        &manifest.dependencies,
        &manifest.optional_dependencies,
        &manifest.peer_dependencies,
    ]);
    let mut walk = Walk {
        entries: &entries,
        overrides: Overrides::new(manifest),
        graph: Graph::default(),
        ancestors: Ancestors::default(),
        reached: Vec::new(),
    };
    walk.run(direct)?;
    let Walk { graph, reached, .. } = walk;
    let places: HashMap<GraphPlace, usize> =
        reached.iter().enumerate().map(|(at, (place, _))| (*place, at)).collect();
    let component = |&(place, entry): &(GraphPlace, &Entry)| {
        let name = graph.node(place).map(|node| node.name.as_str()).unwrap_or_default();
        let mut component = lock.component(name, "");
        // Links have none.
        component.version.clone_from(&entry.version);
        component.licenses.extend(entry.license.clone());
        component.hashes = integrity::hashes(entry.integrity.as_deref().unwrap_or_default());
        let depends = graph.depends(place).iter().filter_map(|child| places.get(child).copied());
        component.depends = depends.collect();
        component
    };
    let components = reached.iter().map(component).collect();
    Ok(Resolved { dependencies: Dependencies::Graph(graph), components })
}

/// Depth first over the dependencies: each package with one name and version is looked into once.
struct Walk<'a> {
    entries: &'a Entries,
    overrides: Overrides<'a>,
    graph: Graph,
    ancestors: Ancestors<'a>,
    /// The packages that the lock file has.
    reached: Vec<(GraphPlace, &'a Entry)>,
}

/// A package whose dependencies are being followed.
struct Open<'a> {
    place: Option<GraphPlace>,
    waiting: std::vec::IntoIter<(&'a str, &'a str)>,
    bundles: &'a Bundles,
}

/// What a dependency comes to.
struct Child<'a> {
    id: String,
    name: String,
    version: String,
    labels: Vec<(&'static str, String)>,
    entry: Option<&'a Entry>,
}

impl<'a> Walk<'a> {
    fn run(&mut self, direct: Vec<(&'a str, &'a str)>) -> Result<(), Unreadable> {
        let mut open = vec![Open { place: None, waiting: direct.into_iter(), bundles: &Bundles::NONE }];
        while let Some(top) = open.last_mut() {
            let Some((name, range)) = top.waiting.next() else {
                open.pop();
                self.ancestors.pop();
                continue;
            };
            let child = self.child(name, range, top.bundles.has(name))?;
            let is_new = self.graph.find(&child.id).is_none();
            let Some(place) = self.graph.add(&child.id, &child.name, Some(&child.version), child.labels)
            else {
                return Ok(());
            };
            self.graph.connect(top.place, place);
            let Some(entry) = child.entry.filter(|_| is_new) else { continue };
            self.reached.push((place, entry));
            self.ancestors.push(self.entries, child.name, entry);
            open.push(Open {
                place: Some(place),
                waiting: merged(&[&entry.dependencies, &entry.optional_dependencies]).into_iter(),
                bundles: &entry.bundles,
            });
        }
        Ok(())
    }

    /// The package that dependency `name` with `range` means below the current ancestors.
    fn child(&mut self, name: &'a str, range: &'a str, is_bundled: bool) -> Result<Child<'a>, Unreadable> {
        let range = self.overrides.range(name, range, &mut self.ancestors)?;
        let (alias, wanted) = match range.strip_prefix("npm:").map(split_range) {
            Some((target, inner)) => (Some(target), inner),
            None => (None, range),
        };
        let mut labels = vec![("scope", "prod".to_owned())];
        let Some(entry) = self.ancestors.find(self.entries, name, wanted)? else {
            let mut version = String::new();
            if !is_bundled {
                wanted.clone_into(&mut version);
                labels.push(("missingLockFileEntry", "true".to_owned()));
            }
            return Ok(Child {
                id: format!("{name}@{wanted}"),
                name: name.to_owned(),
                version,
                labels,
                entry: None,
            });
        };
        let entry = self.entries.behind_workspace_link(entry);
        let alias_name = name;
        let name = entry.name.as_deref().or(alias).unwrap_or(name);
        // As written by the scanner being replaced where an entry has no version.
        let version = entry.version.as_deref().unwrap_or("undefined");
        if let Some(target) = alias {
            labels.push(("alias", format!("{alias_name}=>{target}@{version}")));
        }
        Ok(Child {
            id: format!("{name}@{version}"),
            name: name.to_owned(),
            version: version.to_owned(),
            labels,
            entry: Some(entry),
        })
    }
}

/// `name@range` → both; the range is empty where there is none.
fn split_range(text: &str) -> (&str, &str) {
    match text.rsplit_once('@') {
        Some((name, range)) if !name.is_empty() => (name, range),
        _ => (text, ""),
    }
}

#[cfg(test)]
mod tests;
