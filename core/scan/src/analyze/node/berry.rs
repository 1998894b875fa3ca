//! `yarn.lock` of yarn 2 and later ("berry"): YAML, in which a dependency may have a protocol.

mod descriptor;
mod resolutions;

use std::collections::{BTreeSet, HashMap};

use super::manifest::NodeManifest;
use super::walk::{self, Found, Locked, LockedPackage, Wanted};
use super::{Lock, Resolved, Unreadable};
use crate::application::Dependencies;
use crate::yaml::{Yaml, YamlValue};

use descriptor::{forms, split_descriptor};
use resolutions::{Parent, Resolutions};

/// Descriptors of one file, at most: a bound on memory. The largest real files have some twenty thousand.
const MAX_DESCRIPTORS: usize = 100_000;
/// Descriptors of an entry by which `resolutions` may name it as a parent, at most: a bound on time.
const MAX_PARENT_DESCRIPTORS: usize = 64;

/// Reads a lock file of berry.
pub(super) fn read(manifest: &NodeManifest, lock: &Lock<'_>) -> Result<Resolved, Unreadable> {
    let yaml = Yaml::parse(lock.text).map_err(Unreadable::from)?;
    let document = yaml.documents().next().filter(|document| document.is_map());
    let document = document.ok_or_else(|| Unreadable::lock("it holds no map"))?;
    let locked = Berry::new(document, manifest)?;
    let direct = manifest.direct(&[&manifest.dependencies]);
    let all = manifest.direct(&[&manifest.dependencies, &manifest.optional_dependencies]);
    Ok(Resolved {
        dependencies: Dependencies::Graph(walk::graph(&locked, &direct, None)?),
        components: walk::components(&locked, &all, lock),
    })
}

/// `npm:target@range` → `target`. A range alone, `npm:^1.0.0`, is no alias.
fn target(range: &str) -> Option<&str> {
    range.strip_prefix("npm:").and_then(split_descriptor).map(|(name, _)| name)
}

struct Berry<'a> {
    entries: Vec<Entry<'a>>,
    /// By every form of every descriptor.
    places: HashMap<String, usize>,
    resolutions: Resolutions<'a>,
    /// The project's own name.
    name: Option<&'a str>,
}

struct Entry<'a> {
    descriptors: Vec<&'a str>,
    version: Option<&'a str>,
    /// What was chosen, e.g. `name@npm:1.0.0`.
    resolution: Option<&'a str>,
    dependencies: Vec<Wanted<'a>>,
}

impl<'a> Berry<'a> {
    fn new(document: YamlValue<'a>, manifest: &'a NodeManifest) -> Result<Self, Unreadable> {
        let mut entries = Vec::new();
        let mut places = HashMap::new();
        let mut count = 0;
        for (key, value) in document.entries().filter(|(key, _)| *key != "__metadata") {
            count += memchr::memchr_iter(b',', key.as_bytes()).count() + 1;
            if count > MAX_DESCRIPTORS {
                return Err(Unreadable::limit("the file has more packages than are read of one file"));
            }
            let descriptors: Vec<&str> = key.split(',').map(str::trim).collect();
            for &descriptor in &descriptors {
                for form in forms(descriptor) {
                    places.insert(form, entries.len());
                }
            }
            let text = |name| value.get(name).and_then(YamlValue::text);
            entries.push(Entry {
                descriptors,
                version: text("version"),
                resolution: text("resolution"),
                dependencies: value.get("dependencies").map(|map| map.texts().collect()).unwrap_or_default(),
            });
        }
        let name = manifest.name.as_deref();
        Ok(Self { entries, places, resolutions: Resolutions::new(&manifest.resolutions), name })
    }

    /// The name and the descriptors of the package that wants something.
    fn parent(&self, parent: Option<usize>) -> Option<Parent<'_>> {
        match parent {
            None => Some(Parent { name: self.name?, version: None, descriptors: &[] }),
            Some(entry) => {
                let entry = self.entries.get(entry)?;
                let descriptors = entry.descriptors.as_slice();
                Some(Parent {
                    name: split_descriptor(descriptors.first()?)?.0,
                    version: entry.version,
                    descriptors: descriptors.get(..MAX_PARENT_DESCRIPTORS).unwrap_or(descriptors),
                })
            }
        }
    }

    fn found(&self, name: &str, range: &str) -> Found {
        let key = format!("{name}@{range}");
        let entry = self.places.get(&key).copied();
        let (id, version) = match entry.and_then(|place| self.entries.get(place)) {
            None => (key, Some(range.to_owned())),
            Some(Entry { version, .. }) => {
                (format!("{name}@{}", version.unwrap_or("undefined")), version.map(str::to_owned))
            }
        };
        let alias = target(range)
            .map(|target| format!("{name}=>{target}@{}", version.as_deref().unwrap_or_default()));
        Found { id, name: name.to_owned(), version, alias, entry }
    }
}

impl Locked for Berry<'_> {
    fn find(&self, parent: Option<usize>, (name, range): Wanted<'_>) -> Found {
        match self.resolutions.get(self.parent(parent), name, range) {
            Some(resolved) => self.found(name, &resolved),
            None => self.found(name, range),
        }
    }

    /// A resolution may name the range without its protocol, which the lock file writes out.
    fn find_exactly(&self, parent: Option<usize>, (name, range): Wanted<'_>) -> Option<usize> {
        let found = self.find(parent, (name, range));
        found.entry.or_else(|| {
            let bare = range.strip_prefix("npm:")?;
            let resolved = self.resolutions.get(self.parent(parent), name, bare)?;
            self.found(name, &resolved).entry
        })
    }

    fn dependencies(&self, entry: usize) -> Vec<Wanted<'_>> {
        self.entries.get(entry).map(|entry| entry.dependencies.clone()).unwrap_or_default()
    }

    /// Without a hash: the lock file's checksums are of archives that yarn packs itself.
    fn package(&self, entry: usize) -> LockedPackage<'_> {
        let Some(entry) = self.entries.get(entry) else {
            return LockedPackage { name: "", version: None, hashes: BTreeSet::new() };
        };
        let descriptor = entry.resolution.or(entry.descriptors.first().copied()).unwrap_or_default();
        let (name, range) = split_descriptor(descriptor).unwrap_or((descriptor, ""));
        // Packages of the workspace have `0.0.0-use.local` for a version.
        let version = entry.version.filter(|_| !range.starts_with("workspace:"));
        LockedPackage { name, version, hashes: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests;
