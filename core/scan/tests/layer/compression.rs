//! gzip, zstd, plain.

use std::io::Write as _;

use super::archive::*;
use super::odd::*;

fn status() -> Vec<u8> {
    Archive::new().file("var/lib/dpkg/status", "Package: a\n".repeat(1000)).end()
}

fn assert_captured(name: &str, bytes: &[u8]) {
    assert_eq!(capture(bytes), capture(&status()), "{name}");
}

#[test]
fn compression_is_told_by_the_content() {
    assert_captured("gzip", &gzip(&status()));
    assert_captured("zstd", &zstd(&status()));
}

#[test]
fn gzip_may_have_several_members() {
    let tar = status();
    let member_by_member: Vec<u8> = tar.chunks(700).flat_map(gzip).collect();
    assert_captured("many members", &member_by_member);
    let with_empty: Vec<u8> = [gzip(b""), gzip(&tar), gzip(b"")].concat();
    assert_captured("empty members", &with_empty);
}

#[test]
fn gzip_headers_may_have_every_field() {
    let mut encoder = flate2::GzBuilder::new()
        .filename("layer.tar")
        .comment("of a layer")
        .extra(vec![7; 3000])
        .write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&status()).unwrap();
    let mut bytes = encoder.finish().unwrap();
    assert_captured("name, comment, extra", &bytes);

    // The header's own CRC stands right in front of the data.
    let data_at = 10 + 2 + 3000 + b"layer.tar\0".len() + b"of a layer\0".len();
    bytes[3] |= 1 << 1;
    bytes.splice(data_at..data_at, [0, 0]);
    assert_captured("header CRC", &bytes);
}

#[test]
fn what_follows_the_last_gzip_member_is_ignored() {
    for behind in [&b"\0".repeat(100_000)[..], b"\0", b"garbage", b"\x1f", b"\x1f\x00"] {
        let bytes = [&gzip(&status())[..], behind].concat();
        assert_captured("trailing bytes", &bytes);
    }
}

#[test]
fn zstd_may_have_several_frames_and_skippable_ones() {
    let tar = status();
    let skippable = b"\x50\x2a\x4d\x18\x04\0\0\0skip";
    let (a, b) = tar.split_at(700);
    assert_captured("between", &[&zstd(a)[..], skippable, &zstd(b), skippable].concat());
    assert_captured("first", &[&skippable[..], &zstd(a), &zstd(b)].concat());
}

#[test]
fn an_empty_layer_is_one_in_every_form() {
    for tar in [Vec::new(), vec![0; 512], vec![0; 1024], vec![0; 10_240]] {
        for bytes in [tar.clone(), gzip(&tar), zstd(&tar)] {
            assert_eq!(capture(&bytes).entries, []);
        }
    }
}

#[test]
fn damaged_data_is_refused_with_the_reason() {
    let tar = status();
    let gz = gzip(&tar);
    let with = |at: usize, byte: u8| {
        let mut bytes = gz.clone();
        bytes[at] = byte;
        bytes
    };
    let n = gz.len();
    let zst = zstd(&tar);
    let rows = [
        ("method", with(2, 7), "gzip header is damaged"),
        ("block type", with(10, 0xff), "gzip data is damaged"),
        ("CRC", with(n - 8, !gz[n - 8]), "gzip data is damaged (CRC)"),
        ("length", with(n - 1, 9), "gzip data is damaged (length)"),
        ("cut data", gz[..n / 2].to_vec(), "gzip data ends in the middle"),
        ("cut trailer", gz[..n - 3].to_vec(), "gzip data ends inside a header or trailer"),
        ("cut header", gz[..7].to_vec(), "gzip data ends inside a header or trailer"),
        ("second member", [&gz[..], b"\x1f\x8b\x07"].concat(), "gzip data ends inside a header"),
        ("cut zstd", zst[..zst.len() - 3].to_vec(), "zstd data ends in the middle"),
        ("garbage after zstd", [&zst[..], b"garbage"].concat(), "zstd data is damaged"),
        ("xz", b"\xfd7zXZ\0".repeat(100), "neither gzip, nor zstd, nor a tar archive"),
        ("text", b"<html>".repeat(100), "neither gzip, nor zstd, nor a tar archive"),
        ("short text", b"<html>".to_vec(), "tar ends in the middle of an entry"),
    ];
    for (name, bytes, reason) in rows {
        let told = refusal(&bytes);
        assert!(told.starts_with("layer_undecodable: layer sha256:"), "{name}: {told}");
        assert!(told.contains(reason), "{name}: {told}");
    }
}

#[test]
fn damage_behind_the_end_of_the_tar_is_found() {
    let tar = [status(), vec![0; 1 << 20]].concat();
    let mut gz = gzip(&tar);
    let n = gz.len();
    gz[n - 8] ^= 1;
    assert!(refusal(&gz).contains("(CRC)"));
}

#[test]
fn anything_behind_the_end_mark_is_ignored() {
    let tar = [status(), b"not a header".repeat(1000)].concat();
    assert_captured("plain", &tar);
    assert_captured("gzip", &gzip(&tar));
}
