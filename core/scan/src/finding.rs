//! What a scan finds: the only output of this crate, and the only input of `core/report` about an image's contents.
//!
//! Lists are in a defined order (database order, or merge order: newest layer first, inside a layer the order of
//! the tar), so that two scans of the same image give the same findings.

pub(crate) mod size;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::application::{Application, Component, HashAlgorithm};
use crate::ownership::ApkOwned;
use crate::path::LayerPath;

/// Everything found in an image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// The operating system release; `None` where no release file is there or none parses (the latter is a gap).
    pub os: Option<OsRelease>,
    /// The distribution's packages, of the one database that is reported.
    pub packages: Packages,
    /// Those of the databases after it, in the order of the analyzers: for tables and SBOMs.
    pub further_packages: Vec<Packages>,
    /// Whether a chisel manifest is in the merged view: names the OS where no release file does.
    pub has_chisel_manifest: bool,
    /// Java runtimes recognised by their release files.
    pub runtimes: Vec<Runtime>,
    /// SHA-256 of the key binaries (lower-case hex), each once, in merge order.
    pub key_binaries: Vec<String>,
    /// Applications in the order of their results.
    pub applications: Vec<Application>,
    /// Files that the request's globs name, in merge order.
    pub files: Vec<FoundFile>,
    /// Of Wolfi's and Chainguard's images: what of the applications belongs to a reported package, as results of release
    /// 9.20 tell it.
    pub apk_owned: Vec<ApkOwned>,
    /// What could not be read, said instead of passed over.
    pub gaps: Vec<Gap>,
}

/// Applications of one image, at most.
const MAX_APPLICATIONS: usize = 10_000;

/// Packages of all applications of one image, each place of each counted, at most. The largest real images have some
/// twenty thousand; of as many as this a scan takes some 200 of the 256 MiB that an image may cost.
const MAX_PLACES: usize = 100_000;

impl Findings {
    /// Adds what came of reading an application: itself, or why it can't be read.
    pub(crate) fn add_read(&mut self, application: Result<Application, Gap>) {
        match application {
            Ok(application) => self.add(application),
            Err(gap) => self.gaps.push(gap),
        }
    }

    /// Adds an application, or a gap in its place when the image has more than is reported.
    pub(crate) fn add(&mut self, application: Application) {
        let n_places: usize = self.applications.iter().map(Application::n_places).sum();
        if self.applications.len() < MAX_APPLICATIONS && n_places + application.n_places() <= MAX_PLACES {
            self.applications.push(application);
            return;
        }
        self.gaps.push(Gap {
            path: LayerPath::new(&application.target_file),
            code: "finding_limit_reached",
            reason: format!(
                "the image has more than {MAX_APPLICATIONS} applications or {MAX_PLACES} packages of applications"
            ),
        });
    }

    /// Gives an application other components, unless the image then had more than is reported.
    pub(crate) fn set_components(&mut self, place: usize, components: Vec<Component>) {
        let n_others: usize = self.applications.iter().map(Application::n_places).sum();
        let Some(application) = self.applications.get_mut(place) else { return };
        if n_others + components.len() <= MAX_PLACES {
            application.components = components;
        }
    }

    /// Changes the indices of layers: `places` has the new one of each. For images of which layers are missing, since
    /// the overlay knows only those that are there.
    pub fn place_layers(&mut self, places: &[usize]) {
        let place = |layer: &mut usize| {
            if let Some(&new) = places.get(*layer) {
                *layer = new;
            }
        };
        self.databases_mut()
            .flat_map(|database| &mut database.list)
            .filter_map(|package| package.layer.as_mut())
            .for_each(place);
        let components = self.applications.iter_mut().flat_map(|application| &mut application.components);
        components.map(|component| &mut component.layer).for_each(place);
    }

    /// The package databases, the reported one first.
    pub fn databases(&self) -> impl Iterator<Item = &Packages> {
        std::iter::once(&self.packages).chain(&self.further_packages)
    }

    pub(crate) fn databases_mut(&mut self) -> impl Iterator<Item = &mut Packages> {
        std::iter::once(&mut self.packages).chain(&mut self.further_packages)
    }
}

/// A file that a glob of the request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Where it lies.
    pub path: LayerPath,
    /// All of it.
    pub content: Bytes,
}

/// The operating system release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsRelease {
    /// E.g. `debian`.
    pub name: String,
    /// E.g. `12`.
    pub version: String,
    /// `PRETTY_NAME`, empty where there is none.
    pub pretty_name: String,
}

