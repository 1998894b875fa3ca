//! Layers made to hurt.

use std::io::Read;

use regent_oci::Descriptor;
use regent_scan::{LayerSpec, Limits, capture_layer};

use super::archive::*;
use super::odd::*;

fn small() -> Limits {
    Limits {
        kept_file_bytes: 1000,
        kept_layer_bytes: 5000,
        kept_image_bytes: 5000,
        spooled_at_once_bytes: 12 << 20,
        spooled_layer_bytes: 30 << 20,
        spooled_image_bytes: 40 << 20,
        entries: 20,
        path_bytes: 100,
        inflated_bytes: 40 << 20,
        inflation_ratio: 100,
        link_depth: 5,
    }
}

#[test]
fn each_limit_is_an_error_that_names_it() {
    let long = "x/".repeat(60);
    let many = (0..21).fold(Archive::new(), |archive, i| archive.file(&format!("{i}"), ""));
    let long_names = (0..21).fold(Archive::new(), |archive, _| archive.long(b'L', "name"));
    let links =
        (0..20).fold(Archive::new(), |archive, i| archive.symlink(&format!("a/{i}"), &"y".repeat(90)));
    let whiteouts = (0..20).fold(Archive::new(), |archive, i| archive.file(&format!("a/b/c/{i}/.wh.y"), ""));
    let files = (0..9).fold(Archive::new(), |archive, i| {
        archive.file(&format!("var/lib/dpkg/status.d/{i}"), vec![b'x'; 900])
    });
    let zeros = vec![0; 50 << 20];
    let zero_file = Archive::new().file("zeros", &zeros).end();
    let rows = [
        ("entries", many.end()),
        ("entries", long_names.end()),
        ("path_bytes", Archive::new().long(b'L', &long).file("x", "").end()),
        ("path_bytes", Archive::new().long(b'K', &long).symlink("x", "").end()),
        ("path_bytes", Archive::new().pax(&[("path", &long)]).file("x", "").end()),
        ("path_bytes", Archive::new().pax(&[("linkpath", &long)]).symlink("x", "y").end()),
        ("path_bytes", Archive::new().pax(&[("linkpath", &long)]).hard_link("x", "y").end()),
        ("kept_layer_bytes", links.end()),
        ("kept_layer_bytes", whiteouts.end()),
        ("kept_layer_bytes", files.end()),
        ("inflation_ratio", gzip(&zero_file)),
        ("inflation_ratio", zstd(&zero_file)),
        ("inflation_ratio", gzip(&zeros)),
        ("inflated_bytes", zero_file),
    ];
    for (limit, bytes) in rows {
        let told = refusal_within(&bytes, &small());
        assert!(told.starts_with("limit_exceeded: layer sha256:"), "{limit}: {told}");
        assert!(told.contains(&format!("limit on {limit} ")), "{limit}: {told}");
    }
}

#[test]
fn a_wanted_file_that_is_too_large_is_kept_without_its_content() {
    let bytes =
        Archive::new().file("var/lib/dpkg/status", vec![b'x'; 1001]).file("etc/os-release", "a").end();
    let captured = capture_layer(&spec(&bytes), &bytes[..], &small()).unwrap();
    let kept = kept(captured.capture(), "/var/lib/dpkg/status");
    assert_eq!((kept.size_bytes, &kept.content, &kept.sha256), (1001, &None, &None));
    assert_eq!(content(captured.capture(), "/etc/os-release"), b"a");
}

#[test]
fn replaced_content_does_not_count_against_the_limit() {
    let archive = (0..15).fold(Archive::new(), |archive, _| archive.file("etc/os-release", vec![b'x'; 900]));
    let bytes = archive.end();
    let captured = capture_layer(&spec(&bytes), &bytes[..], &small()).unwrap();
    assert_eq!(captured.capture().entries.len(), 1);
}

