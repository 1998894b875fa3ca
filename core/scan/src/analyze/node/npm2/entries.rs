//! The map `packages` of a lock file, and its index by name.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::super::Unreadable;
use super::super::manifest::{NodeManifest, object_of, text, truthy, workspaces};
use super::super::version::Version;
use super::workspaces::Patterns;
use crate::ordered::Pairs;

/// Packages of one lock file, at most. The largest real ones have some ten thousand.
const MAX_ENTRIES: usize = 200_000;

/// Longest place of a package: the longest path there is (`PATH_MAX`).
const MAX_KEY: usize = 4096;

const MODULES: &str = "node_modules/";

/// A name that places and packages share, as a number.
pub(super) type NameId = usize;

/// A package in its place.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Entry {
    /// Its own name, where its place doesn't tell it.
    #[serde(deserialize_with = "text")]
    pub(super) name: Option<String>,
    /// Its version; links have none.
    #[serde(deserialize_with = "text")]
    pub(super) version: Option<String>,
    /// Where it came from; for a link the place that it leads to.
    #[serde(deserialize_with = "text")]
    resolved: Option<String>,
    /// Subresource integrity of its archive.
    #[serde(deserialize_with = "text")]
    pub(super) integrity: Option<String>,
    /// Its licence.
    #[serde(deserialize_with = "text")]
    pub(super) license: Option<String>,
    #[serde(deserialize_with = "truthy", rename = "link")]
    is_link: bool,
    /// Whether another package brought it inside itself.
    #[serde(deserialize_with = "truthy", rename = "inBundle")]
    pub(super) is_in_bundle: bool,
    /// What it depends on.
    pub(super) dependencies: Pairs,
    /// What it depends on where that can be installed.
    pub(super) optional_dependencies: Pairs,
    /// What it brings inside itself.
    #[serde(rename = "bundleDependencies", alias = "bundledDependencies")]
    pub(super) bundles: Bundles,
    /// Of the root alone.
    #[serde(deserialize_with = "workspaces")]
    workspaces: Vec<String>,
    #[serde(skip)]
    parsed_version: Option<Version>,
    /// The packages on the way to its place, outermost first, without itself.
    #[serde(skip)]
    pub(super) way: Vec<NameId>,
    /// Whether its place is in the project's own `node_modules`.
    #[serde(skip)]
    pub(super) is_in_modules: bool,
}

/// Which of its dependencies a package brings inside itself.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Bundles {
    /// These.
    Some(Vec<String>),
    /// All of them, or none.
    All(bool),
    /// Nothing that can be understood.
    Other(IgnoredAny),
}

impl Bundles {
    /// None.
    pub(super) const NONE: Self = Self::All(false);

    /// Whether `name` is among them.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Some(names) => names.iter().any(|known| known == name),
            Self::All(all) => *all,
            Self::Other(_) => false,
        }
    }
}

impl Default for Bundles {
    fn default() -> Self {
        Self::NONE
    }
}

impl Entry {
    /// Its version, if it is one.
    pub(super) fn parsed_version(&self) -> Option<&Version> {
        self.parsed_version.as_ref()
    }
}

/// All packages of a lock file.
#[derive(Debug)]
pub(super) struct Entries {
    list: Vec<Entry>,
    places: HashMap<String, usize>,
    names: HashMap<String, NameId>,
    by_name: HashMap<NameId, Vec<usize>>,
    patterns: Patterns,
}

