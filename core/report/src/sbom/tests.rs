use std::collections::BTreeSet;

use regent_oci::{Digest, ImageConfig};
use regent_scan::{
    Application, ApplicationKind, Component, Content, Ecosystem, Gap, HashAlgorithm, LayerPath, OsRelease,
    Package, PackageDetail, PackageFormat, Packages,
};
use serde_json::{Value, json};

use super::*;

fn image() -> ImageFacts {
    let digest = |text: &str| Digest::sha256(text.as_bytes());
    let config = json!({
        "created": "2026-01-02T04:04:05.5+01:00", "os": "linux", "architecture": "arm64",
        "config": { "Labels": { "vendor": "Example", "odd": 1 } },
        "rootfs": { "type": "layers", "diff_ids": ["sha256:base", "sha256:top"] },
        "history": [
            { "created_by": "ADD rootfs.tar / " },
            { "created_by": "ENV A=1", "empty_layer": true },
            { "created_by": format!("RUN npm ci {}", "x".repeat(1000)) },
        ],
    });
    ImageFacts {
        image_id: "sha256:1d".into(),
        manifest_digest: Some(digest("manifest")),
        layers: crate::LayerNames::default(),
        layer_digests: vec![digest("base"), digest("top")],
        config: ImageConfig::parse(config.to_string().as_bytes()).unwrap(),
        attestations: Vec::new(),
    }
}

fn name() -> ImageName {
    ImageName { given: Some("registry.example.com/team/app:1.4".into()), archive: String::new() }
}

fn findings() -> Findings {
    let mut libc = Package::new("libc6", Some("2.36-9".into()), PackageDetail::Deb);
    libc.layer = Some(0);
    libc.architecture = Some("arm64".into());
    libc.licenses = vec!["LGPL-2.1+".into(), "Sun's own".into()];
    let mut bash = Package::new("bash", Some("5.2".into()), PackageDetail::Deb);
    bash.depends = vec!["libc6".into()];
    let lock = LayerPath::new("/app/package-lock.json");
    let mut express = Component::new(Ecosystem::Npm, "express", Some("4.18.2".into()), lock.clone(), 1);
    express.hashes.insert((HashAlgorithm::Sha512, "ab".repeat(64)));
    express.licenses = vec!["(MIT or LicenseRef-own)".into()];
    express.depends = vec![1];
    let types =
        Component::new(Ecosystem::Npm, "", Some("1.0.0".into()), lock, 1).with_full_name("@types/node");
    Findings {
        os: Some(OsRelease { name: "debian".into(), version: "12".into(), pretty_name: "Debian 12".into() }),
        packages: Packages {
            format: PackageFormat::Deb,
            path: LayerPath::new("/var/lib/dpkg/status"),
            list: vec![libc, bash],
            ..Packages::default()
        },
        applications: vec![Application {
            kind: ApplicationKind::Npm,
            target_file: "/app/package-lock.json".into(),
            content: Content::Unreported,
            components: vec![express, types],
        }],
        gaps: vec![Gap {
            path: LayerPath::new("/app/bad.json"),
            code: "unreadable",
            reason: "no JSON".into(),
        }],
        ..Findings::default()
    }
}

type Writer =
    fn(&ImageFacts, &ImageName, Option<&Digests>, &Findings, &Options, &mut dyn io::Write) -> io::Result<()>;

