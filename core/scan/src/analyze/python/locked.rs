//! Components of locks.

use std::collections::{BTreeSet, HashMap, HashSet};

use toml::de::DeTable;

use super::normalized;
use crate::application::{Application, ApplicationKind, Component, Ecosystem, HashAlgorithm};
use crate::finding::{Findings, Gap};
use crate::overlay::OverlayFile;

use super::super::View;
use super::super::pairs::{Text, named};
use super::super::toml_document as document;

/// Dependencies of one lock, at most, all packages together.
const MAX_EDGES: usize = 1_000_000;

/// Files of a package that are looked at. A single one is told after the second.
const MAX_FILES: usize = 100;

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
    /// The hash of its file.
    pub(super) hash: FileHash<'a>,
}

/// What a lock says of the files of a package. Most packages have several, for one platform each, and no lock tells which
/// of them was installed: only the hash of a single one is the package's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum FileHash<'a> {
    /// Nothing.
    #[default]
    Unknown,
    /// That there is one file, with this hash: `sha256:` and hexadecimal digits.
    Of(&'a str),
    /// That there are several.
    Ambiguous,
}

impl<'a> FileHash<'a> {
    /// By the hashes of all files.
    pub(super) fn of_files(hashes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known = Self::Unknown;
        for (n, hash) in hashes.into_iter().enumerate() {
            known = known.and(Self::Of(hash));
            if known == Self::Ambiguous || n == MAX_FILES {
                return Self::Ambiguous;
            }
        }
        known
    }

    /// With what is said elsewhere of the same package.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (Self::Of(one), Self::Of(two)) if one == two => self,
            _ => Self::Ambiguous,
        }
    }

    fn hashes(self) -> BTreeSet<(HashAlgorithm, String)> {
        let Self::Of(text) = self else { return BTreeSet::new() };
        let hash = text.split_once(':').and_then(|(algorithm, digits)| {
            let algorithm = match algorithm {
                "md5" => HashAlgorithm::Md5,
                "sha1" => HashAlgorithm::Sha1,
                "sha256" => HashAlgorithm::Sha256,
                "sha384" => HashAlgorithm::Sha384,
                "sha512" => HashAlgorithm::Sha512,
                _ => return None,
            };
            Some((algorithm, digits.to_ascii_lowercase()))
        });
        hash.into_iter().collect()
    }
}

/// The hash of a package of a TOML lock: from its own list of files, or in older ones from that of the whole lock.
pub(super) fn hash_of<'d>(lock: &'d DeTable<'_>, package: &'d DeTable<'_>, keys: &[&str]) -> FileHash<'d> {
    let hashes_at = |table: &'d DeTable<'_>, path: &[&str]| {
        FileHash::of_files(document::tables(table, path).filter_map(|file| document::text(file, &["hash"])))
    };
    let of_lock = |key: &&str| hashes_at(lock, &["metadata", "files", key]);
    keys.iter().map(of_lock).fold(hashes_at(package, &["files"]), FileHash::and)
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
            hashes: package.hash.hashes(),
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
