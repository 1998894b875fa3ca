//! `pnpm-lock.yaml`, versions 5, 6 and 9.

mod paths;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::integrity;
use super::manifest::NodeManifest;
use super::walk::{self, Found, Locked, LockedPackage, Wanted};
use super::{Lock, MANIFEST, Resolved, Unreadable};
use crate::application::Dependencies;
use crate::yaml::{Yaml, YamlValue};

use paths::Format;

/// Packages of one file, at most: a bound on memory. The largest real files have some ten thousand.
const MAX_PACKAGES: usize = 100_000;

/// What stands where a version is missing.
const NO_VERSION: &str = "undefined";

/// Reads a lock file of pnpm.
pub(super) fn read(manifest: &NodeManifest, lock: &Lock<'_>) -> Result<Resolved, Unreadable> {
    let yaml = Yaml::parse(lock.text).map_err(Unreadable::from)?;
    // pnpm 11 writes a document about itself before that of the packages.
    let document = yaml.documents().rev().find(|document| !document.is_null());
    let document = document.ok_or_else(|| Unreadable::lock("it holds nothing"))?;
    let version = document.get("lockfileVersion").and_then(YamlValue::text).unwrap_or_default();
    let format = Format::of_version(version)
        .ok_or_else(|| Unreadable::lock("its lockfileVersion is not 5, 6 or 9"))?;
    let locked = Pnpm::new(document, format)?;
    let versions = direct_versions(document);
    let direct: Vec<Wanted<'_>> = manifest
        .direct(&[&manifest.dependencies, &manifest.optional_dependencies])
        .into_iter()
        .map(|(name, range)| (name, versions.get(name).copied().unwrap_or(range)))
        .collect();
    let own_id = format!(
        "{}@{}",
        manifest.name.as_deref().unwrap_or(MANIFEST),
        manifest.version.as_deref().unwrap_or(NO_VERSION)
    );
    Ok(Resolved {
        dependencies: Dependencies::Graph(walk::graph(&locked, &direct, Some(&own_id))?),
        components: walk::components(&locked, &direct, lock),
    })
}

/// What the project itself depends on, for production, by name.
fn direct_versions(document: YamlValue<'_>) -> HashMap<&str, &str> {
    let importer = document.get("importers").and_then(|importers| importers.get(".")).unwrap_or(document);
    let lists = ["dependencies", "optionalDependencies"].map(|name| importer.get(name));
    let values = lists.into_iter().flatten().flat_map(YamlValue::entries);
    // Version 5 has the version there, the others a map with it.
    let versions = values.map(|(name, value)| {
        (name, value.text().or_else(|| value.get("version").and_then(YamlValue::text)).unwrap_or(NO_VERSION))
    });
    versions.collect()
}

struct Pnpm<'a> {
    format: Format,
    entries: Vec<Entry<'a>>,
    /// By path as it is written, with its peers.
    by_path: HashMap<&'a str, usize>,
    /// By path without peers: of several the last.
    by_bare_path: HashMap<&'a str, usize>,
    /// By name and version: of several the last.
    by_id: HashMap<String, usize>,
}

struct Entry<'a> {
    name: &'a str,
    version: Option<&'a str>,
    integrity: Option<&'a str>,
    dependencies: Vec<Wanted<'a>>,
}

impl Entry<'_> {
    fn id(&self) -> String {
        format!("{}@{}", self.name, self.version.unwrap_or(NO_VERSION))
    }
}

impl<'a> Pnpm<'a> {
    fn new(document: YamlValue<'a>, format: Format) -> Result<Self, Unreadable> {
        let packages = document.get("packages").into_iter().flat_map(YamlValue::entries);
        let snapshots = document.get("snapshots").filter(|_| format == Format::V9);
        let snapshots = snapshots.into_iter().flat_map(YamlValue::entries);
        let (entries, by_path, by_bare_path) = (Vec::new(), HashMap::new(), HashMap::new());
        let mut pnpm = Self { format, entries, by_path, by_bare_path, by_id: HashMap::new() };
        for (path, package) in packages {
            pnpm.add(path, package, None)?;
        }
        for (path, snapshot) in snapshots {
            let package = pnpm.by_path.get(format.without_peers(path)).copied();
            pnpm.add(path, snapshot, package)?;
        }
        for (place, entry) in pnpm.entries.iter().enumerate() {
            pnpm.by_id.insert(entry.id(), place);
        }
        Ok(pnpm)
    }

