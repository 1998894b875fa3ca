//! Everything that is installed, under its own name and with its licence, and what each package gets for its
//! dependencies from Node itself: the nearest directory of that name.

use std::collections::HashMap;

use super::super::range::Range;
use super::super::version::Version;
use super::Installed;
use super::physical::{Place, place_of};
use crate::application::{Component, Ecosystem};

/// Dependencies of one project, at most; those beyond are left out.
const MAX_DEPENDENCIES: usize = 2_000_000;

/// Copies of one package among which a dependency without a directory is looked for.
const MAX_COPIES: usize = 64;

/// The components of a project, in merge order.
pub(super) fn of(packages: &[Installed<'_>]) -> Vec<Component> {
    let placed: Vec<(Place<'_>, &Installed<'_>)> = packages
        .iter()
        .filter(|package| package.manifest.is_readable)
        .filter_map(|package| Some((place_of(package.file.path.as_str())?, package)))
        .collect();
    let directories: HashMap<&str, usize> =
        placed.iter().enumerate().map(|(at, (place, _))| (place.directory, at)).collect();
    let mut copies: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, (place, _)) in placed.iter().enumerate() {
        copies.entry(place.name).or_default().push(at);
    }
    let resolve = |place: &Place<'_>, name: &str, range: &str| {
        nearest(&directories, place.directory, name).or_else(|| {
            // pnpm's links aren't followed: the only copy that fits is what they lead to.
            let range = Range::parse(range)?;
            let copies = copies.get(name).filter(|copies| copies.len() <= MAX_COPIES)?;
            let mut fitting = copies.iter().copied().filter(|&at| {
                let version = placed.get(at).and_then(|(_, copy)| copy.manifest.version.as_deref());
                version.and_then(Version::parse).is_some_and(|version| range.accepts(&version))
            });
            fitting.next().filter(|_| fitting.next().is_none())
        })
    };
    let mut n_dependencies = 0;
    let component = |(place, package): &(Place<'_>, &Installed<'_>)| {
        let manifest = package.manifest;
        let (path, layer) = (package.file.path.clone(), package.file.layer);
        let mut component = Component::new(Ecosystem::Npm, "", manifest.version.clone(), path, layer)
            .with_full_name(manifest.name.as_deref().unwrap_or(place.name));
        component.licenses.extend(manifest.license.clone());
        for (name, range) in manifest.dependencies.iter().chain(manifest.optional_dependencies.iter()) {
            n_dependencies += 1;
            if n_dependencies > MAX_DEPENDENCIES {
                break;
            }
            if let Some(found) = resolve(place, name, range)
                && !component.depends.contains(&found)
            {
                component.depends.push(found);
            }
        }
        component
    };
    placed.iter().map(component).collect()
}

/// The package that Node finds from `directory`. Paths are bounded, and so is the way up.
fn nearest(directories: &HashMap<&str, usize>, directory: &str, name: &str) -> Option<usize> {
    let mut owner = directory;
    loop {
        if let Some(&found) = directories.get(format!("{owner}/node_modules/{name}").as_str()) {
            return Some(found);
        }
        owner = owner.rsplit_once("/node_modules/").map(|(above, _)| above)?;
    }
}
