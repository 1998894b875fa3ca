//! The form in which captures are stored, on disks and at servers.

use std::io::Read as _;

use regent_oci::Digest;
use regent_scan::{Capture, CapturedLayer};

/// The largest capture that is unpacked, in bytes. One that a scan can use is smaller.
const MAX_BYTES: u64 = 256 << 20;
/// How hard zstd tries. The levels above take twice the time for some hundredths less.
const LEVEL: i32 = 3;

/// A capture as it is stored. `None` if it would not come back as it is. Blocking.
pub(super) fn pack(layer: &CapturedLayer) -> Option<Vec<u8>> {
    let plain = postcard::to_stdvec(layer.capture()).ok()?;
    let back: Capture = postcard::from_bytes(&plain).ok()?;
    if back != *layer.capture() {
        tracing::error!(digest = %layer.digest(), "a capture does not come back as it was written");
        return None;
    }
    zstd::bulk::compress(&plain, LEVEL).ok()
}

/// The capture that was packed; `None` for anything else. Blocking.
pub(super) fn unpack(packed: &[u8], digest: Digest) -> Option<CapturedLayer> {
    let mut plain = Vec::new();
    zstd::Decoder::with_buffer(packed).ok()?.take(MAX_BYTES).read_to_end(&mut plain).ok()?;
    CapturedLayer::from_cache(digest, postcard::from_bytes(&plain).ok()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;
    use regent_scan::{
        ArchiveContent, CAPTURE_VERSION, CondaRecord, Coordinates, Crate, DebianCopyright, Distilled, Entry,
        EntryKind, Executable, ExecutableFault, Gemspec, GoModule, GoPackage, GoProgram, InstalledManifest,
        JavaArchive, Kept, LayerPath, NestedArchive, NpmRecord, PathList, PythonMetadata, RecordedPackage,
    };

    use super::*;

    fn distilled() -> Vec<Distilled> {
        let text = || "text".to_owned();
        let package =
            br#"{"name":"a","version":"1","dependencies":{"z":"^1","b":"2"},"optionalDependencies":{}}"#;
        let artifact = Coordinates { group: text(), artifact: text(), version: text() };
        let nested = ArchiveContent {
            sha1: text(),
            is_zip: true,
            artifacts: vec![artifact],
            ..ArchiveContent::default()
        };
        let archive = ArchiveContent {
            nested: vec![NestedArchive { name: text(), archive: nested }],
            ..ArchiveContent::default()
        };
        let module = GoModule { name: text(), version: text(), is_local: true };
        let packages = Some(vec![GoPackage { module: 0, name: text() }]);
        let program =
            GoProgram { main: Some(module.clone()), modules: vec![module], packages, ..GoProgram::default() };
        let recorded = RecordedPackage { path: text(), version: text(), integrity: text() };
        vec![
            Distilled::Executable(Executable::Go(program)),
            Distilled::Executable(Executable::Rust(vec![Crate { depends: vec![0], ..Crate::default() }])),
            Distilled::Executable(Executable::Unreadable(ExecutableFault::NoRoom)),
            Distilled::PackageJson(InstalledManifest::parse(package)),
            Distilled::NpmRecord(NpmRecord { packages: vec![recorded] }),
            Distilled::DebianCopyright(DebianCopyright { licenses: vec![text()] }),
            Distilled::PathList(PathList::default()),
            Distilled::JavaArchive(Box::new(JavaArchive { archive, faults: Vec::new(), n_more_faults: 1 })),
            Distilled::Gemspec(Gemspec { name: Some(text()), ..Gemspec::default() }),
            Distilled::PythonMetadata(Box::new(PythonMetadata::parse(b"Name: a\nRequires-Dist: b>1\n\n"))),
            Distilled::CondaRecord(Box::new(CondaRecord::parse(br#"{"name":"a","version":"1"}"#))),
        ]
    }

    fn layer() -> CapturedLayer {
        let file = |distilled| {
            let kept = Kept { size_bytes: 1, content: None, sha256: None, distilled: Some(distilled) };
            Entry { path: LayerPath::new("opt/a"), kind: EntryKind::File(kept.into()) }
        };
        let link = Entry { path: LayerPath::new("b"), kind: EntryKind::HardLink(LayerPath::new("c")) };
        let capture = Capture {
            version: CAPTURE_VERSION,
            entries: distilled().into_iter().map(file).chain([link]).collect(),
            hidden_by_files: vec![u64::MAX],
            hidden_by_directories: Vec::new(),
            spooled_bytes: 1,
        };
        CapturedLayer::from_cache(Digest::sha256(b"layer"), capture).unwrap()
    }

    #[test]
    fn whatever_a_capture_holds_comes_back() {
        let layer = layer();
        let back = unpack(&pack(&layer).unwrap(), layer.digest().clone()).unwrap();
        assert_eq!(back.capture(), layer.capture());
        assert_eq!(back.digest(), layer.digest());
    }

    #[test]
    fn what_is_no_capture_is_none() {
        let layer = layer();
        let old = Capture { version: CAPTURE_VERSION - 1, ..layer.capture().clone() };
        let packed = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
        let whole = postcard::to_stdvec(layer.capture()).unwrap();
        for (wrong, bytes) in [
            ("not packed", b"x".to_vec()),
            ("empty", packed(b"")),
            ("cut", packed(&whole[..whole.len() - 1])),
            ("a length beyond all there is", packed(&[5, 0xff, 0xff, 0xff, 0xff, 0x0f])),
            ("of another version", packed(&postcard::to_stdvec(&old).unwrap())),
        ] {
            assert!(unpack(&bytes, layer.digest().clone()).is_none(), "{wrong}");
        }
        assert!(unpack(&packed(&whole), layer.digest().clone()).is_some());
    }

    fn kind() -> impl Strategy<Value = EntryKind> {
        let content = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
        let kept = (any::<u64>(), content, any::<bool>(), proptest::option::of(0..distilled().len()));
        prop_oneof![
            kept.prop_map(|(size_bytes, content, has_digest, place)| EntryKind::File(Arc::new(Kept {
                size_bytes,
                sha256: has_digest.then(|| Digest::sha256(content.as_deref().unwrap_or_default())),
                content: content.map(Bytes::from),
                distilled: place.map(|place| distilled().swap_remove(place)),
            }))),
            "\\PC{0,40}".prop_map(EntryKind::Symlink),
            "\\PC{0,40}".prop_map(|path| EntryKind::HardLink(LayerPath::new(&path))),
            Just(EntryKind::Whiteout),
            Just(EntryKind::Opaque),
        ]
    }

    proptest! {
        #[test]
        fn any_capture_comes_back(
            entries in proptest::collection::vec(("\\PC{0,40}", kind()), 0..20),
            hidden_by_files: Vec<u64>,
            hidden_by_directories: Vec<u64>,
            spooled_bytes: u64,
        ) {
            let entry = |(path, kind): (String, EntryKind)| Entry { path: LayerPath::new(&path), kind };
            let entries = entries.into_iter().map(entry).collect();
            let version = CAPTURE_VERSION;
            let capture = Capture { version, entries, hidden_by_files, hidden_by_directories, spooled_bytes };
            let layer = CapturedLayer::from_cache(Digest::sha256(b"layer"), capture).unwrap();
            let back = unpack(&pack(&layer).unwrap(), layer.digest().clone()).unwrap();
            prop_assert_eq!(back.capture(), layer.capture());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let packed = zstd::bulk::compress(&bytes, 1).unwrap();
            for bytes in [bytes, packed] {
                let _ = unpack(&bytes, Digest::sha256(b"layer"));
            }
        }
    }
}
