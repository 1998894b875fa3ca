use regent_oci::ImageConfig;
use regent_scan::{Gap, LayerPath, Package, PackageDetail, PackageFormat, Packages, Runtime, Source};
use serde_json::{Map, json};

use super::*;

fn image(config: &Value) -> ImageFacts {
    ImageFacts {
        image_id: "sha256:1d".into(),
        manifest_digest: None,
        layers: crate::LayerNames(vec!["base.tar".into(), "top.tar".into()]),
        layer_digests: Vec::new(),
        config: ImageConfig::parse(config.to_string().as_bytes()).unwrap(),
        attestations: vec![],
    }
}

fn config() -> Value {
    json!({
        "created": "2025-01-02T00:00:00Z", "os": "linux", "architecture": "arm", "variant": "v7",
        "config": { "Cmd": ["sh"], "Labels": {} },
        "rootfs": { "type": "layers", "diff_ids": ["sha256:d1", "sha256:d2"] },
        "history": [
            { "created": "2025-01-01T00:00:00Z", "created_by": "ADD x" },
            { "created": "2025-01-02T00:00:00Z", "created_by": "RUN /bin/sh -c apt-get install curl # buildkit" },
        ],
    })
}

fn package(name: &str, source: Option<&str>, depends: &[&str]) -> Package {
    Package {
        source: source.map(|name| Source { name: name.into(), version: None }),
        depends: depends.iter().map(|&d| d.to_owned()).collect(),
        ..Package::new(name, Some("1.0".into()), PackageDetail::Deb)
    }
}

fn findings() -> Findings {
    let list = vec![package("curl", None, &["libc6"]), package("libc6", Some("glibc"), &[])];
    Findings {
        os: Some(OsRelease { name: "debian".into(), version: "12".into(), pretty_name: "Debian 12".into() }),
        packages: Packages { format: PackageFormat::Deb, list, ..Packages::default() },
        runtimes: vec![runtime("/usr/lib/jvm/x/release", "21"), runtime(OLD_RUNTIME_FILE, "17.0.10")],
        key_binaries: vec!["ab".into()],
        ..Findings::default()
    }
}

fn runtime(path: &str, version: &str) -> Runtime {
    Runtime { kind: "java", version: version.into(), path: LayerPath::new(path) }
}

fn options(options: &Value) -> Options {
    Options::parse(options.as_object().unwrap_or(&Map::new())).unwrap()
}

fn name() -> ImageName {
    ImageName { given: Some("demo/app:v1".into()), archive: "image.tar".into() }
}

fn report(config: &Value, findings: &Findings, options: &Options) -> Value {
    json!(scan_result(&image(config), &name(), None, findings, options).unwrap())
}

fn fact<'a>(report: &'a Value, kind: &str) -> Option<&'a Value> {
    let facts = report["scanResults"][0]["facts"].as_array().unwrap();
    facts.iter().find(|fact| fact["type"] == kind).map(|fact| &fact["data"])
}

