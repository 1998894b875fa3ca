//! What is in an image, for people and for SBOMs: the distribution's packages and those of applications in one list,
//! each once, with where it was found.
//!
//! Scan results repeat what the scanner being replaced says; this list says what is there. Packages that are removed
//! are not in it, and those of all databases, architectures and versions are.

mod distribution;
mod license;
mod purl;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use regent_scan::{Component, Findings, HashAlgorithm, PackagePlace};

pub(crate) use license::License;
pub(crate) use purl::{Purl, image_purl};

use crate::applications::is_included;
use crate::options::{Flag, Options};

/// Everything in an image, in a defined order: the distribution's packages first, then by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// The packages.
    pub(crate) items: Vec<Item>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Whose package it is.
    pub(crate) origin: Origin,
    /// The type of its package URL, which is the name of its ecosystem.
    pub(crate) kind: &'static str,
    /// The part before its name: an npm scope, a Maven group. Of an application's package only.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: Option<String>,
    /// Its package URL.
    pub(crate) purl: String,
    /// Name and version of its source package.
    pub(crate) source: Option<(String, Option<String>)>,
    /// Its licences, each once.
    pub(crate) licenses: Vec<License>,
    /// Hashes of what was installed, in lower-case hexadecimal, each of the length that its algorithm has.
    pub(crate) hashes: BTreeSet<(HashAlgorithm, String)>,
    /// The files that tell of it, each with the layer that brought the package there.
    pub(crate) found: BTreeMap<String, Option<usize>>,
    /// What it depends on: places in the list.
    pub(crate) depends: BTreeSet<usize>,
}

/// Whose package one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The distribution's.
    Distribution,
    /// An application's.
    Application,
}

impl Item {
    /// The lowest layer that brought it.
    pub(crate) fn layer(&self) -> Option<usize> {
        self.found.values().copied().flatten().min()
    }

    /// Its name with the part before it, as its ecosystem writes it.
    pub(crate) fn full_name(&self) -> String {
        match &self.namespace {
            Some(namespace) if self.kind == "maven" => format!("{namespace}:{}", self.name),
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    fn key(&self) -> impl Ord + '_ {
        (
            (self.origin, self.kind, &self.namespace, &self.name),
            (&self.version, &self.purl, &self.hashes, &self.found),
        )
    }
}

impl Inventory {
    /// Makes the list. Options that leave results out leave their packages out.
    pub(crate) fn new(findings: &Findings, options: &Options) -> Self {
        let mut list = Collector::default();
        let mut owners = HashMap::new();
        for (n, database) in findings.databases().enumerate() {
            let items = distribution::items(database, findings);
            let (packages, items): (Vec<usize>, Vec<Item>) = items.into_iter().unzip();
            let places = list.add_all(items.into_iter().map(|item| Found::Item(Box::new(item))));
            let packages = packages.into_iter().map(|package| PackagePlace { database: n, package });
            owners.extend(packages.zip(places));
        }
        if !options.has(Flag::ExcludeAppVulns) {
            let mut licenses = license::Reader::default();
            for application in findings.applications.iter().filter(|a| is_included(a, options)) {
                list.add_all(application.components.iter().map(|component| {
                    match component.owner.and_then(|owner| owners.get(&owner)) {
                        Some(&place) => Found::Part(place),
                        None => Found::Item(Box::new(item(component, &mut licenses))),
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
fn item(component: &Component, licenses: &mut license::Reader) -> Item {
    Item {
        origin: Origin::Application,
        kind: component.ecosystem.purl_type(),
        namespace: component.namespace.clone(),
        name: component.name.clone(),
        version: component.version.clone(),
        purl: Purl::of_component(component).to_string(),
        source: None,
        licenses: licenses.read_all(&component.licenses),
        hashes: checked(&component.hashes),
        found: component
            .evidence
            .iter()
            .map(|path| (path.as_str().to_owned(), Some(component.layer)))
            .collect(),
        depends: component.depends.iter().copied().collect(),
    }
}

/// Those hashes that can be ones: lock files say what they like.
fn checked(hashes: &BTreeSet<(HashAlgorithm, String)>) -> BTreeSet<(HashAlgorithm, String)> {
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
    hashes.iter().filter(fits).cloned().collect()
}

/// What an entry of a list comes to.
enum Found {
    /// A package.
    Item(Box<Item>),
    /// A part of the package at that place: the distribution's, which has its files, stands for it.
    Part(usize),
}

/// Gathers lists of packages into one. Packages with the same URL are one, unless their hashes tell them apart.
#[derive(Default)]
struct Collector {
    items: Vec<Item>,
    by_hashes: HashMap<(String, BTreeSet<(HashAlgorithm, String)>), usize>,
    by_purl: HashMap<String, usize>,
}

impl Collector {
    /// Adds packages whose dependencies are places among themselves. Returns the places that they get.
    fn add_all(&mut self, found: impl Iterator<Item = Found>) -> Vec<usize> {
        let mut places = Vec::new();
        let mut depends = Vec::new();
        for found in found {
            let (place, needed) = match found {
                Found::Item(mut item) => {
                    let needed = std::mem::take(&mut item.depends);
                    (self.add(*item), needed)
                }
                Found::Part(of) => (of, BTreeSet::new()),
            };
            places.push(place);
            depends.push(needed);
        }
        for (place, depends) in places.iter().zip(depends) {
            let Some(item) = self.items.get_mut(*place) else { continue };
            item.depends.extend(
                depends.iter().filter_map(|&other| places.get(other)).filter(|other| *other != place),
            );
        }
        places
    }

    fn add(&mut self, item: Item) -> usize {
        let key = (item.purl.clone(), item.hashes.clone());
        let first = self.by_purl.get(&item.purl).copied();
        let known = self.by_hashes.get(&key).copied().or_else(|| {
            // One without hashes may be any of that URL; the first of them stands for it.
            let is_open = |place: &usize| {
                item.hashes.is_empty() || self.items.get(*place).is_some_and(|known| known.hashes.is_empty())
            };
            first.filter(is_open)
        });
        let Some(known) = known else {
            let place = self.items.len();
            self.by_purl.entry(item.purl.clone()).or_insert(place);
            self.by_hashes.insert(key, place);
            self.items.push(item);
            return place;
        };
        self.by_hashes.entry(key).or_insert(known);
        if let Some(item_there) = self.items.get_mut(known) {
            item_there.hashes.extend(item.hashes);
            for license in item.licenses {
                if !item_there.licenses.contains(&license) {
                    item_there.licenses.push(license);
                }
            }
            for (path, layer) in item.found {
                item_there.found.entry(path).or_insert(layer);
            }
        }
        known
    }

    fn finish(self) -> Inventory {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        let mut items: Vec<Option<Item>> = self.items.into_iter().map(Some).collect();
        order.sort_by(|&a, &b| {
            let key = |place: usize| items.get(place).and_then(Option::as_ref).map(Item::key);
            key(a).cmp(&key(b))
        });
        let mut new_places = vec![0; items.len()];
        for (new, &old) in order.iter().enumerate() {
            if let Some(place) = new_places.get_mut(old) {
                *place = new;
            }
        }
        let placed = |mut item: Item| {
            item.depends = item.depends.iter().filter_map(|&old| new_places.get(old).copied()).collect();
            item
        };
        let sorted = order.iter().filter_map(|&old| items.get_mut(old)?.take()).map(placed);
        Inventory { items: sorted.collect() }
    }
}

#[cfg(test)]
mod tests;
