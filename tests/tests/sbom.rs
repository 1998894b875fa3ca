//! Bills of materials against the official schemas, by validators that others have made (`.tools/sbom`).

#[path = "sbom/everything.rs"]
mod everything;
#[path = "sbom/expected.rs"]
mod expected;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regent_tests::artifacts::{plugin_directory, regent, tools, workspace};
use regent_tests::image::{Compression, Flavor, ImageBuilder, Layer, alpine_layer};
use serde_json::{Value, json};

/// A folder with an image in it, and the drivers to read it.
struct Desk {
    folder: tempfile::TempDir,
    plugins: tempfile::TempDir,
}

impl Desk {
    /// With an image of these layers.
    fn new(layers: Vec<Layer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = layers
            .into_iter()
            .fold(ImageBuilder::new(Flavor::Oci), |image, layer| image.layer(layer, Compression::Gzip));
        image.build().write_layout(&folder.path().join("image"), "1.0");
        Self { folder, plugins: plugin_directory(&["local"]) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `regent scan` writes in a format.
    fn scan(&self, format: &str, file: &str) -> PathBuf {
        let file = self.path(file);
        let image = format!("oci-layout:{}:1.0", self.path("image").display());
        let ended = Command::new(regent())
            .args(["scan", &image, "--name", "registry.example.com/team/app:1.0", "--format", format, "-o"])
            .arg(&file)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("REGENT_PLUGIN_DIR", self.plugins.path())
            .env("REGENT_DATA_DIR", self.path("data"))
            .output()
            .unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        file
    }

    fn json(&self, format: &str) -> Value {
        serde_json::from_slice(&fs::read(self.scan(format, "document.json")).unwrap()).unwrap()
    }
}

/// Runs a validator; it must have nothing to say.
fn validate(what: &str, file: &Path) {
    let python = tools().join("sbom/bin/python");
    let ended = Command::new(&python)
        .arg(workspace().join("tests/sbom/validate.py"))
        .arg(what)
        .arg(file)
        .output()
        .unwrap_or_else(|e| {
            panic!("{} can't be started ({e}); `cargo xtask test` installs it", python.display())
        });
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn documents_of_all_ecosystems_are_valid_and_the_same_again() {
    let desk = Desk::new(everything::layers());
    for format in ["cyclonedx", "spdx"] {
        let (one, two) = (desk.scan(format, "one.json"), desk.scan(format, "two.json"));
        assert_eq!(fs::read(&one).unwrap(), fs::read(two).unwrap(), "{format}");
        validate(format, &one);
    }
    let list = desk.path("purls");
    let purls: Vec<&str> = expected::packages().iter().map(|package| package.purl).collect();
    fs::write(&list, purls.join("\n")).unwrap();
    validate("purl", &list);
}

#[test]
fn a_cyclonedx_document_has_all_that_is_known_of_each_package() {
    let bom = Desk::new(everything::layers()).json("cyclonedx");
    assert_eq!(bom["metadata"]["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(bom["compositions"][0]["aggregate"], "incomplete", "one lock file can't be read");
    let image = &bom["metadata"]["component"];
    let components = bom["components"].as_array().unwrap();
    let purls: Vec<&str> = components.iter().filter_map(|component| component["purl"].as_str()).collect();
    let expected: Vec<&str> = expected::packages().iter().map(|package| package.purl).collect();
    assert_eq!(purls, expected);
    for package in expected::packages() {
        let component = components.iter().find(|component| component["purl"] == package.purl).unwrap();
        let property = |owner: &Value, name: &str| {
            let mut properties = owner["properties"].as_array().unwrap().iter();
            let property = properties.find(|property| property["name"] == format!("regent:{name}"));
            property.map(|property| property["value"].as_str().unwrap().to_owned())
        };
        let licenses = component["licenses"].as_array().map_or(&[][..], Vec::as_slice);
        let license = |choice: &Value| {
            let license = &choice["license"];
            let text = [&choice["expression"], &license["id"], &license["name"]];
            text.into_iter().find_map(Value::as_str).unwrap().to_owned()
        };
        assert_eq!(licenses.iter().map(license).collect::<Vec<_>>(), package.licenses, "{}", package.purl);
        let hash = package.hash.map(|(algorithm, value)| json!([{"alg": algorithm, "content": value}]));
        assert_eq!(component["hashes"], hash.unwrap_or(Value::Null), "{}", package.purl);
        assert_eq!(property(component, "layer:index"), Some(package.layer.to_string()), "{}", package.purl);
        for key in ["digest", "diffId", "instruction"] {
            let of_image = property(image, &format!("image:layer:{}:{key}", package.layer));
            assert!(of_image.is_some());
            assert_eq!(property(component, &format!("layer:{key}")), of_image, "{}", package.purl);
        }
        let mut dependencies = bom["dependencies"].as_array().unwrap().iter();
        let dependency = dependencies.find(|dependency| dependency["ref"] == component["bom-ref"]).unwrap();
        let depends = dependency["dependsOn"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(depends, package.depends, "{}", package.purl);
    }
}

#[test]
fn an_spdx_document_has_all_that_is_known_of_each_package() {
    let document = Desk::new(everything::layers()).json("spdx");
    let list = document["packages"].as_array().unwrap();
    let purl_of = |package: &Value| {
        let purl = package["externalRefs"][0]["referenceLocator"].as_str()?.to_owned();
        (package["primaryPackagePurpose"] == "LIBRARY").then_some(purl)
    };
    let purls: Vec<String> = list.iter().filter_map(purl_of).collect();
    let expected: Vec<&str> = expected::packages().iter().map(|package| package.purl).collect();
    assert_eq!(purls, expected);
    let by_id = |id: &Value| list.iter().find(|package| package["SPDXID"] == *id).unwrap();
    let relations = |kind: &str| {
        let all = document["relationships"].as_array().unwrap().iter();
        let of_kind = all.filter(|relation| relation["relationshipType"] == kind);
        let ends =
            |relation: &Value| (relation["spdxElementId"].clone(), relation["relatedSpdxElement"].clone());
        of_kind.map(ends).collect::<Vec<_>>()
    };
    let (depends, contains) = (relations("DEPENDS_ON"), relations("CONTAINS"));
    let texts = document["hasExtractedLicensingInfos"].as_array().unwrap();
    for package in expected::packages() {
        let found = list.iter().find(|found| purl_of(found).as_deref() == Some(package.purl)).unwrap();
        let text_of = |id: &str| {
            let mut texts = texts.iter().filter(|text| text["licenseId"] == id);
            texts.next().map_or(id.to_owned(), |text| text["extractedText"].as_str().unwrap().to_owned())
        };
        let declared = found["licenseDeclared"].as_str().unwrap().split(" AND ");
        let declared: Vec<String> = declared.filter(|id| *id != "NOASSERTION").map(text_of).collect();
        assert_eq!(declared, package.licenses, "{}", package.purl);
        let hash = package.hash.map(
            |(algorithm, value)| json!([{"algorithm": algorithm.replace('-', ""), "checksumValue": value}]),
        );
        assert_eq!(found["checksums"], hash.unwrap_or(Value::Null), "{}", package.purl);
        let layers: Vec<&Value> =
            contains.iter().filter(|(_, part)| *part == found["SPDXID"]).map(|(whole, _)| whole).collect();
        assert_eq!(layers, [&json!(format!("SPDXRef-Layer-{}", package.layer))], "{}", package.purl);
        let others = depends.iter().filter(|(from, _)| *from == found["SPDXID"]);
        let others: Vec<String> = others.filter_map(|(_, to)| purl_of(by_id(to))).collect();
        assert_eq!(others, package.depends, "{}", package.purl);
    }
}

#[test]
fn documents_of_images_with_little_in_them_are_valid() {
    for layers in [Vec::new(), vec![Layer::new().file("srv/app", "text")], vec![alpine_layer()]] {
        let desk = Desk::new(layers);
        for format in ["cyclonedx", "spdx"] {
            validate(format, &desk.scan(format, "document.json"));
        }
    }
}

#[test]
fn every_licence_is_told_in_a_way_that_the_schema_takes() {
    let mut installed = String::new();
    let texts = [
        "MIT AND (GPL-2.0-only OR LicenseRef-own)",
        "GPL-2.0-or-later WITH Classpath-exception-2.0",
        "custom:ä \" \\",
        "GPLv2+ and BSD",
        "LicenseRef-own",
        "NOASSERTION",
    ];
    let ids = spdx::identifiers::LICENSES.iter().map(|license| license.name);
    for (n, text) in ids.chain(texts).enumerate() {
        write!(installed, "P:p{n}\nV:1-r0\nA:x86_64\nL:{text}\n\n").unwrap();
    }
    let desk = Desk::new(vec![alpine_layer(), Layer::new().file("lib/apk/db/installed", installed)]);
    validate("cyclonedx", &desk.scan("cyclonedx", "document.json"));
    let bom = desk.json("cyclonedx");
    let of = |name: &str| {
        let mut components = bom["components"].as_array().unwrap().iter();
        components.find(|component| component["name"] == name).unwrap()["licenses"].clone()
    };
    assert_eq!(of("p0"), json!([{ "license": { "id": "0BSD", "acknowledgement": "declared" } }]));
}
