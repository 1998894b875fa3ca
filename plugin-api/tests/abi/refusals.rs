//! Files that are not loaded, and why.

use std::os::unix::fs::{PermissionsExt, symlink};

use regent_plugin_api::load::{FilePolicy, LibraryFile, Refusal, load};

use crate::{Plugins, built};

/// The bytes with all of one text replaced by another of the same length.
pub(crate) fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "offsets must stay");
    let places: Vec<usize> = memchr::memmem::find_iter(bytes, from).collect();
    let mut bytes = bytes.to_vec();
    for at in &places {
        bytes.get_mut(*at..at + to.len()).expect("found there").copy_from_slice(to);
    }
    assert!(!places.is_empty(), "{} is not there", String::from_utf8_lossy(from));
    bytes
}

fn good() -> Vec<u8> {
    std::fs::read(built("fixture-echo")).expect("it was built")
}

fn refusal_of(bytes: Vec<u8>) -> Refusal {
    match LibraryFile::from_bytes("driver.so".as_ref(), bytes) {
        Ok(file) => load(&file).expect_err("it is no good"),
        Err(refusal) => refusal,
    }
}

#[test]
fn each_kind_of_bad_file_is_refused_by_name() {
    let target = b"x86_64-unknown-linux-gnu\"";
    let rows: [(&str, &[u8], &[u8]); 14] = [
        ("api_too_new", b"\"api\":\"1.0.0\"", b"\"api\":\"2.0.0\""),
        ("api_too_old", b"\"api\":\"1.0.0\"", b"\"api\":\"0.9.0\""),
        ("api_too_new", b"\"requires_api\":\"1.0.0\"", b"\"requires_api\":\"1.9.0\""),
        ("bad_description", b"\"api\":\"1.0.0\"", b"\"api\":\"1.0.x\""),
        ("bad_description", b"{\"format\":1", b"{\"format\":2"),
        ("bad_description", b"{\"format\":1", b"[\"format\":1"),
        ("bad_description", b"\"types\":[\"fixture-echo\"]", b"\"types\":[              ]"),
        ("bad_description", b"\"name\":\"fixture-echo\"", b"\"name\":\"../ture-echo\""),
        ("no_root_symbol", b"\"name\":\"fixture-echo\"", b"\"name\":\"fixture-xxxx\""),
        ("no_root_symbol", b"regent_driver_root_v1", b"regent_driver_root_v2"),
        ("missing_section", b"\0.regent.meta\0", b"\0.regent.mota\0"),
        ("wrong_target", target, b"x86_64-unknown-linux-muc\""),
        ("dlopen_failed", b"\0libc.so.6\0", b"\0libq.so.6\0"),
        ("layout_mismatch", b"plain_http", b"plain_hxxp"),
    ];
    for (code, from, to) in rows {
        let refusal = refusal_of(replace(&good(), from, to));
        assert_eq!(refusal.code(), code, "{}: {refusal}", String::from_utf8_lossy(to));
        assert!(refusal.to_string().len() < 300, "{code}: {refusal}");
    }
}

#[test]
fn headers_of_other_machines_are_refused() {
    let rows: [(&str, usize, u8); 4] = [
        ("wrong_machine", 18, 0xb7), // e_machine: AArch64
        ("not_elf", 16, 2),          // e_type: a program
        ("not_elf", 0, 0),           // no magic
        ("truncated", 4, 1),         // 32 bits, and so nothing is where it should be
    ];
    for (code, at, value) in rows {
        let mut bytes = good();
        bytes[at] = value;
        let refusal = refusal_of(bytes);
        assert_eq!(refusal.code(), code, "byte {at}: {refusal}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_without_running_it() {
    let bytes = good();
    for len in [0, 3, 4, 16, 63, 64, 4096, 100_000, bytes.len() / 2, bytes.len() - 4096, bytes.len() - 1] {
        let refusal = LibraryFile::from_bytes("driver.so".as_ref(), bytes[..len].to_vec()).expect_err("cut");
        let expected = if len < 4 { "not_elf" } else { "truncated" };
        assert_eq!(refusal.code(), expected, "{len} bytes: {refusal}");
    }
    assert_eq!(refusal_of(b"#!/bin/sh\nexit 0\n".to_vec()).code(), "not_elf");
}

#[test]
fn the_linkers_reason_is_told() {
    let refusal = refusal_of(replace(&good(), b"\0libc.so.6\0", b"\0libq.so.6\0"));
    assert!(refusal.to_string().contains("libq.so.6"), "{refusal}");
}

#[test]
fn a_layout_mismatch_names_the_place_and_keeps_the_report() {
    let refusal = refusal_of(replace(&good(), b"plain_http", b"plain_hxxp"));
    let Refusal::LayoutMismatch { report, summary, .. } = &refusal else { panic!("{refusal}") };
    assert!(summary.contains("plain_http"), "{summary}");
    assert!(report.contains("plain_hxxp"), "the whole report");
}

#[test]
fn unsafe_files_are_refused_unread() {
    let bytes = good();
    let plugins = Plugins::new();
    let policy = plugins.policy();
    let check = |path: &std::path::Path, policy: &FilePolicy, code: &str| {
        let refusal = LibraryFile::read(path, policy).expect_err(code);
        assert_eq!(refusal.code(), code, "{refusal}");
    };
    let path = plugins.put("driver.so", &bytes);
    for mode in [0o646, 0o664, 0o777] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("permitted");
        check(&path, &policy, "world_writable");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).expect("permitted");
    LibraryFile::read(&path, &policy).expect("nothing else was wrong");

    let elsewhere = Plugins::new();
    let outside = elsewhere.put("driver.so", &bytes);
    let link = plugins.0.path().join("link.so");
    symlink(&outside, &link).expect("linked");
    check(&link, &policy, "outside_directory");
    let inside = plugins.0.path().join("inside.so");
    symlink("driver.so", &inside).expect("linked");
    LibraryFile::read(&inside, &policy).expect("a link within the directory is fine");

    check(&plugins.0.path().join("absent.so"), &policy, "unreadable");
    let directory = plugins.0.path().join("directory.so");
    std::fs::create_dir(&directory).expect("made");
    check(&directory, &policy, "not_regular");
    check(&path, &FilePolicy { max_bytes: 1000, ..policy.clone() }, "too_large");

    std::fs::set_permissions(plugins.0.path(), PermissionsExt::from_mode(0o777)).expect("permitted");
    check(&path, &policy, "world_writable");
}
