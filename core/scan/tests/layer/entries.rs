//! What of a layer's entries is kept.

use std::collections::BTreeSet;

use regent_oci::Digest;
use regent_scan::{EntryKind, LayerPath, LayerSpec, Limits, capture_layer};

use super::archive::*;
use super::odd::*;

#[test]
fn wanted_files_are_found_however_their_name_is_written() {
    let names = [
        "var/lib/dpkg/status",
        "./var/lib/dpkg/status",
        "/var/lib/dpkg/status",
        "//var/./lib//dpkg/status",
        "etc/../var/lib/dpkg/status",
        "../../var/lib/dpkg/status",
    ];
    for name in names {
        let capture = capture(&Archive::new().file(name, "Package: a\n").end());
        assert_eq!(content(&capture, "/var/lib/dpkg/status"), b"Package: a\n", "{name}");
    }
}

#[test]
fn every_kind_of_regular_file_is_one() {
    for type_flag in [b'0', 0, b'7'] {
        let capture = capture(&Archive::new().entry("etc/os-release", type_flag, "", b"ID=a").end());
        assert_eq!(content(&capture, "/etc/os-release"), b"ID=a", "{type_flag}");
    }
}

#[test]
fn an_old_file_whose_name_ends_with_a_slash_is_a_directory() {
    let capture = capture(&Archive::new().entry("etc/os-release/", 0, "", b"").end());
    assert!(capture.entries.is_empty());
    assert_eq!((capture.hidden_by_files.len(), capture.hidden_by_directories.len()), (0, 1));
}

#[test]
fn an_empty_wanted_file_is_kept_as_empty() {
    let capture = capture(&Archive::new().file("var/lib/dpkg/status", "").end());
    assert_eq!(content(&capture, "/var/lib/dpkg/status"), b"");
}

#[test]
fn a_key_binary_is_hashed_and_not_kept() {
    let binary = vec![7; 3 << 20];
    let capture = capture(&Archive::new().file("usr/bin/node", &binary).end());
    let kept = kept(&capture, "/usr/bin/node");
    assert_eq!((kept.size_bytes, &kept.content), (3 << 20, &None));
    assert_eq!(kept.sha256, Some(Digest::sha256(&binary)));
}

#[test]
fn what_no_one_wants_leaves_a_hash() {
    let archive = Archive::new()
        .directory("a/")
        .file("a/file", "text")
        .entry("a/device", b'3', "", b"")
        .entry("a/pipe", b'6', "", b"")
        .hard_link("a/link", "a/file");
    let capture = capture(&archive.end());
    assert!(capture.entries.is_empty());
    assert_eq!((capture.hidden_by_files.len(), capture.hidden_by_directories.len()), (4, 1));
    assert!(capture.hidden_by_files.is_sorted());
}

#[test]
fn all_symlinks_are_kept_and_hard_links_at_wanted_paths() {
    let archive = Archive::new()
        .symlink("any/where", "../x/./y")
        .hard_link("./var/lib/dpkg/status", "./var/lib/dpkg/status-old")
        .hard_link("any/hard", "any/where");
    let capture = capture(&archive.end());
    assert_eq!(entry(&capture, "/any/where"), &EntryKind::Symlink("../x/./y".into()));
    let target = LayerPath::new("/var/lib/dpkg/status-old");
    assert_eq!(entry(&capture, "/var/lib/dpkg/status"), &EntryKind::HardLink(target));
    assert_eq!((capture.entries.len(), capture.hidden_by_files.len()), (2, 1));
}

#[test]
fn whiteouts_and_opaque_markers_are_told_from_names_like_them() {
    let archive = Archive::new()
        .file("a/.wh.b", "")
        .file("c/.wh..wh..opq", "")
        .file(".wh.d", "")
        .file(".wh..wh..opq", "")
        .file("a/.wh.", "")
        .file("a/.wh..", "")
        .file("a/.wh...", "")
        .file("a/.wh..wh.plnk", "")
        .file(".wh..wh.aufs", "");
    let capture = capture(&archive.end());
    let entries: Vec<_> = capture.entries.iter().map(|e| (e.path.as_str(), e.kind.clone())).collect();
    assert_eq!(
        entries,
        [
            ("/a/b", EntryKind::Whiteout),
            ("/c", EntryKind::Opaque),
            ("/d", EntryKind::Whiteout),
            ("/", EntryKind::Opaque),
        ]
    );
    assert!(capture.hidden_by_files.is_empty());
}

#[test]
fn a_whiteout_and_a_new_file_of_one_layer_are_both_kept() {
    let archive = Archive::new().file("var/lib/dpkg/status", "new").file("var/lib/dpkg/.wh.status", "");
    let kinds: Vec<_> = capture(&archive.end()).entries.into_iter().map(|entry| entry.kind).collect();
    assert!(matches!(kinds[..], [EntryKind::File(_), EntryKind::Whiteout]));
}

