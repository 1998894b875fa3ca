//! `yarn.lock` of yarn 1.

mod syntax;

use std::collections::{BTreeSet, HashMap};

use super::integrity;
use super::manifest::NodeManifest;
use super::walk::{self, Found, Locked, LockedPackage, Wanted};
use super::{Lock, Resolved, Unreadable};
use crate::application::{Dependencies, HashAlgorithm};

use syntax::Entry;

/// Reads a lock file of yarn 1.
pub(super) fn read(manifest: &NodeManifest, lock: &Lock<'_>) -> Result<Resolved, Unreadable> {
    let locked = Yarn1::new(syntax::parse(lock.text)?);
    let direct = manifest.direct(&[&manifest.dependencies, &manifest.optional_dependencies]);
    Ok(Resolved {
        dependencies: Dependencies::Graph(walk::graph(&locked, &direct, None)?),
        components: walk::components(&locked, &direct, lock),
    })
}

/// The part of an alias' range that names the package: `npm:target@range` → `target`.
fn target(range: &str) -> Option<&str> {
    let inner = range.strip_prefix("npm:")?;
    Some(split_range(inner).map_or(inner, |(name, _)| name))
}

/// `name@range` → both, where the name may begin with `@`.
fn split_range(text: &str) -> Option<(&str, &str)> {
    let scope_bytes = usize::from(text.starts_with('@'));
    let at = text.get(scope_bytes..)?.find('@')? + scope_bytes;
    Some((text.get(..at)?, text.get(at + 1..)?)).filter(|(name, _)| !name.is_empty())
}

struct Yarn1<'a> {
    entries: Vec<Entry<'a>>,
    /// By each key, `name@range`.
    places: HashMap<String, usize>,
    /// Targets of the keys `name@npm:target@range`, by name and locked version.
    aliases: HashMap<(String, String), String>,
}

impl<'a> Yarn1<'a> {
    fn new(entries: Vec<Entry<'a>>) -> Self {
        let (mut places, mut aliases) = (HashMap::new(), HashMap::new());
        for (place, entry) in entries.iter().enumerate() {
            for key in &entry.keys {
                places.insert(key.to_string(), place);
                if let Some((name, range)) = split_range(key)
                    && let (Some(target), Some(version)) = (target(range), &entry.version)
                {
                    aliases
                        .entry((name.to_owned(), version.to_string()))
                        .or_insert_with(|| target.to_owned());
                }
            }
        }
        Self { entries, places, aliases }
    }
}

impl Locked for Yarn1<'_> {
    fn find(&self, _: Option<usize>, (name, range): Wanted<'_>) -> Found {
        let key = format!("{name}@{range}");
        let entry = self.places.get(&key).copied();
        let (id, version) = match entry.and_then(|place| self.entries.get(place)) {
            None => (key, Some(range.to_owned())),
            Some(Entry { version, .. }) => {
                let version = version.as_deref().map(str::to_owned);
                (format!("{name}@{}", version.as_deref().unwrap_or("undefined")), version)
            }
        };
        let target = target(range).or_else(|| {
            let key = (name.to_owned(), version.clone()?);
            self.aliases.get(&key).map(String::as_str)
        });
        Found {
            id,
            name: target.unwrap_or(name).to_owned(),
            alias: target
                .map(|target| format!("{name}=>{target}@{}", version.as_deref().unwrap_or_default())),
            version,
            entry,
        }
    }

    fn dependencies(&self, entry: usize) -> Vec<Wanted<'_>> {
        let Some(entry) = self.entries.get(entry) else { return Vec::new() };
        merged(
            entry
                .dependencies
                .iter()
                .chain(&entry.optional_dependencies)
                .map(|(name, range)| (&**name, &**range)),
        )
    }

    fn package(&self, entry: usize) -> LockedPackage<'_> {
        let Some(entry) = self.entries.get(entry) else {
            return LockedPackage { name: "", version: None, hashes: BTreeSet::new() };
        };
        let of_alias = |key| split_range(key).and_then(|(_, range)| target(range));
        let first = entry.keys.first().map_or("", |key| key);
        let name = split_range(first).map_or(first, |(name, _)| name);
        let name = entry.keys.iter().find_map(|key| of_alias(key)).unwrap_or(name);
        let mut hashes = entry.integrity.as_deref().map(integrity::hashes).unwrap_or_default();
        hashes.extend(entry.resolved.as_deref().and_then(archive_hash));
        LockedPackage { name, version: entry.version.as_deref(), hashes }
    }
}

/// Of a name that comes twice the last range counts, at the place of the first.
fn merged<'a>(wanted: impl Iterator<Item = Wanted<'a>>) -> Vec<Wanted<'a>> {
    let mut places = HashMap::new();
    let mut list: Vec<Wanted<'_>> = Vec::new();
    for (name, range) in wanted {
        let place = *places.entry(name).or_insert(list.len());
        match list.get_mut(place) {
            Some(known) => known.1 = range,
            None => list.push((name, range)),
        }
    }
    list
}

/// The SHA-1 behind the address of a package archive. Behind that of a repository it would be a commit.
fn archive_hash(resolved: &str) -> Option<(HashAlgorithm, String)> {
    let (address, hash) = resolved.split_once('#')?;
    let is_hash = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && address.starts_with("http") && address.rsplit_once('.').is_some_and(|(_, end)| end == "tgz"))
        .then(|| (HashAlgorithm::Sha1, hash.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
