//! Archives that are damaged, or made to do harm.

use super::fixture::{RawEntry, ZipBuilder, jar, pom};
use super::tests::{distilled, text};
use super::*;
use crate::distil::Distil;
use crate::limits::Limits;

/// The faults as `entry: reason`.
fn faults(archive: &JavaArchive) -> Vec<String> {
    archive.faults.iter().map(|fault| format!("{}: {}", fault.entry, fault.reason)).collect()
}

#[test]
fn an_entry_that_can_not_be_read_costs_itself_only() {
    let good = RawEntry::deflated("good/pom.properties", &pom("g", "good", "1"));
    let bad = RawEntry::deflated("pom.properties", &pom("g", "bad", "1"));
    let far = Some(u64::from(u32::MAX) - 1);
    let rows = [
        (RawEntry { data: vec![0xff; 40], ..bad.clone() }, "its data can't be inflated"),
        (RawEntry { data: bad.data[..20].to_vec(), ..bad.clone() }, "its data end in the middle"),
        (RawEntry { crc: 1, ..bad.clone() }, "its data have the wrong checksum"),
        (RawEntry { size: bad.size - 1, ..bad.clone() }, "it has more data than the directory says"),
        (RawEntry { size: bad.size + 1, ..bad.clone() }, "it has less data than the directory says"),
        (RawEntry { method: 12, ..bad.clone() }, "its compression method 12 is not known to Java"),
        (RawEntry { flags: 1, ..bad.clone() }, "it is encrypted"),
        (RawEntry { offset: Some(1), ..bad.clone() }, "it has no local header"),
        (RawEntry { offset: far, ..bad.clone() }, "its data lie outside the archive"),
        (
            RawEntry { offset: Some(u64::MAX), is_wide: true, ..bad.clone() },
            "its data lie outside the archive",
        ),
        (RawEntry { size: 1 << 40, is_wide: true, ..bad }, "it is larger than any file of its kind"),
    ];
    for (entry, reason) in rows {
        let archive = distilled(&ZipBuilder::default().with_raw(&entry).with_raw(&good).finish());
        assert_eq!(faults(&archive), [format!("pom.properties: {reason}")]);
        assert_eq!(text(&archive.archive), "good:1", "{reason}");
    }
}

#[test]
fn a_fault_in_a_nested_archive_names_the_way_to_it() {
    let bad = RawEntry { crc: 1, ..RawEntry::deflated("x/pom.properties", &pom("g", "a", "1")) };
    let inner = ZipBuilder::default().with_raw(&bad).finish();
    let outer = ZipBuilder::default().with(&[("lib/inner.jar", &inner)]).finish();
    let expected = ["lib/inner.jar/x/pom.properties: its data have the wrong checksum"];
    assert_eq!(faults(&distilled(&outer)), expected);
}

#[test]
fn a_damaged_directory_is_read_as_far_as_it_goes() {
    let entries = [("a/pom.properties", pom("g", "a", "1")), ("b/pom.properties", pom("g", "b", "1"))];
    let entries: Vec<_> = entries.iter().map(|(name, content)| RawEntry::deflated(name, content)).collect();
    let mut bytes = ZipBuilder::default().with_raw(&entries[0]).with_raw(&entries[1]).finish();
    let second = memchr::memmem::rfind(&bytes, b"PK\x01\x02").unwrap();
    bytes[second] = b'X';
    let archive = distilled(&bytes);
    assert_eq!(text(&archive.archive), "a:1");
    assert_eq!(faults(&archive), [": the central directory is damaged"]);
    // A name that is longer than what is left of the directory.
    bytes[second] = b'P';
    bytes[second + 28..second + 30].copy_from_slice(&[0xff, 0xff]);
    let archive = distilled(&bytes);
    assert_eq!(text(&archive.archive), "a:1");
    assert_eq!(faults(&archive), [": the central directory ends in the middle of an entry"]);
}

