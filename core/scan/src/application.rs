//! What is found of applications: the packages that no distribution's package manager installed.

use std::collections::{BTreeMap, BTreeSet};

use crate::distil::Coordinates;
use crate::graph::Graph;
use crate::ownership::PackagePlace;
use crate::path::LayerPath;
use crate::tree::Tree;

/// One application: a lock file, a folder of installed packages, a folder of archives, a binary.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// What kind it is.
    pub kind: ApplicationKind,
    /// What names it, usually the path of a file: `targetFile` of its result.
    pub target_file: String,
    /// What is reported of it in the shape of the scanner being replaced.
    pub content: Content,
    /// The packages that are really there: what tables and SBOMs list. Where the shape above has to repeat another
    /// scanner's mistakes, this doesn't.
    pub components: Vec<Component>,
}

impl Application {
    /// One that is in tables and SBOMs only.
    pub(crate) fn unreported(kind: ApplicationKind, place: &LayerPath, components: Vec<Component>) -> Self {
        let target_file = place.as_str().to_owned();
        Self { kind, target_file, content: Content::Unreported, components }
    }

    /// How many places of packages it has, in its graph and its list together.
    pub(crate) fn n_places(&self) -> usize {
        let shown = match &self.content {
            Content::Dependencies { dependencies: Dependencies::Tree(tree), .. } => tree.len(),
            Content::Dependencies { dependencies: Dependencies::Graph(graph), .. } => graph.nodes().count(),
            Content::Files { paths, .. } => paths.len(),
            Content::Jars { fingerprints, .. } => fingerprints.len(),
            Content::Unreported => 0,
        };
        shown + self.components.len()
    }
}

/// The kinds of applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ApplicationKind {
    /// `package.json` with `package-lock.json`.
    Npm,
    /// `package.json` with `yarn.lock`.
    Yarn,
    /// `package.json` with `pnpm-lock.yaml`.
    Pnpm,
    /// Packages installed in `node_modules`.
    NodeModules,
    /// Packages in the virtual store that pnpm makes in `node_modules`.
    PnpmStore,
    /// Source files of Node applications.
    NodeFiles,
    /// Source files of Python applications.
    PythonFiles,
    /// `composer.json` with `composer.lock`.
    Composer,
    /// A directory with Java archives.
    Java,
    /// Bundler's lock file.
    Gemfile,
    /// A folder of installed gems.
    InstalledGems,
    /// A Go program.
    Go,
    /// `Cargo.lock`, or a Rust program that lists its crates.
    Cargo,
    /// `Package.resolved` of Swift.
    Swift,
    /// `mix.lock` of Elixir.
    Mix,
    /// `pyproject.toml` with `poetry.lock`.
    Poetry,
    /// `requirements.txt`.
    Pip,
    /// A directory of installed Python distributions.
    PythonEnvironment,
    /// `Pipfile.lock`.
    Pipenv,
    /// `uv.lock`.
    Uv,
    /// `pdm.lock`.
    Pdm,
    /// The packages of a conda environment.
    Conda,
    /// `*.deps.json` of .NET.
    Nuget,
}

impl ApplicationKind {
    /// `identity.type` of its result, which is also its graph's package manager.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Npm | Self::NodeModules | Self::NodeFiles => "npm",
            Self::Yarn => "yarn",
            Self::Pnpm | Self::PnpmStore => "pnpm",
            Self::Composer => "composer",
            Self::Gemfile | Self::InstalledGems => "rubygems",
            Self::PythonFiles => "python",
            Self::Java => "maven",
            Self::Go => "gomodules",
            Self::Cargo => "cargo",
            Self::Swift => "swift",
            Self::Mix => "hex",
            Self::Poetry => "poetry",
            Self::Pip | Self::PythonEnvironment => "pip",
            Self::Pipenv => "pipenv",
            Self::Uv => "uv",
            Self::Pdm => "pdm",
            Self::Conda => "conda",
            Self::Nuget => "nuget",
        }
    }
}

/// What a result tells of an application.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// A dependency graph.
    Dependencies {
        /// The application itself.
        root: Root,
        /// What it depends on.
        dependencies: Dependencies,
        /// `testedFiles`.
        tested_files: TestedFiles,
    },
    /// A list of source files.
    Files {
        /// `node` or `python`.
        language: &'static str,
        /// Relative to the application's directory, in merge order.
        paths: Vec<String>,
    },
    /// Java archives: what they say to be, or their digests.
    Jars {
        /// Every archive, each followed by those in it.
        fingerprints: Vec<JarFingerprint>,
        /// Whether they are reported only where the option `include-system-jars` is on.
        is_system: bool,
    },
    /// Nothing: it is in tables and SBOMs only.
    Unreported,
}

