//! Which packages of other ecosystems the distribution's package manager installed: those whose files it lists as its
//! own. A module that is part of `python3-requests` is not there twice.
//!
//! Databases list every file of an image. They are read past, and only the paths that tell of a component are asked
//! for ([`Question`]), by their hashes.

mod apk;
mod index;
mod links;
mod query;

use std::collections::HashMap;

use crate::analyze;
use crate::application::Component;
use crate::capture::CapturedLayer;
use crate::finding::{Findings, Package};
use crate::limits::Limits;
use crate::overlay::Overlay;
use crate::path::{LayerPath, PathHash};

pub use apk::ApkOwned;
pub(crate) use index::PackageIndex;
use query::{Query, Question};

/// A package of the distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackagePlace {
    /// Which of [`Findings::databases`].
    pub database: usize,
    /// Which of its packages.
    pub package: usize,
}

/// What a package says that a path of its is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    File,
    Directory,
}

/// Takes a path of a package, by the package's place in its database.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(usize, PathHash, Declared);

/// Notes of each component which package of the distribution has its files, and of `apk` images what their results tell
/// of that.
///
/// `layers` are those that the findings are of, base layer first, and `overlay` is their merged view.
pub(crate) fn find_owners(
    findings: &mut Findings,
    overlay: &Overlay,
    layers: &[CapturedLayer],
    limits: &Limits,
) {
    let components = || findings.applications.iter().flat_map(|application| &application.components);
    let candidates = apk::candidates(findings);
    if findings.packages.list.is_empty() || (components().next().is_none() && candidates.is_empty()) {
        return;
    }
    let links = links::directory_links(layers, overlay, limits);
    let mut question = Question::new(&links);
    for path in components().flat_map(|component| &component.evidence) {
        question.ask(path);
    }
    for path in candidates.iter().flat_map(|candidate| &candidate.paths) {
        question.ask_with_directories(path);
    }
    let mut query = question.into_query();
    let mut gaps = Vec::new();
    for (database, packages) in findings.databases().enumerate() {
        analyze::files(overlay, packages, &mut gaps, &mut |package, hash, declared| {
            query.tell(PackagePlace { database, package }, hash, declared);
        });
    }
    let databases: Vec<&[Package]> = findings.databases().map(|database| &*database.list).collect();
    let owners: Vec<Option<PackagePlace>> =
        components().map(|component| owner(component, &query, &databases)).collect();
    let apk_owned = apk::owned(&candidates, findings, &query);
    findings.apk_owned = apk_owned;
    findings.gaps.extend(gaps);
    let components = findings.applications.iter_mut().flat_map(|application| &mut application.components);
    for (component, owner) in components.zip(owners) {
        component.owner = owner;
    }
}

/// The package that has all files that tell of a component. Of several, as where one is installed for two
/// architectures, it is the one that the source is named after, else the first.
fn owner(component: &Component, query: &Query<'_>, databases: &[&[Package]]) -> Option<PackagePlace> {
    let (first, others) = component.evidence.split_first()?;
    let mut common = query.files(first).to_vec();
    for path in others {
        let owners = query.files(path);
        common.retain(|place| owners.contains(place));
    }
    let is_main = |place: &&PackagePlace| {
        let package = databases.get(place.database).and_then(|list| list.get(place.package));
        package.is_some_and(is_named_like_its_source)
    };
    common.iter().find(is_main).or(common.first()).copied()
}

fn is_named_like_its_source(package: &Package) -> bool {
    package.source.as_ref().is_some_and(|source| source.name == package.name)
}

/// Takes back owners whose files were replaced: what a newer layer than the package's brought is not the package's,
/// whatever the database says.
pub(crate) fn release_replaced(findings: &mut Findings) {
    let layers: HashMap<PackagePlace, usize> =
        findings
            .databases()
            .enumerate()
            .flat_map(|(database, packages)| {
                packages.list.iter().enumerate().filter_map(move |(package, found)| {
                    Some((PackagePlace { database, package }, found.layer?))
                })
            })
            .collect();
    for component in findings.applications.iter_mut().flat_map(|application| &mut application.components) {
        let layer = component.layer;
        component.owner =
            component.owner.filter(|owner| layers.get(owner).is_none_or(|&installed| layer <= installed));
    }
}

/// All directories on the way to a path, the nearest first, itself before them.
fn with_ancestors(path: &LayerPath) -> impl Iterator<Item = &str> {
    std::iter::once(path.as_str()).chain(path.ancestors())
}

#[cfg(test)]
mod tests;
