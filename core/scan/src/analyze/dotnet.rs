//! .NET: `*.deps.json` of published applications.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use serde::Deserialize;

use super::integrity;
use super::pairs::Text;
use super::{About, Analyzer, Reported, View, Want};
use crate::application::{
    Application, ApplicationKind, Component, Content, Dependencies, Ecosystem, Root, TestedFiles,
};
use crate::finding::{Findings, Gap};
use crate::graph::{Graph, GraphPlace};
use crate::loose::LooseText;
use crate::ordered::Pairs;

/// Largest file that is read, in bytes: real ones have some 100 KiB, and small entries cost many times their text.
const MAX_BYTES: u64 = 4 << 20;

/// The code of gaps about such files. Results leave them out: the scanner being replaced passes over what it can't read.
const UNREADABLE: &str = "dotnet_file_unreadable";

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: ".NET packages (NuGet)",
        detects: "The packages that a published application was built with, and those of shared frameworks.",
        files: &["**/*.deps.json"],
        limits: &["4 MiB a file"],
        reported: Reported::Newer,
    },
    files: &[],
    directories: &[],
    ends: &[".deps.json"],
    pattern,
    run,
};

/// Reference packs of the SDK are nothing that runs.
fn pattern(path: &str) -> Want {
    if path.ends_with(".deps.json") && !path.contains("/dotnet/packs/") {
        Want { content_bytes: MAX_BYTES, ..Want::NOTHING }
    } else {
        Want::NOTHING
    }
}

fn run(view: &View<'_>, findings: &mut Findings) {
    let texts = view.overlay.files().filter_map(Text::of);
    for text in texts.filter(|text| text.file.path.file_name().ends_with(".deps.json")) {
        match read(&text) {
            Ok(Some(application)) => findings.add(application),
            Ok(None) => {}
            Err(gap) => findings.gaps.push(Gap { code: UNREADABLE, ..gap }),
        }
    }
}

/// An object in the order of the file, which decides.
type Map<T> = IndexMap<String, T>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DepsFile {
    #[serde(default)]
    runtime_target: RuntimeTarget,
    #[serde(default)]
    targets: Map<Map<Library>>,
    #[serde(default)]
    libraries: Map<LibraryFacts>,
}

#[derive(Default, Deserialize)]
struct RuntimeTarget {
    #[serde(default)]
    name: LooseText,
}

/// A library in a target.
#[derive(Deserialize)]
struct Library {
    dependencies: Option<Pairs>,
}

/// What is said of a library beside the targets.
#[derive(Deserialize)]
struct LibraryFacts {
    #[serde(default)]
    r#type: LooseText,
    #[serde(default)]
    sha512: LooseText,
}

impl LibraryFacts {
    fn is_project(&self) -> bool {
        self.r#type.0.as_deref() == Some("project")
    }
}

/// `None` for a file without a target.
pub(super) fn read(text: &Text<'_>) -> Result<Option<Application>, Gap> {
    let file: DepsFile = text.json()?;
    let target = file.runtime_target.name.0.as_deref().and_then(|name| file.targets.get(name));
    let Some(target) = target else { return Ok(None) };
    let path = &text.file.path;
    let is_shared = path.as_str().contains("/dotnet/shared/");
    let root = target
        .iter()
        .find(|(key, _)| file.libraries.get(*key).is_some_and(LibraryFacts::is_project))
        .and_then(|(key, library)| Some((key, library.dependencies.as_ref()?)))
        .filter(|_| !is_shared);
    let mut content = Content::Unreported;
    if let Some((key, dependencies)) = root {
        let (name, version) = key.split_once('/').unwrap_or((key, "0.0.0"));
        let graph = graph(dependencies, target);
        if graph.is_cut() {
            return Err(text.gap("dependency_limit_reached", "the libraries make too large a graph"));
        }
        content = Content::Dependencies {
            root: Root { name: name.to_owned(), version: Some(version.to_owned()) },
            dependencies: Dependencies::Graph(graph),
            tested_files: TestedFiles::List(vec![path.file_name().to_owned()]),
        };
    }
    Ok(Some(Application {
        kind: ApplicationKind::Nuget,
        target_file: path.as_str().to_owned(),
        components: components(target, &file.libraries, text),
        content,
    }))
}

/// Name and version of a key `NAME/VERSION`.
fn name_and_version(key: &str) -> Option<(&str, &str)> {
    let (name, version) = key.split_once('/')?;
    Some((without_prefix(name), version))
}

fn without_prefix(name: &str) -> &str {
    name.strip_prefix("runtimepack.").unwrap_or(name)
}

/// The libraries that can be reached from the root, depth first. The versions beside the names of dependencies are what
/// was asked for, not what is there.
fn graph(dependencies: &Pairs, target: &Map<Library>) -> Graph {
    let by_name: HashMap<String, (&str, &str, &Library)> = target
        .iter()
        .filter_map(|(key, library)| {
            let (name, version) = name_and_version(key)?;
            Some((name.to_lowercase(), (name, version, library)))
        })
        .collect();
    let names = |pairs: &Pairs| -> std::vec::IntoIter<String> {
        let names = pairs.iter().map(|(name, _)| without_prefix(name).to_lowercase());
        names.collect::<Vec<_>>().into_iter()
    };
    let mut graph = Graph::default();
    let mut entered = HashSet::new();
    let mut open: Vec<(Option<GraphPlace>, std::vec::IntoIter<String>)> = vec![(None, names(dependencies))];
    while let Some((parent, waiting)) = open.last_mut() {
        let Some(wanted) = waiting.next() else {
            open.pop();
            continue;
        };
        let Some((name, version, library)) = by_name.get(&wanted) else { continue };
        let Some(place) = graph.add(&format!("{name}@{version}"), name, Some(version), []) else { break };
        graph.connect(*parent, place);
        if entered.insert(place)
            && let Some(dependencies) = &library.dependencies
        {
            open.push((Some(place), names(dependencies)));
        }
    }
    graph
}

/// All libraries of the target that are no projects, whether or not something leads to them.
fn components(target: &Map<Library>, facts: &Map<LibraryFacts>, text: &Text<'_>) -> Vec<Component> {
    let libraries: Vec<_> = target
        .iter()
        .filter(|(key, _)| !facts.get(*key).is_some_and(LibraryFacts::is_project))
        .filter_map(|(key, library)| Some((key, name_and_version(key)?, library)))
        .collect();
    let places: HashMap<String, usize> =
        libraries.iter().enumerate().map(|(place, (_, (name, _), _))| (name.to_lowercase(), place)).collect();
    let component =
        |(place, (key, (name, version), library)): (usize, &(&String, (&str, &str), &Library))| {
            let file = text.file;
            let version = Some((*version).to_owned());
            let mut component =
                Component::new(Ecosystem::Nuget, *name, version, file.path.clone(), file.layer);
            let text_of_hash = facts.get(*key).and_then(|facts| facts.sha512.0.as_deref());
            component.hashes = text_of_hash.map(integrity::hashes).unwrap_or_default();
            let mut known = HashSet::from([place]);
            let names =
                library.dependencies.iter().flat_map(Pairs::iter).map(|(name, _)| without_prefix(name));
            component.depends = names
                .filter_map(|name| places.get(&name.to_lowercase()).copied())
                .filter(|other| known.insert(*other))
                .collect();
            component
        };
    libraries.iter().enumerate().map(component).collect()
}

#[cfg(test)]
mod tests;
