//! Which layer's file is seen.

use super::archive::{Archive, layer};
use super::{STATUS, files, view};
use regent_scan::{Capture, CapturedLayer, Limits, Overlay};

fn old() -> Archive {
    Archive::new().directory("var/lib/dpkg/").file("var/lib/dpkg/status", "old").file("app/node", "x")
}

fn new() -> Archive {
    Archive::new()
}

/// `old()` below one further layer: is its database still seen?
#[test]
fn a_higher_layer_hides_what_it_replaces_or_removes() {
    let rows = [
        ("an unrelated file", new().file("var/lib/dpkg/available", ""), Some("old")),
        ("the same file", new().file("var/lib/dpkg/status", "new"), Some("new")),
        ("an empty file", new().file("var/lib/dpkg/status", ""), Some("")),
        ("a link to nothing", new().symlink("var/lib/dpkg/status", "x"), None),
        ("a hard link to nothing", new().hard_link("var/lib/dpkg/status", "x"), None),
        ("a directory", new().directory("var/lib/dpkg/status/"), None),
        ("a device", new().entry("var/lib/dpkg/status", b'3', "", b""), None),
        ("a whiteout", new().file("var/lib/dpkg/.wh.status", ""), None),
        ("a whiteout of the directory", new().file("var/lib/.wh.dpkg", ""), None),
        ("a whiteout further up", new().file(".wh.var", ""), None),
        ("a whiteout of a sibling", new().file("var/lib/dpkg/.wh.stat", ""), Some("old")),
        ("a whiteout of a longer name", new().file("var/lib/.wh.dpkg2", ""), Some("old")),
        ("a whiteout of a part of a name", new().file("var/.wh.li", ""), Some("old")),
        ("an opaque directory", new().file("var/lib/dpkg/.wh..wh..opq", ""), None),
        ("an opaque directory further up", new().file("var/.wh..wh..opq", ""), None),
        ("an opaque root", new().file(".wh..wh..opq", ""), None),
        ("an opaque sibling", new().file("var/lib/apt/.wh..wh..opq", ""), Some("old")),
        ("its own directory", new().directory("var/lib/dpkg/"), Some("old")),
        ("a file in the directory's place", new().file("var/lib/dpkg", ""), None),
        ("a wanted file in the directory's place", new().file("var", "").file("node", ""), None),
        ("a link in the directory's place", new().symlink("var/lib", "x"), None),
        ("a device further up", new().entry("var", b'6', "", b""), None),
        (
            "a whiteout and a new file",
            new().file("var/lib/dpkg/.wh.status", "").file("var/lib/dpkg/status", "n"),
            Some("n"),
        ),
        (
            "a new file and a whiteout",
            new().file("var/lib/dpkg/status", "n").file("var/lib/dpkg/.wh.status", ""),
            Some("n"),
        ),
        (
            "a whiteout of the directory and a new file",
            new().file("var/lib/.wh.dpkg", "").file("var/lib/dpkg/status", "n"),
            Some("n"),
        ),
        (
            "a new file and an opaque directory",
            new().file("var/lib/dpkg/status", "n").file("var/lib/dpkg/.wh..wh..opq", ""),
            Some("n"),
        ),
    ];
    for (name, top, expected) in rows {
        let overlay = view([old(), top]);
        let content = overlay.content(STATUS).map(|content| std::str::from_utf8(content).unwrap());
        assert_eq!(content, expected, "{name}");
    }
}

/// The database lies in the last layer.
#[test]
fn a_path_may_be_something_else_in_each_layer() {
    let base = || new().file("var/lib/dpkg/status", "base");
    let database = || new().directory("var/lib/dpkg/").file("var/lib/dpkg/status", "new");
    let rows = [
        ("a file, then a directory", vec![new().file("var/lib/dpkg", "")]),
        ("a file further up, then a directory", vec![base(), new().file("var", "")]),
        ("a device, then a directory", vec![base(), new().entry("var/lib/dpkg", b'4', "", b"")]),
        ("a link to nothing, then a directory", vec![base(), new().symlink("var/lib/dpkg", "x")]),
        ("a directory at the file's own path", vec![base(), new().directory("var/lib/dpkg/status/")]),
        ("a device at the file's own path", vec![base(), new().entry("var/lib/dpkg/status", b'3', "", b"")]),
        ("a pipe at the file's own path", vec![base(), new().entry("var/lib/dpkg/status", b'6', "", b"")]),
    ];
    for (name, mut layers) in rows {
        let below = view(layers.clone());
        assert_eq!(below.content(STATUS), None, "{name}");
        layers.push(database());
        assert_eq!(view(layers).content(STATUS), Some(&b"new"[..]), "{name}");
    }
}

#[test]
fn what_was_removed_can_come_back() {
    let removed = || new().file("var/lib/.wh.dpkg", "");
    assert_eq!(view([old(), removed(), old()]).content(STATUS), Some(&b"old"[..]));
    assert_eq!(view([old(), removed(), new().file("x", "")]).content(STATUS), None);
}

#[test]
fn a_repeated_layer_counts_at_its_highest_place() {
    let other = || new().file("var/lib/dpkg/status", "other");
    let overlay = view([old(), other(), old()]);
    assert_eq!(files(&overlay), [(STATUS, "old", 2), ("/app/node", "-", 2)]);
}

#[test]
fn files_come_newest_layer_first_and_in_the_order_of_the_tar() {
    let bottom = new().file("b/node", "").file("a/node", "").file("hidden/node", "");
    let middle = new().file("d/node", "").file("c/node", "");
    let top = new().file("z/node", "").file("hidden/node", "");
    let overlay = view([bottom, middle, top]);
    let paths: Vec<_> = overlay.files().map(|file| (file.path.as_str(), file.layer)).collect();
    assert_eq!(
        paths,
        [("/z/node", 2), ("/hidden/node", 2), ("/d/node", 1), ("/c/node", 1), ("/b/node", 0), ("/a/node", 0)]
    );
}

#[test]
fn a_file_without_content_is_seen_and_has_none() {
    let overlay = view([old()]);
    assert_eq!(overlay.content("/app/node"), None);
    assert!(overlay.files().any(|file| file.path.as_str() == "/app/node" && file.kept.sha256.is_some()));
    assert_eq!(overlay.content("/not/there"), None);
}

#[test]
fn no_layers_are_an_empty_view() {
    assert_eq!(view([]).files().count(), 0);
}

#[test]
fn captures_of_another_version_are_not_taken() {
    let captured = layer(&old().end());
    let digest = captured.digest().clone();
    let capture = captured.capture().clone();
    assert!(CapturedLayer::from_cache(digest.clone(), capture.clone()).is_some());
    let other = Capture { version: capture.version + 1, ..capture };
    assert!(CapturedLayer::from_cache(digest, other).is_none());
}

#[test]
fn many_layers_with_many_files_are_merged() {
    let layers: Vec<_> = (0..50)
        .map(|i| {
            let archive = (0..200).fold(new(), |archive, j| {
                archive
                    .file(&format!("d{j}/f{i}/node"), "")
                    .symlink(&format!("d{j}/l{i}"), "x")
                    .file(&format!("d{j}/x"), "")
            });
            layer(&archive.end())
        })
        .collect();
    let (overlay, _) = Overlay::new(&layers, &Limits::default());
    assert_eq!(overlay.files().count(), 50 * 200);
}
