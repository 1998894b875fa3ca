//! Archives as builds make them.

use super::super::{Distil, Distilled};
use super::fixture::{RawEntry, ZipBuilder, jar, pom};
use super::*;
use crate::limits::Limits;

pub(super) fn distilled(bytes: &[u8]) -> JavaArchive {
    let distilled = Distil::JavaArchive.of_content(bytes).unwrap();
    let Some(Distilled::JavaArchive(archive)) = distilled else { panic!("an archive") };
    *archive
}

/// An archive and those in it, by coordinates or as `-`, with what is in each in brackets.
pub(super) fn text(content: &ArchiveContent) -> String {
    let own: Vec<_> = content.artifacts.iter().map(|a| format!("{}:{}", a.artifact, a.version)).collect();
    let nested: Vec<_> = content.nested.iter().map(|n| format!("{} {}", n.name, text(&n.archive))).collect();
    let own = if own.is_empty() { "-".to_owned() } else { own.join("+") };
    if nested.is_empty() { own } else { format!("{own}[{}]", nested.join(", ")) }
}

fn sha1_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha1::digest(bytes))
}

#[test]
fn an_archive_tells_its_coordinates_and_those_of_archives_in_it() {
    let leaf = jar("com.acme", "leaf", "1.0", &[]);
    let inner = ZipBuilder::default().with(&[("lib/leaf-1.0.jar", &leaf), ("A.class", b"x")]).finish();
    let stored = jar("org.slf4j", "slf4j-nop", "1.7.32", &[]);
    let shaded = pom("com.google.code.gson", "gson", "2.8.9");
    let outer = ZipBuilder::default()
        .with(&[("META-INF/maven/com.acme/shop/pom.properties", &pom("com.acme", "shop", "3.1.0"))])
        .with(&[("META-INF/maven/com.google.code.gson/gson/pom.properties", &shaded)])
        .with(&[("BOOT-INF/lib/inner.jar", &inner)])
        .with_raw(&RawEntry::stored("BOOT-INF/lib/slf4j-nop.jar", &stored))
        .with(&[("web/NAMES.WAR", &leaf), ("jar", b"no archive"), ("lib.jar/", b"")])
        .with_raw(&RawEntry { method: 8, ..RawEntry::stored("empty.jar", b"") })
        .finish();
    let archive = distilled(&outer);
    assert_eq!(archive.faults, []);
    assert_eq!(
        text(&archive.archive),
        "shop:3.1.0+gson:2.8.9[BOOT-INF/lib/inner.jar -[lib/leaf-1.0.jar leaf:1.0], \
         BOOT-INF/lib/slf4j-nop.jar slf4j-nop:1.7.32, web/NAMES.WAR leaf:1.0, empty.jar -]"
    );
    assert_eq!(archive.archive.sha1, sha1_of(&outer));
    let nested = &archive.archive.nested;
    assert_eq!(nested[0].archive.sha1, sha1_of(&inner));
    assert_eq!(nested[0].archive.nested[0].archive.sha1, sha1_of(&leaf));
    assert_eq!(nested[1].archive.sha1, sha1_of(&stored));
}

#[test]
fn a_manifest_is_read_as_far_as_its_main_section() {
    let long = [b"Implementation-Title: shop\n\n".to_vec(), vec![b'x'; 3 << 20]].concat();
    let archive = distilled(&ZipBuilder::default().with(&[("meta-inf/manifest.mf", &long)]).finish());
    assert_eq!(archive.archive.manifest.implementation_title.as_deref(), Some("shop"));
    assert_eq!(archive.faults, []);
}

#[test]
fn archives_behind_a_script_with_comments_and_with_wide_numbers_are_read() {
    let entry = RawEntry::deflated("x/pom.properties", &pom("g", "a", "1"));
    let builder = || ZipBuilder::default().with_raw(&entry);
    let script = b"#!/bin/sh\nexec java -jar \"$0\"\n";
    let counted = ZipBuilder::behind(script).with_raw(&entry);
    let uncounted = ZipBuilder::behind(script).with_raw(&RawEntry { offset: Some(0), ..entry.clone() });
    let uncounted_at = uncounted.data_bytes() - script.len() as u64;
    let wide = RawEntry { is_wide: true, ..entry.clone() };
    let rows = [
        ("plain", builder().finish()),
        ("script in front, counted", counted.finish()),
        ("script in front, not counted", uncounted.end(uncounted_at, false, b"")),
        ("comment", builder().finish_with_comment(b"built by hand")),
        ("comment with an end record", builder().finish_with_comment(b"PK\x05\x06 and 18 bytes and more")),
        ("longest comment", builder().finish_with_comment(&vec![b'x'; 0xffff])),
        ("wide numbers", ZipBuilder::default().with_raw(&wide).finish_wide()),
        ("wide numbers moved", [&script[..], &ZipBuilder::default().with_raw(&wide).finish_wide()].concat()),
        (
            "stored",
            ZipBuilder::default().with_raw(&RawEntry::stored("pom.properties", &pom("g", "a", "1"))).finish(),
        ),
    ];
    for (name, bytes) in rows {
        let archive = distilled(&bytes);
        assert_eq!((text(&archive.archive).as_str(), archive.faults.len()), ("a:1", 0), "{name}");
    }
}

#[test]
fn what_is_no_archive_has_a_digest_and_nothing_else() {
    for bytes in [&b""[..], b"PK", b"#!/bin/sh", &vec![0; 70_000]] {
        let archive = distilled(bytes);
        let expected = ArchiveContent { sha1: sha1_of(bytes), ..ArchiveContent::default() };
        assert_eq!((archive.archive, archive.faults), (expected, vec![]));
    }
    let empty = distilled(&ZipBuilder::default().finish()).archive;
    assert!(empty.is_zip && empty.artifacts.is_empty());
}

#[test]
fn an_archive_reads_the_same_in_pieces_of_any_size_and_from_the_disk() {
    // Noise, which does not compress: more than is spooled in memory.
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..SPOOL_MEMORY_BYTES + (1 << 20))
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    let inner = jar("g", "inner", "1", &[("noise", &noise)]);
    let bytes = jar("g", "outer", "1", &[("noise", &noise), ("lib/inner.jar", &inner)]);
    let whole = distilled(&bytes);
    assert_eq!(text(&whole.archive), "outer:1[lib/inner.jar inner:1]");
    for size in [997, 1 << 20] {
        let mut reader = Distil::JavaArchive.start(bytes.len() as u64, &Scratch::new(&Limits::default()));
        assert!(bytes.chunks(size).all(|piece| reader.take(piece)));
        assert_eq!(reader.finish().unwrap(), Some(Distilled::JavaArchive(Box::new(whole.clone()))));
    }
}
