//! Archives as builds make them.

use super::super::{Distil, Distilled};
use super::fixture::{RawEntry, ZipBuilder, jar, pom};
use super::*;
use crate::limits::Limits;

/// What is read of an archive that is there as a whole. In what is kept of it as it passes, in pieces of any size, the same is
/// read or that it is too little.
pub(super) fn distilled(bytes: &[u8]) -> JavaArchive {
    let distilled = Distil::WholeJavaArchive.of_content(bytes).unwrap();
    let Some(Distilled::JavaArchive(whole)) = distilled else { panic!("an archive") };
    let sizes: &[usize] = if bytes.len() < 100_000 { &[1, 7, 997, 100_000] } else { &[997, 1 << 20] };
    for &size in sizes {
        let sifted = sifted(bytes, size);
        assert_eq!(sifted.archive.sha1, whole.archive.sha1);
        assert!(
            sifted.is_not_kept() || sifted == *whole,
            "in pieces of {size}: {sifted:#?} and not {whole:#?}"
        );
    }
    *whole
}

/// What is read in what is kept of an archive as it passes in pieces of that size.
pub(super) fn sifted(bytes: &[u8], size: usize) -> JavaArchive {
    in_pieces(bytes.chunks(size)).unwrap()
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
    assert_eq!(sifted(&outer, 4096), archive);
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
        ("streamed", ZipBuilder::default().with_raw(&streamed(&entry)).finish()),
        (
            "stored",
            ZipBuilder::default().with_raw(&RawEntry::stored("pom.properties", &pom("g", "a", "1"))).finish(),
        ),
    ];
    for (name, bytes) in rows {
        let archive = distilled(&bytes);
        assert_eq!((text(&archive.archive).as_str(), archive.faults.len()), ("a:1", 0), "{name}");
        assert_eq!(sifted(&bytes, 64), archive, "{name}");
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

/// How entries of an archive are written.
type Form = fn(&RawEntry<'static>) -> RawEntry<'static>;

/// The same entry, as streams write it.
fn streamed<'a>(entry: &RawEntry<'a>) -> RawEntry<'a> {
    RawEntry { flags: RawEntry::STREAMED, ..entry.clone() }
}

/// What does not compress, and has all that records begin with.
fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let mut noise = b"PPK\x07PK\x07\x08PK\x07\x08PKPK\x03\x04PK\x01\x02".to_vec();
    noise.resize_with(n_bytes, &mut next);
    noise
}

#[test]
fn a_large_archive_is_read_as_it_passes_without_a_temporary_file() {
    let noise = noise(MEMORY_BYTES + (1 << 20));
    let leaf = jar("g", "leaf", "1", &[("noise", &noise[..5000])]);
    let inner = jar("g", "inner", "1", &[("noise", &noise), ("lib/leaf.jar", &leaf)]);
    let bytes = jar("g", "outer", "1", &[("noise", &noise), ("lib/inner.jar", &inner)]);
    let whole = distilled(&bytes);
    assert_eq!(text(&whole.archive), "outer:1[lib/inner.jar inner:1[lib/leaf.jar leaf:1]]");
    for size in [997, 1 << 20] {
        let scratch = Scratch::new(&Limits::default());
        let mut reader = Distil::JavaArchive.start(bytes.len() as u64, &scratch);
        assert!(bytes.chunks(size).all(|piece| reader.take(piece)));
        assert_eq!(reader.finish().unwrap(), Some(Distilled::JavaArchive(Box::new(whole.clone()))));
        assert_eq!(scratch.written_bytes(), 0);
    }
}

#[test]
fn entries_of_any_form_are_told_as_they_pass() {
    let leaf = jar("g", "leaf", "1", &[("x", b"x")]);
    let noise = noise(70_000);
    let entries = [
        RawEntry::deflated("META-INF/MANIFEST.MF", b"Implementation-Title: shop\n\n"),
        RawEntry::stored("data", &noise),
        RawEntry::deflated("a/pom.properties", &pom("g", "a", "1")),
        RawEntry::stored("b/pom.properties", &pom("g", "b", "1")),
        RawEntry::stored("lib/stored.jar", &leaf),
        RawEntry::deflated("lib/deflated.jar", &leaf),
        RawEntry::deflated("lib/text.jar", b"no archive"),
        RawEntry::deflated("C.class", &noise),
    ];
    let expected = "a:1+b:1[lib/stored.jar leaf:1, lib/deflated.jar leaf:1, lib/text.jar -]";
    let wide = |entry: &RawEntry<'static>| RawEntry { is_wide: true, ..entry.clone() };
    // An archive that is stored has its length in front of it, or nothing tells where it ends.
    let streams = |entry: &RawEntry<'static>| match entry.name {
        "lib/stored.jar" => entry.clone(),
        _ => streamed(entry),
    };
    let plain = |entry: &RawEntry<'static>| entry.clone();
    let forms: [(&str, Form); 3] = [("plain", plain), ("wide", wide), ("streamed", streams)];
    for (name, form) in forms {
        let add = |builder: ZipBuilder, entry| builder.with_raw(&form(entry));
        let bytes = entries.iter().fold(ZipBuilder::default(), add).finish();
        let whole = distilled(&bytes);
        assert_eq!((text(&whole.archive).as_str(), whole.faults.len()), (expected, 0), "{name}");
        assert_eq!(sifted(&bytes, 997), whole, "{name}");
    }
}

#[test]
fn what_the_directory_asks_for_otherwise_is_not_kept() {
    let leaf = jar("g", "leaf", "1", &[]);
    let hidden = ZipBuilder::default().with_raw(&RawEntry::stored("a.jar", &leaf)).finish();
    let rows = [
        ("under another name", {
            let named = RawEntry::deflated("x", &pom("g", "a", "1"));
            ZipBuilder::default()
                .with_raw(&RawEntry { offset: Some(1 << 20), ..named })
                .with_header(&RawEntry {
                    offset: Some(0),
                    ..RawEntry::deflated("pom.properties", &pom("g", "a", "1"))
                })
                .finish()
        }),
        ("twice", {
            let first = RawEntry::stored("a.jar", &leaf);
            ZipBuilder::default()
                .with_raw(&first)
                .with_header(&RawEntry { offset: Some(0), ..first })
                .finish()
        }),
        ("of an archive whose end is missing", {
            ZipBuilder::default().with_raw(&RawEntry::stored("a.jar", &leaf[..leaf.len() - 30])).finish()
        }),
        ("without a directory", hidden[..hidden.len() - 60].to_vec()),
    ];
    for (name, bytes) in rows {
        assert!(sifted(&bytes, 64).is_not_kept(), "{name}");
        assert!(!distilled(&bytes).is_not_kept(), "{name}");
    }
}

#[test]
fn more_than_is_kept_of_an_archive_makes_it_be_read_again() {
    let classes: Vec<RawEntry<'_>> =
        vec![RawEntry::stored("a/long/name/of/a/class/Which.class", b""); 250_000];
    let builder = ZipBuilder::default().with_raw(&RawEntry::deflated("pom.properties", &pom("g", "a", "1")));
    let bytes = classes.iter().fold(builder, |builder, entry| builder.with_header(entry)).finish();
    assert!(sifted(&bytes, 1 << 20).is_not_kept());
    assert_eq!(text(&distilled(&bytes).archive), "a:1");
}
