//! Installed distributions: `*.dist-info/METADATA`, `*.egg-info`.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::mistaken_whiteout::is_mistaken;
use super::normalized;
use super::requirement::Requirement;
use crate::application::{Application, ApplicationKind, Component, Ecosystem};
use crate::distil::{Distilled, PythonMetadata};
use crate::finding::Gap;
use crate::overlay::{Overlay, OverlayFile};
use crate::path::LayerPath;

/// Whether the path is that of an installed distribution's metadata.
pub(super) fn is_metadata(path: &str) -> bool {
    path.ends_with(".dist-info/METADATA")
        || path.ends_with(".egg-info/PKG-INFO")
        || path.ends_with("/EGG-INFO/PKG-INFO")
        || path.ends_with(".egg-info")
}

/// Whether the scanner being replaced sees it: it looks for `/lib/python…/site-packages/….dist-info/METADATA`.
fn is_seen(path: &str) -> bool {
    let Some(path) = path.strip_suffix(".dist-info/METADATA") else { return false };
    let Some((_, below)) = path.split_once("/lib/python") else { return false };
    below.contains("/site-packages/") || below.contains("/dist-packages/")
}

/// All metadata in the image.
pub(super) fn metadata(overlay: &Overlay) -> impl Iterator<Item = (&OverlayFile, &PythonMetadata)> {
    overlay.files().filter_map(|file| match &file.kept.distilled {
        Some(Distilled::PythonMetadata(metadata)) => Some((file, metadata.as_ref())),
        _ => None,
    })
}

/// The metadata that results are made from, of all environments together, in merge order.
pub(super) fn seen(overlay: &Overlay) -> impl Iterator<Item = &PythonMetadata> {
    let is_seen = |file: &OverlayFile| is_seen(file.path.as_str()) && !is_mistaken(file);
    metadata(overlay).filter(move |(file, _)| is_seen(file)).map(|(_, metadata)| metadata)
}

/// The environments, each a directory of installed distributions, and what could not be read there.
pub(super) fn environments(overlay: &Overlay) -> (Vec<Application>, Vec<Gap>) {
    let mut order = Vec::new();
    let mut environments: HashMap<LayerPath, Environment<'_>> = HashMap::new();
    let mut gaps = Vec::new();
    for (file, metadata) in metadata(overlay) {
        if metadata.is_cut {
            let reason = "the metadata has more or longer requirements than are read".to_owned();
            gaps.push(Gap { path: file.path.clone(), code: "python_metadata_cut", reason });
        }
        let (directory, named) = place(&file.path);
        let (by_name, by_version) = name_and_version(&named);
        let name = metadata.name.as_deref().filter(|name| !name.is_empty()).or(by_name);
        let version = metadata.version.as_deref().filter(|version| !version.is_empty()).or(by_version);
        let Some(name) = name else {
            let reason = "the metadata names no distribution".to_owned();
            gaps.push(Gap { path: file.path.clone(), code: "python_metadata_unreadable", reason });
            continue;
        };
        let environment = environments.entry(directory.clone()).or_insert_with(|| {
            order.push(directory);
            Environment::default()
        });
        environment.add(file, &normalized(name), version, metadata);
    }
    let mut applications = Vec::with_capacity(order.len());
    for directory in order {
        let Some(environment) = environments.remove(&directory) else { continue };
        let components = environment.into_components();
        applications.push(Application::unreported(
            ApplicationKind::PythonEnvironment,
            &directory,
            components,
        ));
    }
    (applications, gaps)
}

/// The environment's directory, and the name of what lies there: a file, or the directory around it.
fn place(path: &LayerPath) -> (LayerPath, String) {
    let mut entry = path.clone();
    if !entry.as_str().ends_with(".egg-info") {
        entry = entry.parent();
    }
    // An egg has its metadata one level deeper.
    if entry.file_name() == "EGG-INFO" {
        entry = entry.parent();
    }
    (entry.parent(), entry.file_name().to_owned())
}

/// What a file name as `NAME-VERSION.dist-info`, `NAME-VERSION-py3.11.egg` or `NAME.egg-info` tells.
fn name_and_version(file_name: &str) -> (Option<&str>, Option<&str>) {
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let mut parts = stem.split('-').filter(|part| !part.is_empty());
    (parts.next(), parts.next())
}

/// The distributions of one directory.
#[derive(Default)]
struct Environment<'a> {
    components: Vec<Component>,
    requires: Vec<&'a [String]>,
    places: BTreeMap<(String, Option<String>), usize>,
}

impl<'a> Environment<'a> {
    /// One that is told of in two formats is there once.
    fn add(&mut self, file: &OverlayFile, name: &str, version: Option<&str>, metadata: &'a PythonMetadata) {
        let version = version.map(str::to_owned);
        let key = (name.to_owned(), version.clone());
        if let Some(component) = self.places.get(&key).and_then(|&place| self.components.get_mut(place)) {
            component.evidence.push(file.path.clone());
            return;
        }
        self.places.insert(key, self.components.len());
        self.components.push(Component {
            licenses: metadata.licenses.clone(),
            ..Component::new(Ecosystem::Pypi, name, version, file.path.clone(), file.layer)
        });
        self.requires.push(metadata.requires.get(..metadata.requires_in_header).unwrap_or_default());
    }

    /// Dependencies count where they are installed here. Those for extras are left out, since nothing tells which
    /// extras were asked for.
    fn into_components(mut self) -> Vec<Component> {
        let by_name: HashMap<&str, usize> =
            self.places.iter().map(|((name, _), &place)| (name.as_str(), place)).collect();
        for (place, (component, requires)) in self.components.iter_mut().zip(&self.requires).enumerate() {
            let requirements = requires.iter().filter_map(|value| Requirement::of_metadata(value));
            let mut known = HashSet::new();
            component.depends = requirements
                .filter(|requirement| requirement.only_for.is_empty())
                .filter_map(|requirement| by_name.get(normalized(requirement.name).as_str()).copied())
                .filter(|&other| other != place && known.insert(other))
                .collect();
        }
        self.components
    }
}
