//! The results of applications: one for each lock file, folder of archives or binary, after the operating system's.

use regent_scan::{Application, ApplicationKind, Content, Dependencies, Findings, Root, TestedFiles};
use serde_json::{Value, json};

use crate::apk_ownership;
use crate::graph::{DepGraph, PackageInfo, PackageManager};
use crate::input::Compat;
use crate::jars::JarFingerprints;
use crate::options::{Flag, Options};
use crate::result::{Fact, Facts, Identity, PLUGIN_VERSION, ScanResult, Target};

/// What the results of one image have in common.
pub(crate) struct Shared<'a> {
    /// The fact `imageId`.
    pub(crate) image_id: &'a str,
    /// The name of the target.
    pub(crate) target: &'a str,
    /// What the image is called: the origin of its jars.
    pub(crate) origin: &'a str,
    /// The fact `imageNames`.
    pub(crate) names: Option<Value>,
    /// The fact `ociDistributionMetadata`.
    pub(crate) metadata: Option<Value>,
}

/// The results of applications, in the order in which they were found.
pub(crate) fn applications<'a>(
    findings: &'a Findings,
    shared: &'a Shared<'_>,
    options: &'a Options,
) -> impl Iterator<Item = ScanResult> + 'a {
    let all = findings.applications.iter().enumerate();
    let reported = all.filter(|(_, found)| is_included(found, options) && is_reported(found.kind, options));
    reported.filter_map(move |(place, application)| {
        let mut facts = Facts(own_facts(application, shared, options)?);
        facts.add("imageId", Some(json!(shared.image_id)));
        facts.add("imageNames", shared.names.clone());
        facts.add("ociDistributionMetadata", shared.metadata.clone());
        facts.add_text("pluginVersion", Some(PLUGIN_VERSION));
        if options.compat == Compat::V9_20 {
            facts.add("apkPackageOwnership", apk_ownership::ownership(findings, place));
        }
        Some(ScanResult {
            identity: Identity {
                kind: application.kind.as_str(),
                target_file: Some(application.target_file.clone()),
                args: None,
            },
            target: Target { image: shared.target.to_owned() },
            facts: facts.0,
            target_reference: options.target_reference.clone(),
        })
    })
}

/// Whether the options leave an application in.
pub(crate) fn is_included(application: &Application, options: &Options) -> bool {
    let is_installed_node =
        matches!(application.kind, ApplicationKind::NodeModules | ApplicationKind::PnpmStore);
    !is_installed_node || !options.has(Flag::ExcludeNodeModules)
}

/// Whether results that match the wanted release, with these options, have applications of this kind.
fn is_reported(kind: ApplicationKind, options: &Options) -> bool {
    match kind {
        ApplicationKind::Nuget => options.compat == Compat::V9_20,
        _ => true,
    }
}

/// What tells of the application itself. `None` for one that results leave out.
fn own_facts(application: &Application, shared: &Shared<'_>, options: &Options) -> Option<Vec<Fact>> {
    let mut facts = Facts(Vec::new());
    match &application.content {
        Content::Dependencies { root, dependencies, tested_files } => {
            let manager = application.kind.as_str();
            facts.add_graph(dep_graph(root, dependencies, manager));
            facts.add(
                "testedFiles",
                match tested_files {
                    TestedFiles::None => None,
                    TestedFiles::List(names) => Some(json!(names)),
                    TestedFiles::Path(path) => Some(json!(path)),
                },
            );
        }
        Content::Files { language, paths } => {
            let paths: Vec<Value> = paths.iter().map(|path| json!({ "path": path })).collect();
            let list = json!([{ "language": language, "fileHierarchy": paths }]);
            facts.add("applicationFiles", Some(list));
        }
        Content::Jars { is_system: true, .. } if !options.has(Flag::IncludeSystemJars) => return None,
        Content::Jars { fingerprints, .. } => {
            let data = JarFingerprints::new(fingerprints, shared.origin, &application.target_file, options);
            facts.add("jarFingerprints", Some(json!(data)));
        }
        _ => return None,
    }
    Some(facts.0)
}

fn dep_graph(root: &Root, dependencies: &Dependencies, manager: &'static str) -> DepGraph {
    let root = PackageInfo { name: root.name.clone(), version: root.version.clone(), purl: None };
    let manager = PackageManager { name: manager, repositories: Vec::new() };
    match dependencies {
        Dependencies::Tree(tree) => DepGraph::fold(tree, root, manager),
        Dependencies::Graph(graph) => DepGraph::of_graph(graph, root, manager),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_of_dotnet_are_in_results_of_release_9_20_alone() {
        let newer = Options { compat: Compat::V9_20, ..Options::default() };
        assert!(!is_reported(ApplicationKind::Nuget, &Options::default()));
        assert!(is_reported(ApplicationKind::Nuget, &newer));
        assert!(is_reported(ApplicationKind::Pip, &Options::default()));
    }
}