#[test]
fn a_nested_archive_that_inflates_without_end_is_given_up() {
    let zeros = vec![0; 40 << 20];
    let bomb = ZipBuilder::default()
        .with_raw(&RawEntry::deflated("a/pom.properties", &pom("g", "a", "1")))
        .with_raw(&RawEntry::deflated("bomb.jar", &zeros))
        .with_raw(&RawEntry::deflated("b/pom.properties", &pom("g", "b", "1")))
        .finish();
    let archive = distilled(&bomb);
    assert_eq!(text(&archive.archive), "a:1");
    assert_eq!(
        faults(&archive),
        ["bomb.jar: its entries inflate to too many bytes; the rest of the archive was not read"]
    );
    assert_eq!(archive.faults[0].kind, ArchiveFaultKind::TooLarge);
}

#[test]
fn entries_that_share_their_data_are_read_until_the_bound() {
    let shared = RawEntry::stored("0.jar", &jar("g", "a", "1", &[("noise", &vec![7; 1 << 20])]));
    let deflated = RawEntry::deflated("0.jar", &vec![0; 1 << 20]);
    for first in [shared, deflated] {
        let mut builder = ZipBuilder::default().with_raw(&first);
        for _ in 0..20_000 {
            builder = builder.with_header(&RawEntry { offset: Some(0), ..first.clone() });
        }
        let archive = distilled(&builder.finish());
        assert!(archive.archive.nested.len() < 20_000);
        assert_eq!(archive.faults.len(), 1);
        assert_eq!(archive.faults[0].kind, ArchiveFaultKind::TooLarge);
    }
}

#[test]
fn a_nested_archive_that_has_no_room_on_the_disk_costs_itself_only() {
    let large = jar("g", "large", "1", &[("zeros", &vec![0; 3 << 20])]);
    let large = ZipBuilder::default().with_raw(&RawEntry::stored("n.jar", &large)).finish();
    let large = [&vec![b'#'; 3 << 20][..], &large].concat();
    let small = jar("g", "small", "1", &[]);
    let bytes = jar("g", "outer", "1", &[("a.jar", &large), ("b.jar", &small), ("c.jar", &large)]);
    let expected = |name| format!("{name}: {NO_ROOM}");
    let rows = [
        (2 << 20, 100 << 20, "outer:1[b.jar small:1]", vec![expected("a.jar"), expected("c.jar")]),
        (4 << 20, 6 << 20, "outer:1[a.jar -[n.jar large:1], b.jar small:1]", vec![expected("c.jar")]),
        (4 << 20, 7 << 20, "outer:1[a.jar -[n.jar large:1], b.jar small:1, c.jar -[n.jar large:1]]", vec![]),
    ];
    for (spooled_at_once_bytes, spooled_layer_bytes, expected, gaps) in rows {
        let limits = Limits { spooled_at_once_bytes, spooled_layer_bytes, ..Limits::default() };
        let mut reader = Distil::JavaArchive.start(bytes.len() as u64, &Scratch::new(&limits));
        assert!(reader.take(&bytes));
        let Ok(Some(Distilled::JavaArchive(archive))) = reader.finish() else { panic!("an archive") };
        assert_eq!((text(&archive.archive).as_str(), faults(&archive)), (expected, gaps));
    }
}

#[test]
fn archives_are_opened_to_a_depth_and_the_one_below_is_named() {
    let mut bytes = jar("g", "innermost", "1", &[]);
    for _ in 0..30 {
        bytes = ZipBuilder::default().with_raw(&RawEntry::stored("n.jar", &bytes)).finish();
    }
    let archive = distilled(&bytes);
    assert_eq!(text(&archive.archive).matches("n.jar").count(), 8);
    let way = ["n.jar"; 9].join("/");
    assert_eq!(faults(&archive), [format!("{way}: it lies more archives deep than are opened")]);
}

#[test]
fn archives_in_great_number_are_given_up() {
    let tiny = RawEntry::stored("n.jar", &ZipBuilder::default().finish());
    let mut builder = ZipBuilder::default().with_raw(&tiny);
    for _ in 0..10_000 {
        builder = builder.with_header(&RawEntry { offset: Some(0), ..tiny.clone() });
    }
    let archive = distilled(&builder.finish());
    assert_eq!(archive.archive.nested.len(), 10_000);
    assert_eq!(
        faults(&archive),
        ["n.jar: it has too many archives in it; the rest of the archive was not read"]
    );
}

