//! Which files a package has: each line about a slice's content names the slice, `package_slice`, and a path.

use serde::Deserialize;

use super::{MANIFEST, read_lines};
use crate::finding::Packages;
use crate::overlay::Overlay;
use crate::ownership::{Declared, PackageIndex, Tell};
use crate::path::PathHash;

#[derive(Deserialize)]
struct Line {
    kind: String,
    slice: String,
    path: String,
}

/// Tells the files of the packages of the manifest. What can't be read of it is a gap already.
pub(in crate::analyze) fn files(overlay: &Overlay, packages: &Packages, tell: Tell<'_>) {
    let Some(manifest) = overlay.content(MANIFEST) else { return };
    let index = PackageIndex::new(&packages.list);
    let _ = read_lines(manifest, |line| {
        let Ok(Line { kind, slice, path }) = serde_json::from_slice(line) else { return };
        let package = slice.rsplit_once('_').and_then(|(package, _)| index.named(package.as_bytes()));
        if let (true, Some(package), Some(hash)) =
            (kind == "content", package, PathHash::of_bytes(path.as_bytes()))
        {
            tell(package, hash, Declared::File);
        }
    });
}
