//! CycloneDX 1.6 (ECMA-424), as JSON.

use std::collections::HashMap;
use std::io;

use regent_scan::HashAlgorithm;
use serde::{Serialize, Serializer};

use super::{Contents, TOOL, identity, serialize_each, write_document};
use crate::inventory::{Item, License};

/// Identifiers of newer versions of the SPDX list than the schema of CycloneDX 1.6 knows: they are told as names.
const NEWER_THAN_SCHEMA: [&str; 19] = [
    "BSD-2-Clause-pos-unchanged",
    "BSD-3-Clause-OpenWebUI",
    "BSD-Source-Code-no-disclaimer",
    "BSD-Source-alt-GPL",
    "BSD-ask-to-endorse",
    "Brian-Gladman-3-Clause-no-conversion",
    "Bugroff",
    "CC-BY-NC-3.0-IGO",
    "FDK-MPEG-H",
    "GFDL-1.1-invariants",
    "GFDL-1.1-no-invariants",
    "GFDL-1.2-invariants",
    "GFDL-1.2-no-invariants",
    "GFDL-1.3-invariants",
    "GFDL-1.3-no-invariants",
    "Hippocratic-3.0-core",
    "Informatica",
    "MVT-1.1",
    "atc-game",
];

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "bomFormat")]
    format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'a>,
    components: Components<'a>,
    dependencies: Dependencies<'a>,
    compositions: Vec<Composition<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    lifecycles: [Lifecycle; 1],
    tools: Tools,
    component: Component<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property<'a>>,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    r#type: &'static str,
    name: &'static str,
    version: &'static str,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenseChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property<'a>>,
}

#[derive(Serialize)]
struct Hash<'a> {
    alg: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenseChoice<'a> {
    License(NamedLicense<'a>),
    #[serde(untagged)]
    Expression {
        expression: &'a str,
        acknowledgement: &'static str,
    },
}

#[derive(Serialize)]
struct NamedLicense<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    acknowledgement: &'static str,
}

#[derive(Serialize)]
struct Evidence<'a> {
    occurrences: Vec<Occurrence<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Occurrence<'a> {
    location: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_context: Option<String>,
}

#[derive(Serialize)]
struct Property<'a> {
    name: String,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    r#ref: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
}

#[derive(Serialize)]
struct Composition<'a> {
    aggregate: &'static str,
    assemblies: [&'a str; 1],
}

/// All licences are the packages' own declarations.
const DECLARED: &str = "declared";

/// Writes the document.
pub(super) fn write(contents: &Contents<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let names = Names::new(contents);
    let mut bom = bom(contents, &names);
    bom.serial_number = Some(format!("urn:uuid:{}", identity::uuid(&bom)));
    write_document(&bom, out)
}

/// The operating system and the packages.
struct Components<'a> {
    contents: &'a Contents<'a>,
    names: &'a Names,
}

impl Serialize for Components<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { contents, names } = self;
        let of_os = names.os.iter().zip(&contents.findings.os).map(|(name, os)| Component {
            r#type: "operating-system",
            bom_ref: name,
            name: &os.name,
            version: Some(os.version.as_str()).filter(|version| !version.is_empty()),
            description: Some(os.pretty_name.as_str()).filter(|name| !name.is_empty()),
            ..Component::default()
        });
        let items = contents.inventory.items.iter().enumerate();
        serialize_each(
            serializer,
            of_os.chain(items.map(|(place, item)| package(place, item, contents, names))),
        )
    }
}

/// What the image needs, and what each package does.
struct Dependencies<'a> {
    contents: &'a Contents<'a>,
    names: &'a Names,
}

impl Serialize for Dependencies<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { contents, names } = self;
        let top = contents.inventory.top_level().into_iter().map(|place| names.item(place));
        let of_image = Dependency {
            r#ref: &names.image,
            depends_on: names.os.iter().map(String::as_str).chain(top).collect(),
        };
        let of_items = contents.inventory.items.iter().enumerate().map(|(place, item)| Dependency {
            r#ref: names.item(place),
            depends_on: item.depends.iter().map(|&other| names.item(other)).collect(),
        });
        serialize_each(serializer, std::iter::once(of_image).chain(of_items))
    }
}

/// The references by which components are named in the document, and texts that components share.
struct Names {
    image: String,
    os: Option<String>,
    items: Vec<String>,
    layer_numbers: Vec<String>,
}

impl Names {
    fn new(contents: &Contents<'_>) -> Self {
        let subject = &contents.subject;
        let image = subject.purl.clone().unwrap_or_else(|| format!("image:{}", subject.name));
        let os = contents.findings.os.as_ref().map(|os| format!("os:{}:{}", os.name, os.version));
        let mut items = Vec::with_capacity(contents.inventory.items.len());
        // Several with the same URL have different hashes.
        let mut n_alike: HashMap<&str, usize> = HashMap::new();
        for item in &contents.inventory.items {
            let n = n_alike.entry(&item.purl).or_default();
            *n += 1;
            items.push(if *n == 1 { item.purl.clone() } else { format!("{}#{n}", item.purl) });
        }
        let layer_numbers = (0..contents.layers.len()).map(|n| n.to_string()).collect();
        Self { image, os, items, layer_numbers }
    }