/// The format of a package database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PackageFormat {
    /// Alpine's.
    Apk,
    /// Debian's; also distroless images and chisel slices.
    Deb,
    /// RPM's.
    Rpm,
    /// No package database with at least one package.
    #[default]
    Linux,
}

impl PackageFormat {
    /// The name as it stands in results: `apk`, `deb`, `rpm`, `linux`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Deb => "deb",
            Self::Rpm => "rpm",
            Self::Linux => "linux",
        }
    }
}

/// The packages of one database.
#[derive(Debug, Clone, PartialEq)]
pub struct Packages {
    /// Which format they came from.
    pub format: PackageFormat,
    /// Where the database is: a file, or a directory of files. `/` where there is none.
    pub path: LayerPath,
    /// In database order, which decides where cycles are cut in the graph.
    pub list: Vec<Package>,
    /// Content sets of Red Hat's `content_manifests`, without duplicates, in merge order. They apply to all packages.
    pub content_sets: Vec<String>,
}

impl Default for Packages {
    fn default() -> Self {
        Self {
            format: PackageFormat::default(),
            path: LayerPath::new("/"),
            list: Vec::new(),
            content_sets: Vec::new(),
        }
    }
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The binary package's name.
    pub name: String,
    /// Its version; for rpm `[epoch:]version-release`. `None` for a record without one.
    pub version: Option<String>,
    /// The source package, where the database names one (apk origin, deb `Source`). Not for rpm.
    pub source: Option<Source>,
    /// Names that it provides besides its own.
    pub provides: Vec<String>,
    /// Names that it depends on, in order. They may resolve to nothing. Those of rpm are not in scan results.
    pub depends: Vec<String>,
    /// Installed only because another package needed it (deb `extended_states`).
    pub auto_installed: bool,
    /// Index of the newest layer whose copy of the database brought this version (again), base layer 0.
    /// `None` where that was not looked at.
    pub layer: Option<usize>,
    /// Places in `depends` of names of which each is another way to have what the name before it gives (deb `a | b`).
    pub alternatives: Vec<u32>,
    /// Places in `depends` of names that it doesn't need: it replaces files of theirs (apk `r`).
    pub replaced: Vec<u32>,
    /// Whether it is gone but for its configuration, and listed for that (dpkg's state `config-files`).
    pub is_removed: bool,
    /// The architecture that it was built for, in the distribution's word.
    pub architecture: Option<String>,
    /// Its licences, as the distribution writes them: SPDX expressions or free text.
    pub licenses: Vec<String>,
    /// Hashes of the archive that it was installed from, in lower-case hexadecimal.
    pub hashes: BTreeSet<(HashAlgorithm, String)>,
    /// What only its format has.
    pub detail: PackageDetail,
}

impl Package {
    /// A package of which no more is known.
    pub fn new(name: impl Into<String>, version: Option<String>, detail: PackageDetail) -> Self {
        Self {
            name: name.into(),
            version,
            source: None,
            provides: Vec::new(),
            depends: Vec::new(),
            auto_installed: false,
            layer: None,
            alternatives: Vec::new(),
            replaced: Vec::new(),
            is_removed: false,
            architecture: None,
            licenses: Vec::new(),
            hashes: BTreeSet::new(),
            detail,
        }
    }
}

/// A source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version, where it is told and differs from the binary package's.
    pub version: Option<String>,
}

/// What only one format has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackageDetail {
    /// Alpine.
    Apk,
    /// dpkg status or status.d.
    Deb,
    /// Chisel manifest: reported as deb, without a package URL.
    Chisel,
    /// RPM.
    Rpm {
        /// The epoch tag, where it exists (also 0).
        epoch: Option<i32>,
        /// The modularity label as found, e.g. `nodejs:18:…`.
        modularity: Option<String>,
        /// File name of the source package, e.g. `bash-5.1.8-9.el9.src.rpm`.
        source_rpm: Option<String>,
    },
}

/// A language runtime that belongs to the base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// `java`.
    pub kind: &'static str,
    /// E.g. `17.0.10`.
    pub version: String,
    /// The file that told it. Some files are known only to the newer release of the scanner being replaced, and
    /// `core/report` leaves those out of results that match the older one.
    pub path: LayerPath,
}

/// Something that was there and could not be read: a finding in its own right, since silence would look like a clean
/// image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The file.
    pub path: LayerPath,
    /// A stable code, e.g. `rpm_database_unreadable`, `os_release_unreadable`.
    pub code: &'static str,
    /// One sentence for the reader of the result.
    pub reason: String,
}