/// A Java archive as results tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JarFingerprint {
    /// Its path, followed for a nested one by the names of the entries that lead to it.
    pub location: String,
    /// How many archives it is in. Results leave out those deeper than an option says.
    pub depth: u32,
    /// What it is; if that is not known, its digest tells.
    pub identity: JarIdentity,
    /// Artifacts that were merged into it.
    pub dependencies: Vec<Coordinates>,
}

/// What tells a Java archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JarIdentity {
    /// Its coordinates.
    Coordinates(Coordinates),
    /// SHA-1 of its bytes, in lower-case hexadecimal.
    Sha1(String),
}

/// The root of an application's graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// Its name.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
}

/// Dependencies, in the form in which the ecosystem gives them.
#[derive(Debug, Clone, PartialEq)]
pub enum Dependencies {
    /// A tree, which is folded into a graph.
    Tree(Tree),
    /// A graph.
    Graph(Graph),
}

/// The fact `testedFiles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestedFiles {
    /// The fact is absent.
    None,
    /// Names of files, as a list.
    List(Vec<String>),
    /// One path, as plain text.
    Path(String),
}

/// A package that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its ecosystem.
    pub ecosystem: Ecosystem,
    /// The part before its name: an npm scope, a Maven group, a Composer vendor, a Go module's directory.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its version, as it is written there.
    pub version: Option<String>,
    /// Licences, as they are written there: SPDX expressions or free text.
    pub licenses: Vec<String>,
    /// Hashes of what was installed, in lower-case hexadecimal.
    pub hashes: BTreeSet<(HashAlgorithm, String)>,
    /// Qualifiers of its package URL.
    pub qualifiers: BTreeMap<&'static str, String>,
    /// The files that tell of it. Where all of them belong to a package of the distribution, so does the component.
    pub evidence: Vec<LayerPath>,
    /// Index of the layer that brought it, base layer 0.
    pub layer: usize,
    /// The package of the distribution that has the files that tell of it, if one has: then it is there as a part of that
    /// package, and no package of its own.
    pub owner: Option<PackagePlace>,
    /// What it depends on: places in the application's list.
    pub depends: Vec<usize>,
}

impl Component {
    /// A package of which only a file tells.
    pub fn new(
        ecosystem: Ecosystem,
        name: impl Into<String>,
        version: Option<String>,
        evidence: LayerPath,
        layer: usize,
    ) -> Self {
        Self {
            ecosystem,
            namespace: None,
            name: name.into(),
            version,
            licenses: Vec::new(),
            hashes: BTreeSet::new(),
            qualifiers: BTreeMap::new(),
            evidence: vec![evidence],
            layer,
            owner: None,
            depends: Vec::new(),
        }
    }

    /// The same with a namespace: what is before the last slash of `full_name`, if there is one.
    #[must_use]
    pub fn with_full_name(mut self, full_name: &str) -> Self {
        let (namespace, name) =
            full_name.rsplit_once('/').map_or((None, full_name), |(before, name)| (Some(before), name));
        self.namespace = namespace.map(str::to_owned);
        name.clone_into(&mut self.name);
        self
    }
}

/// The ecosystem of a package: the type of its package URL (package-url/purl-spec, PURL-TYPES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Ecosystem {
    /// Cargo crates.
    Cargo,
    /// PHP's Composer.
    Composer,
    /// Conda packages.
    Conda,
    /// Ruby gems.
    Gem,
    /// Go modules.
    Golang,
    /// Elixir's and Erlang's Hex.
    Hex,
    /// Java's Maven.
    Maven,
    /// npm.
    Npm,
    /// .NET's `NuGet`.
    Nuget,
    /// Python.
    Pypi,
    /// Swift packages.
    Swift,
}

impl Ecosystem {
    /// The type of the package URL.
    pub fn purl_type(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Composer => "composer",
            Self::Conda => "conda",
            Self::Gem => "gem",
            Self::Golang => "golang",
            Self::Hex => "hex",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Nuget => "nuget",
            Self::Pypi => "pypi",
            Self::Swift => "swift",
        }
    }
}

/// Hash algorithms that lock files and archives name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}
