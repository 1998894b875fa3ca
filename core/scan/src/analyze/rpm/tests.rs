//! Databases of all three forms, built here byte by byte, and what is read from them.

mod build;

use proptest::prelude::*;

use self::build::{Header, bdb, ndb, sqlite};
use super::integers::Endian::{Big, Little};
use super::*;
use crate::finding::PackageDetail;

/// Makes a database of these records.
type Writer = fn(&[Vec<u8>]) -> Vec<u8>;

const FORMS: [(&str, Writer); 4] = [
    ("bdb", |headers| bdb(Little, headers)),
    ("bdb, big endian", |headers| bdb(Big, headers)),
    ("ndb", ndb),
    ("sqlite", sqlite),
];

/// A database with one package.
pub(in super::super) fn one_package_bdb(name: &str) -> Vec<u8> {
    bdb(Little, &[package(name, 700)])
}

/// A database with one package.
pub(in super::super) fn one_package_ndb(name: &str) -> Vec<u8> {
    ndb(&[package(name, 700)])
}

/// A database with one package.
pub(in super::super) fn one_package_sqlite(name: &str) -> Vec<u8> {
    sqlite(&[package(name, 700)])
}

/// What a header alone tells.
fn parse(header: &[u8]) -> Option<crate::finding::Package> {
    header::parse(header, &mut PackageList::default())
}

fn read(data: &[u8]) -> (Vec<String>, Option<String>) {
    let database = parse_database(data);
    let problem = database.problem();
    let packages = database.packages.into_packages();
    let packages = packages.into_iter().map(|p| format!("{} {}", p.name, p.version.unwrap_or_default()));
    (packages.collect(), problem)
}

/// A header with `n_padding` bytes that no tag of interest points to.
fn package(name: &str, n_padding: usize) -> Vec<u8> {
    Header::new(name, "1.0", "2").padding(n_padding).build()
}

#[test]
fn every_form_gives_its_packages_in_order() {
    // From a record that fits into a cell to one that takes several overflow pages, and enough for interior pages.
    let names: Vec<String> = (0..300).map(|i| format!("package-{i}")).collect();
    let headers: Vec<_> = names.iter().enumerate().map(|(i, name)| package(name, i * 37 % 1999)).collect();
    let expected: Vec<_> = names.iter().map(|name| format!("{name} 1.0-2")).collect();
    for (form, build) in FORMS {
        assert_eq!(read(&build(&headers)), (expected.clone(), None), "{form}");
        assert_eq!(read(&build(&[])), (Vec::new(), None), "{form}, empty");
    }
}

#[test]
fn a_record_that_is_no_package_is_said_and_hides_no_other() {
    let headers = [package("a", 900), vec![0xff; 900], package("b", 900)];
    for (form, build) in FORMS {
        let (packages, problem) = read(&build(&headers));
        assert_eq!(packages, ["a 1.0-2", "b 1.0-2"], "{form}");
        let problem = problem.unwrap();
        assert_eq!(problem, "1 of the package database's 3 records could not be read", "{form}");
    }
}

#[test]
fn a_database_that_is_cut_off_gives_what_is_left_and_says_so() {
    let headers: Vec<_> = (0..300).map(|i| package(&format!("package-{i}"), 700)).collect();
    for (form, build) in FORMS {
        let data = build(&headers);
        let (packages, problem) = read(data.get(..data.len() / 2).unwrap());
        assert!(packages.len() < 300, "{form}");
        assert!(problem.is_some(), "{form}");
    }
}

#[test]
fn what_is_no_database_is_unreadable() {
    let rows: [&[u8]; 5] = [b"x", &[0; 4096], b"SQLite format 3\0", b"RpmP", &[0xff; 4096]];
    for data in rows {
        let (packages, problem) = read(data);
        assert_eq!(packages, [""; 0]);
        assert!(problem.unwrap().starts_with("the package database could not be read: "));
    }
}