#[test]
fn names_without_end_are_given_up_and_faults_are_counted() {
    let long = RawEntry::deflated("pom.properties", &pom(&"g".repeat(5000), "a", "1"));
    let archive = distilled(&ZipBuilder::default().with_raw(&long).finish());
    assert_eq!(faults(&archive), ["pom.properties: its coordinates are longer than any"]);

    let name = format!("{}.jar", "n".repeat(5000));
    let archive = distilled(&ZipBuilder::default().with(&[(&name, b"")]).finish());
    assert!(faults(&archive)[0].ends_with("n: its name is longer than a path may be"));

    let long = pom(&"g".repeat(4000), "a", "1");
    let entry = RawEntry::deflated("pom.properties", &long);
    let mut builder = ZipBuilder::default().with_raw(&entry);
    for _ in 0..2000 {
        builder = builder.with_header(&RawEntry { offset: Some(0), ..entry.clone() });
    }
    let archive = distilled(&builder.finish());
    assert!(archive.cost_bytes() < 5 << 20);
    assert_eq!(faults(&archive), ["pom.properties: it names too much; the rest of the archive was not read"]);

    let bad = RawEntry { crc: 1, ..RawEntry::deflated("pom.properties", &pom("g", "a", "1")) };
    let mut builder = ZipBuilder::default();
    for _ in 0..100 {
        builder = builder.with_raw(&bad);
    }
    let archive = distilled(&builder.finish());
    assert_eq!((archive.faults.len(), archive.n_more_faults), (16, 84));

    let mut builder = ZipBuilder::default();
    for _ in 0..100 {
        builder = builder.with_raw(&bad);
    }
    let bomb = RawEntry::deflated("bomb.jar", &vec![0; 20 << 20]);
    let archive = distilled(&builder.with_raw(&bomb).finish());
    assert_eq!((archive.faults.len(), archive.n_more_faults), (17, 84));
    assert!(faults(&archive)[16].starts_with("bomb.jar: its entries inflate to too many bytes"));
}

#[test]
fn an_archive_without_a_directory_has_its_digest_and_is_named() {
    let cut = jar("g", "a", "1", &[]);
    for bytes in [&cut[..cut.len() - 4], b"PK\x03\x04 not a zip"] {
        let archive = distilled(bytes);
        assert!(!archive.archive.is_zip);
        assert_eq!(faults(&archive), [": its end is missing, and its central directory with it"]);
    }
    let nested = ZipBuilder::default().with(&[("lib/cut.jar", &cut[..cut.len() - 4])]).finish();
    let expected = ["lib/cut.jar: its end is missing, and its central directory with it"];
    assert_eq!(faults(&distilled(&nested)), expected);
}

#[test]
fn an_absurd_directory_is_not_looked_for() {
    let end = |count: u16, length: u32, offset: u32| {
        let mut record = b"PK\x05\x06\0\0\0\0".to_vec();
        record.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
        record.extend([length.to_le_bytes(), offset.to_le_bytes()].concat());
        record.extend([0, 0]);
        record
    };
    let locator = [&b"PK\x06\x07\0\0\0\0"[..], &u64::MAX.to_le_bytes(), &[1, 0, 0, 0]].concat();
    let rows = [
        end(1, 46, 0),
        end(u16::MAX, u32::MAX, u32::MAX),
        end(1, u32::MAX - 1, u32::MAX - 1),
        [locator, end(u16::MAX, u32::MAX, u32::MAX)].concat(),
        // As many end records as fit, none of them right.
        end(1, 46, 0).repeat(4000),
    ];
    for bytes in rows {
        let archive = distilled(&bytes);
        assert!(!archive.archive.is_zip);
        assert_eq!(faults(&archive), [": its central directory is not where its end says"]);
    }
}

#[test]
fn an_archive_that_is_too_large_has_its_digest_and_is_named() {
    let mut reader = Reader::new(MAX_ARCHIVE_BYTES + 1, false, &Scratch::new(&Limits::default()));
    assert!(reader.take(b"abc"));
    let Ok(Some(Distilled::JavaArchive(archive))) = Box::new(reader).finish() else { panic!("an archive") };
    assert_eq!(archive.archive.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(archive.faults[0].kind, ArchiveFaultKind::TooLarge);
}
