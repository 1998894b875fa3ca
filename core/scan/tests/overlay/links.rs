//! Files seen through links.

use std::collections::BTreeSet;

use regent_scan::{LayerPath, LayerSpec, Limits, Overlay, capture_layer};

use super::archive::{Archive, layer, spec};
use super::{STATUS, files, merge, view};

const OS_RELEASE: &str = "/etc/os-release";

fn new() -> Archive {
    Archive::new()
}

/// The image as a scan sees it: layers are read again where the first merge asks for it.
fn resolved(archives: Vec<Archive>) -> Overlay {
    let archives: Vec<_> = archives.into_iter().map(Archive::end).collect();
    let mut layers: Vec<_> = archives.iter().map(|bytes| layer(bytes)).collect();
    let (_, missing) = Overlay::new(&layers, &Limits::default());
    for target in missing {
        let bytes = &archives[target.layer];
        let spec = LayerSpec { extra: target.paths, ..spec(bytes) };
        layers[target.layer] = capture_layer(&spec, &bytes[..], &Limits::default()).unwrap();
    }
    let (overlay, missing) = Overlay::new(&layers, &Limits::default());
    assert_eq!(missing, []);
    overlay
}

#[test]
fn links_to_wanted_files_are_followed_at_once() {
    let release = || new().file("usr/lib/os-release", "ID=a");
    let rows = [
        ("relative", release().symlink("etc/os-release", "../usr/lib/os-release")),
        ("absolute", release().symlink("etc/os-release", "/usr/lib/os-release")),
        ("above the root", release().symlink("etc/os-release", "../../../usr/lib/os-release")),
        ("through a link", release().symlink("etc/os-release", "x").symlink("etc/x", "/usr/lib/os-release")),
        (
            "through a directory",
            release().symlink("lib", "usr/lib").symlink("etc/os-release", "/lib/os-release"),
        ),
        ("in a linked directory", release().symlink("etc", "usr/lib")),
        ("with dots and slashes", release().symlink("etc/os-release", ".././usr//lib/os-release/")),
        (
            "dots behind a link",
            release().symlink("s", "usr/lib").symlink("etc/os-release", "/s/../lib/os-release"),
        ),
        ("as a hard link", release().hard_link("etc/os-release", "usr/lib/os-release")),
        (
            "as a hard link to a link",
            release().symlink("usr/x", "lib/os-release").symlink("etc/os-release", "../usr/x"),
        ),
    ];
    for (name, archive) in rows {
        let overlay = view([archive]);
        assert_eq!(overlay.content(OS_RELEASE), Some(&b"ID=a"[..]), "{name}");
        assert_eq!(overlay.content("/usr/lib/os-release"), Some(&b"ID=a"[..]), "{name}");
    }
}

#[test]
fn a_link_and_its_target_may_be_in_any_layers() {
    let link = || new().symlink("etc/os-release", "../usr/lib/os-release");
    let file = |content: &str| new().file("usr/lib/os-release", content);
    assert_eq!(view([link(), file("a")]).content(OS_RELEASE), Some(&b"a"[..]));
    assert_eq!(view([file("a"), link(), file("b")]).content(OS_RELEASE), Some(&b"b"[..]));
    assert_eq!(view([file("a"), link(), new().file("usr/lib/.wh.os-release", "")]).content(OS_RELEASE), None);
    assert_eq!(view([file("a"), link(), new().file("etc/.wh.os-release", "")]).content(OS_RELEASE), None);
    assert_eq!(
        view([link(), file("a"), new().file("etc/os-release", "own")]).content(OS_RELEASE),
        Some(&b"own"[..])
    );
}

#[test]
fn a_file_seen_through_a_link_stands_in_the_links_place() {
    let bottom = new().file("usr/lib/os-release", "a").file("x/node", "");
    let top = new().file("y/node", "").symlink("etc/os-release", "../usr/lib/os-release").file("z/node", "");
    assert_eq!(
        files(&view([bottom, top])),
        [
            ("/y/node", "-", 1),
            (OS_RELEASE, "a", 0),
            ("/z/node", "-", 1),
            ("/usr/lib/os-release", "a", 0),
            ("/x/node", "-", 0),
        ]
    );
}

#[test]
fn databases_in_linked_directories_are_seen() {
    let apk = new().symlink("lib", "usr/lib").file("usr/lib/apk/db/installed", "P:a");
    assert_eq!(resolved(vec![apk]).content("/lib/apk/db/installed"), Some(&b"P:a"[..]));

    let dpkg = || new().symlink("var/lib/dpkg", "/opt/dpkgdb");
    let file = || new().file("opt/dpkgdb/status", "Package: a");
    assert_eq!(resolved(vec![file(), dpkg()]).content(STATUS), Some(&b"Package: a"[..]));
    assert_eq!(resolved(vec![dpkg(), file()]).content(STATUS), Some(&b"Package: a"[..]));

    let distroless = dpkg().directory("opt/dpkgdb/status.d/").file("opt/dpkgdb/status.d/base", "Package: b");
    let overlay = resolved(vec![distroless.file("opt/dpkgdb/status.d/sub/x", "Package: c")]);
    assert_eq!(overlay.content("/var/lib/dpkg/status.d/base"), Some(&b"Package: b"[..]));
    assert_eq!(overlay.content("/var/lib/dpkg/status.d/sub/x"), Some(&b"Package: c"[..]));

    let one = new().symlink("var/lib/dpkg/status.d/base", "/opt/base").file("opt/base", "Package: d");
    assert_eq!(resolved(vec![one]).content("/var/lib/dpkg/status.d/base"), Some(&b"Package: d"[..]));
}