impl Entries {
    /// Reads the text of a lock file. The workspaces are those of its root, or else those that the manifest names.
    pub(super) fn parse(file: &str, manifest: &NodeManifest) -> Result<Self, Unreadable> {
        let File { packages } = object_of(file)?;
        let Some(Packages(packages)) = packages else {
            return Err(Unreadable::lock("it has no map of packages"));
        };
        let mut entries = Self {
            list: Vec::with_capacity(packages.len()),
            places: HashMap::with_capacity(packages.len()),
            names: HashMap::new(),
            by_name: HashMap::new(),
            patterns: Patterns::new(&manifest.workspaces),
        };
        let mut keys = Vec::with_capacity(packages.len());
        for (key, entry) in packages {
            if key.is_empty() {
                if entry.workspaces.is_empty() {
                    continue;
                }
                entries.patterns = Patterns::new(&entry.workspaces);
                continue;
            }
            if let Some(old) = entries.places.get(&key).and_then(|&at| entries.list.get_mut(at)) {
                *old = entry;
                continue;
            }
            entries.places.insert(key.clone(), entries.list.len());
            keys.push(key);
            entries.list.push(entry);
        }
        for (at, key) in keys.iter().enumerate() {
            entries.index(at, key);
        }
        Ok(entries)
    }

    fn index(&mut self, at: usize, key: &str) {
        let way = self.way(key);
        let own = key.rsplit(MODULES).next().filter(|own| own.len() < key.len()).map(str::to_owned);
        let Some(entry) = self.list.get_mut(at) else { return };
        entry.is_in_modules = key.starts_with(MODULES);
        entry.way = way;
        entry.parsed_version = entry.version.as_deref().and_then(Version::parse);
        let name = entry.name.clone().filter(|name| own.as_ref() != Some(name));
        for name in own.into_iter().chain(name) {
            let id = self.id(&name);
            self.by_name.entry(id).or_default().push(at);
        }
    }

    /// The names of the packages on the way to a place.
    fn way(&mut self, key: &str) -> Vec<NameId> {
        let mut way = Vec::new();
        let mut from = if key.starts_with(MODULES) { MODULES.len() } else { 0 };
        while let Some((segment, _)) = key.get(from..).and_then(|rest| rest.split_once("/node_modules/")) {
            let to = from + segment.len();
            let owner = key.get(..to).and_then(|place| self.places.get(place));
            let name = owner.and_then(|&at| self.list.get(at)).and_then(|owner| owner.name.clone());
            let id = self.id(&name.unwrap_or_else(|| segment.to_owned()));
            way.push(id);
            from = to + "/node_modules/".len();
        }
        way
    }

    fn id(&mut self, name: &str) -> NameId {
        if let Some(&id) = self.names.get(name) {
            return id;
        }
        self.names.insert(name.to_owned(), self.names.len());
        self.names.len() - 1
    }

    /// The number of a name, unless nothing here has it.
    pub(super) fn name_id(&self, name: &str) -> Option<NameId> {
        self.names.get(name).copied()
    }

    /// The packages whose own name, or whose directory's name, is `name`; in order of the file.
    pub(super) fn named(&self, name: &str) -> Vec<&Entry> {
        let found = self.name_id(name).and_then(|id| self.by_name.get(&id));
        found.into_iter().flatten().filter_map(|&at| self.list.get(at)).collect()
    }

    /// What a link to a workspace leads to; anything else is itself.
    pub(super) fn behind_workspace_link<'a>(&'a self, entry: &'a Entry) -> &'a Entry {
        let target = entry.resolved.as_deref().filter(|_| entry.is_link);
        target
            .filter(|target| self.patterns.match_path(target))
            .and_then(|target| self.list.get(*self.places.get(target)?))
            .unwrap_or(entry)
    }
}

#[derive(Deserialize)]
struct File {
    packages: Option<Packages>,
}

/// In order of the file.
struct Packages(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Packages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PackagesVisitor)
    }
}

struct PackagesVisitor;

impl<'de> Visitor<'de> for PackagesVisitor {
    type Value = Packages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of packages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Packages, A::Error> {
        let mut list = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if list.len() == MAX_ENTRIES || key.len() > MAX_KEY {
                return Err(A::Error::custom("more packages, or longer places, than are read of one file"));
            }
            list.push((key, map.next_value()?));
        }
        Ok(Packages(list))
    }
}