#[test]
fn everything_that_is_known_is_reported_in_order() {
    let layer = "UlVOIC9iaW4vc2ggLWMgYXB0LWdldCBpbnN0YWxsIGN1cmwg";
    let run = "RUN /bin/sh -c apt-get install curl ";
    let installed = json!({ "instruction": run, "installCommand": "apt-get install curl" });
    let digest = format!("sha256:{}", "a".repeat(64));
    let given = options(
        &json!({ "digests": { "manifest": digest }, "target-reference": "main", "shaded-jars-depth": "1" }),
    );
    let expected = json!({ "scanResults": [{
        "identity": { "type": "deb", "args": { "platform": "linux/arm" } },
        "target": { "image": "docker-image|demo/app" },
        "facts": [
            { "type": "depGraph", "data": {
                "schemaVersion": "1.3.0",
                "pkgManager": { "name": "deb", "repositories": [{ "alias": "debian:12" }] },
                "pkgs": [
                    { "id": "docker-image|demo/app@v1", "info": { "name": "docker-image|demo/app", "version": "v1" } },
                    { "id": "glibc/libc6@1.0", "info": { "name": "glibc/libc6", "version": "1.0",
                        "purl": "pkg:deb/debian/libc6@1.0?distro=debian-bookworm&upstream=glibc" } },
                    { "id": "curl@1.0", "info": { "name": "curl", "version": "1.0",
                        "purl": "pkg:deb/debian/curl@1.0?distro=debian-bookworm" } },
                ],
                "graph": { "rootNodeId": "root-node", "nodes": [
                    { "nodeId": "root-node", "pkgId": "docker-image|demo/app@v1",
                        "deps": [{ "nodeId": "curl@1.0" }, { "nodeId": "glibc/libc6@1.0" }] },
                    { "nodeId": "glibc/libc6@1.0", "pkgId": "glibc/libc6@1.0", "deps": [],
                        "info": { "labels": { "dockerLayerId": layer } } },
                    { "nodeId": "curl@1.0", "pkgId": "curl@1.0", "deps": [{ "nodeId": "glibc/libc6@1.0" }],
                        "info": { "labels": { "dockerLayerId": layer } } },
                ] },
            } },
            { "type": "keyBinariesHashes", "data": ["ab"] },
            { "type": "baseRuntimes", "data": [{ "type": "java", "version": "17.0.10" }] },
            { "type": "imageId", "data": "sha256:1d" },
            { "type": "imageLayers", "data": ["base.tar", "top.tar"] },
            { "type": "imageLabels", "data": {} },
            { "type": "containerConfig", "data": { "cmd": ["sh"] } },
            { "type": "history", "data": [
                { "created": "2025-01-01T00:00:00Z", "createdBy": "ADD x" },
                { "created": "2025-01-02T00:00:00Z", "createdBy": format!("{run}# buildkit") },
            ] },
            { "type": "imageCreationTime", "data": "2025-01-02T00:00:00Z" },
            { "type": "rootFs", "data": ["sha256:d1", "sha256:d2"] },
            { "type": "imageOsReleasePrettyName", "data": "Debian 12" },
            { "type": "autoDetectedUserInstructions", "data": {
                "dockerfilePackages": { "curl": installed, "glibc": installed },
                "dockerfileLayers": { layer: { "instruction": run } },
            } },
            { "type": "imageNames", "data": { "names": ["demo/app:v1", format!("demo/app@{digest}")] } },
            { "type": "ociDistributionMetadata", "data": { "registryHost": "docker.io", "repository": "demo/app",
                "manifestDigest": digest, "imageTag": "v1" } },
            { "type": "platform", "data": "linux/arm" },
            { "type": "pluginVersion", "data": env!("CARGO_PKG_VERSION") },
            { "type": "pluginWarnings", "data": { "parameterChecks":
                ["--shaded-jars-depth is deprecated, use --nested-jars-depth instead"] } },
        ],
        "targetReference": "main",
    }] });
    // As text, so that the order counts.
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert_eq!(pretty(&report(&config(), &findings(), &given)), pretty(&expected));
}

#[test]
fn an_empty_image_has_a_result() {
    let image = ImageFacts { layers: crate::LayerNames::default(), ..image(&json!({})) };
    let name = ImageName { given: None, archive: "image.tar".into() };
    let report = json!(scan_result(&image, &name, None, &Findings::default(), &Options::default()).unwrap());
    assert_eq!(report["scanResults"][0]["identity"], json!({ "type": "linux" }));
    assert_eq!(report["scanResults"][0]["target"], json!({ "image": "docker-image|image.tar" }));
    let kinds: Vec<_> =
        report["scanResults"][0]["facts"].as_array().unwrap().iter().map(|f| f["type"].clone()).collect();
    assert_eq!(kinds, ["depGraph", "imageId", "pluginVersion"]);
}

