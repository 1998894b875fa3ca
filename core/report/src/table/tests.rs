use regent_oci::ImageConfig;
use regent_scan::{LayerPath, OsRelease, PackageDetail, PackageFormat, Packages, Source};

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
        layers: crate::LayerNames::default(),
        config,
        attestations: vec![],
    };
    let name = ImageName { given: Some("demo/app:v1".into()), archive: String::new() };
    table(&image, &name, None, findings, &Options::default())
}

#[test]
fn a_table_tells_image_packages_and_gaps() {
    let findings = Findings {
        os: Some(OsRelease { name: "debian".into(), version: "12".into(), pretty_name: "Debian 12".into() }),
        packages: Packages {
            format: PackageFormat::Deb,
            list: vec![
                package("zlib1g", "1:1.2.13", Some(("zlib", None))),
                package("base", "", None),
                package("libc6", "2.36-9", Some(("glibc", Some("2.36")))),
            ],
            ..Packages::default()
        },
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
Packages  3 (deb)

PACKAGE  VERSION   SOURCE
base     -         -
libc6    2.36-9    glibc 2.36
zlib1g   1:1.2.13  zlib

warning: /var/lib/rpm/Packages: the package database could not be read (rpm_database_unreadable)
";
    assert_eq!(rendered(&findings), expected);
}

#[test]
fn an_image_without_packages_has_a_header() {
    let text = rendered(&Findings::default());
    assert!(text.ends_with("OS        unknown\nPlatform  linux/amd64\nPackages  0 (linux)\n"), "{text}");
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
