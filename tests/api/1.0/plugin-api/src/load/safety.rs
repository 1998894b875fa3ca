//! Who may change a file: its owner, and whoever may write to it or to a directory above it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::refusal::Refusal;

/// Others may add files to such a directory, and not touch those of someone else.
const STICKY: u32 = 0o1000;
/// Writable by group or others.
const BY_OTHERS: u32 = 0o022;

/// Refuses what belongs to anyone but root and this program's user (`me`), or others may write to.
pub(super) fn check(path: &Path, owner: u32, mode: u32, me: u32) -> Result<(), Refusal> {
    owned(path, owner, me)?;
    if mode & BY_OTHERS != 0 {
        return Err(Refusal::WorldWritable { path: path.to_owned(), mode: mode & 0o777 });
    }
    Ok(())
}

/// The same for everything above a file or directory, as it is named and where its links lead: whoever may rename one of those
/// has a directory of their own in its place. `/tmp` and its like are no danger: what is in them is judged itself, and
/// can't be renamed by others.
pub(super) fn check_above(named: &Path, canonical: &Path, me: u32) -> Result<(), Refusal> {
    let unreadable =
        |path: &Path, e: std::io::Error| Refusal::Unreadable { path: path.to_owned(), reason: e.to_string() };
    let absolute = std::path::absolute(named).map_err(|e| unreadable(named, e))?;
    let paths = absolute.ancestors().chain(canonical.ancestors());
    for path in paths.filter(|path| *path != canonical) {
        let metadata = path.symlink_metadata().map_err(|e| unreadable(path, e))?;
        check_parent(path, metadata.uid(), metadata.mode(), metadata.is_symlink(), me)?;
    }
    Ok(())
}

fn check_parent(path: &Path, owner: u32, mode: u32, is_link: bool, me: u32) -> Result<(), Refusal> {
    owned(path, owner, me)?;
    // The mode of a link says nothing: the directory that it is in decides.
    if !is_link && mode & BY_OTHERS != 0 && mode & STICKY == 0 {
        return Err(Refusal::ParentWritable { path: path.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

fn owned(path: &Path, owner: u32, me: u32) -> Result<(), Refusal> {
    if owner != 0 && owner != me {
        return Err(Refusal::NotOwner { path: path.to_owned(), owner });
    }
    Ok(())
}
