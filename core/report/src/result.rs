//! The scan result in the shape that consumers of the scanner being replaced read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use regent_scan::{Findings, FoundFile, OsRelease, Tree};
use serde::Serialize;
use serde_json::{Value, json};

use crate::applications::{Shared, applications};
use crate::dockerfile::DockerfileAnalysis;
use crate::error::Error;
use crate::facts;
use crate::graph::{DepGraph, PackageInfo, PackageManager, Repository};
use crate::input::{Compat, Digests, ImageFacts, ImageName};
use crate::instructions::Instructions;
use crate::layer_attribution;
use crate::names::{distribution_metadata, effective_digests, effective_name, image_names, root_package};
use crate::options::{Flag, Options};
use crate::os_tree::os_tree;
use crate::provenance;
use crate::purl::purl;
use crate::truncation::truncate;
use crate::user_packages::{extend, keep_installed, label};
use crate::warnings::Warnings;

/// Everything that a scan reports: `{"scanResults": […]}`, the operating system's result first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanResponse {
    /// The results. Never empty: an image without packages has the operating system's result as well.
    pub scan_results: Vec<ScanResult>,
}

/// What was found of one kind of package in an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanResult {
    /// What was scanned.
    pub identity: Identity,
    /// The image that it belongs to.
    pub target: Target,
    /// What is known about it, in a fixed order, each kind of fact once.
    pub facts: Vec<Fact>,
    /// The option `target-reference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_reference: Option<String>,
}

/// What a result is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The package format: `deb`, `apk`, `rpm`, `linux`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The file that decided; none for the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_file: Option<String>,
    /// Where the configuration names both operating system and architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<IdentityArgs>,
}

/// Further parts of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityArgs {
    /// `os/architecture`, e.g. `linux/amd64`.
    pub platform: String,
}

/// The image that results belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// `docker-image|NAME`.
    pub image: String,
}

/// One thing known about an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// E.g. `depGraph`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// As the kind demands.
    pub data: FactData,
}

/// What a fact says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FactData {
    /// Any JSON.
    Value(Value),
    /// A dependency graph: as JSON values it would take ten times the memory of its text.
    Graph(Box<DepGraph>),
}

impl FactData {
    /// The JSON, of what is no graph.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Graph(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn value_mut(&mut self) -> Option<&mut Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Graph(_) => None,
        }
    }
}

