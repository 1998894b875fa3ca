//! Sparse files in all their formats.

use regent_scan::Limits;

use super::archive::*;
use super::odd::*;

const PATH: &str = "var/lib/dpkg/status";

/// "abc" at 0, a hole up to 1000, "de" at 1000, a hole up to 2000.
fn expanded() -> Vec<u8> {
    let mut content = vec![0; 2000];
    content[..3].copy_from_slice(b"abc");
    content[1000..1002].copy_from_slice(b"de");
    content
}

fn assert_expanded(name: &str, archive: Archive) {
    let capture = capture(&archive.file("etc/os-release", "ID=a").end());
    assert_eq!(content(&capture, "/var/lib/dpkg/status"), expanded(), "{name}");
    assert_eq!(kept(&capture, "/var/lib/dpkg/status").size_bytes, 2000, "{name}");
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a", "{name}");
}

fn old_gnu(name: &str, pieces: &[(u64, u64)], is_continued: u8, real_size: u64, stored: u64) -> [u8; BLOCK] {
    let mut block = header(name, b'S', "", stored);
    put(&mut block, 257, b"ustar  \0");
    put(&mut block, 345, &[0; 155]);
    put_pieces(&mut block, 386, pieces);
    block[482] = is_continued;
    put(&mut block, 483, format!("{real_size:011o}\0").as_bytes());
    sign(&mut block);
    block
}

fn put_pieces(block: &mut [u8; BLOCK], at: usize, pieces: &[(u64, u64)]) {
    for (i, (offset, length)) in pieces.iter().enumerate() {
        put(block, at + 24 * i, format!("{offset:011o}\0{length:011o}\0").as_bytes());
    }
}

#[test]
fn the_old_gnu_format_is_expanded() {
    let block = old_gnu(PATH, &[(0, 3), (1000, 2), (2000, 0)], 0, 2000, 5);
    assert_expanded("in the header", Archive::new().block(&block).data(b"abcde"));

    let block = old_gnu(PATH, &[(0, 1), (1, 1), (2, 1), (1000, 1)], 1, 2000, 5);
    let mut more = [0; BLOCK];
    put_pieces(&mut more, 0, &[(1001, 1)]);
    more[504] = 1;
    let mut last = [0; BLOCK];
    put_pieces(&mut last, 0, &[(2000, 0)]);
    let archive = Archive::new().block(&block).block(&more).block(&last).data(b"abcde");
    assert_expanded("continued", archive);
}

#[test]
fn an_unwanted_old_gnu_file_is_skipped_with_its_map() {
    let block = old_gnu("var/log/lastlog", &[(1 << 30, 5)], 1, 1 << 32, 5);
    let archive = Archive::new().block(&block).block(&[0; BLOCK]).data(b"abcde");
    let capture = capture(&archive.file("etc/os-release", "ID=a").end());
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a");
    assert_eq!(capture.hidden_by_files.len(), 1);
}

#[test]
fn of_a_sparse_executable_no_more_is_expanded_than_tells_that_it_is_too_large() {
    // All of it would be more than a layer of this size may hold.
    let size = (1 << 33) - 1;
    let block = old_gnu("usr/bin/tool", &[(0, 18), (size, 0)], 0, size, 18);
    let archive = Archive::new().block(&block).data(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0");
    let capture = capture(&archive.file("etc/os-release", "ID=a").end());
    assert_eq!(content(&capture, "/etc/os-release"), b"ID=a");
    assert_eq!(capture.entries.len(), 1, "what tells nothing of itself is not kept");
}

#[test]
fn pax_formats_are_expanded() {
    let v00 = [
        ("GNU.sparse.size", "2000"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.offset", "0"),
        ("GNU.sparse.numbytes", "3"),
        ("GNU.sparse.offset", "1000"),
        ("GNU.sparse.numbytes", "2"),
    ];
    assert_expanded("0.0", Archive::new().pax(&v00).file(PATH, "abcde"));

    let v01 = [
        ("GNU.sparse.size", "2000"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.name", PATH),
        ("GNU.sparse.map", "0,3,1000,2"),
    ];
    assert_expanded("0.1", Archive::new().pax(&v01).file("GNUSparseFile.0/status", "abcde"));

    let v10 = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", PATH),
        ("GNU.sparse.realsize", "2000"),
    ];
    let mut data = b"2\n0\n3\n1000\n2\n".to_vec();
    data.resize(BLOCK, 0);
    data.extend(b"abcde");
    assert_expanded("1.0", Archive::new().pax(&v10).file("GNUSparseFile.0/status", &data));

    // A map over two blocks: pieces of one byte, and many that are empty.
    let mut data = b"203\n0\n1\n1\n1\n2\n1\n".to_vec();
    data.extend(b"999\n0\n".repeat(198));
    data.extend(b"1000\n1\n1001\n1\n");
    data.resize(data.len().next_multiple_of(BLOCK), 0);
    assert!(data.len() > BLOCK);
    data.extend(b"abcde");
    assert_expanded("1.0, long map", Archive::new().pax(&v10).file("GNUSparseFile.0/status", &data));
}

#[test]
fn records_of_one_sparse_file_are_not_for_the_next() {
    let records = [("GNU.sparse.size", "9"), ("GNU.sparse.name", "x"), ("GNU.sparse.map", "0,1")];
    let archive = Archive::new().pax(&records).file("y", "a").file("etc/os-release", "ID=a");
    assert_eq!(content(&capture(&archive.end()), "/etc/os-release"), b"ID=a");
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let maps = [
        ("order", "1000,2,0,3"),
        ("overlap", "0,3,2,2"),
        ("beyond the file", "0,3,1999,2"),
        ("more than is stored", "0,3,1000,3"),
        ("overflow", "18446744073709551615,2"),
        ("odd", "0,3,1000"),
        ("no number", "0,x"),
    ];
    for (name, map) in maps {
        let records = [("GNU.sparse.size", "2000"), ("GNU.sparse.map", map)];
        let told = refusal(&Archive::new().pax(&records).file(PATH, "abcde").end());
        assert!(told.starts_with("layer_undecodable"), "{name}: {told}");
    }
    let v10 = [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "2000")];
    for data in ["", "2\n0\n3\n", "x\n", "99999999999999999999999\n", "1\n0\n9\n"] {
        let told = refusal(&Archive::new().pax(&v10).file(PATH, data).end());
        assert!(told.starts_with("layer_undecodable"), "{data:?}: {told}");
    }
}

#[test]
fn a_file_that_is_all_hole_is_bounded_like_what_is_stored() {
    let huge = u64::MAX.to_string();
    let records = [("GNU.sparse.size", huge.as_str()), ("GNU.sparse.map", "")];
    let unwanted = Archive::new().pax(&records).file("var/log/lastlog", "");
    assert_eq!(capture(&unwanted.end()).hidden_by_files.len(), 1);

    let too_large = Archive::new().pax(&records).file(PATH, "");
    let capture = capture(&too_large.end());
    assert_eq!(kept(&capture, "/var/lib/dpkg/status").content, None);
    assert_eq!(kept(&capture, "/var/lib/dpkg/status").size_bytes, u64::MAX);

    let hashed = Archive::new().pax(&records).file("usr/bin/node", "").end();
    assert!(refusal(&hashed).contains("inflation_ratio"));
    let limits = Limits { inflated_bytes: 1 << 20, ..Limits::default() };
    assert!(refusal_within(&hashed, &limits).contains("inflated_bytes"));
}
