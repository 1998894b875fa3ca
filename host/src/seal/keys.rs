//! Where the keys of [`SealKeys`] come from: a setting, a file, or a file that is made at the first start.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::Key;
use chacha20poly1305::aead::Generate as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::SealKeys;

/// The most that is read of a file of keys, in bytes: some hundred keys.
const MAX_FILE_BYTES: u64 = 16 << 10;

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `REGENT_SEAL_KEY`.
    Given(SecretString),
    /// `REGENT_SEAL_KEY_FILE`.
    File(PathBuf),
    /// A file of the data directory, made with a new key where it is not there.
    Generated(PathBuf),
}

/// Why there are no keys. No message holds anything of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing is given.
    #[error("there is no key")]
    None,
    /// What is given is no key.
    #[error("a key must be base64 of 32 bytes, as `openssl rand -base64 32` prints one")]
    Malformed,
    /// The file of keys can't be read or made.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Others than its owner can read the file.
    #[error("{path} can be read by others; it needs mode 0600")]
    Open {
        /// The file.
        path: PathBuf,
    },
}

impl KeySource {
    /// Reads the keys. Blocking.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(&self) -> Result<SealKeys, KeyError> {
        match self {
            Self::Given(text) => SealKeys::parse(text),
            Self::File(path) => read(path),
            Self::Generated(path) => match make(path) {
                Ok(()) => read(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
                Err(source) => Err(KeyError::File { path: path.clone(), source }),
            },
        }
    }
}

fn read(path: &Path) -> Result<SealKeys, KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Group access is how Kubernetes mounts secrets for a container's user.
    if file.metadata().map_err(failed)?.mode() & 0o007 != 0 {
        return Err(KeyError::Open { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    SealKeys::parse(&text.into())
}

/// Makes a key that is on the disk, or not there at all, once this returns.
fn make(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let fresh = tempfile::Builder::new()
        .prefix(".seal-key-")
        .make_in(directory, |path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))?;
    let text = SecretString::from(format!("{}\n", STANDARD.encode(Key::generate())));
    fresh.as_file().write_all(text.expose_secret().as_bytes())?;
    fresh.as_file().sync_all()?;
    fresh.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_generated_key_is_there_at_the_next_start_and_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seal.key");
        let source = KeySource::Generated(path.clone());
        let first: Vec<_> = source.load().unwrap().ids().cloned().collect();
        let second: Vec<_> = source.load().unwrap().ids().cloned().collect();
        assert_eq!(first, second);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn a_file_of_keys_that_others_can_read_is_refused_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, STANDARD.encode([1; 32])).unwrap();
        for (mode, taken) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(KeySource::File(path.clone()).load().is_ok(), taken, "{mode:o}");
        }
        let missing = KeySource::File(directory.path().join("none")).load().unwrap_err();
        assert!(missing.to_string().contains("/none: No such file"), "{missing}");
    }
}