impl From<Value> for FactData {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// The version in the fact `pluginVersion`.
pub(crate) const PLUGIN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes the result of a scan.
///
/// `digests` are those of an image that was pulled; the options `digests` and `imageNameAndTag` override what is
/// given beside them.
///
/// # Errors
/// [`Error::ImageReference`] and [`Error::ImageDigest`] when the image's name or a digest is none.
pub fn scan_result(
    image: &ImageFacts,
    name: &ImageName,
    digests: Option<&Digests>,
    findings: &Findings,
    options: &Options,
) -> Result<ScanResponse, Error> {
    let digests = effective_digests(digests, options);
    let given_name = effective_name(name, options);
    let (root, version) = root_package(given_name.unwrap_or(&name.archive));

    let mut warnings = Warnings { parameter_checks: options.warnings.clone(), ..Warnings::default() };
    let mut dockerfile = options.dockerfile.as_deref().map(DockerfileAnalysis::parse);
    let mut of_user = Instructions::of_user(image.config.history.as_deref().unwrap_or_default());
    let os = os_release(findings, dockerfile.as_ref());

    let mut tree = os_tree(&findings.packages.list, |package| purl(package, &findings.packages, &os));
    let by_dockerfile = dockerfile.as_mut().map(|analysis| &mut analysis.instructions);
    attribute(&mut tree, by_dockerfile, &mut of_user, options, &mut warnings);
    if options.compat == Compat::V9_20 && options.has(Flag::LayerAttribution) {
        layer_attribution::label(&mut tree, &findings.packages.list, &image.config);
        warnings.layer_attribution.extend(layer_attribution::warning(&image.config));
    }
    let root_info = PackageInfo { name: root.clone(), version, purl: None };
    let manager = PackageManager {
        name: findings.packages.format.as_str(),
        repositories: vec![Repository { alias: format!("{}:{}", os.name, os.version) }],
    };

    let mut facts = Facts(Vec::new());
    facts.add_graph(DepGraph::fold(&tree, root_info, manager));
    facts.add_list("keyBinariesHashes", &findings.key_binaries);
    facts.add("baseRuntimes", base_runtime(findings, options.compat));
    facts.add("dockerfileAnalysis", dockerfile.map(|analysis| json!(analysis)));
    facts.add("imageId", Some(json!(image.image_id)));
    facts.add_list("imageLayers", &image.layers.0);
    let config = &image.config;
    facts.add("imageLabels", config.config.as_ref().and_then(facts::labels));
    facts.add("containerConfig", config.config.as_ref().map(facts::container_config));
    facts.add("history", config.history.as_deref().filter(|h| !h.is_empty()).map(facts::history));
    facts.add_text("imageCreationTime", config.created.as_deref());
    facts.add_list("rootFs", config.rootfs.as_ref().map_or(&[], |rootfs| &rootfs.diff_ids));
    facts.add_text("imageOsReleasePrettyName", Some(&os.pretty_name));
    facts.add("imageManifestFiles", manifest_files(&findings.files));
    facts.add("autoDetectedUserInstructions", of_user.is_recognised().then(|| json!(of_user)));

    let names = image_names(given_name, digests.as_ref(), options.image_name_and_digest.as_deref())?;
    let names = (!names.is_empty()).then(|| json!({ "names": names }));
    facts.add("imageNames", names.clone());
    let metadata = given_name.zip(digests.as_ref()).and_then(|(n, d)| distribution_metadata(n, d));
    let metadata = metadata.map(|metadata| json!(metadata));
    facts.add("ociDistributionMetadata", metadata.clone());
    if options.compat == Compat::V9_20 {
        facts.add("provenanceMetadata", provenance::metadata(&image.attestations));
    }
    let platform = platform(image);
    facts.add_text("platform", platform.as_deref());
    facts.add_text("pluginVersion", Some(PLUGIN_VERSION));

    let truncated = truncate(&mut facts.0);
    facts.add("pluginWarnings", warnings.into_fact(&findings.gaps, &truncated));

    let of_os = ScanResult {
        identity: Identity {
            kind: findings.packages.format.as_str(),
            target_file: None,
            args: platform.map(|platform| IdentityArgs { platform }),
        },
        target: Target { image: root.clone() },
        facts: facts.0,
        target_reference: options.target_reference.clone(),
    };
    let mut scan_results = vec![of_os];
    if !options.has(Flag::ExcludeAppVulns) {
        let shared = Shared {
            image_id: &image.image_id,
            target: &root,
            origin: given_name.unwrap_or(&name.archive),
            names,
            metadata,
        };
        scan_results.extend(applications(findings, &shared, options));
    }
    Ok(ScanResponse { scan_results })
}

/// Tells packages of user instructions from those of the base image: by the Dockerfile where there is one, else by
/// the history.
fn attribute(
    tree: &mut Tree,
    mut by_dockerfile: Option<&mut Instructions>,
    of_user: &mut Instructions,
    options: &Options,
    warnings: &mut Warnings,
) {
    let mut complete = extend(of_user, tree);
    if let Some(by_dockerfile) = by_dockerfile.as_deref_mut() {
        complete = complete.and(extend(by_dockerfile, tree));
    }
    let instructions = by_dockerfile.map_or(&*of_user, |by_dockerfile| &*by_dockerfile);
    if options.has(Flag::ExcludeBaseImageVulns) && !keep_installed(tree, instructions) {
        warnings.parameter_checks.push(
            "--exclude-base-image-vulns: no instruction that installs packages was recognised, all packages are kept"
                .to_owned(),
        );
    }
    if complete.and(label(tree, instructions)).is_err() || instructions.is_cut {
        warnings
            .limits
            .push("not every package is attributed to its instruction: the result would be too large");
    }
}

/// The release that was found, or a name for there being none.
fn os_release(findings: &Findings, dockerfile: Option<&DockerfileAnalysis>) -> OsRelease {
    findings.os.clone().unwrap_or_else(|| {
        let name = if findings.has_chisel_manifest {
            "chisel"
        } else if dockerfile.is_some_and(DockerfileAnalysis::is_from_scratch) {
            "scratch"
        } else {
            "unknown"
        };
        OsRelease { name: name.to_owned(), version: "0.0".to_owned(), pretty_name: String::new() }
    })
}

/// The one file that the older release knows.
const OLD_RUNTIME_FILE: &str = "/opt/java/openjdk/release";

/// `baseRuntimes`: the first runtime that the release to match knows of.
fn base_runtime(findings: &Findings, compat: Compat) -> Option<Value> {
    let is_known = |path: &str| match compat {
        Compat::V9_8 => path == OLD_RUNTIME_FILE,
        Compat::V9_20 => true,
    };
    let runtime = findings.runtimes.iter().find(|runtime| is_known(runtime.path.as_str()))?;
    Some(json!([{ "type": runtime.kind, "version": runtime.version }]))
}

/// `imageManifestFiles`, if there are any.
fn manifest_files(files: &[FoundFile]) -> Option<Value> {
    let file = |file: &FoundFile| {
        json!({
            "name": file.path.file_name(),
            "path": file.path.parent().as_str(),
            "contents": BASE64_STANDARD.encode(&file.content),
        })
    };
    (!files.is_empty()).then(|| files.iter().map(file).collect())
}

/// `os/architecture`, without the variant.
fn platform(image: &ImageFacts) -> Option<String> {
    image.config.platform().map(|platform| format!("{}/{}", platform.os, platform.architecture))
}

/// Facts in the order of their emission. What says nothing is left out.
pub(crate) struct Facts(pub(crate) Vec<Fact>);

impl Facts {
    pub(crate) fn add(&mut self, kind: &'static str, data: Option<Value>) {
        self.0.extend(data.map(|data| Fact { kind, data: data.into() }));
    }

    pub(crate) fn add_graph(&mut self, graph: DepGraph) {
        self.0.push(Fact { kind: "depGraph", data: FactData::Graph(Box::new(graph)) });
    }

    pub(crate) fn add_text(&mut self, kind: &'static str, text: Option<&str>) {
        self.add(kind, text.filter(|text| !text.is_empty()).map(Value::from));
    }

    fn add_list(&mut self, kind: &'static str, list: &[String]) {
        self.add(kind, (!list.is_empty()).then(|| Value::from(list)));
    }
}

#[cfg(test)]
mod tests;