#[test]
fn a_size_that_nothing_backs_is_refused_without_setting_memory_aside() {
    for path in ["var/lib/dpkg/status", "usr/bin/node", "unwanted"] {
        for size in [1 << 20, 200 << 20, 0o77_777_777_777] {
            let bytes = Archive::new().block(&header(path, b'0', "", size)).data(b"x").end();
            assert!(refusal(&bytes).contains("tar ends in the middle of an entry"), "{path}");
        }
        let mut block = header(path, b'0', "", 0);
        put(&mut block, 124, b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
        sign(&mut block);
        assert!(refusal(&Archive::new().block(&block).end()).contains("tar ends in the middle"), "{path}");
    }
    for type_flag in [b'L', b'K', b'x'] {
        let bytes = Archive::new().block(&header("x", type_flag, "", 0o77_777_777_777)).end();
        assert!(!refusal(&bytes).contains("tar ends"), "refused by its size alone");
    }
}

#[test]
fn broken_headers_are_refused() {
    let mut bad_sum = header("x", b'0', "", 0);
    bad_sum[0] = b'y';
    let mut bad_size = header("x", b'0', "", 0);
    put(&mut bad_size, 124, b"00000009999\0");
    sign(&mut bad_size);
    let mut negative = header("x", b'0', "", 0);
    put(&mut negative, 124, &[0xff; 12]);
    sign(&mut negative);
    let good = header("x", b'0', "", 0);
    let rows = [
        ("wrong checksum", Archive::new().block(&good).block(&bad_sum).end()),
        ("malformed size", Archive::new().block(&bad_size).end()),
        ("malformed size", Archive::new().block(&negative).end()),
        ("half an end mark", Archive::new().block(&[0; BLOCK]).block(&good).end()),
        ("pax header is larger", Archive::new().entry("x", b'x', "", &vec![b'1'; (1 << 20) + 1]).end()),
        ("malformed record", Archive::new().entry("x", b'x', "", b"7 path=x\n").end()),
    ];
    for (reason, bytes) in rows {
        let told = refusal(&bytes);
        assert!(told.starts_with("layer_undecodable") && told.contains(reason), "{reason}: {told}");
    }
}

#[test]
fn a_chain_of_names_without_an_entry_is_an_end() {
    let bytes = Archive::new().long(b'L', "name").pax(&[("path", "x")]).end();
    assert!(capture(&bytes).entries.is_empty());
}

/// A tar of `n` unwanted files of 1 MiB, made as it is read.
struct Synthetic {
    n_left: usize,
    entry: Vec<u8>,
    at: usize,
}

impl Synthetic {
    fn new(n: usize) -> Self {
        let entry = Archive::new().file("usr/lib/some/file", vec![0xa5; 1 << 20]).without_end();
        Self { n_left: n, entry, at: 0 }
    }
}

impl Read for Synthetic {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.entry.len() {
            self.at = 0;
            self.n_left = self.n_left.saturating_sub(1);
        }
        if self.n_left == 0 {
            return Ok(0);
        }
        let n = (&self.entry[self.at..]).read(out)?;
        self.at += n;
        Ok(n)
    }
}

#[test]
fn a_large_layer_leaves_a_small_capture() {
    let mut descriptor = Descriptor::of("", b"");
    let mut digester = regent_oci::Algorithm::Sha256.digester();
    let (mut stream, mut buffer) = (Synthetic::new(300), vec![0; 1 << 16]);
    descriptor.size_bytes = 0;
    loop {
        let n = stream.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        digester.update(&buffer[..n]);
        descriptor.size_bytes += n as u64;
    }
    descriptor.digest = digester.finish();
    assert!(descriptor.size_bytes > 300 << 20);

    let spec = LayerSpec::new(descriptor);
    let captured = capture_layer(&spec, Synthetic::new(300), &Limits::default()).unwrap();
    assert!(serde_json::to_string(captured.capture()).unwrap().len() < 300);
}
