//! SPDX 2.3 (ISO/IEC 5962), as JSON.

use std::collections::BTreeMap;

use regent_scan::HashAlgorithm;
use serde::Serialize;

use super::layers::Layer;
use super::{Contents, TOOL, identity};
use crate::inventory::{Item, License};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const OPERATING_SYSTEM: &str = "SPDXRef-OperatingSystem";
const NO_ASSERTION: &str = "NOASSERTION";
/// A time is demanded. Where the image tells none, this stands for there being none.
const NO_TIME: &str = "1970-01-01T00:00:00Z";
/// Where document namespaces are. They are names: nothing needs to be there (SPDX 2.3, 6.5).
const NAMESPACE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/spdx");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    #[serde(rename = "documentNamespace")]
    namespace: String,
    creation_info: CreationInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    packages: Vec<Package<'a>>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedLicense>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationInfo<'a> {
    created: &'a str,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<&'a str>,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum<'a> {
    algorithm: &'static str,
    checksum_value: &'a str,
}

#[derive(Serialize)]
struct ExternalRef<'a> {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    related_spdx_element: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedLicense {
    license_id: String,
    name: String,
    extracted_text: String,
}

/// Writes the document.
pub(super) fn document(contents: &Contents<'_>) -> String {
    let mut licenses = Licenses::default();
    let mut packages = vec![image(contents)];
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
    for (n, layer) in contents.layers.iter().enumerate() {
        packages.push(of_layer(n, layer));
        relationships.push(relationship(IMAGE, "CONTAINS", &layer_id(n)));
    }
    if let Some(os) = &contents.findings.os {
        packages.push(Package {
            version_info: Some(os.version.as_str()).filter(|version| !version.is_empty()),
            comment: Some(os.pretty_name.clone()).filter(|name| !name.is_empty()),
            ..package(OPERATING_SYSTEM.to_owned(), filled(&os.name), "OPERATING-SYSTEM")
        });
        relationships.push(relationship(IMAGE, "CONTAINS", OPERATING_SYSTEM));
    }
    let items = &contents.inventory.items;
    let ids: Vec<String> = items.iter().enumerate().map(|(n, item)| item_id(n, item)).collect();
    for (item, id) in items.iter().zip(&ids) {
        packages.push(of_item(item, id, &mut licenses));
        // A layer that brought it contains it, and the image contains the layer.
        let mut layers: Vec<usize> =
            item.found.values().copied().flatten().filter(|&n| n < contents.layers.len()).collect();
        layers.sort_unstable();
        layers.dedup();
        if layers.is_empty() {
            relationships.push(relationship(IMAGE, "CONTAINS", id));
        }
        relationships.extend(layers.iter().map(|&n| relationship(&layer_id(n), "CONTAINS", id)));
        let depends = item.depends.iter().filter_map(|&other| ids.get(other));
        relationships.extend(depends.map(|other| relationship(id, "DEPENDS_ON", other)));
    }
    let subject = &contents.subject;
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: &subject.name,
        namespace: String::new(),
        creation_info: CreationInfo {
            created: subject.created.as_deref().unwrap_or(NO_TIME),
            creators: [format!("Tool: {}-{}", TOOL.0, TOOL.1)],
        },
        comment: Some(contents.remarks.join("\n")).filter(|text| !text.is_empty()),
        packages,
        relationships,
        has_extracted_licensing_infos: licenses.into_list(),
    };
    document.namespace = format!("{NAMESPACE}/{}", identity::uuid(&document));
    // Text, lists and structures can be written as JSON.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn relationship(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship { spdx_element_id: from.to_owned(), kind, related_spdx_element: to.to_owned() }
}

/// A package of which nothing more is said.
fn package<'a>(id: String, name: String, purpose: &'static str) -> Package<'a> {
    Package {
        id,
        name,
        version_info: None,
        download_location: NO_ASSERTION,
        files_analyzed: false,
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION.to_owned(),
        copyright_text: NO_ASSERTION,
        primary_package_purpose: purpose,
        checksums: Vec::new(),
        source_info: None,
        comment: None,
        external_refs: Vec::new(),
    }
}

fn image<'a>(contents: &'a Contents<'_>) -> Package<'a> {
    let subject = &contents.subject;
    let comment: Vec<String> =
        subject.properties.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    Package {
        version_info: subject.version.as_deref(),
        checksums: subject.manifest_digest.as_deref().and_then(sha256).into_iter().collect(),
        comment: Some(comment.join("\n")).filter(|text| !text.is_empty()),
        external_refs: subject.purl.as_deref().map(purl).into_iter().collect(),
        ..package(IMAGE.to_owned(), subject.name.clone(), "CONTAINER")
    }
}

fn layer_id(n: usize) -> String {
    format!("SPDXRef-Layer-{n}")
}

