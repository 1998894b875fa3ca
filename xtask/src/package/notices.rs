//! The licences of the crates that program and drivers are built from: most ask that their text goes along.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::platform::Platform;
use crate::command::cargo;

/// What files with licences begin with, in capitals.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` for an ordinary one.
    kind: Option<String>,
}

/// One text: who is under which licence, and the files that say so, each once with all whose it is.
pub(super) fn text(platform: &Platform) -> Result<String> {
    let mut ask = cargo();
    ask.args(["metadata", "--format-version=1", "--filter-platform", platform.triple]);
    let output = ask.output().context("cargo can't be started")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let built_in = built_in(&metadata);
    // Ours are under the licence that is beside.
    let others =
        metadata.packages.iter().filter(|one| one.source.is_some() && built_in.contains(one.id.as_str()));
    let mut others: Vec<_> = others.collect();
    others.sort_by_key(|one| (&one.name, &one.version));

    let mut list = String::from("Program and drivers have these crates of others in them:\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Package { name, version, license, manifest_path, .. } in others {
        let name = format!("{name} {version}");
        writeln!(list, "{name}: {}", license.as_deref().unwrap_or("as its files say"))?;
        for text in files(manifest_path.parent().context("a manifest without a folder")?)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    let mut texts: Vec<_> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    texts.sort();
    for (names, text) in texts {
        write!(list, "\n{}\nOf {}:\n\n{}\n", "-".repeat(80), names.join(", "), text.trim())?;
    }
    Ok(list)
}

/// Ids of what is built into program and drivers.
fn built_in(metadata: &Metadata) -> BTreeSet<&str> {
    let is_root = |one: &&Package| one.name == "regent-host" || one.name.starts_with("regent-driver-");
    let mut open: Vec<&str> = metadata.packages.iter().filter(is_root).map(|one| one.id.as_str()).collect();
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let needed = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            let ordinary = needed.filter(|one| one.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(ordinary.map(|one| one.pkg.as_str()));
        }
    }
    found
}

/// Texts of the licence files of a crate, in the order of their names.
fn files(folder: &Path) -> Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if entry.file_type()?.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            texts.insert(String::from_utf8_lossy(&fs::read(entry.path())?).replace("\r\n", "\n"));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_are_built_in_are_named_with_their_licences_and_tools_of_tests_are_not() {
        let text = text(Platform::here().unwrap()).unwrap();
        for expected in ["\nserde ", "\nring ", "Apache License", "abi_stable"] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        for other in ["\nproptest ", "\nregent-", "\nrcgen "] {
            assert!(!text.contains(other), "{other} is in there");
        }
    }
}