    /// Adds an entry; what it doesn't say itself, the entry `package` says.
    fn add(&mut self, path: &'a str, value: YamlValue<'a>, package: Option<usize>) -> Result<(), Unreadable> {
        if self.entries.len() == MAX_PACKAGES {
            return Err(Unreadable::limit("the file has more packages than are read of one file"));
        }
        let bare_path = self.format.without_peers(path);
        let parsed = self.format.parse(bare_path);
        let package = package.and_then(|place| self.entries.get(place));
        let text = |name| value.get(name).and_then(YamlValue::text);
        let lists = ["dependencies", "optionalDependencies"].map(|name| value.get(name));
        let mut dependencies: Vec<Wanted<'_>> = Vec::new();
        for (name, version) in lists.into_iter().flatten().flat_map(YamlValue::entries) {
            dependencies.push((name, version.text().unwrap_or(NO_VERSION)));
        }
        let integrity = value.get("resolution").and_then(|resolution| resolution.get("integrity"));
        let entry = Entry {
            name: text("name")
                .or(package.map(|package| package.name))
                .or(parsed.map(|(name, _)| name))
                .unwrap_or(NO_VERSION),
            version: text("version")
                .or(package.and_then(|package| package.version))
                .or(parsed.map(|(_, version)| version)),
            integrity: integrity.and_then(YamlValue::text).or(package.and_then(|package| package.integrity)),
            dependencies,
        };
        let place = self.entries.len();
        self.by_path.insert(path, place);
        self.by_bare_path.insert(bare_path, place);
        self.entries.push(entry);
        Ok(())
    }

    /// The entry of a dependency, for the peers that it was installed with.
    fn exact(&self, name: &str, version: &str) -> Option<usize> {
        let bare = self.format.without_peers(version);
        let by_path =
            |path: &str, bare: &str| self.by_path.get(path).or_else(|| self.by_bare_path.get(bare)).copied();
        // Aliases, repositories and archives have the whole path for a version.
        by_path(version, bare)
            .or_else(|| by_path(&self.format.path(name, version), &self.format.path(name, bare)))
            .or_else(|| {
                let (name, version) = self.format.parse(bare)?;
                self.by_id.get(&format!("{name}@{version}")).copied()
            })
            .or_else(|| self.by_id.get(&format!("{name}@{bare}")).copied())
    }
}

impl Locked for Pnpm<'_> {
    /// Of the entries of one package for several sets of peers, the last is taken for all of them.
    fn find(&self, _: Option<usize>, (name, version): Wanted<'_>) -> Found {
        let exact = self.exact(name, version).and_then(|place| self.entries.get(place));
        let (name, version, entry) = match exact {
            Some(entry) => {
                let version = Cow::Borrowed(entry.version.unwrap_or(NO_VERSION));
                (entry.name, version, self.by_id.get(&entry.id()).copied())
            }
            None => (name, Cow::Borrowed(self.format.without_peers(version)), None),
        };
        Found {
            id: format!("{name}@{version}"),
            name: name.to_owned(),
            version: Some(version.into_owned()),
            alias: None,
            entry,
        }
    }

    fn find_exactly(&self, _: Option<usize>, (name, version): Wanted<'_>) -> Option<usize> {
        self.exact(name, version)
    }

    fn dependencies(&self, entry: usize) -> Vec<Wanted<'_>> {
        self.entries.get(entry).map(|entry| entry.dependencies.clone()).unwrap_or_default()
    }

    fn package(&self, entry: usize) -> LockedPackage<'_> {
        match self.entries.get(entry) {
            None => LockedPackage { name: "", version: None, hashes: BTreeSet::new() },
            Some(&Entry { name, version, integrity, .. }) => {
                LockedPackage { name, version, hashes: integrity.map(integrity::hashes).unwrap_or_default() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
