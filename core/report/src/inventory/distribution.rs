//! The packages of a distribution, with what really depends on what: a name may be followed by an architecture or a
//! condition, of alternatives one is enough, and what is only replaced isn't needed.

use std::collections::HashMap;

use regent_scan::{Findings, Package, PackageDetail, Packages};

use super::license::Reader;
use super::{Item, Origin, Purl, checked};

/// Keys that rpm lists among its packages.
const RPM_KEY: &str = "gpg-pubkey";

/// The packages of a database that are installed, each with its place there. What they depend on are places in the list
/// that is returned.
pub(super) fn items<'a>(database: &'a Packages, findings: &Findings) -> Vec<(usize, Item<'a>)> {
    let all = database.list.iter().enumerate().filter(|(_, package)| is_installed(package));
    let (places, installed): (Vec<usize>, Vec<&'a Package>) = all.unzip();
    let names = Names::new(&installed);
    let mut licenses = Reader::default();
    let os = findings.os.as_ref();
    let mut item = |package: &&'a Package| Item {
        origin: Origin::Distribution,
        kind: database.format.as_str(),
        namespace: None,
        name: &package.name,
        version: package.version.as_deref(),
        purl: Purl::of_package(package, os).to_string(),
        source: source(package),
        licenses: licenses.read_all_of(&package.licenses, &package.detail),
        hashes: checked(&package.hashes),
        found: vec![(database.path.as_str(), package.layer)],
        depends: names.depends(package),
    };
    places.into_iter().zip(installed.iter().map(&mut item)).collect()
}

fn is_installed(package: &Package) -> bool {
    let is_key = matches!(package.detail, PackageDetail::Rpm { .. }) && package.name == RPM_KEY;
    !package.is_removed && !is_key
}

fn source(package: &Package) -> Option<(&str, Option<&str>)> {
    if let PackageDetail::Rpm { source_rpm, .. } = &package.detail {
        // `name-version-release`, and names may have dashes as well.
        let full = source_rpm.as_deref()?.strip_suffix(".src.rpm")?;
        let (name_and_version, _) = full.rsplit_once('-')?;
        let (name, _) = name_and_version.rsplit_once('-')?;
        return Some((name, full.strip_prefix(name)?.strip_prefix('-')));
    }
    package.source.as_ref().map(|source| (source.name.as_str(), source.version.as_deref()))
}

/// Who answers to which name.
struct Names<'a> {
    packages: &'a [&'a Package],
    own: HashMap<&'a str, Vec<usize>>,
    provided: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Names<'a> {
    fn new(packages: &'a [&'a Package]) -> Self {
        let mut own: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut provided: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, package) in packages.iter().enumerate() {
            own.entry(&package.name).or_default().push(place);
            for name in &package.provides {
                provided.entry(name).or_default().push(place);
            }
        }
        Self { packages, own, provided }
    }

    /// What a package needs and has. Of alternatives the first that is there.
    fn depends(&self, package: &Package) -> Vec<usize> {
        let is_in =
            |list: &[u32], at: usize| u32::try_from(at).is_ok_and(|at| list.binary_search(&at).is_ok());
        let mut depends = Vec::new();
        let mut is_answered = false;
        for (at, name) in package.depends.iter().enumerate() {
            if is_in(&package.replaced, at) {
                continue;
            }
            if is_in(&package.alternatives, at) && is_answered {
                continue;
            }
            let found = self.find(name, package);
            is_answered = found.is_some();
            depends.extend(found);
        }
        depends
    }

    fn find(&self, name: &str, for_whom: &Package) -> Option<usize> {
        let bare = match for_whom.detail {
            PackageDetail::Apk => name.split(['<', '>', '~', '=']).next(),
            PackageDetail::Deb => name.split(':').next(),
            _ => None,
        };
        [Some(name), bare].into_iter().flatten().find_map(|name| {
            let of = |map: &HashMap<&str, Vec<usize>>| self.choose(map.get(name)?, for_whom);
            of(&self.own).or_else(|| of(&self.provided))
        })
    }

    /// Of several packages that of the same architecture, else the first: most have none but one.
    fn choose(&self, places: &[usize], for_whom: &Package) -> Option<usize> {
        let is_alike = |place: &&usize| {
            self.packages.get(**place).is_some_and(|package| package.architecture == for_whom.architecture)
        };
        // A name that very many packages answer to isn't searched: that could take the square of their number.
        places.iter().take(MAX_CANDIDATES).find(is_alike).or(places.first()).copied()
    }
}

/// Packages of one name that are looked at for the right one: there are some ten architectures.
const MAX_CANDIDATES: usize = 16;