#[test]
fn records_that_share_their_bytes_are_not_read_again_and_again() {
    // All slots of an NDB database lead to one large blob.
    let mut data = ndb(&[package("a", 100_000)]);
    let slot: [u8; 16] = *data.get(32..).and_then(|slot| slot.first_chunk()).unwrap();
    for copy in data[48..4096].chunks_exact_mut(16) {
        copy.copy_from_slice(&slot);
    }
    let (packages, problem) = read(&data);
    assert_eq!(packages.len(), 1);
    assert!(problem.unwrap().ends_with("its records have more bytes than the file"));

    // An SQLite page that leads to itself.
    let headers: Vec<_> = (0..300).map(|i| package(&format!("p{i}"), 700)).collect();
    let mut data = sqlite(&headers);
    let root = 512; // the table's root is page 2, an interior page; its right-most child stands at 8
    data[root + 8..root + 12].copy_from_slice(&2_u32.to_be_bytes());
    assert!(read(&data).1.unwrap().ends_with("a page is used twice"));
}

#[test]
fn headers_tell_version_epoch_module_and_source() {
    let header = || Header::new("nodejs", "18.1", "3.el9");
    let detail = |epoch, modularity: Option<&str>, source_rpm: Option<&str>| PackageDetail::Rpm {
        epoch,
        modularity: modularity.map(Into::into),
        source_rpm: source_rpm.map(Into::into),
    };
    let rows = [
        ("plain", header(), "18.1-3.el9", detail(None, None, None)),
        ("epoch 0", header().int(1003, 0), "18.1-3.el9", detail(Some(0), None, None)),
        ("epoch 1", header().int(1003, 1), "1:18.1-3.el9", detail(Some(1), None, None)),
        (
            "module and source",
            header().text(1044, "nodejs-18.1-3.el9.src.rpm").text(5096, "nodejs:18:920:rhel9"),
            "18.1-3.el9",
            detail(None, Some("nodejs:18:920:rhel9"), Some("nodejs-18.1-3.el9.src.rpm")),
        ),
        ("a long size", header().long(5009, 5 << 30), "18.1-3.el9", detail(None, None, None)),
    ];
    for (name, header, version, detail) in rows {
        let package = parse(&header.build()).unwrap();
        assert_eq!(package.name, "nodejs", "{name}");
        assert_eq!(package.version.as_deref(), Some(version), "{name}");
        assert_eq!(package.detail, detail, "{name}");
    }
}

#[test]
fn headers_tell_licence_architecture_and_relations() {
    let relations = Header::new("bash", "5.1", "9.el9")
        .text(1014, "GPL-3.0-or-later")
        .text(1022, "x86_64")
        .texts(1047, &["bash", "/bin/sh", "bash(x86-64)"])
        .texts(1049, &["filesystem", "", "libc.so.6(GLIBC_2.34)(64bit)"]);
    let package = parse(&relations.build()).unwrap();
    assert_eq!(package.licenses, ["GPL-3.0-or-later"]);
    assert_eq!(package.architecture.as_deref(), Some("x86_64"));
    assert_eq!(package.provides, ["bash", "/bin/sh", "bash(x86-64)"]);
    assert_eq!(package.depends, ["filesystem", "libc.so.6(GLIBC_2.34)(64bit)"]);

    let odd = Header::new("bash", "5.1", "9.el9").int(1014, 1).int(1022, 2).text(1047, "bash").int(1049, 3);
    let package = parse(&odd.build()).unwrap();
    assert_eq!((package.licenses.len(), package.architecture.clone()), (0, None));
    assert_eq!((package.provides.len(), package.depends.len()), (0, 0));
}

