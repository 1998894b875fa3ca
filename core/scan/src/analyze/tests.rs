//! The table, and analyzers over merged views.

use std::collections::BTreeSet;
use std::sync::Arc;

use regent_oci::Digest;

pub(crate) use super::rpm::tests::sqlite_with_files;
use super::*;
use crate::capture::{CAPTURE_VERSION, Capture, CapturedLayer, Entry, EntryKind, Kept};
use crate::distil::Distil;
use crate::finding::{OsRelease, PackageFormat};
use crate::limits::Limits;

#[test]
fn files_are_wanted_by_their_path() {
    const CONTENT: Want = Want::CONTENT;
    const HASH: Want = Want::SHA256;
    let rows = [
        ("/etc/os-release", CONTENT),
        ("/usr/lib/os-release", CONTENT),
        ("/usr/etc/os-release", Want::NOTHING),
        ("/lib/apk/db/installed", CONTENT),
        ("/lib/apk/db/scripts.tar", Want::NOTHING),
        ("/var/lib/dpkg/status", CONTENT),
        ("/var/lib/dpkg/status-old", Want::NOTHING),
        ("/var/lib/dpkg/status.d", Want::NOTHING),
        ("/var/lib/dpkg/status.d/base", CONTENT),
        ("/var/lib/dpkg/status.d/a/b", CONTENT),
        ("/var/lib/dpkg/status.data", Want::NOTHING),
        ("/var/lib/apt/extended_states", CONTENT),
        ("/usr/lib/sysimage/rpm/rpmdb.sqlite", CONTENT),
        ("/var/lib/rpm/Packages.db", CONTENT),
        ("/var/lib/rpm/Index.db", Want::NOTHING),
        ("/root/buildinfo/content_manifests/ubi9.json", CONTENT),
        ("/var/lib/chisel/manifest.wall", CONTENT),
        ("/opt/java/openjdk/release", CONTENT),
        ("/usr/local/openjdk-17/release", CONTENT),
        ("/usr/lib/jvm/java-17/release", CONTENT),
        ("/usr/lib/jvm/release", CONTENT),
        ("/usr/lib/jvm/java-17/os-release", Want::NOTHING),
        ("/usr/bin/node", HASH),
        ("/app/Main.java", HASH),
        ("/app/node.txt", Want::NOTHING),
        ("/var/lib/dpkg/status.d/node", CONTENT.and(HASH)),
        ("/app/requirements.txt", Want::APPLICATION_FILE),
        ("/app/dev-requirements.txt", Want::NOTHING),
        (
            "/usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA",
            Want::distilled(Distil::PythonMetadata),
        ),
        ("/usr/lib/python3/dist-packages/six-1.16.0.dist-info/RECORD", Want::NOTHING),
        ("/app/node_modules/.package-lock.json", Want::distilled(Distil::NpmRecord)),
        ("/app/.package-lock.json", Want::NOTHING),
        ("/app/x.egg-info/PKG-INFO", Want::distilled(Distil::PythonMetadata)),
        ("/opt/conda/conda-meta/zlib-1.3.1-0.json", Want::distilled(Distil::CondaRecord)),
        ("/opt/conda/conda-meta/history", Want::NOTHING),
        ("/opt/conda/conda-meta/below/a.json", Want::NOTHING),
        ("/", Want::NOTHING),
    ];
    for (path, want) in rows {
        assert_eq!(wants(&LayerPath::new(path)).by_name(), want, "{path}");
    }
}

#[test]
fn every_file_and_directory_that_may_be_a_link_is_wanted_itself_and_listed_once() {
    for path in linked_paths() {
        assert!(wants(&LayerPath::new(path)).content_bytes > 0, "{path}");
    }
    for directory in linked_directories() {
        assert!(wants(&LayerPath::new(directory).join("x")).content_bytes > 0, "{directory}");
    }
    let distinct: BTreeSet<_> = linked_paths().iter().chain(linked_directories()).collect();
    assert_eq!(distinct.len(), linked_paths().len() + linked_directories().len());
}

/// A merged view of layers, base layer first, each a list of files.
fn overlay(layers: &[&[(&str, &[u8])]]) -> Overlay {
    overlay_of(layers.iter().map(|files| files.iter().map(|(path, content)| file(path, content)).collect()))
}

pub(super) fn overlay_of(layers: impl Iterator<Item = Vec<Entry>>) -> Overlay {
    let (overlay, missing) = Overlay::new(&captured_layers(layers), &Limits::default());
    assert_eq!(missing, []);
    overlay
}

