//! A small file that several processes change, each time as a whole.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Changes a text file: `change` gets what is there, nothing if the file is not, and returns what is to be. Readers see the
/// one or the other, also after a power cut; two who change it at once do so one after the other.
///
/// # Errors
/// The system's, and those of `change`.
pub(crate) fn change<T, E: From<io::Error>>(
    path: &Path,
    mode: u32,
    change: impl FnOnce(Option<String>) -> Result<(String, T), E>,
) -> Result<T, E> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Held until it is dropped. The directory, since the file is another one after each change.
    let lock = File::open(directory)?;
    lock.lock()?;
    let known = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let (text, outcome) = change(known)?;
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    // The mode that is asked for is cut by the umask as the file is made.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    lock.sync_all()?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_several_change_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let add = |line: String| {
            change(&path, 0o640, |known| Ok::<_, io::Error>((known.unwrap_or_default() + &line + "\n", ())))
                .unwrap();
        };
        std::thread::scope(|scope| {
            for i in 0..4 {
                scope.spawn(move || (0..5).for_each(|j| add(format!("{i}{j}"))));
            }
        });
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 20);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "as it was").unwrap();
        let failed = change(&path, 0o600, |_| Err::<(String, ()), _>(io::Error::other("no")));
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "as it was");
    }
}