fn of_layer(n: usize, layer: &Layer) -> Package<'_> {
    let comment = [("diff ID", &layer.diff_id), ("instruction", &layer.instruction)];
    let comment: Vec<String> =
        comment.iter().filter_map(|(key, value)| Some(format!("{key}: {}", value.as_ref()?))).collect();
    Package {
        version_info: layer.digest.as_deref(),
        checksums: layer.digest.as_deref().and_then(sha256).into_iter().collect(),
        comment: Some(comment.join("\n")).filter(|text| !text.is_empty()),
        ..package(layer_id(n), format!("layer {n}"), "ARCHIVE")
    }
}

/// Letters, digits, dots and dashes are all that an identifier may have (SPDX 2.3, 7.2); the number makes it unique.
fn item_id(n: usize, item: &Item) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = item.name.chars().take(MAX_ID_NAME).map(allowed).collect();
    format!("SPDXRef-Package-{}-{name}-{n}", item.kind)
}

/// Characters of a name in an identifier.
const MAX_ID_NAME: usize = 60;

fn of_item<'a>(item: &'a Item, id: &str, licenses: &mut Licenses) -> Package<'a> {
    let checksums = item.hashes.iter().map(|(algorithm, value)| Checksum {
        algorithm: match algorithm {
            HashAlgorithm::Md5 => "MD5",
            HashAlgorithm::Sha1 => "SHA1",
            HashAlgorithm::Sha256 => "SHA256",
            HashAlgorithm::Sha384 => "SHA384",
            HashAlgorithm::Sha512 => "SHA512",
        },
        checksum_value: value,
    });
    let found = item.found.iter().map(|(path, layer)| match layer {
        Some(layer) => format!("{path} (layer {layer})"),
        None => path.clone(),
    });
    let found: Vec<String> = found.collect();
    let source = item.source.as_ref().map(|(name, version)| match version {
        Some(version) => format!("built from {name} {version}"),
        None => format!("built from {name}"),
    });
    Package {
        version_info: item.version.as_deref(),
        license_declared: licenses.declared(&item.licenses),
        checksums: checksums.collect(),
        source_info: Some(format!("found in {}", found.join(", "))).filter(|_| !found.is_empty()),
        comment: source,
        external_refs: vec![purl(&item.purl)],
        ..package(id.to_owned(), filled(&item.full_name()), "LIBRARY")
    }
}

/// A name must not be empty.
fn filled(name: &str) -> String {
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

fn sha256(digest: &str) -> Option<Checksum<'_>> {
    let checksum_value = digest.strip_prefix("sha256:")?;
    Some(Checksum { algorithm: "SHA256", checksum_value })
}

fn purl(purl: &str) -> ExternalRef<'_> {
    ExternalRef { category: "PACKAGE-MANAGER", kind: "purl", locator: purl }
}

/// Licences that are on no list: the document must have their text, and gives what was declared.
#[derive(Default)]
struct Licenses {
    /// Identifiers by text.
    by_text: BTreeMap<String, String>,
    /// How many texts have become identifiers with that beginning.
    n_alike: BTreeMap<String, usize>,
    /// By identifier.
    extracted: BTreeMap<String, ExtractedLicense>,
}

impl Licenses {
    /// The expression for all of these together.
    fn declared(&mut self, licenses: &[License]) -> String {
        let mut parts = Vec::with_capacity(licenses.len());
        for license in licenses {
            parts.push(match license {
                License::Id(id) => (*id).to_owned(),
                License::Expression { text, references } => {
                    for reference in references {
                        self.refer(reference);
                    }
                    let is_one = licenses.len() == 1 || !text.contains(' ');
                    if is_one { text.clone() } else { format!("({text})") }
                }
                License::Text(text) => self.of_text(text),
            });
        }
        if parts.is_empty() { NO_ASSERTION.to_owned() } else { parts.join(" AND ") }
    }

    fn refer(&mut self, id: &str) {
        self.extracted.entry(id.to_owned()).or_insert_with(|| ExtractedLicense {
            license_id: id.to_owned(),
            name: id.to_owned(),
            extracted_text: format!("{id}: the package refers to this licence without giving its text."),
        });
    }

    fn of_text(&mut self, text: &str) -> String {
        if let Some(id) = self.by_text.get(text) {
            return id.clone();
        }
        let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let start: String = text.chars().take(MAX_ID_NAME).map(allowed).collect();
        let start = start.trim_matches('-');
        let start = if start.is_empty() { "Text" } else { start };
        // Texts may differ only in what an identifier can't have.
        let n = self.n_alike.entry(start.to_owned()).or_default();
        let id = loop {
            *n += 1;
            let id = if *n == 1 { format!("LicenseRef-{start}") } else { format!("LicenseRef-{start}-{n}") };
            if !self.extracted.contains_key(&id) {
                break id;
            }
        };
        self.by_text.insert(text.to_owned(), id.clone());
        self.extracted.insert(
            id.clone(),
            ExtractedLicense {
                license_id: id.clone(),
                name: text.to_owned(),
                extracted_text: text.to_owned(),
            },
        );
        id
    }

    fn into_list(self) -> Vec<ExtractedLicense> {
        self.extracted.into_values().collect()
    }
}
