//! Components of locks.

use std::collections::{HashMap, HashSet};

use super::normalized;
use crate::application::{Application, ApplicationKind, Component, Ecosystem};
use crate::finding::{Findings, Gap};
use crate::overlay::OverlayFile;

use super::super::View;
use super::super::pairs::{Text, named};

/// Dependencies of one lock, at most, all packages together.
const MAX_EDGES: usize = 1_000_000;

/// The code of gaps about locks that results leave out: results leave out these gaps as well.
const UNREADABLE: &str = "python_lock_unreadable";

/// A package of a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Locked<'a> {
    /// The name as written.
    pub(super) name: &'a str,
    /// The version, as written.
    pub(super) version: Option<&'a str>,
    /// The names of what it depends on.
    pub(super) depends: Vec<&'a str>,
}

/// The components of a lock: names unified, and dependencies among them. Of a name that is locked in several versions
/// (for several platforms) all are dependencies.
pub(super) fn components(locked: &[Locked<'_>], file: &OverlayFile) -> Vec<Component> {
    let names: Vec<String> = locked.iter().map(|package| normalized(package.name)).collect();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, name) in names.iter().enumerate() {
        places.entry(name).or_default().push(place);
    }
    let mut edges = 0;
    let depends = |(own, package): (usize, &Locked<'_>)| {
        let mut known = HashSet::from([own]);
        let others = package.depends.iter().filter_map(|name| places.get(normalized(name).as_str()));
        let depends: Vec<usize> =
            others.flatten().copied().filter(|place| known.insert(*place)).take(MAX_EDGES - edges).collect();
        edges += depends.len();
        depends
    };
    let depends: Vec<Vec<usize>> = locked.iter().enumerate().map(depends).collect();
    let components = locked.iter().zip(&names).zip(depends);
    components
        .map(|((package, name), depends)| Component {
            depends,
            ..Component::new(
                Ecosystem::Pypi,
                name.clone(),
                package.version.map(str::to_owned),
                file.path.clone(),
                file.layer,
            )
        })
        .collect()
}

/// The application of a lock that results leave out.
pub(super) fn unreported(
    kind: ApplicationKind,
    text: &Text<'_>,
    locked: &[Locked<'_>],
) -> Result<Application, Gap> {
    if locked.iter().any(|package| package.name.is_empty()) {
        return Err(text.gap("file_unreadable", "the lock has a package without a name"));
    }
    Ok(Application::unreported(kind, &text.file.path, components(locked, text.file)))
}

/// Adds what the locks of that name tell.
pub(super) fn add_locks(
    view: &View<'_>,
    findings: &mut Findings,
    name: &'static str,
    read: impl Fn(&Text<'_>) -> Result<Application, Gap>,
) {
    for text in named(view.overlay, name) {
        findings.add_read(read(&text).map_err(|gap| Gap { code: UNREADABLE, ..gap }));
    }
}
