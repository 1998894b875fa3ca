//! SPDX 2.3 (ISO/IEC 5962), as JSON.

use std::collections::BTreeMap;
use std::io;

use regent_scan::HashAlgorithm;
use serde::{Serialize, Serializer};

use super::layers::Layer;
use super::{Contents, TOOL, identity, serialize_each, write_document};
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
    packages: Packages<'a>,
    relationships: Relationships<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<&'a ExtractedLicense>,
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
pub(super) fn write(contents: &Contents<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let items = &contents.inventory.items;
    let ids: Vec<String> = items.iter().enumerate().map(|(n, item)| item_id(n, item)).collect();
    let mut licenses = Licenses::default();
    for license in items.iter().flat_map(|item| &item.licenses) {
        licenses.add(license);
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
        packages: Packages { contents, ids: &ids, licenses: &licenses },
        relationships: Relationships { contents, ids: &ids },
        has_extracted_licensing_infos: licenses.extracted.values().collect(),
    };
    document.namespace = format!("{NAMESPACE}/{}", identity::uuid(&document));
    write_document(&document, out)
}

/// The image, its layers, the operating system and its packages.
struct Packages<'a> {
    contents: &'a Contents<'a>,
    ids: &'a [String],
    licenses: &'a Licenses,
}

impl Serialize for Packages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let contents = self.contents;
        let layers = contents.layers.iter().enumerate().map(|(n, layer)| of_layer(n, layer));
        let os = contents.findings.os.iter().map(|os| Package {
            version_info: Some(os.version.as_str()).filter(|version| !version.is_empty()),
            comment: Some(os.pretty_name.clone()).filter(|name| !name.is_empty()),
            ..package(OPERATING_SYSTEM.to_owned(), filled(&os.name), "OPERATING-SYSTEM")
        });
        let items = contents.inventory.items.iter().zip(self.ids);
        let items = items.map(|(item, id)| of_item(item, id, self.licenses));
        serialize_each(serializer, std::iter::once(image(contents)).chain(layers).chain(os).chain(items))
    }
}

/// What contains and needs what.
struct Relationships<'a> {
    contents: &'a Contents<'a>,
    ids: &'a [String],
}

impl Relationships<'_> {
    fn of_item(&self, item: &Item<'_>, id: &str) -> Vec<Relationship> {
        // A layer that brought it contains it, and the image contains the layer.
        let n_layers = self.contents.layers.len();
        let mut layers: Vec<usize> =
            item.found.iter().filter_map(|(_, layer)| *layer).filter(|&n| n < n_layers).collect();
        layers.sort_unstable();
        layers.dedup();
        let in_image = layers.is_empty().then(|| relationship(IMAGE, "CONTAINS", id));
        let in_layers = layers.iter().map(|&n| relationship(&layer_id(n), "CONTAINS", id));
        let depends = item.depends.iter().filter_map(|&other| self.ids.get(other));
        let depends = depends.map(|other| relationship(id, "DEPENDS_ON", other));
        in_image.into_iter().chain(in_layers).chain(depends).collect()
    }
}

impl Serialize for Relationships<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let contents = self.contents;
        let document = std::iter::once(relationship(DOCUMENT, "DESCRIBES", IMAGE));
        let layers = (0..contents.layers.len()).map(|n| relationship(IMAGE, "CONTAINS", &layer_id(n)));
        let os = contents.findings.os.iter().map(|_| relationship(IMAGE, "CONTAINS", OPERATING_SYSTEM));
        let items = contents.inventory.items.iter().zip(self.ids);
        let items = items.flat_map(|(item, id)| self.of_item(item, id));
        serialize_each(serializer, document.chain(layers).chain(os).chain(items))
    }
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
fn item_id(n: usize, item: &Item<'_>) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = item.name.chars().take(MAX_ID_NAME).map(allowed).collect();
    format!("SPDXRef-Package-{}-{name}-{n}", item.kind)
}

/// Characters of a name in an identifier.
const MAX_ID_NAME: usize = 60;

fn of_item<'a>(item: &'a Item<'_>, id: &str, licenses: &Licenses) -> Package<'a> {
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
        None => (*path).to_owned(),
    });
    let found: Vec<String> = found.collect();
    let source = item.source.map(|(name, version)| match version {
        Some(version) => format!("built from {name} {version}"),
        None => format!("built from {name}"),
    });
    Package {
        version_info: item.version,
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
    /// Takes what a licence refers to, or what it is, into the document.
    fn add(&mut self, license: &License) {
        match license {
            License::Id(_) => {}
            License::Expression { references, .. } => {
                for reference in references {
                    self.refer(reference);
                }
            }
            License::Text(text) => self.add_text(text),
        }
    }

    /// The expression for all of these together, which have been added.
    fn declared(&self, licenses: &[License]) -> String {
        let part = |license: &License| match license {
            License::Id(id) => (*id).to_owned(),
            License::Expression { text, .. } if licenses.len() == 1 || !text.contains(' ') => text.clone(),
            License::Expression { text, .. } => format!("({text})"),
            License::Text(text) => self.by_text.get(text).map_or(NO_ASSERTION, String::as_str).to_owned(),
        };
        let parts: Vec<String> = licenses.iter().map(part).collect();
        if parts.is_empty() { NO_ASSERTION.to_owned() } else { parts.join(" AND ") }
    }

    fn refer(&mut self, id: &str) {
        self.extracted.entry(id.to_owned()).or_insert_with(|| ExtractedLicense {
            license_id: id.to_owned(),
            name: id.to_owned(),
            extracted_text: format!("{id}: the package refers to this licence without giving its text."),
        });
    }

    fn add_text(&mut self, text: &str) {
        if self.by_text.contains_key(text) {
            return;
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
        let text = text.to_owned();
        let extracted = ExtractedLicense { license_id: id.clone(), name: text.clone(), extracted_text: text };
        self.extracted.insert(id, extracted);
    }
}
