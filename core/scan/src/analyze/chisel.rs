//! Chisel's manifest: which slices of Ubuntu packages an image was made of, as zstd-compressed lines of JSON
//! (`jsonwall` 1.0).

mod files;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;

pub(super) use files::files;

use super::packages::PackageList;
use super::{About, Analyzer, Reported, View, no_pattern};
use crate::application::HashAlgorithm;
use crate::finding::{Findings, Gap, Package, PackageDetail, PackageFormat};
use crate::path::LayerPath;

const MANIFEST: &str = "/var/lib/chisel/manifest.wall";

/// The manifest.
const FILES: &[&str] = &[MANIFEST];

/// Inflated bytes that are read. A manifest has one line of some 200 bytes for each file of the image, and chiselled
/// images are small: this is room for 300,000 files.
const MAX_INFLATED_BYTES: u64 = 64 << 20;

/// Longest line. A line that names a package has some 200 bytes.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Largest window, as a power of two: what the encoder that chisel uses takes at its best level (32 MiB).
const MAX_WINDOW_LOG: u32 = 25;

/// The row of the table.
pub(super) const ANALYZER: Analyzer = Analyzer {
    about: About {
        title: "Chisel slices",
        detects: "The Ubuntu packages whose slices an image was made of.",
        files: FILES,
        limits: &["64 MiB of the manifest, inflated"],
        reported: Reported::Everywhere,
    },
    files: FILES,
    directories: &[],
    ends: &[],
    pattern: no_pattern,
    run,
};

/// Records that a manifest is there, and reports its packages.
fn run(view: &View<'_>, findings: &mut Findings) {
    let overlay = view.overlay;
    let Some(manifest) = overlay.content(MANIFEST).filter(|manifest| !manifest.is_empty()) else { return };
    findings.has_chisel_manifest = true;
    let (list, problem) = parse_manifest(manifest);
    if let Some(problem) = problem {
        findings.gaps.push(Gap {
            path: LayerPath::new(MANIFEST),
            code: "chisel_manifest_unreadable",
            reason: problem.into(),
        });
    }
    list.report(findings, PackageFormat::Deb, MANIFEST);
}

/// A line about a package; others have another kind, or lack some of these.
#[derive(Deserialize)]
struct Line {
    kind: String,
    name: String,
    version: String,
    sha256: String,
    arch: String,
}

/// The packages of a manifest, and why it could not be read further, if so. Lines that don't tell a package are
/// passed over.
pub(super) fn parse_manifest(data: &[u8]) -> (PackageList, Option<&'static str>) {
    let mut list = PackageList::default();
    let problem = read_lines(data, |line| list.extend_from(line)).err();
    (list, problem)
}

impl PackageList {
    fn extend_from(&mut self, line: &[u8]) {
        let Ok(Line { kind, name, version, sha256, arch }) = serde_json::from_slice(line) else { return };
        if kind != "package" || [&name, &version, &sha256, &arch].iter().any(|field| field.is_empty()) {
            return;
        }
        self.push(Package {
            architecture: Some(arch),
            hashes: BTreeSet::from([(HashAlgorithm::Sha256, sha256)]),
            ..Package::new(name, Some(version), PackageDetail::Chisel)
        });
    }
}

/// Inflates within bounds and hands out the lines.
fn read_lines(data: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), &'static str> {
    const DAMAGED: &str = "the manifest can't be decompressed";
    let mut decoder = zstd::Decoder::new(data).map_err(|_| DAMAGED)?;
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(|_| DAMAGED)?;
    let mut inflated = BufReader::new(decoder.take(MAX_INFLATED_BYTES));
    let mut line = Vec::new();
    loop {
        line.clear();
        let n_bytes =
            inflated.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(|_| DAMAGED)?;
        if n_bytes == 0 {
            break;
        }
        // A piece of a longer line is no JSON, and passed over like any other.
        each(&line);
    }
    if inflated.get_ref().limit() == 0 {
        return Err("the manifest is larger than what is read of it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compress(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 0).unwrap()
    }

    fn names(data: &[u8]) -> (Vec<String>, Option<&'static str>) {
        let (list, problem) = parse_manifest(data);
        (list.into_packages().into_iter().map(|package| package.name).collect(), problem)
    }

    const LINES: &str = r#"{"jsonwall":"1.0","schema":"1.0","count":4}
{"kind":"content","slice":"libc6_libs","path":"/usr/lib/libc6.so"}
{"kind":"package","name":"libc6","version":"2.39-0ubuntu8.3","sha256":"fb9c","arch":"amd64"}
{"kind":"slice","name":"libc6_libs","version":"1","sha256":"ab","arch":"amd64"}
{"kind":"package","name":"nosha","version":"1"}
{"kind":"package","name":"emptysha","version":"1","sha256":"","arch":"amd64"}
not json
{"kind":"package","name":"late","version":"2:3","sha256":"ab","arch":"amd64"}
"#;

    #[test]
    fn complete_package_lines_are_packages() {
        assert_eq!(names(&compress(LINES.as_bytes())), (vec!["libc6".into(), "late".into()], None));
    }

    #[test]
    fn a_damaged_manifest_is_said_to_be_damaged() {
        for data in [&b"not zstd"[..], compress(LINES.as_bytes()).split_last_chunk::<6>().unwrap().0] {
            assert_eq!(names(data).1, Some("the manifest can't be decompressed"));
        }
    }

    #[test]
    fn a_bomb_is_read_to_the_limit_only() {
        let mut text = LINES.as_bytes().to_vec();
        text.resize(usize::try_from(MAX_INFLATED_BYTES).unwrap() + 1, b'x');
        let (names, problem) = names(&compress(&text));
        assert_eq!(names, ["libc6", "late"]);
        assert_eq!(problem, Some("the manifest is larger than what is read of it"));
    }

    proptest! {
        #[test]
        fn arbitrary_and_mutated_bytes_are_read_without_a_panic(
            data in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            parse_manifest(&data);
            parse_manifest(&compress(&data));
            let mut mutated = compress(LINES.as_bytes());
            let at = at.index(mutated.len());
            mutated[at] = byte;
            parse_manifest(&mutated);
        }
    }
}
