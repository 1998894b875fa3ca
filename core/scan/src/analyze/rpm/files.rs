//! Which files a package has: its header tells them.

use super::{Database, FILES, header, reader_of};
use crate::finding::{Package, Packages};
use crate::overlay::Overlay;
use crate::ownership::{Declared, PackageIndex, Tell};

/// Tells the files of these packages, from whichever of the databases have them.
pub(in crate::analyze) fn files(overlay: &Overlay, packages: &Packages, tell: Tell<'_>) {
    let index = PackageIndex::new(&packages.list);
    let mut seen: Option<&[u8]> = None;
    for file in overlay.files().filter(|file| FILES.contains(&file.path.as_str())) {
        let Some(data) = file.kept.content.as_deref().filter(|data| !data.is_empty()) else { continue };
        // One directory is often a link to the other.
        if seen.replace(data) == Some(data) {
            continue;
        }
        read(data, &index, tell);
    }
}

/// Tells the files of packages of one database.
pub(in crate::analyze) fn read(data: &[u8], index: &PackageIndex<'_>, tell: Tell<'_>) {
    let mut visit = |package: &Package, record: &[u8]| {
        if let Some(place) = index.same(package) {
            let _ = header::files(record, |hash| tell(place, hash, Declared::File));
        }
    };
    let _ = Database::visit(data, reader_of(data), Some(&mut visit));
}
