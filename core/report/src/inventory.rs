//! What is in an image, for people and for SBOMs: the distribution's packages and those of applications in one list,
//! each once, with where it was found.
//!
//! Scan results repeat what the scanner being replaced says; this list says what is there. Packages that are removed
//! are not in it, and those of all databases, architectures and versions are.

mod distribution;
mod license;
mod purl;

use std::collections::{BTreeSet, HashMap};

use regent_scan::{Component, Findings, HashAlgorithm, PackagePlace};

pub(crate) use license::License;
pub(crate) use purl::{Purl, image_purl};

use crate::applications::is_included;
use crate::options::{Flag, Options};

/// Everything in an image, in a defined order: the distribution's packages first, then by kind and name. Texts are
/// those of the findings, since an image may have very many packages.
#[derive(Debug, Default)]
pub(crate) struct Inventory<'a> {
    /// The packages.
    pub(crate) items: Vec<Item<'a>>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// Whose package it is.
    pub(crate) origin: Origin,
    /// The type of its package URL, which is the name of its ecosystem.
    pub(crate) kind: &'static str,
    /// The part before its name: an npm scope, a Maven group. Of an application's package only.
    pub(crate) namespace: Option<&'a str>,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its version.
    pub(crate) version: Option<&'a str>,
    /// Its package URL.
    pub(crate) purl: String,
    /// Name and version of its source package.
    pub(crate) source: Option<(&'a str, Option<&'a str>)>,
    /// Its licences, each once.
    pub(crate) licenses: Vec<License>,
    /// Hashes of what was installed, in lower-case hexadecimal, each of the length that its algorithm has. Sorted.
    pub(crate) hashes: Vec<(HashAlgorithm, &'a str)>,
    /// The files that tell of it, each with the layer that brought the package there. Sorted, each file once.
    pub(crate) found: Vec<(&'a str, Option<usize>)>,
    /// What it depends on: places in the list. Sorted, each once.
    pub(crate) depends: Vec<usize>,
}

/// Whose package one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The distribution's.
    Distribution,
    /// An application's.
    Application,
}

impl<'a> Item<'a> {
    /// The lowest layer that brought it.
    pub(crate) fn layer(&self) -> Option<usize> {
        self.found.iter().filter_map(|(_, layer)| *layer).min()
    }

    /// Its name with the part before it, as its ecosystem writes it.
    pub(crate) fn full_name(&self) -> String {
        match self.namespace {
            Some(namespace) if self.kind == "maven" => format!("{namespace}:{}", self.name),
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// Takes in what another one tells of the same package.
    fn merge(&mut self, other: Self) {
        for license in other.licenses {
            if !self.licenses.contains(&license) {
                self.licenses.push(license);
            }
        }
        self.found.extend(other.found);
        self.depends.extend(other.depends);
    }

    fn key(&self) -> impl Ord + use<'_, 'a> {
        ((self.origin, self.kind, self.namespace, self.name), (self.version, &self.purl, &self.hashes))
    }
}

impl<'a> Inventory<'a> {
    /// Makes the list. Options that leave results out leave their packages out.
    pub(crate) fn new(findings: &'a Findings, options: &Options) -> Self {
        let mut list = Collector::default();
        let mut owners = HashMap::new();
        for (n, database) in findings.databases().enumerate() {
            let items = distribution::items(database, findings);
            let (packages, items): (Vec<usize>, Vec<Item<'_>>) = items.into_iter().unzip();
            let places = list.add_all(items.into_iter().map(Ok));
            let packages = packages.into_iter().map(|package| PackagePlace { database: n, package });
            owners.extend(packages.zip(places));
        }
        if !options.has(Flag::ExcludeAppVulns) {
            let mut licenses = license::Reader::default();
            for application in findings.applications.iter().filter(|a| is_included(a, options)) {
                // What a package of the distribution has is a part of it, and no package of its own.
                list.add_all(application.components.iter().map(|component| {
                    match component.owner.and_then(|owner| owners.get(&owner)) {
                        Some(&of) => Err(PartOf(of)),
                        None => Ok(item(component, &mut licenses)),
                    }
                }));
            }
        }
        list.finish()
    }

    /// For every package whether none depends on it, or only such as depend on each other: what the image itself needs
    /// to be told to have, so that everything can be reached from it.
    pub(crate) fn top_level(&self) -> Vec<usize> {
        let mut is_needed = vec![false; self.items.len()];
        for (place, item) in self.items.iter().enumerate() {
            for &other in item.depends.iter().filter(|&&other| other != place) {
                if let Some(needed) = is_needed.get_mut(other) {
                    *needed = true;
                }
            }
        }
        let mut is_reached = vec![false; self.items.len()];
        let mut top = Vec::new();
        let first = (0..self.items.len()).filter(|&place| is_needed.get(place) == Some(&false));
        // What is in no one's reach after those is in a circle, whose first member stands for all.
        for place in first.chain(0..self.items.len()) {
            if is_reached.get(place) == Some(&true) {
                continue;
            }
            top.push(place);
            let mut open = vec![place];
            while let Some(place) = open.pop() {
                let Some(reached) = is_reached.get_mut(place).filter(|reached| !**reached) else { continue };
                *reached = true;
                open.extend(self.items.get(place).into_iter().flat_map(|item| &item.depends));
            }
        }
        top
    }
}

/// A package of an application. What it depends on are places in the application's list.
fn item<'a>(component: &'a Component, licenses: &mut license::Reader) -> Item<'a> {
    Item {
        origin: Origin::Application,
        kind: component.ecosystem.purl_type(),
        namespace: component.namespace.as_deref(),
        name: &component.name,
        version: component.version.as_deref(),
        purl: Purl::of_component(component).to_string(),
        source: None,
        licenses: licenses.read_all(&component.licenses),
        hashes: checked(&component.hashes),
        found: component.evidence.iter().map(|path| (path.as_str(), Some(component.layer))).collect(),
        depends: component.depends.clone(),
    }
}

/// Those hashes that can be ones: lock files say what they like. Of several by one algorithm none is the package's: they
/// are those of files among which one was installed.
fn checked(hashes: &BTreeSet<(HashAlgorithm, String)>) -> Vec<(HashAlgorithm, &str)> {
    let fits = |(algorithm, hex): &&(HashAlgorithm, String)| {
        let n_digits = match algorithm {
            HashAlgorithm::Md5 => 32,
            HashAlgorithm::Sha1 => 40,
            HashAlgorithm::Sha256 => 64,
            HashAlgorithm::Sha384 => 96,
            HashAlgorithm::Sha512 => 128,
        };
        hex.len() == n_digits && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let fitting: Vec<_> = hashes.iter().filter(fits).collect();
    let of_one_file = fitting.chunk_by(|(one, _), (other, _)| one == other).filter(|same| same.len() == 1);
    of_one_file.flatten().map(|(algorithm, hex)| (*algorithm, hex.as_str())).collect()
}

/// In the place of a package: it is a part of the one at that place.
#[derive(Debug, Clone, Copy)]
struct PartOf(usize);

/// Gathers lists of packages into one.
#[derive(Default)]
struct Collector<'a> {
    items: Vec<Item<'a>>,
}

impl<'a> Collector<'a> {
    /// Adds packages whose dependencies are places among themselves. Returns the places that they get.
    fn add_all(&mut self, found: impl Iterator<Item = Result<Item<'a>, PartOf>>) -> Vec<usize> {
        let first = self.items.len();
        let mut places = Vec::new();
        for found in found {
            places.push(match found {
                Ok(item) => {
                    self.items.push(item);
                    self.items.len() - 1
                }
                Err(PartOf(place)) => place,
            });
        }
        for item in self.items.iter_mut().skip(first) {
            item.depends = item.depends.iter().filter_map(|&place| places.get(place).copied()).collect();
        }
        places
    }

