//! Archives and executables that need temporary files, and the room for them.

use std::sync::Arc;

use regent_scan::{Capture, CapturedLayer, Distilled, Error, ImageBudget, Limits, capture_layer};

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
    let mut spec = spec(bytes);
    spec.budget = Arc::clone(budget);
    capture_layer(&spec, bytes, &limits())
}

/// What begins as a program in Go, with the marker of one.
fn program(n_bytes: usize) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    bytes.extend(b"\xff Go buildinf:");
    bytes.resize(n_bytes, 0);
    bytes
}

/// What was not read, and why.
fn gaps(capture: &Capture) -> Vec<String> {
    let gap = |entry: &regent_scan::Entry| match kept(capture, entry.path.as_str()).distilled.as_ref()? {
        Distilled::JavaArchive(archive) => {
            Some(format!("{}: {}", entry.path, archive.faults.first()?.reason))
        }
        Distilled::Executable(executable) => Some(format!("{}: {executable:?}", entry.path)),
        other => panic!("{other:?}"),
    };
    capture.entries.iter().filter_map(gap).collect()
}

const NO_ROOM: &str = "the layer has more in such archives than goes through temporary files";

#[test]
fn what_has_no_room_is_a_gap_and_all_else_is_read() {
    let bytes = Archive::new()
        .file("huge.jar", vec![0; HUGE])
        .file("bin/huge", program(HUGE))
        .file("1.jar", vec![0; LARGE])
        .file("2.jar", vec![0; LARGE])
        .file("bin/large", program(LARGE))
        .file("3.jar", vec![0; LARGE])
        .file("4.jar", vec![0; LARGE])
        .file("bin/larger", program(LARGE))
        .file("small.jar", vec![0; 1 << 20])
        .end();
    let captured = capture_within(&bytes, &Arc::new(ImageBudget::new(&limits()))).unwrap();
    let expected = [
        format!("/huge.jar: {NO_ROOM}"),
        "/bin/huge: Unreadable(NoRoom)".to_owned(),
        format!("/4.jar: {NO_ROOM}"),
        "/bin/larger: Unreadable(NoRoom)".to_owned(),
    ];
    assert_eq!(gaps(captured.capture()), expected);
    assert_eq!(captured.capture().spooled_bytes, 4 * LARGE as u64);
}

#[test]
fn layers_that_have_room_each_have_not_together_whether_they_are_read_or_at_hand() {
    let bytes = Archive::new().file("1.jar", vec![0; LARGE]).file("2.jar", vec![0; 2 * LARGE]).end();
    let budget = Arc::new(ImageBudget::new(&limits()));
    let first = capture_within(&bytes, &budget).unwrap();
    first.count(&budget).unwrap();
    for error in [first.count(&budget).unwrap_err(), capture_within(&bytes, &budget).unwrap_err()] {
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