#[test]
fn an_image_without_release_has_a_name_for_that() {
    let scratch = Options { dockerfile: Some("FROM scratch".into()), ..Options::default() };
    let rows = [
        (false, Options::default(), "unknown:0.0"),
        (true, Options::default(), "chisel:0.0"),
        (false, scratch.clone(), "scratch:0.0"),
        (true, scratch, "chisel:0.0"),
    ];
    for (has_chisel_manifest, options, alias) in rows {
        let findings = Findings { os: None, has_chisel_manifest, ..findings() };
        let report = report(&config(), &findings, &options);
        assert_eq!(fact(&report, "depGraph").unwrap()["pkgManager"]["repositories"][0]["alias"], alias);
        assert_eq!(fact(&report, "imageOsReleasePrettyName"), None);
    }
}

#[test]
fn the_newer_release_knows_more_runtime_files() {
    let newer = Options { compat: Compat::V9_20, ..Options::default() };
    let report = report(&config(), &findings(), &newer);
    assert_eq!(fact(&report, "baseRuntimes"), Some(&json!([{ "type": "java", "version": "21" }])));
}

#[test]
fn what_could_not_be_read_is_said() {
    let gap = Gap {
        path: LayerPath::new("/var/lib/rpm/Packages"),
        code: "rpm_database_unreadable",
        reason: "it is damaged".into(),
    };
    let findings = Findings { gaps: vec![gap], ..Findings::default() };
    let expected = json!({ "unreadableFiles": [
        { "path": "/var/lib/rpm/Packages", "code": "rpm_database_unreadable", "reason": "it is damaged" },
    ] });
    assert_eq!(fact(&report(&config(), &findings, &Options::default()), "pluginWarnings"), Some(&expected));
}

#[test]
fn a_dockerfile_counts_instead_of_the_history() {
    let options = Options {
        dockerfile: Some("FROM debian\nRUN apt-get install glibc".into()),
        ..options(&json!({ "exclude-base-image-vulns": true }))
    };
    let report = report(&config(), &findings(), &options);
    assert_eq!(fact(&report, "dockerfileAnalysis").unwrap()["baseImage"], "debian");
    let packages: Vec<_> =
        fact(&report, "depGraph").unwrap()["pkgs"].as_array().unwrap().iter().map(|p| &p["id"]).collect();
    assert_eq!(packages, ["docker-image|demo/app@v1", "glibc/libc6@1.0"]);
}

#[test]
fn without_a_recognised_instruction_all_packages_stay_and_that_is_said() {
    let report = report(&json!({}), &findings(), &options(&json!({ "excludeBaseImageVulns": true })));
    assert_eq!(fact(&report, "depGraph").unwrap()["pkgs"].as_array().unwrap().len(), 3);
    let warnings = fact(&report, "pluginWarnings").unwrap()["parameterChecks"].to_string();
    assert!(warnings.contains("all packages are kept"), "{warnings}");
}

#[test]
fn a_name_that_is_none_is_refused_and_null_takes_it_away() {
    let image = image(&config());
    let scan = |given: Value| scan_result(&image, &name(), None, &findings(), &options(&given));
    assert_eq!(scan(json!({ "imageNameAndTag": "Demo App:v1" })), Err(Error::ImageReference));
    let report = json!(scan(json!({ "imageNameAndTag": null })).unwrap());
    assert_eq!(report["scanResults"][0]["target"]["image"], "docker-image|image.tar");
    assert_eq!(fact(&report, "imageNames"), None);
}

#[test]
fn digests_of_a_pull_are_used_unless_an_option_names_others() {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let pulled =
        Digests { manifest: digest("a").parse().unwrap(), index: Some(digest("b").parse().unwrap()) };
    let image = image(&config());
    let names = |options: &Options| {
        let response = scan_result(&image, &name(), Some(&pulled), &findings(), options).unwrap();
        fact(&json!(response), "imageNames").unwrap()["names"].clone()
    };
    let pulled_names =
        json!(["demo/app:v1", format!("demo/app@{}", digest("a")), format!("demo/app@{}", digest("b"))]);
    assert_eq!(names(&Options::default()), pulled_names);
    let given = options(&json!({ "digests": { "manifest": digest("c") } }));
    assert_eq!(names(&given), json!(["demo/app:v1", format!("demo/app@{}", digest("c"))]));
}
