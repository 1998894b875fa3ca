//! What results of release 9.20 tell of Wolfi's and Chainguard's images: which packages of other ecosystems belong to
//! which of `apk`, in the way in which the scanner being replaced tells it. It guesses by directories; what tables and
//! SBOMs leave out as owned goes by files alone ([`Component::owner`](crate::Component)).

use std::collections::BTreeMap;

use super::{PackagePlace, Query, is_named_like_its_source, with_ancestors};
use crate::application::{Application, ApplicationKind, Component, Content, TestedFiles};
use crate::finding::{Findings, PackageFormat};
use crate::path::LayerPath;

/// Distributions whose results tell of it.
const DISTRIBUTIONS: [&str; 2] = ["wolfi", "chainguard"];

/// A package of an application, or a whole application, that belongs to a package of `apk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApkOwned {
    /// Which of the findings' applications.
    pub application: usize,
    /// The paths that belong to the package.
    pub paths: Vec<LayerPath>,
    /// Which of the reported packages has them.
    pub package: usize,
    /// Name and version of the application's package; none where it is about the application as a whole.
    pub component: Option<(String, Option<String>)>,
}

/// What may belong to a package.
pub(super) struct Candidate {
    application: usize,
    pub(super) paths: Vec<LayerPath>,
    component: Option<(String, Option<String>)>,
}

pub(super) fn candidates(findings: &Findings) -> Vec<Candidate> {
    let is_told = findings.os.as_ref().is_some_and(|os| DISTRIBUTIONS.contains(&os.name.as_str()));
    if !is_told || findings.packages.format != PackageFormat::Apk {
        return Vec::new();
    }
    let applications = findings.applications.iter().enumerate();
    applications.flat_map(|(place, application)| of_application(place, application)).collect()
}

fn of_application(place: usize, application: &Application) -> Vec<Candidate> {
    match (&application.content, application.kind) {
        (Content::Unreported, _) => Vec::new(),
        (_, ApplicationKind::NodeModules | ApplicationKind::PnpmStore) => installed(place, application),
        _ => {
            let paths = files(application);
            vec![Candidate { application: place, paths, component: None }]
        }
    }
}

/// The directories of installed packages, each name and version at its first place.
fn installed(place: usize, application: &Application) -> Vec<Candidate> {
    let mut directories: Vec<(LayerPath, &Component)> = application
        .components
        .iter()
        .filter_map(|component| Some((component.evidence.first()?.parent(), component)))
        .collect();
    directories.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut first: BTreeMap<(String, Option<String>), LayerPath> = BTreeMap::new();
    for (directory, component) in directories {
        let name = match &component.namespace {
            Some(namespace) => format!("{namespace}/{}", component.name),
            None => component.name.clone(),
        };
        first.entry((name, component.version.clone())).or_insert(directory);
    }
    let candidate = |(component, directory)| Candidate {
        application: place,
        paths: vec![directory],
        component: Some(component),
    };
    first.into_iter().map(candidate).collect()
}

/// The files that an application's result tells of.
fn files(application: &Application) -> Vec<LayerPath> {
    let target = LayerPath::new(&application.target_file);
    match &application.content {
        Content::Dependencies { tested_files: TestedFiles::None, .. } => vec![target],
        Content::Dependencies { tested_files: TestedFiles::Path(path), .. } => vec![LayerPath::new(path)],
        Content::Dependencies { tested_files: TestedFiles::List(names), .. } => {
            names.iter().map(|name| target.parent().join(name)).collect()
        }
        Content::Files { paths, .. } => paths.iter().map(|path| target.join(path)).collect(),
        Content::Jars { fingerprints, .. } => {
            let files = fingerprints.iter().filter(|jar| jar.depth == 0);
            files.map(|jar| LayerPath::new(&jar.location)).collect()
        }
        Content::Unreported => Vec::new(),
    }
}

/// The candidates that belong to a package.
pub(super) fn owned(candidates: &[Candidate], findings: &Findings, query: &Query<'_>) -> Vec<ApkOwned> {
    let owned = candidates.iter().filter_map(|candidate| {
        let mut owners = candidate.paths.iter().map(|path| owner(path, findings, query));
        let first = owners.next()??;
        let is_one = owners.all(|owner| owner == Some(first));
        is_one.then(|| ApkOwned {
            application: candidate.application,
            paths: candidate.paths.clone(),
            package: first,
            component: candidate.component.clone(),
        })
    });
    owned.collect()
}

/// The package that has this very file, else the one that alone has the deepest directory on the way.
fn owner(path: &LayerPath, findings: &Findings, query: &Query<'_>) -> Option<usize> {
    let reported = |place: &&PackagePlace| place.database == 0;
    let is_main = |place: &&PackagePlace| {
        findings.packages.list.get(place.package).is_some_and(is_named_like_its_source)
    };
    let files: Vec<&PackagePlace> = query.files(path).iter().filter(reported).collect();
    let file = match files.as_slice() {
        [only] => Some(*only),
        several => several.iter().copied().find(|place| is_main(place)),
    };
    let directory = || {
        with_ancestors(path).find_map(|directory| {
            let mut owners = query.directories(directory).iter().filter(reported);
            owners.next().filter(|_| owners.next().is_none())
        })
    };
    file.or_else(directory).map(|place| place.package)
}
