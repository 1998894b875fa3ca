//! The disks that the tests of a failing store stand on do what these tests lean on.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use regent_tests::disk::Disk;

fn write(folder: &Path, name: &str) -> std::io::Result<()> {
    let mut file = File::create(folder.join(name))?;
    file.write_all(&[7; 4096])?;
    // What is not on the disk when it fails is not on what replaces it either.
    file.sync_all()
}

#[tokio::test]
async fn a_disk_that_is_full_has_no_room_until_it_is_freed() {
    let disk = Disk::in_memory(16).await;
    let folder = disk.seen_from_outside();
    write(&folder, "before").unwrap();
    disk.fill();
    assert_eq!(write(&folder, "meanwhile").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    disk.free();
    write(&folder, "after").unwrap();
    assert!(!disk.path().join("before").exists(), "nobody else sees it");
}

#[tokio::test]
async fn a_disk_that_failed_is_read_only_until_it_is_replaced() {
    let disk = Disk::in_file(32).await;
    let folder = disk.seen_from_outside();
    write(&folder, "before").unwrap();
    disk.fail();
    assert_eq!(write(&folder, "meanwhile").unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    disk.replace();
    assert!(folder.join("before").exists(), "its content was kept");
    write(&folder, "after").unwrap();
}