#[test]
fn a_target_that_was_not_kept_is_named_with_its_layer() {
    let file = || new().directory("opt/dpkgdb/").file("opt/dpkgdb/status", "x");
    let link = || new().symlink("var/lib/dpkg", "../../opt/dpkgdb");
    let hidden = || new().file("opt/.wh.dpkgdb", "");
    let rows = [
        ("below", vec![file(), link()], Some(0)),
        ("above", vec![link(), file()], Some(1)),
        ("newest of two", vec![file(), link(), file(), new().file("x", "")], Some(2)),
        ("removed", vec![file(), link(), hidden()], None),
        ("removed and there again", vec![file(), hidden(), link(), file()], Some(3)),
        ("a directory", vec![file(), link(), new().directory("opt/dpkgdb/status/")], None),
        ("below a file", vec![file(), link(), new().file("opt/dpkgdb", "")], None),
        ("below an opaque directory", vec![file(), link(), new().file("opt/.wh..wh..opq", "")], None),
        ("a link to nothing", vec![file(), link(), new().symlink("opt/dpkgdb/status", "nothing")], None),
        ("not there", vec![link()], None),
    ];
    for (name, archives, layer) in rows {
        let (overlay, missing) = merge(archives);
        assert_eq!(overlay.content(STATUS), None, "{name}");
        let paths: Vec<_> = missing
            .iter()
            .map(|missing| (missing.layer, missing.paths.paths().cloned().collect::<BTreeSet<_>>()))
            .collect();
        let path = LayerPath::new("/opt/dpkgdb/status");
        let expected: Vec<_> = layer.map(|layer| (layer, BTreeSet::from([path]))).into_iter().collect();
        assert_eq!(paths, expected, "{name}");
    }
}

#[test]
fn a_hard_link_names_the_file_that_its_layer_had() {
    let linked = || {
        new().file("var/lib/dpkg/status-old", "x").hard_link("var/lib/dpkg/status", "var/lib/dpkg/status-old")
    };
    let other_name_gone = new().file("var/lib/dpkg/.wh.status-old", "");
    let other_name_new = new().file("var/lib/dpkg/status-old", "other");
    for top in [new().file("x", ""), other_name_gone, other_name_new] {
        assert_eq!(resolved(vec![linked(), top]).content(STATUS), Some(&b"x"[..]));
    }
    let below = new().file("var/lib/dpkg/status-old", "below");
    let link = new().hard_link("var/lib/dpkg/status", "var/lib/dpkg/status-old");
    assert_eq!(resolved(vec![below, link]).content(STATUS), Some(&b"below"[..]));
    for kept in ["usr/lib/os-release", "opt/release"] {
        let layers = vec![new().file(kept, "ID=a"), new().hard_link("etc/os-release", kept)];
        assert_eq!(resolved(layers).content(OS_RELEASE), Some(&b"ID=a"[..]), "{kept}");
    }
}

#[test]
fn a_hard_link_at_a_path_that_is_hashed_has_a_hash() {
    let archive = new().file("usr/bin/node-20", "binary").hard_link("usr/bin/node", "usr/bin/node-20");
    let overlay = resolved(vec![archive]);
    let file = overlay.files().find(|file| file.path.as_str() == "/usr/bin/node").unwrap();
    assert_eq!(file.kept.sha256, Some(regent_oci::Digest::sha256(b"binary")));
}

#[test]
fn a_link_is_no_further_key_binary() {
    let archive =
        new().file("opt/bin/node", "x").symlink("usr/bin/node", "/opt/bin/node").symlink("usr/opt", "/opt");
    let overlay = view([archive]);
    assert_eq!(overlay.files().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["/opt/bin/node"]);
}

#[test]
fn links_that_lead_nowhere_are_not_there() {
    let deep = (0..50).fold(new().file("l50", "ID=a"), |archive, i| {
        archive.symlink(&format!("l{i}"), &format!("l{}", i + 1))
    });
    let rows = [
        ("itself", new().symlink("etc/os-release", "os-release")),
        ("a circle", new().symlink("etc/os-release", "x").symlink("etc/x", "os-release")),
        ("a circle of directories", new().symlink("etc", "/a/b").symlink("a", "/etc/c")),
        ("growing", new().symlink("etc", "etc/etc")),
        ("nothing", new().symlink("etc/os-release", "nothing")),
        ("empty", new().symlink("etc/os-release", "")),
        ("the root", new().symlink("etc/os-release", "/")),
        (
            "below a file",
            new().symlink("etc/os-release", "/usr/lib/os-release/x").file("usr/lib/os-release", "ID=a"),
        ),
        ("too many links", deep.symlink("etc/os-release", "/l0")),
    ];
    for (name, archive) in rows {
        assert_eq!(view([archive]).content(OS_RELEASE), None, "{name}");
    }
}

#[test]
fn long_chains_of_long_links_end() {
    let long = "x/../".repeat(19);
    let mut archive = new();
    for i in 0..2000 {
        archive =
            archive.symlink(&format!("var/lib/dpkg/status.d/{i}"), "0").symlink(&format!("l{i}"), &long);
    }
    assert_eq!(view([archive]).files().count(), 0);
}

#[test]
fn a_layer_written_through_a_link_of_a_lower_one_counts_at_its_path() {
    let base = new().symlink("lib", "usr/lib").file("usr/lib/apk/db/installed", "old");
    let top = new().file("lib/apk/db/installed", "new");
    assert_eq!(resolved(vec![base, top]).content("/lib/apk/db/installed"), Some(&b"new"[..]));
}
