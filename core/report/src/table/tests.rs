use regent_oci::ImageConfig;
use regent_scan::{
    Application, ApplicationKind, Component, Content, Ecosystem, LayerPath, OsRelease, Package,
    PackageDetail, PackageFormat, Packages, Source,
};

use super::*;

fn package(name: &str, version: &str, source: Option<(&str, Option<&str>)>) -> Package {
    Package {
        source: source
            .map(|(name, version)| Source { name: name.into(), version: version.map(str::to_owned) }),
        ..Package::new(name, Some(version.to_owned()).filter(|v| !v.is_empty()), PackageDetail::Deb)
    }
}

fn rendered(findings: &Findings) -> String {
    let config = ImageConfig {
        os: Some("linux".into()),
        architecture: Some("amd64".into()),
        ..ImageConfig::default()
    };
    let image = ImageFacts {
        image_id: "sha256:1d".into(),
        manifest_digest: None,
        layers: crate::LayerNames::default(),
        layer_digests: Vec::new(),
        config,
        attestations: Vec::new(),
    };
    let name = ImageName { given: Some("demo/app:v1".into()), archive: String::new() };
    table(&image, &name, None, findings, &Options::default())
}

#[test]
fn a_table_tells_image_packages_and_gaps() {
    let (mut base, mut removed) = (package("base", "", None), package("removed", "1", None));
    base.layer = Some(1);
    removed.is_removed = true;
    let path = LayerPath::new("/app/package-lock.json");
    let component = |name: &str, path: &LayerPath| {
        Component::new(Ecosystem::Npm, "", Some("4.18.2".into()), path.clone(), 2).with_full_name(name)
    };
    let application = |path: &LayerPath, components| Application {
        kind: ApplicationKind::Npm,
        target_file: path.as_str().to_owned(),
        content: Content::Unreported,
        components,
    };
    let other = LayerPath::new("/other/package-lock.json");
    let findings = Findings {
        os: Some(OsRelease { name: "debian".into(), version: "12".into(), pretty_name: "Debian 12".into() }),
        packages: Packages {
            format: PackageFormat::Deb,
            list: vec![
                package("zlib1g", "1:1.2.13", Some(("zlib", None))),
                base,
                removed,
                package("libc6", "2.36-9", Some(("glibc", Some("2.36")))),
            ],
            ..Packages::default()
        },
        applications: vec![
            application(&path, vec![component("express", &path), component("@types/node", &path)]),
            application(&other, vec![component("express", &other)]),
        ],
        gaps: vec![Gap {
            path: LayerPath::new("/var/lib/rpm/Packages"),
            code: "rpm_database_unreadable",
            reason: "the package database could not be read".into(),
        }],
        ..Findings::default()
    };
    let expected = "\
Image     demo/app:v1
Image ID  sha256:1d
OS        Debian 12 (debian:12)
Platform  linux/amd64
Packages  3 deb, 2 npm

PACKAGE  VERSION   LAYER  SOURCE
base     -         1      -
libc6    2.36-9    -      glibc 2.36
zlib1g   1:1.2.13  -      zlib

PACKAGE      VERSION  TYPE  LAYER  FOUND IN
express      4.18.2   npm   2      /app/package-lock.json and 1 more
@types/node  4.18.2   npm   2      /app/package-lock.json

warning: /var/lib/rpm/Packages: the package database could not be read (rpm_database_unreadable)
";
    assert_eq!(rendered(&findings), expected);
}

#[test]
fn an_image_without_packages_has_a_header() {
    let text = rendered(&Findings::default());
    assert!(text.ends_with("OS        unknown\nPlatform  linux/amd64\nPackages  none\n"), "{text}");
}

#[test]
fn one_long_name_does_not_widen_the_table() {
    let list = vec![package("a", "1", None), package(&"n".repeat(1000), "1", None)];
    let findings = Findings { packages: Packages { list, ..Packages::default() }, ..Findings::default() };
    let text = rendered(&findings);
    let line = text.lines().find(|line| line.starts_with("a ")).unwrap();
    assert!(line.chars().count() < 100, "{line}");
    assert!(text.lines().all(|line| line.chars().count() < 300), "{text}");
}

#[test]
fn names_cannot_act_on_a_terminal() {
    let rows = [
        ("plain-1.0+é", "plain-1.0+é"),
        ("\u{1b}[31mred", "\\u{1b}[31mred"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u{202e}gpj", "\\u{202e}gpj"),
        ("a\u{200b}b", "a\\u{200b}b"),
        ("\u{9b}x", "\\u{9b}x"),
    ];
    for (text, expected) in rows {
        assert_eq!(printable(text), expected);
    }
}
