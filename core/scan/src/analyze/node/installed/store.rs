//! pnpm's virtual store, `node_modules/.pnpm`: all packages side by side, with links for dependencies.

use super::Installed;
use crate::application::Root;
use crate::distil::InstalledManifest;
use crate::graph::Graph;
use crate::path::LayerPath;

const STORE: &str = "/node_modules/.pnpm/";

/// The packages of a store as dependencies of the project; `None` where there is no store, or the project has no name.
pub(super) fn graph(
    directory: &LayerPath,
    manifest: Option<&InstalledManifest>,
    packages: &[Installed<'_>],
) -> Option<(Root, Graph)> {
    let mut stored = packages.iter().filter(|package| package.file.path.as_str().contains(STORE)).peekable();
    let (owner, _) = stored.peek()?.file.path.as_str().split_once(STORE)?;
    let nested;
    let manifest = if LayerPath::new(owner) == *directory {
        manifest?
    } else {
        let path = format!("{owner}/package.json");
        nested = packages.iter().find(|package| package.file.path.as_str() == path)?;
        nested.manifest
    };
    let name = manifest.name.clone().filter(|_| manifest.is_readable)?;
    let mut graph = Graph::default();
    for package in stored.map(|package| package.manifest) {
        let (Some(name), Some(version)) = (&package.name, &package.version) else { continue };
        if let Some(place) = graph.add(&format!("{name}@{version}"), name, Some(version), []) {
            graph.connect(None, place);
        }
    }
    let version = manifest.version.clone().unwrap_or_else(|| "0.0.0".to_owned());
    Some((Root { name, version: Some(version) }, graph))
}