#[test]
fn headers_without_a_name_version_and_release_are_no_packages() {
    let good = package("a", 10);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("no name", Header::new("", "1", "2").build()),
        ("no version", Header::new("a", "", "2").build()),
        ("no release", Header::new("a", "1", "").build()),
        ("a name that is a number", Header::default().int(1000, 7).text(1001, "1").text(1002, "2").build()),
        ("an epoch that is a text", Header::new("a", "1", "2").text(1003, "1").build()),
        ("a text without an end", Header::new("a", "1", &"x".repeat(5000)).build()),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("more entries than bytes", [&[0, 0, 0xff, 0xff], &good[4..]].concat()),
        ("more entries than allowed", [&[0xff; 4], &good[4..]].concat()),
    ];
    assert!(parse(&good).is_some());
    for (name, header) in rows {
        assert_eq!(parse(&header), None, "{name}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(data in prop::collection::vec(any::<u8>(), 0..6000)) {
        parse(&data);
        for read in [bdb::read as Reader, ndb::read, sqlite::read] {
            Database::read(&data, read);
        }
    }

    #[test]
    fn arbitrary_bytes_behind_a_good_beginning_are_read_without_a_panic(
        data in prop::collection::vec(any::<u8>(), 0..6000),
    ) {
        for (_, build) in FORMS {
            let mut database = build(&[]);
            database.extend(&data);
            parse_database(&database);
        }
    }

    #[test]
    fn mutated_databases_are_read_without_a_panic(
        sizes in prop::collection::vec(0_usize..3000, 1..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let headers: Vec<_> = sizes.iter().map(|&n_padding| package("a", n_padding)).collect();
        for (_, build) in FORMS {
            let mut database = build(&headers);
            for (at, byte) in &changes {
                let at = at.index(database.len());
                database[at] = *byte;
            }
            let database = parse_database(&database);
            let n_packages = database.packages.into_packages().len();
            prop_assert_eq!(n_packages + database.n_unreadable, database.n_records);
        }
    }

    #[test]
    fn records_of_any_sizes_come_back(sizes in prop::collection::vec(0_usize..5000, 0..60)) {
        let headers: Vec<_> =
            sizes.iter().enumerate().map(|(i, &n_padding)| package(&format!("p{i}"), n_padding)).collect();
        for (form, build) in FORMS {
            let (packages, problem) = read(&build(&headers));
            prop_assert_eq!(packages.len(), sizes.len(), "{}", form);
            prop_assert_eq!(problem, None, "{}", form);
        }
    }
}

/// A database with one package that has these files, each directory with a slash at its end and a name.
pub(crate) fn sqlite_with_files(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let (directories, names): (Vec<&str>, Vec<&str>) = files.iter().copied().unzip();
    let indexes = (0..files.len()).map(|n| u32::try_from(n).unwrap());
    let header = build::Header::new(name, "1", "1")
        .texts(1118, &directories)
        .texts(1117, &names)
        .ints(1116, &indexes.collect::<Vec<_>>());
    sqlite(&[header.build()])
}

#[test]
fn files_are_directories_and_names_and_damaged_headers_have_fewer() {
    let paths = |header: build::Header| {
        let mut found = Vec::new();
        let _ = header::files(&header.build(), |hash| found.push(hash));
        found
    };
    let header = || build::Header::new("a", "1", "1").texts(1118, &["/usr/bin/", "/etc/"]);
    let hashes = |paths: &[&str]| -> Vec<_> {
        paths.iter().map(|path| crate::path::PathHash::of_bytes(path.as_bytes()).unwrap()).collect()
    };
    let sound = header().texts(1117, &["a", "b", "a"]).ints(1116, &[0, 0, 1]);
    assert_eq!(paths(sound), hashes(&["/usr/bin/a", "/usr/bin/b", "/etc/a"]));
    let out_of_bounds = header().texts(1117, &["a", "b"]).ints(1116, &[7, 1]);
    assert_eq!(paths(out_of_bounds), hashes(&["/etc/b"]));
    assert_eq!(paths(header().texts(1117, &["a"])), []);
}