fn written(write: Writer, image: &ImageFacts, findings: &Findings) -> Value {
    let mut text = Vec::new();
    write(image, &name(), None, findings, &Options::default(), &mut text).unwrap();
    assert!(text.ends_with(b"}\n"));
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn cyclonedx_tells_image_packages_layers_and_dependencies() {
    let bom = written(cyclonedx, &image(), &findings());
    let manifest = Digest::sha256(b"manifest");
    let main = &bom["metadata"]["component"];
    let image_purl =
        format!("pkg:oci/app@{manifest}?arch=arm64&repository_url=registry.example.com%2Fteam%2Fapp&tag=1.4");
    assert_eq!(bom["metadata"]["timestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(
        bom["metadata"]["properties"],
        json!([{ "name": "regent:remark", "value": "/app/bad.json: no JSON (unreadable)" }])
    );
    assert_eq!(bom["compositions"], json!([{ "aggregate": "incomplete", "assemblies": [image_purl] }]));
    assert_eq!(main["type"], "container");
    assert_eq!((&main["name"], &main["version"]), (&json!("registry.example.com/team/app"), &json!("1.4")));
    assert_eq!(main["purl"], image_purl);
    assert_eq!(main["hashes"], json!([{ "alg": "SHA-256", "content": manifest.hex() }]));
    let properties = main["properties"].as_array().unwrap();
    let value = |name: &str| properties.iter().find(|p| p["name"] == name).map(|p| p["value"].clone());
    assert_eq!(value("regent:image:platform"), Some(json!("linux/arm64")));
    assert_eq!(value("regent:image:label:vendor"), Some(json!("Example")));
    assert_eq!(value("regent:image:label:odd"), None);
    assert_eq!(value("regent:image:layer:0:instruction"), Some(json!("ADD rootfs.tar / ")));
    assert_eq!(value("regent:image:layer:1:diffId"), Some(json!("sha256:top")));

    let components = bom["components"].as_array().unwrap();
    let names: Vec<_> = components.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["debian", "bash", "libc6", "express", "node"]);
    let libc = &components[2];
    assert_eq!(libc["purl"], "pkg:deb/debian/libc6@2.36-9?arch=arm64&distro=debian-12");
    assert_eq!(
        libc["licenses"],
        json!([
            { "license": { "id": "LGPL-2.1-or-later", "acknowledgement": "declared" } },
            { "license": { "name": "Sun's own", "acknowledgement": "declared" } },
        ])
    );
    let express = &components[3];
    assert_eq!(
        express["licenses"],
        json!([{ "expression": "(MIT OR LicenseRef-own)", "acknowledgement": "declared" }])
    );
    assert_eq!(express["hashes"][0]["alg"], "SHA-512");
    assert_eq!(
        express["evidence"],
        json!({ "occurrences": [{ "location": "/app/package-lock.json", "additionalContext": "layer 1" }] })
    );
    let layer: Vec<_> =
        express["properties"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(layer, ["index", "digest", "diffId", "instruction"].map(|key| format!("regent:layer:{key}")));
    assert_eq!(express["properties"][1]["value"], Digest::sha256(b"top").to_string());
    assert!(express["properties"][3]["value"].as_str().unwrap().chars().count() < 310);
    assert_eq!(components[4]["group"], "@types");

    let depends = |reference: &Value| {
        let all = bom["dependencies"].as_array().unwrap();
        all.iter().find(|d| d["ref"] == *reference).unwrap()["dependsOn"].clone()
    };
    assert_eq!(
        depends(&main["bom-ref"]),
        json!(["os:debian:12", components[1]["bom-ref"], express["bom-ref"]])
    );
    assert_eq!(depends(&components[1]["bom-ref"]), json!([libc["bom-ref"]]));
    assert_eq!(depends(&express["bom-ref"]), json!([components[4]["bom-ref"]]));
    assert_eq!(depends(&libc["bom-ref"]), Value::Null);
}

#[test]
fn spdx_tells_the_same() {
    let document = written(spdx, &image(), &findings());
    assert_eq!(document["creationInfo"]["created"], "2026-01-02T03:04:05Z");
    assert_eq!(document["comment"], "/app/bad.json: no JSON (unreadable)");
    let packages = document["packages"].as_array().unwrap();
    let names: Vec<_> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let expected = [
        "registry.example.com/team/app",
        "layer 0",
        "layer 1",
        "debian",
        "bash",
        "libc6",
        "express",
        "@types/node",
    ];
    assert_eq!(names, expected);
    let (libc, express) = (&packages[5], &packages[6]);
    assert_eq!(libc["licenseDeclared"], "LGPL-2.1-or-later AND LicenseRef-Sun-s-own");
    assert_eq!(express["licenseDeclared"], "(MIT OR LicenseRef-own)");
    assert_eq!(express["sourceInfo"], "found in /app/package-lock.json (layer 1)");
    assert_eq!(express["checksums"][0]["algorithm"], "SHA512");
    assert_eq!(express["externalRefs"][0]["referenceLocator"], "pkg:npm/express@4.18.2");
    let licenses: Vec<_> = document["hasExtractedLicensingInfos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|license| (license["licenseId"].as_str().unwrap(), license["name"].as_str().unwrap()))
        .collect();
    assert_eq!(licenses, [("LicenseRef-Sun-s-own", "Sun's own"), ("LicenseRef-own", "LicenseRef-own")]);
    let relationships: BTreeSet<_> = document["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            ["spdxElementId", "relationshipType", "relatedSpdxElement"]
                .map(|key| r[key].as_str().unwrap().replace("SPDXRef-", ""))
                .join(" ")
        })
        .collect();
    let expected = [
        "DOCUMENT DESCRIBES Image",
        "Image CONTAINS Layer-0",
        "Image CONTAINS Layer-1",
        "Image CONTAINS OperatingSystem",
        "Image CONTAINS Package-deb-bash-0",
        "Layer-0 CONTAINS Package-deb-libc6-1",
        "Layer-1 CONTAINS Package-npm-express-2",
        "Layer-1 CONTAINS Package-npm-node-3",
        "Package-deb-bash-0 DEPENDS_ON Package-deb-libc6-1",
        "Package-npm-express-2 DEPENDS_ON Package-npm-node-3",
    ];
    assert_eq!(relationships, expected.map(str::to_owned).into());
}

#[test]
fn documents_are_the_same_for_the_same_image_and_named_after_what_they_say() {
    let identity = |image: &ImageFacts, findings: &Findings| {
        let serial = written(cyclonedx, image, findings)["serialNumber"].clone();
        (serial, written(spdx, image, findings)["documentNamespace"].clone())
    };
    let one = identity(&image(), &findings());
    assert_eq!(one, identity(&image(), &findings()));
    let other = ImageFacts { manifest_digest: Some(Digest::sha256(b"other")), ..image() };
    for (image, findings) in [(other, findings()), (image(), Findings { gaps: Vec::new(), ..findings() })] {
        let two = identity(&image, &findings);
        assert!(one.0 != two.0 && one.1 != two.1);
    }
}

#[test]
fn an_empty_image_without_a_name_has_documents() {
    let image = ImageFacts {
        image_id: String::new(),
        manifest_digest: None,
        layers: crate::LayerNames::default(),
        layer_digests: Vec::new(),
        config: ImageConfig::default(),
        attestations: Vec::new(),
    };
    for write in [cyclonedx as Writer, spdx] {
        let mut text = Vec::new();
        let (name, options) = (ImageName::default(), Options::default());
        write(&image, &name, None, &Findings::default(), &options, &mut text).unwrap();
        let document: Value = serde_json::from_slice(&text).unwrap();
        let name = document.pointer("/metadata/component/name").or(document.pointer("/packages/0/name"));
        assert_eq!(name, Some(&json!("image")));
    }
}

#[test]
fn packages_with_one_url_and_other_hashes_have_references_of_their_own() {
    let jar = |digit: &str, name: &str| {
        let path = LayerPath::new(&format!("/{digit}.jar"));
        let mut component = Component::new(Ecosystem::Composer, name, Some("1".into()), path, 0);
        component.hashes.insert((HashAlgorithm::Sha1, digit.repeat(40)));
        component
    };
    let mut findings = findings();
    findings.applications[0].components = vec![jar("1", "a"), jar("2", "A"), jar("3", "a"), jar("4", "b")];
    let bom = written(cyclonedx, &image(), &findings);
    let references: BTreeSet<_> =
        bom["components"].as_array().unwrap().iter().map(|c| c["bom-ref"].as_str().unwrap()).collect();
    assert!(references.is_superset(&["pkg:composer/a@1", "pkg:composer/a@1#2", "pkg:composer/a@1#3"].into()));
    let document = written(spdx, &image(), &findings);
    let ids: BTreeSet<_> =
        document["packages"].as_array().unwrap().iter().map(|p| p["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), document["packages"].as_array().unwrap().len());
}
