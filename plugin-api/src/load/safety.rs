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

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn files_of_root_and_of_this_user_are_safe_when_nobody_else_may_write() {
        let rows = [
            (0, 0o100_644, None),
            (1000, 0o100_755, None),
            (1001, 0o100_644, Some("not_owner")),
            (1000, 0o100_664, Some("world_writable")),
            (0, 0o100_646, Some("world_writable")),
            (0, 0o041_777, Some("world_writable")),
        ];
        for (owner, mode, code) in rows {
            let refusal = check(Path::new("x.so"), owner, mode, 1000).err();
            assert_eq!(refusal.map(|r| r.code()), code, "owner {owner}, mode {mode:o}");
        }
    }

    #[test]
    fn what_is_above_is_safe_when_nobody_else_may_rename_in_it() {
        let rows = [
            (0, 0o040_755, false, None),
            (1000, 0o040_700, false, None),
            (0, 0o041_777, false, None),
            (0, 0o041_775, false, None),
            (0, 0o040_777, false, Some("parent_writable")),
            (0, 0o040_775, false, Some("parent_writable")),
            (1001, 0o041_777, false, Some("not_owner")),
            (0, 0o120_777, true, None),
            (1001, 0o120_777, true, Some("not_owner")),
        ];
        for (owner, mode, is_link, code) in rows {
            let refusal = check_parent(Path::new("/plugins"), owner, mode, is_link, 1000).err();
            assert_eq!(refusal.map(|r| r.code()), code, "owner {owner}, mode {mode:o}");
        }
    }

    #[test]
    fn the_whole_way_is_looked_at_as_it_is_named_and_where_it_leads() {
        let root = tempfile::tempdir().expect("a directory");
        let me = rustix::process::geteuid().as_raw();
        let at = |name: &str| root.path().join(name);
        let permit =
            |name: &str, mode| set_permissions(at(name), Permissions::from_mode(mode)).expect("permitted");
        for name in ["real", "real/plugins", "links"] {
            create_dir(at(name)).expect("made");
            permit(name, 0o755);
        }
        symlink(at("real/plugins"), at("links/plugins")).expect("linked");
        let verdict = |name: &str| {
            let canonical = at(name).canonicalize().expect("it is there");
            check_above(&at(name), &canonical, me).err().map(|r| r.to_string())
        };
        assert_eq!(verdict("real/plugins"), None);
        assert_eq!(verdict("links/plugins"), None);
        permit("links", 0o777);
        assert_eq!(verdict("real/plugins"), None);
        let named = verdict("links/plugins").expect("the link can be replaced");
        assert!(named.contains("/links, on the way"), "{named}");
        permit("links", 0o755);
        permit("real", 0o775);
        for name in ["real/plugins", "links/plugins"] {
            let led = verdict(name).expect("the directory can be replaced");
            assert!(led.contains("/real, on the way"), "{led}");
        }
        permit("real", 0o1775);
        assert_eq!(verdict("links/plugins"), None);
    }
}
