//! Packages of a database by what its lists of files call them.

use std::collections::HashMap;

use crate::finding::Package;

/// The packages of one database, by name.
pub(crate) struct PackageIndex<'a> {
    packages: &'a [Package],
    /// Those that are there, in the order of the database. A name may be there for several architectures or versions.
    by_name: HashMap<&'a str, Vec<usize>>,
}

impl<'a> PackageIndex<'a> {
    pub(crate) fn new(packages: &'a [Package]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, package) in packages.iter().enumerate().filter(|(_, package)| !package.is_removed) {
            by_name.entry(&package.name).or_default().push(place);
        }
        Self { packages, by_name }
    }

    /// The first package of that name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<usize> {
        self.all(name)?.first().copied()
    }

    /// The package of that name and architecture.
    pub(crate) fn built_for(&self, name: &[u8], architecture: &str) -> Option<usize> {
        self.find(name, |package| package.architecture.as_deref() == Some(architecture))
    }

    /// The package that is the same as one that was read again.
    pub(crate) fn same(&self, again: &Package) -> Option<usize> {
        self.find(again.name.as_bytes(), |package| {
            package.version == again.version && package.architecture == again.architecture
        })
    }

    fn find(&self, name: &[u8], is_it: impl Fn(&Package) -> bool) -> Option<usize> {
        let is_it = |place: &&usize| self.packages.get(**place).is_some_and(&is_it);
        self.all(name)?.iter().find(is_it).copied()
    }

    fn all(&self, name: &[u8]) -> Option<&[usize]> {
        self.by_name.get(std::str::from_utf8(name).ok()?).map(Vec::as_slice)
    }
}