/// Layers with these entries, base layer first.
pub(crate) fn captured_layers(layers: impl Iterator<Item = Vec<Entry>>) -> Vec<CapturedLayer> {
    let capture = |entries| Capture {
        version: CAPTURE_VERSION,
        entries,
        hidden_by_files: Vec::new(),
        hidden_by_directories: Vec::new(),
        spooled_bytes: 0,
    };
    layers
        .map(|entries| CapturedLayer::from_cache(Digest::sha256(b"layer"), capture(entries)).unwrap())
        .collect()
}

/// A file, kept as a layer's capture would keep it.
pub(crate) fn file(path: &str, content: &[u8]) -> Entry {
    let path = LayerPath::new(path);
    let want = wants(&path);
    assert!(want.any(), "{path}");
    let kept = Arc::new(Kept {
        size_bytes: content.len() as u64,
        content: (want.content_bytes > 0).then(|| content.to_vec().into()),
        sha256: want.sha256.then(|| Digest::sha256(content)),
        distilled: want.distil.and_then(|distil| distil.of_content(content).unwrap()),
    });
    Entry { path, kind: EntryKind::File(kept) }
}

/// What all analyzers find when a request asks for nothing more.
fn analyzed(overlay: &Overlay) -> Findings {
    analyze(overlay, &Interest::default())
}

fn names(findings: &Findings) -> Vec<&str> {
    findings.packages.list.iter().map(|package| package.name.as_str()).collect()
}

fn gaps(findings: &Findings) -> Vec<(&str, &str)> {
    findings.gaps.iter().map(|gap| (gap.path.as_str(), gap.code)).collect()
}

const APK: (&str, &[u8]) = ("/lib/apk/db/installed", b"P:from-apk\nV:1\n");
const STATUS: (&str, &[u8]) = ("/var/lib/dpkg/status", b"Package: from-status\nVersion: 1\n");
const STATUS_D: (&str, &[u8]) = ("/var/lib/dpkg/status.d/a", b"Package: from-status-d\nVersion: 1\n");

/// A chisel manifest with one package.
fn chisel() -> Vec<u8> {
    let line = br#"{"kind":"package","name":"from-chisel","version":"1","sha256":"ab","arch":"amd64"}"#;
    zstd::encode_all(&line[..], 0).unwrap()
}

#[test]
fn the_first_database_with_a_package_is_reported() {
    let sqlite = rpm::tests::one_package_sqlite("from-sqlite");
    let ndb = rpm::tests::one_package_ndb("from-ndb");
    let bdb = rpm::tests::one_package_bdb("from-bdb");
    let chisel = chisel();
    let sqlite: (&str, &[u8]) = ("/usr/lib/sysimage/rpm/rpmdb.sqlite", &sqlite);
    let ndb: (&str, &[u8]) = ("/usr/lib/sysimage/rpm/Packages.db", &ndb);
    let bdb: (&str, &[u8]) = ("/var/lib/rpm/Packages", &bdb);
    let chisel: (&str, &[u8]) = ("/var/lib/chisel/manifest.wall", &chisel);
    let no_apk = ("/lib/apk/db/installed", &b""[..]);
    let no_status = ("/var/lib/dpkg/status", &b"\n"[..]);
    type Row<'a> = (&'a [(&'a str, &'a [u8])], PackageFormat, &'a [&'a str]);
    let rows: [Row<'_>; 7] = [
        (&[chisel, STATUS_D, sqlite, ndb, bdb, STATUS, APK], PackageFormat::Apk, &["from-apk"]),
        (&[chisel, STATUS_D, sqlite, ndb, bdb, STATUS, no_apk], PackageFormat::Deb, &["from-status"]),
        (&[chisel, STATUS_D, sqlite, ndb, bdb, no_status], PackageFormat::Rpm, &["from-bdb", "from-ndb"]),
        (&[chisel, STATUS_D, sqlite], PackageFormat::Rpm, &["from-sqlite"]),
        (&[chisel, STATUS_D, no_status], PackageFormat::Deb, &["from-status-d"]),
        (&[chisel], PackageFormat::Deb, &["from-chisel"]),
        (&[no_apk, no_status], PackageFormat::Linux, &[]),
    ];
    for (files, format, expected) in rows {
        let findings = analyzed(&overlay(&[files]));
        assert_eq!(findings.packages.format, format, "{expected:?}");
        assert_eq!(names(&findings), expected);
        assert_eq!(findings.has_chisel_manifest, files.contains(&chisel));
        assert_eq!(gaps(&findings), []);
    }
}

