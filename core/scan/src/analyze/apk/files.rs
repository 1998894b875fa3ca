//! Which files a package has: `F:` names a directory and `R:` a file in it.

use super::super::text::lines;
use super::FILES;
use crate::finding::Packages;
use crate::overlay::Overlay;
use crate::ownership::{Declared, PackageIndex, Tell};
use crate::path::PathHash;

/// Tells the directories and files of the packages of the database that `packages` were read from.
pub(in crate::analyze) fn files(overlay: &Overlay, packages: &Packages, tell: Tell<'_>) {
    let path = packages.path.as_str();
    if let Some(content) = FILES.contains(&path).then(|| overlay.content(path)).flatten() {
        read(content, &PackageIndex::new(&packages.list), tell);
    }
}

/// Fields of a record may come in any order but for these: name first, and a directory before its files.
pub(in crate::analyze) fn read(data: &[u8], index: &PackageIndex<'_>, tell: Tell<'_>) {
    let (mut package, mut directory) = (None, None);
    for line in lines(data) {
        let [field, b':', value @ ..] = line else {
            if line.is_empty() {
                (package, directory) = (None, None);
            }
            continue;
        };
        let value = value.trim_ascii();
        match field {
            b'P' => (package, directory) = (index.named(value), None),
            b'F' => {
                directory = PathHash::of_bytes(value);
                if let (Some(package), Some(hash)) = (package, directory) {
                    tell(package, hash, Declared::Directory);
                }
            }
            b'R' => {
                if let (Some(package), Some(directory)) = (package, directory) {
                    tell(package, directory.child_bytes(value), Declared::File);
                }
            }
            _ => {}
        }
    }
}
