//! Nothing is released that is not what the descriptor says.

use std::io::{self, Read};

use proptest::prelude::*;
use regent_oci::{Algorithm, Descriptor, DiffId, Digest};
use regent_scan::{Error, LayerSpec, Limits, capture_layer};

use super::archive::*;
use super::odd::*;

fn tar() -> Vec<u8> {
    Archive::new()
        .directory("etc/")
        .file("etc/os-release", "ID=debian\n")
        .symlink("a", "b")
        .file("var/lib/dpkg/status", "Package: a\n".repeat(300))
        .file("usr/bin/node", "node")
        .end()
}

fn forms() -> [(&'static str, Vec<u8>); 3] {
    [("plain", tar()), ("gzip", gzip(&tar())), ("zstd", zstd(&tar()))]
}

fn outcome(spec: &LayerSpec, bytes: impl Read) -> Result<regent_scan::Capture, Error> {
    capture_layer(spec, bytes, &Limits::default()).map(|layer| layer.capture().clone())
}

#[test]
fn other_bytes_have_another_digest() {
    for (name, mut bytes) in forms() {
        let spec = spec(&bytes);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        match outcome(&spec, &bytes[..]) {
            Err(Error::DigestMismatch { layer, actual }) => {
                assert_eq!(
                    (layer, actual),
                    (spec.descriptor.digest.clone(), Digest::sha256(&bytes)),
                    "{name}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn bytes_that_are_wrong_and_broken_are_told_to_be_wrong() {
    for (name, bytes) in forms() {
        let told = told(&outcome(&spec(&bytes), &vec![7; bytes.len()][..]).unwrap_err());
        assert!(told.starts_with("digest_mismatch"), "{name}: {told}");
        let told = self::told(&outcome(&spec(&bytes), &bytes[..bytes.len() / 2]).unwrap_err());
        assert!(told.starts_with("size_mismatch"), "{name}: {told}");
    }
}

fn told(error: &Error) -> String {
    super::odd::told(error)
}

#[test]
fn a_layer_cut_anywhere_is_refused() {
    for (name, bytes) in forms() {
        for length in 0..bytes.len() {
            match outcome(&spec(&bytes), &bytes[..length]) {
                Err(Error::SizeMismatch { expected_bytes, actual_bytes, .. }) => {
                    assert_eq!((expected_bytes, actual_bytes), (bytes.len() as u64, length as u64), "{name}");
                }
                other => panic!("{name} at {length}: {other:?}"),
            }
        }
    }
}

/// Where the descriptor is of the cut bytes, only what can be seen in the bytes can be told.
#[test]
fn a_layer_published_cut_is_refused_or_loses_nothing_silently() {
    for (name, bytes) in forms() {
        let whole = capture(&bytes);
        for length in 0..bytes.len() {
            match outcome(&spec(&bytes[..length]), &bytes[..length]) {
                // A plain tar may end between two entries without an end mark; an empty layer is one.
                Ok(capture) if name == "plain" => {
                    let n = capture.entries.len();
                    assert_eq!(capture.entries, whole.entries[..n], "{name} at {length}");
                }
                Ok(capture) => assert!(length == 0 && capture.entries.is_empty(), "{name} at {length}"),
                Err(error) => assert_eq!(error.code(), "layer_undecodable", "{name} at {length}"),
            }
        }
    }
}

#[test]
fn reading_stops_one_byte_past_the_expected_size() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            out.fill(0);
            self.0 += out.len() as u64;
            Ok(out.len())
        }
    }
    let mut descriptor = Descriptor::of("", b"");
    descriptor.size_bytes = 300_000;
    let mut endless = Endless(0);
    match outcome(&LayerSpec::new(descriptor), &mut endless) {
        Err(Error::SizeMismatch { expected_bytes: 300_000, actual_bytes: 300_001, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(endless.0, 300_001);
}

#[test]
fn a_failing_source_is_told_with_its_own_error() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::Error::new(io::ErrorKind::ConnectionReset, "peer went away")),
                n => Ok(n),
            }
        }
    }
    for (name, bytes) in forms() {
        for length in [0, 1, 700, bytes.len() / 2, bytes.len()] {
            let Err(Error::Read { source, layer }) =
                outcome(&spec(&bytes), Failing(&bytes[..length.min(bytes.len())]))
            else {
                panic!("{name} at {length}");
            };
            assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(source.to_string(), "peer went away");
            assert_eq!(layer, Digest::sha256(&bytes));
        }
    }
}

#[test]
fn the_digests_own_algorithm_is_used() {
    let bytes = gzip(&tar());
    let mut spec = spec(&bytes);
    spec.descriptor.digest = Digest::of(Algorithm::Sha512, &bytes);
    assert!(outcome(&spec, &bytes[..]).is_ok());
    spec.descriptor.digest = Digest::of(Algorithm::Sha512, b"");
    assert_eq!(outcome(&spec, &bytes[..]).unwrap_err().code(), "digest_mismatch");
}

#[test]
fn a_diff_id_is_verified_where_it_is_given() {
    // With bytes behind the end mark, which belong to the diff ID as well.
    let tar = [tar(), b"more".repeat(100_000)].concat();
    for (name, bytes) in [("plain", tar.clone()), ("gzip", gzip(&tar)), ("zstd", zstd(&tar))] {
        let right = LayerSpec { diff_id: Some(DiffId(Digest::sha256(&tar))), ..spec(&bytes) };
        assert!(outcome(&right, &bytes[..]).is_ok(), "{name}");
        let wrong = LayerSpec { diff_id: Some(DiffId(Digest::sha256(b"other"))), ..spec(&bytes) };
        match outcome(&wrong, &bytes[..]) {
            Err(Error::DiffIdMismatch { expected, actual, .. }) => {
                assert_eq!((expected, actual), (Digest::sha256(b"other"), Digest::sha256(&tar)), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Gives out pieces of the given sizes, with an interruption before each.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
    interrupts: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupts = !self.interrupts;
        if self.interrupts {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = self.sizes.next().unwrap_or(1).min(out.len());
        self.bytes.read(&mut out[..n])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunking_gives_the_same_capture(
        form in 0..3_usize,
        sizes in prop::collection::vec(prop_oneof![1..8_usize, 500..520_usize, 1..100_000_usize], 1..20),
    ) {
        let (_, bytes) = &forms()[form];
        let pieces = Pieces { bytes, sizes: sizes.into_iter().cycle(), interrupts: false };
        prop_assert_eq!(outcome(&spec(bytes), pieces).unwrap(), capture(bytes));
    }

    #[test]
    fn no_damage_makes_a_capture_panic(
        form in 0..3_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, mut bytes) = forms()[form].clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // With the descriptor of the damaged bytes, so that decoding goes as far as it can.
        let _ = outcome(&spec(&bytes), &bytes[..]);
    }

    #[test]
    fn no_bytes_make_a_capture_panic(bytes: Vec<u8>, magic in 0..3_usize) {
        let magic = [&b""[..], b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x28\xb5\x2f\xfd"][magic];
        let bytes = [magic, &bytes].concat();
        let _ = outcome(&spec(&bytes), &bytes[..]);
    }
}
