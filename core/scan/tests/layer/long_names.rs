//! Names that don't fit a header.

use super::archive::*;
use super::odd::*;

fn deep(name: &str) -> String {
    format!("{}{name}", "a-directory-with-a-long-name/".repeat(12))
}

#[test]
fn pax_paths_and_link_paths_count() {
    let archive = Archive::new()
        .pax(&[("path", &deep("node")), ("SCHILY.xattr.user.x", "a=b\nc")])
        .file("cut/off", "x")
        .pax(&[("linkpath", &deep("target"))])
        .symlink("link", "cut/off")
        .file("etc/os-release", "ID=a");
    let capture = capture(&archive.end());
    assert_eq!(kept(&capture, &format!("/{}", deep("node"))).size_bytes, 1);
    assert_eq!(entry(&capture, "/link"), &regent_scan::EntryKind::Symlink(deep("target")));
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a");
}

#[test]
fn gnu_long_names_and_links_count() {
    let archive = Archive::new()
        .long(b'K', &deep("target"))
        .long(b'L', &deep("link"))
        .symlink("cut/off", "cut/off")
        .file("etc/os-release", "ID=a");
    let capture = capture(&archive.end());
    let link = format!("/{}", deep("link"));
    assert_eq!(entry(&capture, &link), &regent_scan::EntryKind::Symlink(deep("target")));
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a");
}

#[test]
fn a_pax_size_counts_instead_of_the_headers() {
    let mut archive = Archive::new().pax(&[("size", "4")]);
    archive = archive.block(&header("etc/os-release", b'0', "", 0)).data(b"ID=a");
    let capture = capture(&archive.file("usr/bin/node", "").end());
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a");
    assert_eq!(capture.entries.len(), 2);
}

#[test]
fn global_records_are_for_no_entry() {
    let archive = Archive::new()
        .pax_of_type(b'g', &[("comment", "0123"), ("path", "elsewhere"), ("size", "99")])
        .file("etc/os-release", "ID=a");
    assert_eq!(content(&capture(&archive.end()), "/etc/os-release"), b"ID=a");
}

#[test]
fn a_ustar_prefix_stands_before_the_name() {
    let mut block = header("dpkg/status", b'0', "", 0);
    put(&mut block, 345, b"var/lib");
    sign(&mut block);
    assert_eq!(capture(&Archive::new().block(&block).end()).entries[0].path.as_str(), "/var/lib/dpkg/status");

    // star uses the prefix's last bytes for times.
    put(&mut block, 476, b"00000000000 00000000000 ");
    put(&mut block, 508, b"tar\0");
    sign(&mut block);
    assert_eq!(capture(&Archive::new().block(&block).end()).entries[0].path.as_str(), "/var/lib/dpkg/status");

    // GNU has other fields there.
    put(&mut block, 257, b"ustar  \0");
    put(&mut block, 0, b"etc/os-release");
    sign(&mut block);
    assert_eq!(capture(&Archive::new().block(&block).end()).entries[0].path.as_str(), "/etc/os-release");
}

#[test]
fn names_that_are_not_utf_8_hide_as_well() {
    let mut block = header("", b'0', "", 0);
    put(&mut block, 0, b"caf\xe9");
    sign(&mut block);
    assert_eq!(capture(&Archive::new().block(&block).end()).hidden_by_files.len(), 1);
}

#[test]
fn a_checksum_over_signed_bytes_is_one() {
    let mut block = header("etc/os-release", b'0', "", 0);
    put(&mut block, 265, b"\xe9");
    put(&mut block, 148, b"        ");
    let sum: i64 = block.iter().map(|&b| i64::from(b.cast_signed())).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(capture(&Archive::new().block(&block).end()).entries.len(), 1);
}
