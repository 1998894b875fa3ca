//! Which files a package has: dpkg's lists, and the checksums that distroless images have in their place.

use super::super::text::lines;
use super::{STATUS, STATUS_DIRECTORY};
use crate::distil::Distilled;
use crate::finding::{Gap, Packages};
use crate::overlay::Overlay;
use crate::ownership::{Declared, PackageIndex, Tell};
use crate::path::PathHash;

const LISTS: &str = "/var/lib/dpkg/info/";

/// Tells the files of the packages of the database that `packages` were read from. Lists that were not read to their
/// end are gaps: what of their files is another ecosystem's is listed twice.
pub(in crate::analyze) fn files(overlay: &Overlay, packages: &Packages, gaps: &mut Vec<Gap>, tell: Tell<'_>) {
    let index = PackageIndex::new(&packages.list);
    let path = packages.path.as_str();
    for file in overlay.files() {
        if path == STATUS
            && let Some(name) = list_of(file.path.as_str())
            && let Some(Distilled::PathList(list)) = &file.kept.distilled
        {
            if list.is_cut {
                gaps.push(Gap {
                    path: file.path.clone(),
                    code: "file_list_too_large",
                    reason: "the package has more files than are read of its list; those beyond count as no package's"
                        .to_owned(),
                });
            }
            let Some(package) = package(&index, name) else { continue };
            list.hashes().for_each(|hash| tell(package, hash, Declared::File));
        } else if path == STATUS_DIRECTORY
            && let Some(name) = checksums_of(file.path.as_str())
            && let Some(content) = &file.kept.content
            && let Some(package) = index.named(name.as_bytes())
        {
            for hash in lines(content).filter_map(checked_file) {
                tell(package, hash, Declared::File);
            }
        }
    }
}

/// The package whose list of files is at this path: `name`, or `name:architecture`.
pub(super) fn list_of(path: &str) -> Option<&str> {
    path.strip_prefix(LISTS)?.strip_suffix(".list").filter(|name| !name.contains('/'))
}

fn package(index: &PackageIndex<'_>, name: &str) -> Option<usize> {
    match name.split_once(':') {
        Some((name, architecture)) => index.built_for(name.as_bytes(), architecture),
        None => index.named(name.as_bytes()),
    }
}

fn checksums_of(path: &str) -> Option<&str> {
    path.strip_prefix(STATUS_DIRECTORY)?.strip_prefix('/')?.strip_suffix(".md5sums")
}

/// `checksum  path`, the path without a slash in front.
fn checked_file(line: &[u8]) -> Option<PathHash> {
    let (_, path) = line.split_at(memchr::memchr(b' ', line)?);
    PathHash::of_bytes(path.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_by_their_path() {
        let rows = [
            ("/var/lib/dpkg/info/base-files.list", Some("base-files")),
            ("/var/lib/dpkg/info/libc6:amd64.list", Some("libc6:amd64")),
            ("/var/lib/dpkg/info/libc6:amd64.md5sums", None),
            ("/var/lib/dpkg/info/a/b.list", None),
            ("/etc/base-files.list", None),
        ];
        for (path, name) in rows {
            assert_eq!(list_of(path), name, "{path}");
        }
    }
}