#[test]
fn a_repeated_path_has_its_later_content_at_its_earlier_place() {
    let archive = Archive::new()
        .file("var/lib/dpkg/status", "old")
        .file("etc/os-release", "ID=a")
        .file("var/lib/dpkg/status", "new");
    let capture = capture(&archive.end());
    let paths: Vec<_> = capture.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["/var/lib/dpkg/status", "/etc/os-release"]);
    assert_eq!(content(&capture, "/var/lib/dpkg/status"), b"new");
}

#[test]
fn the_last_kind_of_a_repeated_path_counts() {
    let file = |archive: Archive| archive.file("etc/os-release", "ID=a");
    let link = |archive: Archive| archive.symlink("etc/os-release", "x");
    let directory = |archive: Archive| archive.directory("etc/os-release");
    let device = |archive: Archive| archive.entry("etc/os-release", b'3', "", b"");

    let is = |archive: Archive| {
        let capture = capture(&archive.end());
        let entry = capture.entries.first().map(|entry| match entry.kind {
            EntryKind::File(_) => "file",
            EntryKind::Symlink(_) => "link",
            _ => "other",
        });
        (entry, capture.hidden_by_files.len(), capture.hidden_by_directories.len())
    };
    let new = Archive::new;
    assert_eq!(is(link(file(new()))), (Some("link"), 0, 0));
    assert_eq!(is(file(link(new()))), (Some("file"), 0, 0));
    assert_eq!(is(directory(file(new()))), (None, 0, 1));
    assert_eq!(is(file(directory(new()))), (Some("file"), 0, 0));
    assert_eq!(is(device(file(new()))), (None, 1, 0));
    assert_eq!(is(file(device(directory(link(new()))))), (Some("file"), 0, 0));
}

#[test]
fn a_file_in_the_place_of_a_directory_removes_what_the_layer_had_in_it() {
    let inside = Archive::new().file("var/lib/dpkg/status", "x");
    assert!(capture(&inside.clone().file("var/lib", "").end()).entries.is_empty());
    assert_eq!(capture(&inside.clone().symlink("var/lib", "x").end()).entries.len(), 1);
    let again = inside.file("var/lib", "").directory("var/lib").file("var/lib/dpkg/status", "y");
    assert_eq!(content(&capture(&again.end()), "/var/lib/dpkg/status"), b"y");
}

#[test]
fn entries_of_unknown_type_hide_and_metadata_does_not() {
    let archive = Archive::new()
        .entry("unknown", b'Z', "", b"some data")
        .entry("label", b'V', "", b"")
        .entry("dump", b'D', "", b"Yfile\0\0")
        .file("etc/os-release", "ID=a");
    let capture = capture(&archive.end());
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a");
    assert_eq!((capture.hidden_by_files.len(), capture.hidden_by_directories.len()), (1, 1));
}

#[test]
fn links_and_directories_have_no_data_whatever_their_size_says() {
    let mut archive = Archive::new();
    for type_flag in [b'1', b'2', b'3', b'4', b'5', b'6'] {
        archive = archive.block(&header("x", type_flag, "y", 512));
    }
    let capture = capture(&archive.file("etc/os-release", "ID=a").end());
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a");
}

#[test]
fn the_root_itself_is_no_entry() {
    let archive = Archive::new().directory("./").file("/", "").symlink(".", "x").file("a/..", "");
    let capture = capture(&archive.end());
    assert_eq!(capture.entries.len() + capture.hidden_by_files.len(), 0);
}

#[test]
fn extra_files_and_directories_are_kept_whole() {
    let bytes = Archive::new()
        .file("opt/dpkgdb/status", "a")
        .file("opt/release", "b")
        .hard_link("opt/dpkgdb/hard", "opt/release")
        .file("opt/dpkgdbx", "c")
        .end();
    let extra = BTreeSet::from([LayerPath::new("/opt/dpkgdb"), LayerPath::new("/opt/release")]);
    let spec = LayerSpec { extra: regent_scan::Extra::of_paths(extra), ..spec(&bytes) };
    let captured = capture_layer(&spec, &bytes[..], &Limits::default()).unwrap();
    let paths: Vec<_> = captured.capture().entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["/opt/dpkgdb/status", "/opt/release", "/opt/dpkgdb/hard"]);
    assert_eq!(kept(captured.capture(), "/opt/release").sha256, Some(Digest::sha256(b"b")));
}

#[test]
fn a_capture_survives_its_cache() {
    let bytes = Archive::new()
        .file("etc/os-release", "ID=\u{e9}")
        .file("usr/bin/node", "x")
        .symlink("a", "b")
        .file(".wh.c", "")
        .end();
    let capture = capture(&bytes);
    let stored = serde_json::to_string(&capture).unwrap();
    assert_eq!(serde_json::from_str::<regent_scan::Capture>(&stored).unwrap(), capture);
}
