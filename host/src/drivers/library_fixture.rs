//! The smallest file that describes itself as a driver, for tests of what happens before code runs. The dynamic linker
//! refuses it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::fixtures::shelf;

/// A library that says it is this version of this driver.
pub(crate) fn library(name: &str, version: &str) -> Vec<u8> {
    let mut description = shelf::DRIVER.description();
    name.clone_into(&mut description.name);
    description.version = version.parse().unwrap();
    description.types = vec![format!("{name}-cr")];
    let meta = serde_json::to_vec(&description).unwrap();
    let dynstr = format!("\0regent_driver_root_v1.{name}\0").into_bytes();
    let mut dynsym = vec![0; 24];
    // Name, global object, defined in section 3, at 0, 8 bytes long.
    dynsym.extend([1, 0, 0, 0, 0x11, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    let names = b"\0.dynstr\0.dynsym\0.regent.meta\0.shstrtab\0".to_vec();
    // Name, type, link, entry size; by the order of the sections after the empty one.
    let sections = [
        (1_u32, 3_u32, 0_u32, 0_u64, dynstr),
        (9, 11, 1, 24, dynsym),
        (17, 1, 0, 0, meta),
        (30, 3, 0, 0, names),
    ];
    let (mut data, mut headers) = (Vec::new(), vec![0; 64]);
    for (name, kind, link, entry_bytes, bytes) in sections {
        headers.extend([name, kind].map(u32::to_le_bytes).concat());
        headers.extend([0, 0, 64 + data.len() as u64, bytes.len() as u64].map(u64::to_le_bytes).concat());
        headers.extend([link, u32::from(kind == 11)].map(u32::to_le_bytes).concat());
        headers.extend([8, entry_bytes].map(u64::to_le_bytes).concat());
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(8), 0);
    }
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([3, machine].map(u16::to_le_bytes).concat());
    file.extend(1_u32.to_le_bytes());
    file.extend([0, 0, 64 + data.len() as u64].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([64, 56, 0, 64, 5, 4].map(u16::to_le_bytes).concat());
    [file, data, headers].concat()
}

/// A plugin directory that is safe.
pub(crate) fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Puts a file into a plugin directory that only its owner may change.
pub(crate) fn put(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    path
}
