//! Components of locks.

use std::collections::{HashMap, HashSet};

use super::normalized;
use crate::application::{Application, ApplicationKind, Component, Content, Ecosystem};
use crate::finding::Gap;
use crate::overlay::OverlayFile;

use super::super::pairs::Text;

/// Dependencies of one lock, at most, all packages together.
const MAX_EDGES: usize = 1_000_000;

/// The code of gaps about locks that results leave out: results leave out these gaps as well.
pub(super) const UNREADABLE: &str = "python_lock_unreadable";

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
    Ok(Application {
        kind,
        target_file: text.file.path.as_str().to_owned(),
        content: Content::Unreported,
        components: components(locked, text.file),
    })
}
