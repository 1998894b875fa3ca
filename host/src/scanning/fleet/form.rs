//! The form in which a capture is stored.

use std::io::Read as _;

use regent_oci::Digest;
use regent_scan::{Capture, CapturedLayer};

use crate::seal::SealKeys;

/// The largest capture that is unpacked, in bytes. One that a scan can use is smaller.
const MAX_BYTES: u64 = 256 << 20;

/// A capture as it is stored under a name. `None` if it would not come back as it is. Blocking.
pub(super) fn encode(layer: &CapturedLayer, name: &str, keys: &SealKeys) -> Option<Vec<u8>> {
    let plain = postcard::to_stdvec(layer.capture()).ok()?;
    let back: Capture = postcard::from_bytes(&plain).ok()?;
    if back != *layer.capture() {
        tracing::error!(digest = %layer.digest(), "a capture does not come back as it was written");
        return None;
    }
    let packed = zstd::bulk::compress(&plain, 1).ok()?;
    Some(keys.seal_bytes(&packed, name))
}

/// The capture that was stored under this name; `None` for anything else. Blocking.
pub(super) fn decode(sealed: &[u8], digest: Digest, name: &str, keys: &SealKeys) -> Option<CapturedLayer> {
    let packed = keys.open_bytes(sealed, name).ok()?;
    let mut plain = Vec::new();
    let unpacking = zstd::Decoder::new(packed.as_slice()).ok()?;
    unpacking.take(MAX_BYTES).read_to_end(&mut plain).ok()?;
    CapturedLayer::from_cache(digest, postcard::from_bytes(&plain).ok()?)
}

#[cfg(test)]
mod tests {
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
            Entry { path: LayerPath::new("opt/a"), kind: EntryKind::File(kept) }
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
        let (layer, keys) = (layer(), SealKeys::generate());
        let sealed = encode(&layer, "a", &keys).unwrap();
        let back = decode(&sealed, layer.digest().clone(), "a", &keys).unwrap();
        assert_eq!(back.capture(), layer.capture());
    }

    #[test]
    fn what_is_no_capture_is_none() {
        let (layer, keys) = (layer(), SealKeys::generate());
        let digest = || layer.digest().clone();
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
            assert!(decode(&keys.seal_bytes(&bytes, "a"), digest(), "a", &keys).is_none(), "{wrong}");
        }
        let sealed = keys.seal_bytes(&packed(&whole), "a");
        assert!(decode(&sealed, digest(), "b", &keys).is_none());
        assert!(decode(&sealed, digest(), "a", &keys).is_some());
    }
}