#[test]
fn databases_after_the_first_are_further_ones() {
    let sqlite = rpm::tests::one_package_sqlite("from-sqlite");
    let chisel = chisel();
    let files = [
        ("/var/lib/chisel/manifest.wall", &chisel[..]),
        STATUS_D,
        ("/var/lib/rpm/rpmdb.sqlite", &sqlite[..]),
        ("/root/buildinfo/content_manifests/a.json", br#"{"content_sets": ["one"]}"#),
        STATUS,
    ];
    let findings = analyzed(&overlay(&[&files]));
    let databases: Vec<_> = findings
        .databases()
        .map(|d| (d.format.as_str(), d.path.as_str(), d.list[0].name.as_str(), d.content_sets.len()))
        .collect();
    let expected = [
        ("deb", "/var/lib/dpkg/status", "from-status", 0),
        ("rpm", "/var/lib/rpm/rpmdb.sqlite", "from-sqlite", 1),
        ("deb", "/var/lib/dpkg/status.d", "from-status-d", 0),
        ("deb", "/var/lib/chisel/manifest.wall", "from-chisel", 0),
    ];
    assert_eq!(databases, expected);
}

#[test]
fn licences_of_debian_packages_are_those_of_their_copyright_files() {
    let copyright = |license: &str| {
        let text = format!(
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: {license}\n"
        );
        let distilled = Distil::DebianCopyright.of_content(text.as_bytes()).unwrap();
        Kept { size_bytes: 1, content: None, sha256: None, distilled }
    };
    let rows = [("gcc-12-base", "GPL-3+"), ("own", "Expat"), ("own/examples", "Zlib"), ("gone", "Zlib")];
    let copyrights = rows.map(|(package, license)| Entry {
        path: LayerPath::new(&format!("/usr/share/doc/{package}/copyright")),
        kind: EntryKind::File(Arc::new(copyright(license))),
    });
    let status = "Package: gcc-12-base\nSource: gcc-12\n\nPackage: libgcc-s1\nSource: gcc-12 (12)\n\nPackage: own\n\nPackage: none\n";
    let mut layer = vec![file("/var/lib/dpkg/status", status.as_bytes())];
    layer.extend(copyrights);
    let findings = analyzed(&overlay_of([layer].into_iter()));
    let licenses: Vec<_> = findings.packages.list.iter().map(|package| package.licenses.join(", ")).collect();
    assert_eq!(licenses, ["GPL-3+", "GPL-3+", "Expat", ""]);
    for (path, is_wanted) in [
        ("/usr/share/doc/own/copyright", true),
        ("/usr/share/doc/own/examples/copyright", false),
        ("/usr/share/doc/copyright", false),
        ("/usr/local/share/doc/own/copyright", false),
    ] {
        assert_eq!(wants(&LayerPath::new(path)).by_name().distil.is_some(), is_wanted, "{path}");
    }
}

#[test]
fn packages_that_were_installed_automatically_are_marked() {
    let findings = analyzed(&overlay(&[&[
        ("/var/lib/dpkg/status", b"Package: a\n\nPackage: b\n\nPackage: a\n"),
        ("/var/lib/apt/extended_states", b"Package: a\nArchitecture: amd64\nAuto-Installed: 1\n"),
    ]]));
    let marks: Vec<_> = findings.packages.list.iter().map(|package| package.auto_installed).collect();
    assert_eq!(marks, [true, false, true]);
}

#[test]
fn status_directories_are_read_in_merge_order_at_any_depth() {
    let findings = analyzed(&overlay(&[
        &[
            ("/var/lib/dpkg/status.d/base", b"Package: base\n"),
            ("/var/lib/dpkg/status.d/z.md5sums", b"d41d  x\n"),
        ],
        &[("/var/lib/dpkg/status.d/z", b"Package: z\n"), ("/var/lib/dpkg/status.d/y/x", b"Package: x\n")],
    ]));
    assert_eq!(names(&findings), ["z", "x", "base"]);
}

#[test]
fn an_rpm_database_seen_at_both_places_counts_once() {
    for (name, database) in [
        ("rpmdb.sqlite", rpm::tests::one_package_sqlite("a")),
        ("Packages.db", rpm::tests::one_package_ndb("a")),
        ("Packages", rpm::tests::one_package_bdb("a")),
    ] {
        let link = Entry {
            path: LayerPath::new("/var/lib/rpm"),
            kind: EntryKind::Symlink("../../usr/lib/sysimage/rpm".into()),
        };
        let layer = vec![file(&format!("/usr/lib/sysimage/rpm/{name}"), &database), link];
        assert_eq!(names(&analyzed(&overlay_of([layer].into_iter()))), ["a"], "{name}");
    }
}

#[test]
fn an_rpm_database_that_cannot_be_read_is_said() {
    let sound = rpm::tests::one_package_sqlite("a");
    let findings = analyzed(&overlay(&[&[
        ("/var/lib/rpm/Packages", &[0; 4096]),
        ("/usr/lib/sysimage/rpm/Packages", &[0; 4096]),
        ("/var/lib/rpm/rpmdb.sqlite", b"no database"),
        ("/usr/lib/sysimage/rpm/rpmdb.sqlite", &sound),
    ]]));
    assert_eq!(names(&findings), ["a"]);
    let expected =
        ["/var/lib/rpm/Packages", "/var/lib/rpm/rpmdb.sqlite"].map(|path| (path, "rpm_database_unreadable"));
    assert_eq!(gaps(&findings), expected);
}

#[test]
fn content_sets_belong_to_rpm_packages_and_come_in_merge_order() {
    let manifests: [(&str, &[u8]); 4] = [
        ("/root/buildinfo/content_manifests/a.json", br#"{"content_sets": ["one", "two", "one"]}"#),
        ("/root/buildinfo/content_manifests/b/c.json", br#"{"content_sets": ["three", "two"]}"#),
        ("/root/buildinfo/content_manifests/README", b"not json"),
        ("/root/buildinfo/content_manifests/broken.json", b"not json"),
    ];
    let database = rpm::tests::one_package_sqlite("a");
    let database = [("/var/lib/rpm/rpmdb.sqlite", &database[..])];
    let findings = analyzed(&overlay(&[&database, &manifests]));
    assert_eq!(findings.packages.content_sets, ["one", "two", "three"]);
    assert_eq!(
        gaps(&findings),
        [("/root/buildinfo/content_manifests/broken.json", "content_manifest_unreadable")]
    );
    assert_eq!(analyzed(&overlay(&[&[STATUS], &manifests])).packages.content_sets, [""; 0]);
}

#[test]
fn a_damaged_chisel_manifest_is_said_and_still_names_the_system() {
    let findings = analyzed(&overlay(&[&[("/var/lib/chisel/manifest.wall", b"not zstd")]]));
    assert!(findings.has_chisel_manifest);
    assert_eq!(gaps(&findings), [("/var/lib/chisel/manifest.wall", "chisel_manifest_unreadable")]);
}

#[test]
fn the_release_is_found_through_a_link() {
    let link = Entry {
        path: LayerPath::new("/etc/os-release"),
        kind: EntryKind::Symlink("../usr/lib/os-release".into()),
    };
    let debian_version = file("/etc/debian_version", b"11.9");
    let layer = vec![link, debian_version, file("/usr/lib/os-release", b"ID=debian\nVERSION_ID=12\n")];
    let os = OsRelease { name: "debian".into(), version: "12".into(), pretty_name: String::new() };
    assert_eq!(analyzed(&overlay_of([layer].into_iter())).os, Some(os));
}

#[test]
fn a_release_that_cannot_be_read_keeps_the_packages() {
    let findings = analyzed(&overlay(&[&[("/etc/os-release", b"NAME=broken"), STATUS]]));
    assert_eq!(findings.os, None);
    assert_eq!(names(&findings), ["from-status"]);
    assert_eq!(gaps(&findings), [("/etc/os-release", "os_release_unreadable")]);
}

#[test]
fn runtimes_are_listed_with_the_file_that_told_them() {
    let findings = analyzed(&overlay(&[
        &[("/opt/java/openjdk/release", b"JAVA_VERSION=\"17.0.10\"\n")],
        &[("/usr/lib/jvm/a/release", b"JAVA_VERSION=21\n"), ("/usr/java/b/release", b"JAVA_VERSION=x\n")],
    ]));
    let runtimes: Vec<_> = findings.runtimes.iter().map(|r| (r.version.as_str(), r.path.as_str())).collect();
    assert_eq!(runtimes, [("21", "/usr/lib/jvm/a/release"), ("17.0.10", "/opt/java/openjdk/release")]);
}

#[test]
fn key_binaries_are_hashed_once_each_in_merge_order() {
    let findings = analyzed(&overlay(&[
        &[("/usr/bin/java", b"java"), ("/usr/bin/node", b"old node")],
        &[("/usr/bin/node", b"node"), ("/copy/node", b"node"), ("/app/addon.node", b"")],
    ]));
    let expected = [&b"node"[..], b"", b"java"].map(|content| Digest::sha256(content).hex().to_owned());
    assert_eq!(findings.key_binaries, expected);
}

#[test]
fn a_wanted_file_that_was_too_large_to_be_kept_is_said() {
    let kept = Kept { size_bytes: 1 << 40, content: None, sha256: None, distilled: None };
    let entry = Entry { path: LayerPath::new("/var/lib/dpkg/status"), kind: EntryKind::File(Arc::new(kept)) };
    let layer = vec![entry, file("/usr/bin/node", b"node")];
    let findings = analyzed(&overlay_of([layer].into_iter()));
    assert_eq!(gaps(&findings), [("/var/lib/dpkg/status", "file_too_large")]);
}
