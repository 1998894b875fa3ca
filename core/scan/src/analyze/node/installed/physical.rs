//! Packages as they lie: which `node_modules` has which, seen as the scanner being replaced sees it.

use std::collections::HashMap;

use super::super::manifest::merged;
use super::super::range::Range;
use super::super::version::Version;
use super::Installed;
use crate::distil::InstalledManifest;
use crate::path::LayerPath;

/// Dependencies that are looked up for one project, at most.
const MAX_LOOKUPS: usize = 2_000_000;

/// Names in `node_modules` that are no packages.
const NO_PACKAGES: [&str; 3] = [".bin", ".DS_Store", "~"];

const MODULES: &str = "/node_modules/";

/// Where a package lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// Its directory.
    pub(super) directory: &'a str,
    /// The directory that has the `node_modules`.
    pub(super) owner: &'a str,
    /// Its directory's name, with the scope.
    pub(super) name: &'a str,
}

/// The place of a package with that `package.json`. `None` for one that lies elsewhere inside a package.
pub(super) fn place_of(path: &str) -> Option<Place<'_>> {
    let directory = path.strip_suffix("/package.json")?;
    let (owner, name) = directory.rsplit_once(MODULES)?;
    let n_parts = if name.starts_with('@') { 2 } else { 1 };
    (name.split('/').count() == n_parts && !NO_PACKAGES.contains(&name)).then_some(Place {
        directory,
        owner,
        name,
    })
}

/// A package in its place; the project itself is one too.
pub(super) struct Package<'a> {
    /// The name inside its `package.json`, or its directory's.
    pub(super) name: &'a str,
    /// What its `package.json` says.
    pub(super) manifest: &'a InstalledManifest,
    version: Option<Version>,
    /// Whose `node_modules` it is in.
    pub(super) parent: Option<usize>,
    /// What is in its `node_modules`, in order of the directories' names.
    pub(super) children: Vec<usize>,
    by_name: HashMap<&'a str, usize>,
}

/// A project's packages; the project has number 0.
pub(super) struct Physical<'a>(pub(super) Vec<Package<'a>>);

impl<'a> Physical<'a> {
    /// Arranges what is below `directory`. Of packages with one name in one `node_modules` the last counts.
    pub(super) fn new(
        root: (&'a str, &'a InstalledManifest),
        directory: &LayerPath,
        packages: &[Installed<'a>],
    ) -> Self {
        let directory = Some(directory.as_str()).filter(|path| *path != "/").unwrap_or_default();
        let mut places: Vec<(Place<'a>, &'a InstalledManifest)> = packages
            .iter()
            .filter(|package| package.manifest.is_readable)
            .filter_map(|package| Some((place_of(package.file.path.as_str())?, package.manifest)))
            .collect();
        // Owners before what they own, and in one `node_modules` by name.
        places.sort_by_cached_key(|(place, _)| {
            (place.owner.matches(MODULES).count(), place.owner, place.name.encode_utf16().collect::<Vec<_>>())
        });
        let package = |name, manifest: &'a InstalledManifest, parent| Package {
            name,
            manifest,
            version: manifest.version.as_deref().and_then(Version::parse),
            parent,
            children: Vec::new(),
            by_name: HashMap::new(),
        };
        let mut list = vec![package(root.0, root.1, None)];
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        for (place, manifest) in places {
            let owner = if place.owner == directory { Some(0) } else { numbers.get(place.owner).copied() };
            let Some(parent) = owner else { continue };
            let number = list.len();
            let name = manifest.name.as_deref().unwrap_or(place.name);
            numbers.insert(place.directory, number);
            list.push(package(name, manifest, Some(parent)));
            if let Some(owner) = list.get_mut(parent) {
                let replaced = owner.by_name.insert(name, number);
                match owner.children.iter_mut().find(|child| replaced == Some(**child)) {
                    Some(child) => *child = number,
                    None => owner.children.push(number),
                }
            }
        }
        Self(list)
    }

    /// For each package the packages that its dependencies come to; `None` if there are too many.
    pub(super) fn resolve(&self) -> Option<Vec<Vec<usize>>> {
        let mut n_lookups = 0;
        let mut all = Vec::with_capacity(self.0.len());
        for (number, package) in self.0.iter().enumerate() {
            let manifest = package.manifest;
            let mut lists = vec![&manifest.dependencies];
            if number == 0 {
                lists.push(&manifest.dev_dependencies);
            }
            lists.push(&manifest.optional_dependencies);
            let wanted = merged(&lists);
            n_lookups += wanted.len();
            if n_lookups > MAX_LOOKUPS {
                return None;
            }
            all.push(wanted.into_iter().filter_map(|(name, range)| self.find(number, name, range)).collect());
        }
        Some(all)
    }

    /// The nearest package of that name whose version is in the range. Paths are bounded, and so is the way up.
    fn find(&self, from: usize, name: &str, range: &str) -> Option<usize> {
        let wanted = Wanted::of(range);
        let mut level = self.0.get(from);
        while let Some(package) = level {
            let found = package.by_name.get(name).copied();
            if let Some(found) = found.filter(|&found| self.0.get(found).is_some_and(|p| wanted.accepts(p))) {
                return Some(found);
            }
            level = package.parent.and_then(|parent| self.0.get(parent));
        }
        None
    }
}

/// What a dependency asks for.
enum Wanted {
    Range(Range),
    /// An address: any version may be what is there.
    Anything,
    /// No range and no address.
    Nothing,
}

impl Wanted {
    fn of(range: &str) -> Self {
        match Range::parse(if range == "latest" { "*" } else { range }) {
            Some(range) => Self::Range(range),
            None if range.contains(":/") => Self::Anything,
            None => Self::Nothing,
        }
    }

    fn accepts(&self, package: &Package<'_>) -> bool {
        match self {
            Self::Range(range) => package.version.as_ref().is_some_and(|version| range.accepts(version)),
            Self::Anything => true,
            Self::Nothing => false,
        }
    }
}
