//! Which packages have which of the paths that are asked for.

use std::collections::HashMap;

use super::links::DirectoryLinks;
use super::{Declared, PackagePlace, with_ancestors};
use crate::path::{LayerPath, PathHash};

/// Owners of one path that are noted. A file has one, or one for each architecture.
const MAX_OWNERS: usize = 8;
/// Paths that are told by one hash: those that links make one.
const MAX_TOLD: usize = 64;
/// Hashes that are asked for, sixteen bytes each. Beyond this, paths are known by what they are and not by links.
const MAX_HASHES: usize = 1_000_000;
/// Directories on the way to a path that are asked for. Paths with more are not from a distribution.
const MAX_DEPTH: usize = 64;

/// Number of a path that is asked for.
type PathNumber = u32;

/// Paths to ask for.
pub(super) struct Question<'p> {
    links: &'p DirectoryLinks,
    numbers: HashMap<&'p str, PathNumber>,
    hashes: Vec<(PathHash, PathNumber)>,
}

/// Paths that are asked for, and what the databases say of them.
pub(super) struct Query<'p> {
    numbers: HashMap<&'p str, PathNumber>,
    /// Sorted.
    hashes: Vec<(PathHash, PathNumber)>,
    found: HashMap<PathNumber, Found>,
}

#[derive(Default)]
struct Found {
    files: Vec<PackagePlace>,
    directories: Vec<PackagePlace>,
}

impl<'p> Question<'p> {
    pub(super) fn new(links: &'p DirectoryLinks) -> Self {
        Self { links, numbers: HashMap::new(), hashes: Vec::new() }
    }

    /// Asks for a path.
    pub(super) fn ask(&mut self, path: &'p LayerPath) {
        self.ask_text(path.as_str());
    }

    /// Asks for a path and all directories on the way to it.
    pub(super) fn ask_with_directories(&mut self, path: &'p LayerPath) {
        for directory in with_ancestors(path).take(MAX_DEPTH) {
            self.ask_text(directory);
        }
    }

    fn ask_text(&mut self, text: &'p str) {
        let Ok(number) = PathNumber::try_from(self.numbers.len()) else { return };
        if self.numbers.contains_key(text) {
            return;
        }
        self.numbers.insert(text, number);
        let path = LayerPath::new(text);
        if self.hashes.len() < MAX_HASHES {
            let aliases = self.links.aliases(&path);
            self.hashes.extend(aliases.iter().map(|alias| (PathHash::of(alias), number)));
        } else {
            self.hashes.push((PathHash::of(&path), number));
        }
    }

    /// Ends the asking: databases may tell now.
    pub(super) fn into_query(self) -> Query<'p> {
        let mut hashes = self.hashes;
        hashes.sort_unstable_by_key(|(hash, number)| (hash.value(), *number));
        Query { numbers: self.numbers, hashes, found: HashMap::new() }
    }
}

impl Query<'_> {
    /// Takes what a database says.
    pub(super) fn tell(&mut self, owner: PackagePlace, hash: PathHash, declared: Declared) {
        let first = self.hashes.partition_point(|(other, _)| other.value() < hash.value());
        let told = self.hashes.iter().skip(first).take(MAX_TOLD).take_while(|(other, _)| *other == hash);
        for (_, number) in told {
            let found = self.found.entry(*number).or_default();
            let owners = match declared {
                Declared::File => &mut found.files,
                Declared::Directory => &mut found.directories,
            };
            if owners.len() < MAX_OWNERS && !owners.contains(&owner) {
                owners.push(owner);
            }
        }
    }

    /// The packages that have a file at this path.
    pub(super) fn files(&self, path: &LayerPath) -> &[PackagePlace] {
        self.found(path.as_str()).map_or(&[], |found| &found.files)
    }

    /// The packages that have a directory at this path.
    pub(super) fn directories(&self, path: &str) -> &[PackagePlace] {
        self.found(path).map_or(&[], |found| &found.directories)
    }

    fn found(&self, path: &str) -> Option<&Found> {
        self.found.get(self.numbers.get(path)?)
    }
}
