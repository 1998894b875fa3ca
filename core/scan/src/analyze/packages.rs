//! A list of packages that hostile databases can't grow without end.

use crate::finding::{Findings, Gap, Package, PackageFormat, Packages};
use crate::path::LayerPath;

/// Packages of one database. The largest real images have some five thousand; what is reported of this many takes some
/// hundred MiB.
const MAX_PACKAGES: usize = 30_000;

/// Names that the packages of one database provide and depend on, together: some ten for each package. Without a bound
/// every byte of a database could become a name of some fifty bytes.
const MAX_NAMES: usize = 300_000;

/// Packages in database order, within limits.
#[derive(Debug, Default)]
pub(super) struct PackageList {
    packages: Vec<Package>,
    n_names: usize,
    is_cut: bool,
}

impl PackageList {
    /// Adds a package.
    pub(super) fn push(&mut self, package: Package) {
        if self.packages.len() < MAX_PACKAGES {
            self.packages.push(package);
        } else {
            self.is_cut = true;
        }
    }

    /// Adds names to a package that will be pushed later; empty ones are left out.
    pub(super) fn add_names<'a>(&mut self, to: &mut Vec<String>, names: impl Iterator<Item = &'a [u8]>) {
        for name in names.filter(|name| !name.is_empty()) {
            if self.n_names == MAX_NAMES {
                self.is_cut = true;
                return;
            }
            self.n_names += 1;
            to.push(super::text::text(name));
        }
    }

    /// The same for names in groups of which one is enough: notes the places of those after the first of each group.
    pub(super) fn add_alternatives<'a, N: Iterator<Item = &'a [u8]>>(
        &mut self,
        to: &mut Vec<String>,
        alternatives: &mut Vec<u32>,
        groups: impl Iterator<Item = N>,
    ) {
        for group in groups {
            let first = to.len();
            self.add_names(to, group);
            alternatives
                .extend((first.saturating_add(1)..to.len()).filter_map(|place| u32::try_from(place).ok()));
        }
    }

    /// Appends another database of the same kind.
    pub(super) fn append(&mut self, other: Self) {
        self.is_cut |= other.is_cut;
        self.n_names += other.n_names;
        for package in other.packages {
            self.push(package);
        }
    }

    /// Whether there is no package.
    pub(super) fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// The packages, to set what only another file tells.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Package> {
        self.packages.iter_mut()
    }

    /// The packages.
    pub(super) fn into_packages(self) -> Vec<Package> {
        self.packages
    }

    /// Makes this the reported list, unless it is empty: then the next database may be. Where one is reported already,
    /// this is a further one.
    pub(super) fn report(self, findings: &mut Findings, format: PackageFormat, path: &str) {
        if self.is_cut {
            findings.gaps.push(Gap {
                path: LayerPath::new(path),
                code: "package_limit_reached",
                reason: format!(
                    "the package database has more than {MAX_PACKAGES} packages or {MAX_NAMES} relations; \
                     the rest was not read"
                ),
            });
        }
        if !self.packages.is_empty() {
            let path = LayerPath::new(path);
            let packages = Packages { format, path, list: self.packages, content_sets: Vec::new() };
            if findings.packages.list.is_empty() {
                findings.packages = packages;
            } else {
                findings.further_packages.push(packages);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::PackageDetail;

    #[test]
    fn a_database_beyond_the_limit_is_reported_as_far_as_it_goes_with_a_gap() {
        let package = Package::new("a", None, PackageDetail::Deb);
        let mut list = PackageList::default();
        for _ in 0..=MAX_PACKAGES {
            list.push(package.clone());
        }
        let mut findings = Findings::default();
        list.report(&mut findings, PackageFormat::Deb, "/var/lib/dpkg/status");
        assert_eq!(findings.packages.list.len(), MAX_PACKAGES);
        assert_eq!(findings.gaps.len(), 1);
        assert_eq!(findings.gaps[0].code, "package_limit_reached");
    }

    #[test]
    fn names_beyond_the_limit_are_left_out() {
        let mut list = PackageList::default();
        let mut names = Vec::new();
        list.add_names(&mut names, std::iter::repeat_n(&b"x"[..], MAX_NAMES + 1));
        assert_eq!(names.len(), MAX_NAMES);
        assert!(list.is_cut);
    }
}
