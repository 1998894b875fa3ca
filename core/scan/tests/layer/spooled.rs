//! Archives and executables of which too little is kept as they pass, so that their layer is read once more and they go
//! through temporary files, and the room for these.

use std::sync::Arc;

use regent_scan::{
    Capture, CapturedLayer, Distilled, Error, Executable, Extra, ImageBudget, Limits, Overlay, capture_layer,
};

use super::archive::*;
use super::odd::*;

/// More than stays in memory, and more than there is room for at one time, in bytes.
const LARGE: usize = 5 << 20;
const HUGE: usize = 13 << 20;

fn limits() -> Limits {
    Limits {
        spooled_at_once_bytes: 12 << 20,
        spooled_layer_bytes: 20 << 20,
        spooled_image_bytes: 30 << 20,
        ..Limits::default()
    }
}

fn capture_within(bytes: &[u8], budget: &Arc<ImageBudget>) -> Result<CapturedLayer, Error> {
    capture_with(&Extra::default(), bytes, budget)
}

fn capture_with(extra: &Extra, bytes: &[u8], budget: &Arc<ImageBudget>) -> Result<CapturedLayer, Error> {
    let mut spec = spec(bytes);
    spec.budget = Arc::clone(budget);
    spec.extra = extra.clone();
    capture_layer(&spec, bytes, &limits())
}

/// A program in Go of before 1.18, whose build information points far away, to where nothing is kept of a large one.
fn program(n_bytes: usize) -> Vec<u8> {
    const INFO: u64 = 4096;
    const FAR: u64 = 3 << 20;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for number in [0, 64, 0] {
        bytes.extend(u64::to_le_bytes(number)); // entry, program headers, section headers
    }
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    for (flags, offset, length) in [(4, 0, n_bytes as u64), (6, INFO, 4096)] {
        bytes.extend([1, 0, 0, 0, flags, 0, 0, 0]);
        for number in [offset, offset, offset, length, length, 4096] {
            bytes.extend(number.to_le_bytes());
        }
    }
    bytes.resize(INFO.try_into().unwrap(), 0);
    bytes.extend(b"\xff Go buildinf:\x08\0");
    bytes.extend(FAR.to_le_bytes());
    bytes.resize(n_bytes, 0);
    bytes
}

/// An archive whose directory is missing.
fn archive(n_bytes: usize) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.resize(n_bytes, 0);
    bytes
}

/// What a layer has to be read again for.
fn wanted_as_a_whole(captured: &CapturedLayer) -> Extra {
    let (_, missing) = Overlay::new(std::slice::from_ref(captured), &limits());
    let [missing] = missing.as_slice() else { panic!("{missing:?}") };
    missing.paths.clone()
}

/// What was not read, and why.
fn gaps(capture: &Capture) -> Vec<String> {
    let gap = |entry: &regent_scan::Entry| match kept(capture, entry.path.as_str()).distilled.as_ref()? {
        Distilled::JavaArchive(archive) => {
            Some(format!("{}: {}", entry.path, archive.faults.first()?.reason))
        }
        Distilled::Executable(Executable::Unreadable(fault)) => Some(format!("{}: {fault:?}", entry.path)),
        Distilled::Executable(_) => None,
        other => panic!("{other:?}"),
    };
    capture.entries.iter().filter_map(gap).collect()
}

const NO_ROOM: &str = "the layer has more in such archives than goes through temporary files";
const NO_END: &str = "its end is missing, and its central directory with it";

#[test]
fn what_has_no_room_is_a_gap_and_all_else_is_read() {
    let bytes = Archive::new()
        .file("huge.jar", archive(HUGE))
        .file("bin/huge", program(HUGE))
        .file("1.jar", archive(LARGE))
        .file("2.jar", archive(LARGE))
        .file("bin/large", program(LARGE))
        .file("3.jar", archive(LARGE))
        .file("4.jar", archive(LARGE))
        .file("bin/larger", program(LARGE))
        .file("small.jar", archive(1 << 20))
        .file("no.jar", vec![0; LARGE])
        .end();
    let captured = capture_within(&bytes, &Arc::new(ImageBudget::new(&limits()))).unwrap();
    let small = format!("/small.jar: {NO_END}");
    let not_kept = ["huge.jar", "bin/huge", "1.jar", "2.jar", "bin/large", "3.jar", "4.jar", "bin/larger"];
    let told = gaps(captured.capture());
    assert_eq!(told.last(), Some(&small));
    for (told, path) in told.iter().zip(not_kept) {
        let is_said = told.ends_with("NotKept") || told.ends_with("its layer could not be read again for it");
        assert!(told.starts_with(&format!("/{path}: ")) && is_said, "{told}");
    }
    assert_eq!((told.len(), captured.capture().spooled_bytes), (not_kept.len() + 1, 0));

    // What is needed as a whole is asked for, and read once more.
    let extra = wanted_as_a_whole(&captured);
    let mut paths: Vec<_> = extra.paths().map(|path| path.as_str().trim_start_matches('/')).collect();
    let mut expected = not_kept;
    paths.sort_unstable();
    expected.sort_unstable();
    assert_eq!(paths, expected);
    let captured = capture_with(&extra, &bytes, &Arc::new(ImageBudget::new(&limits()))).unwrap();
    let expected = [
        format!("/huge.jar: {NO_ROOM}"),
        "/bin/huge: NoRoom".to_owned(),
        format!("/1.jar: {NO_END}"),
        format!("/2.jar: {NO_END}"),
        format!("/3.jar: {NO_END}"),
        format!("/4.jar: {NO_ROOM}"),
        "/bin/larger: NoRoom".to_owned(),
        small,
    ];
    assert_eq!(gaps(captured.capture()), expected);
    assert_eq!(captured.capture().spooled_bytes, 4 * LARGE as u64);
    assert_eq!(Overlay::new(&[captured], &limits()).1, []);
}

#[test]
fn layers_that_have_room_each_have_not_together_whether_they_are_read_or_at_hand() {
    let bytes = Archive::new().file("1.jar", archive(LARGE)).file("2.jar", archive(2 * LARGE)).end();
    let budget = Arc::new(ImageBudget::new(&limits()));
    let extra = wanted_as_a_whole(&capture_within(&bytes, &budget).unwrap());
    let first = capture_with(&extra, &bytes, &budget).unwrap();
    first.count(&budget).unwrap();
    for error in [first.count(&budget).unwrap_err(), capture_with(&extra, &bytes, &budget).unwrap_err()] {
        let told = told(&error);
        assert!(told.ends_with("exceeds the limit on spooled_image_bytes (31457280)"), "{told}");
    }
}

#[test]
fn a_capture_at_hand_counts_as_kept() {
    let bytes = Archive::new().file("var/lib/dpkg/status", vec![b'x'; 4000]).end();
    let budget = Arc::new(ImageBudget::new(&Limits { kept_image_bytes: 10_000, ..limits() }));
    let captured = capture_within(&bytes, &budget).unwrap();
    captured.count(&budget).unwrap();
    let told = told(&captured.count(&budget).unwrap_err());
    assert!(told.starts_with("limit_exceeded") && told.contains("kept_image_bytes (10000)"), "{told}");
}