    fn item(&self, place: usize) -> &str {
        self.items.get(place).map_or("", String::as_str)
    }
}

fn bom<'a>(contents: &'a Contents<'a>, names: &'a Names) -> Bom<'a> {
    Bom {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: Metadata {
            timestamp: contents.subject.created.as_deref(),
            lifecycles: [Lifecycle { phase: "post-build" }],
            tools: Tools { components: [Tool { r#type: "application", name: TOOL.0, version: TOOL.1 }] },
            component: image(contents, names),
            properties: contents.remarks.iter().map(|remark| property("remark", remark)).collect(),
        },
        components: Components { contents, names },
        dependencies: Dependencies { contents, names },
        compositions: vec![Composition {
            aggregate: if contents.findings.gaps.is_empty() { "unknown" } else { "incomplete" },
            assemblies: [&names.image],
        }],
    }
}

fn image<'a>(contents: &'a Contents<'_>, names: &'a Names) -> Component<'a> {
    let subject = &contents.subject;
    let hashes = subject.manifest_digest.iter().filter_map(|digest| digest.strip_prefix("sha256:"));
    let mut properties: Vec<_> = subject.properties.iter().map(|(key, value)| property(key, value)).collect();
    for (n, layer) in contents.layers.iter().enumerate() {
        for (key, value) in
            [("digest", &layer.digest), ("diffId", &layer.diff_id), ("instruction", &layer.instruction)]
        {
            properties.extend(value.iter().map(|value| property(&format!("image:layer:{n}:{key}"), value)));
        }
    }
    Component {
        r#type: "container",
        bom_ref: &names.image,
        name: &subject.name,
        version: subject.version.as_deref(),
        hashes: hashes.map(|content| Hash { alg: "SHA-256", content }).collect(),
        purl: subject.purl.as_deref(),
        properties,
        ..Component::default()
    }
}

fn package<'a>(
    place: usize,
    item: &'a Item<'_>,
    contents: &'a Contents<'_>,
    names: &'a Names,
) -> Component<'a> {
    let occurrences = item.found.iter().map(|(path, layer)| Occurrence {
        location: path,
        additional_context: layer.map(|layer| format!("layer {layer}")),
    });
    let mut properties = Vec::new();
    if let Some((name, version)) = item.source {
        properties.push(property("package:source", name));
        properties.extend(version.iter().map(|version| property("package:sourceVersion", version)));
    }
    if let Some(n) = item.layer()
        && let (Some(layer), Some(number)) = (contents.layers.get(n), names.layer_numbers.get(n))
    {
        properties.push(property("layer:index", number));
        for (key, value) in [
            ("layer:digest", &layer.digest),
            ("layer:diffId", &layer.diff_id),
            ("layer:instruction", &layer.instruction),
        ] {
            properties.extend(value.iter().map(|value| property(key, value)));
        }
    }
    Component {
        r#type: "library",
        bom_ref: names.item(place),
        group: item.namespace,
        name: item.name,
        version: item.version,
        hashes: item
            .hashes
            .iter()
            .map(|(algorithm, content)| Hash { alg: algorithm_name(*algorithm), content })
            .collect(),
        licenses: licenses(&item.licenses),
        purl: Some(&item.purl),
        evidence: (!item.found.is_empty()).then(|| Evidence { occurrences: occurrences.collect() }),
        properties,
        ..Component::default()
    }
}

/// One expression may stand alone; beside other licences it is told as a name.
fn licenses(licenses: &[License]) -> Vec<LicenseChoice<'_>> {
    if let [License::Expression { text, .. }] = licenses {
        return vec![LicenseChoice::Expression { expression: text, acknowledgement: DECLARED }];
    }
    let named = licenses.iter().map(|license| {
        let (id, name) = match license {
            License::Id(id) if !NEWER_THAN_SCHEMA.contains(id) => (Some(*id), None),
            License::Id(text) => (None, Some(*text)),
            License::Expression { text, .. } | License::Text(text) => (None, Some(text.as_str())),
        };
        LicenseChoice::License(NamedLicense { id, name, acknowledgement: DECLARED })
    });
    named.collect()
}

fn algorithm_name(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::Md5 => "MD5",
        HashAlgorithm::Sha1 => "SHA-1",
        HashAlgorithm::Sha256 => "SHA-256",
        HashAlgorithm::Sha384 => "SHA-384",
        HashAlgorithm::Sha512 => "SHA-512",
    }
}

/// A property in this program's own name space.
fn property<'a>(name: &str, value: &'a str) -> Property<'a> {
    Property { name: format!("{}:{name}", TOOL.0), value }
}
