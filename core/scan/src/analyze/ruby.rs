//! Ruby: Bundler's lock files, and the gems that are installed.

pub(super) mod gemfile;

use std::collections::{HashMap, HashSet};

use super::pairs::Text;
use super::{About, Analyzer, Reported, View, Want};
use crate::application::{Application, ApplicationKind, Component, Ecosystem};
use crate::distil::{Distil, Distilled, Gemspec};
use crate::finding::{Findings, Gap};
use crate::overlay::OverlayFile;
use crate::path::LayerPath;

/// Names of lock files.
const LOCKS: [&str; 2] = ["/Gemfile.lock", "/gems.locked"];

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Ruby gems",
        detects: "Gems of lock files, with checksums and where they are from, and installed gems with their licences. \
                  Not an application's own gems, and not the lock files that gems bring along.",
        files: &["**/Gemfile.lock", "**/gems.locked", "**/specifications/*.gemspec"],
        limits: &["16 MiB and 50,000 gems of a lock file", "1 MiB of a specification"],
        reported: Reported::Additions,
    },
    files: &[],
    directories: &[],
    ends: &["/Gemfile.lock", "/gems.locked", ".gemspec"],
    pattern,
    run,
};

fn pattern(path: &str) -> Want {
    if LOCKS.iter().any(|lock| path.ends_with(lock)) {
        Want::APPLICATION_FILE
    } else if path.ends_with(".gemspec") && specification(path).is_some() {
        Want::distilled(Distil::Gemspec)
    } else {
        Want::NOTHING
    }
}

/// The folder of gems that a specification is from, and the name of its file without the ending: the gem's full name.
fn specification(path: &str) -> Option<(&str, &str)> {
    let (directory, full_name) = path.strip_suffix(".gemspec")?.rsplit_once('/')?;
    // Gems that come with Ruby itself.
    let directory = directory.strip_suffix("/default").unwrap_or(directory);
    Some((directory.strip_suffix("/specifications")?, full_name))
}

fn run(view: &View<'_>, findings: &mut Findings) {
    let installed: HashSet<String> = view
        .overlay
        .files()
        .filter_map(|file| specification(file.path.as_str()))
        .map(|(home, full_name)| format!("{home}/gems/{full_name}"))
        .collect();
    for text in view.overlay.files().filter_map(Text::of) {
        let path = &text.file.path;
        if !LOCKS.iter().any(|lock| path.as_str().ends_with(lock))
            || path.ancestors().any(|directory| installed.contains(directory))
        {
            continue;
        }
        match gemfile::read(&String::from_utf8_lossy(text.content), text.file) {
            Ok(components) if components.is_empty() => {}
            Ok(components) => {
                findings.add(Application::unreported(ApplicationKind::Gemfile, path, components));
            }
            Err(gemfile::Unreadable(reason)) => {
                findings.gaps.push(text.gap("file_unreadable", &format!("the file {reason}")));
            }
        }
    }
    add_installed(view, findings);
}

/// A specification that was read: its file, what it says, and the name of the file without the ending.
type Specification<'a> = (&'a OverlayFile, &'a Gemspec, &'a str);

/// Installed gems, one application for each folder of them, in merge order of its first.
fn add_installed(view: &View<'_>, findings: &mut Findings) {
    let mut homes: Vec<(&str, Vec<Specification<'_>>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for file in view.overlay.files() {
        let Some((home, full_name)) = specification(file.path.as_str()) else { continue };
        let Some(Distilled::Gemspec(spec)) = &file.kept.distilled else { continue };
        let place = *places.entry(home).or_insert(homes.len());
        match homes.get_mut(place) {
            Some((_, gems)) => gems.push((file, spec, full_name)),
            None => homes.push((home, vec![(file, spec, full_name)])),
        }
    }
    for (home, gems) in homes {
        let mut components = Vec::with_capacity(gems.len());
        let mut specs = Vec::with_capacity(gems.len());
        for (file, spec, full_name) in gems {
            match component(file, spec, full_name) {
                Some(component) => {
                    components.push(component);
                    specs.push(spec);
                }
                None => findings.gaps.push(Gap {
                    path: file.path.clone(),
                    code: "file_unreadable",
                    reason: "the specification tells no gem's name and version".to_owned(),
                }),
            }
        }
        connect(&mut components, &specs);
        if !components.is_empty() {
            let place = LayerPath::new(home).join("specifications");
            findings.add(Application::unreported(ApplicationKind::InstalledGems, &place, components));
        }
    }
}

/// The gem that a specification tells of. Where it doesn't say which, its file's name does.
fn component(file: &OverlayFile, spec: &Gemspec, full_name: &str) -> Option<Component> {
    let by_file = || {
        full_name.rmatch_indices('-').find_map(|(at, _)| {
            let (name, version) = full_name.split_at(at);
            let version = version.strip_prefix('-')?;
            version.starts_with(|c: char| c.is_ascii_digit()).then(|| (name.to_owned(), version.to_owned()))
        })
    };
    let (name, version) = spec.name.clone().zip(spec.version.clone()).or_else(by_file)?;
    let mut component = Component::new(Ecosystem::Gem, name, Some(version), file.path.clone(), file.layer);
    component.licenses.clone_from(&spec.licenses);
    if let Some(platform) = &spec.platform {
        component.qualifiers.insert("platform", platform.clone());
    }
    Some(component)
}

/// Dependencies on gems of the same folder.
fn connect(components: &mut [Component], specs: &[&Gemspec]) {
    let by_name: HashMap<String, usize> =
        components.iter().enumerate().rev().map(|(place, gem)| (gem.name.clone(), place)).collect();
    for (place, (component, spec)) in components.iter_mut().zip(specs).enumerate() {
        let depends = spec.depends.iter().filter_map(|name| by_name.get(name).copied());
        component.depends = depends.filter(|&other| other != place).collect();
    }
}

#[cfg(test)]
mod tests;