    /// Packages with the same URL become one, unless their hashes tell them apart; those without hashes may be any of
    /// that URL, and the first stands for it. Then the list is sorted.
    fn finish(self) -> Inventory<'a> {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        let by_url = |place: &usize| {
            self.items.get(*place).map(|item| (&item.purl, item.hashes.is_empty(), &item.hashes))
        };
        order.sort_by(|a, b| by_url(a).cmp(&by_url(b)));

        let mut all: Vec<Option<Item<'a>>> = self.items.into_iter().map(Some).collect();
        let mut became = vec![0; all.len()];
        let mut items: Vec<Item<'a>> = Vec::new();
        let mut first_of_url = 0;
        for place in order {
            let Some(item) = all.get_mut(place).and_then(Option::take) else { continue };
            if items.get(first_of_url).is_none_or(|first| first.purl != item.purl) {
                first_of_url = items.len();
            }
            let last = items.len().saturating_sub(1);
            let same = if item.hashes.is_empty() { first_of_url } else { last.max(first_of_url) };
            let known =
                items.get_mut(same).filter(|known| item.hashes.is_empty() || known.hashes == item.hashes);
            let at = if let Some(known) = known {
                known.merge(item);
                same
            } else {
                items.push(item);
                items.len() - 1
            };
            if let Some(became) = became.get_mut(place) {
                *became = at;
            }
        }
        sorted(items, &became)
    }
}

/// Puts the packages in order. `became` leads from the places that their dependencies are to places among them.
fn sorted<'a>(items: Vec<Item<'a>>, became: &[usize]) -> Inventory<'a> {
    let mut items: Vec<(usize, Item<'a>)> = items.into_iter().enumerate().collect();
    items.sort_by(|(_, a), (_, b)| a.key().cmp(&b.key()));
    let mut new_places = vec![0; items.len()];
    for (new, (old, _)) in items.iter().enumerate() {
        if let Some(place) = new_places.get_mut(*old) {
            *place = new;
        }
    }
    let place = |old: &usize| new_places.get(*became.get(*old)?).copied();
    let placed = |(own, (_, mut item)): (usize, (usize, Item<'a>))| {
        item.depends = item.depends.iter().filter_map(place).filter(|other| *other != own).collect();
        item.depends.sort_unstable();
        item.depends.dedup();
        item.found.sort_unstable();
        item.found.dedup_by_key(|(path, _)| *path);
        item
    };
    Inventory { items: items.into_iter().enumerate().map(placed).collect() }
}

#[cfg(test)]
mod tests;
