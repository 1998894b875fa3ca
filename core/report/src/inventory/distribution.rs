//! The packages of a distribution, with what really depends on what: a name may be followed by an architecture or a
//! condition, of alternatives one is enough, and what is only replaced isn't needed.

use std::collections::{BTreeSet, HashMap};

use regent_scan::{Findings, Package, PackageDetail, Packages};

use super::license::Reader;
use super::{Item, Origin, Purl, checked};

/// Keys that rpm lists among its packages.
const RPM_KEY: &str = "gpg-pubkey";

/// The packages of a database that are installed, each with its place there. What they depend on are places in the list
/// that is returned.
pub(super) fn items(database: &Packages, findings: &Findings) -> Vec<(usize, Item)> {
    let all = database.list.iter().enumerate().filter(|(_, package)| is_installed(package));
    let (places, installed): (Vec<usize>, Vec<&Package>) = all.unzip();
    let names = Names::new(&installed);
    let mut licenses = Reader::default();
    let os = findings.os.as_ref();
    let mut item = |package: &&Package| Item {
        origin: Origin::Distribution,
        kind: database.format.as_str(),
        namespace: None,
        name: package.name.clone(),
        version: package.version.clone(),
        purl: Purl::of_package(package, os).to_string(),
        source: source(package),
        licenses: licenses.read_all_of(&package.licenses, &package.detail),
        hashes: checked(&package.hashes),
        found: [(database.path.as_str().to_owned(), package.layer)].into(),
        depends: names.depends(package),
    };
    places.into_iter().zip(installed.iter().map(&mut item)).collect()
}

fn is_installed(package: &Package) -> bool {
    let is_key = matches!(package.detail, PackageDetail::Rpm { .. }) && package.name == RPM_KEY;
    !package.is_removed && !is_key
}

fn source(package: &Package) -> Option<(String, Option<String>)> {
    if let PackageDetail::Rpm { source_rpm, .. } = &package.detail {
        let (name_version, release) = source_rpm.as_deref()?.strip_suffix(".src.rpm")?.rsplit_once('-')?;
        let (name, version) = name_version.rsplit_once('-')?;
        return Some((name.to_owned(), Some(format!("{version}-{release}"))));
    }
    package.source.as_ref().map(|source| (source.name.clone(), source.version.clone()))
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
    fn depends(&self, package: &Package) -> BTreeSet<usize> {
        let is_in =
            |list: &[u32], at: usize| u32::try_from(at).is_ok_and(|at| list.binary_search(&at).is_ok());
        let mut depends = BTreeSet::new();
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
