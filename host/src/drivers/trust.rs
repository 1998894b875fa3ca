//! Whether a file is one of those that the operator trusts, by the very bytes that are then loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regent_plugin_api::load::{
    FilePolicy, KeyError, KeyId, LibraryFile, Lock, MAX_SIGNATURE_BYTES, PublicKeys, Refusal, Unsigned,
    read_safe, read_trusted, signature_file,
};

use super::index::Refused;

/// Which files of the plugin directories are loaded. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The rule.
    pub policy: TrustPolicy,
    /// Whose signatures count. Without the rule that wants one they are looked at and shown.
    pub keys: Arc<PublicKeys>,
}

/// What makes a file trusted, besides that only root and the agent's user may change it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrustPolicy {
    /// Nothing.
    #[default]
    Directory,
    /// Its SHA-256 stands in the directory's `plugins.lock`.
    Pinned,
    /// One of the keys has signed it.
    Signed,
}

/// Keys that can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file that is not there, or that others may change.
    #[error(transparent)]
    Unsafe(#[from] Refusal),
    /// A file without keys, or with something else in it.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A value that is neither a key nor the path of a file.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The keys that a setting lists: themselves, or as paths of files.
///
/// # Errors
/// [`KeysError`]
pub fn read_keys(items: &[String]) -> Result<PublicKeys, KeysError> {
    let mut keys = PublicKeys::default();
    for item in items {
        // A path may look like a key only if it is 56 characters long and begins with RW.
        match keys.add(item) {
            Ok(()) => {}
            Err(error) if !item.contains(['/', '.']) => return Err(error.into()),
            Err(_) => {
                let path = PathBuf::from(item);
                let text = String::from_utf8_lossy(&read_trusted(&path, MAX_KEYS_BYTES)?).into_owned();
                keys.add(&text).map_err(|source| KeysError::File { path, source })?;
            }
        }
    }
    Ok(keys)
}

/// What is known of a file's signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureState {
    /// There is none.
    #[default]
    Missing,
    /// There is one, and no key to check it with.
    Unchecked {
        /// The key that it names.
        key: Option<KeyId>,
    },
    /// It is of these bytes, by a trusted key.
    Valid {
        /// That key.
        key: KeyId,
    },
    /// It is not.
    Invalid {
        /// Why, as a stable code.
        code: &'static str,
        /// Why, in words.
        reason: String,
        /// The key that it names.
        key: Option<KeyId>,
    },
}

impl SignatureState {
    /// One word: `missing`, `unchecked`, `valid`, `invalid`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unchecked { .. } => "unchecked",
            Self::Valid { .. } => "valid",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// The key that it names.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Missing => None,
            Self::Valid { key } => Some(*key),
            Self::Unchecked { key } | Self::Invalid { key, .. } => *key,
        }
    }

    /// What is wrong with it, as a stable code.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// The largest file of keys that is read, in bytes.
const MAX_KEYS_BYTES: u64 = 64 << 10;

/// Decides about the files of one directory.
pub(super) struct Judge<'a> {
    keys: &'a PublicKeys,
    /// Where files have to be pinned.
    lock: Option<Result<Lock, String>>,
    wants_signature: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(trust: &'a Trust, directory: &Path) -> Self {
        Self {
            keys: &trust.keys,
            lock: (trust.policy == TrustPolicy::Pinned).then(|| read_lock(directory)),
            wants_signature: trust.policy == TrustPolicy::Signed,
        }
    }

    /// What is known of the file's signature, and why it is not taken.
    pub(super) fn judge(&self, file: &LibraryFile, directory: &Path) -> (SignatureState, Option<Refused>) {
        let signature = self.signature(file, directory);
        let (state, unsigned) = match signature {
            Ok(state) => (state, None),
            Err(unsigned @ Unsigned::Missing { .. }) => (SignatureState::Missing, Some(unsigned)),
            Err(unsigned) => {
                let (code, reason, key) = (unsigned.code(), unsigned.to_string(), unsigned.key());
                (SignatureState::Invalid { code, reason, key }, Some(unsigned))
            }
        };
        let refused = match (&self.lock, unsigned) {
            (Some(lock), _) => not_pinned(lock, file),
            (None, Some(unsigned)) if self.wants_signature => {
                Some(Refused::new(unsigned.code(), unsigned.to_string()))
            }
            (None, _) => None,
        };
        (state, refused)
    }

    fn signature(&self, file: &LibraryFile, directory: &Path) -> Result<SignatureState, Unsigned> {
        let path = signature_file(file.path());
        if path.symlink_metadata().is_err() {
            return Err(self.keys.missing(path));
        }
        let policy = FilePolicy { max_bytes: MAX_SIGNATURE_BYTES, ..FilePolicy::in_directory(directory) };
        let malformed = |reason: String| Unsigned::Malformed { reason };
        let bytes = read_safe(&path, &policy).map_err(|refusal| malformed(refusal.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| malformed("it is no text".to_owned()))?;
        if self.keys.is_empty() {
            return Ok(SignatureState::Unchecked { key: text.lines().nth(1).and_then(KeyId::of) });
        }
        file.signer(self.keys, &text).map(|key| SignatureState::Valid { key })
    }
}

/// The lock of a directory, or why it can't be read.
pub(crate) fn read_lock(directory: &Path) -> Result<Lock, String> {
    let policy = FilePolicy { max_bytes: Lock::MAX_BYTES, ..FilePolicy::in_directory(directory) };
    let bytes = read_safe(&directory.join(Lock::FILE), &policy).map_err(|refusal| refusal.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is no text", Lock::FILE))?;
    Lock::parse(&text).map_err(|error| format!("{}: {error}", Lock::FILE))
}

fn not_pinned(lock: &Result<Lock, String>, file: &LibraryFile) -> Option<Refused> {
    let reason = match lock {
        Ok(lock) if lock.contains(file.digest()) => return None,
        Ok(_) => format!(
            "its digest {} is not in {}: run `regent drivers pin` if you trust the file",
            file.digest(),
            Lock::FILE
        ),
        Err(reason) => format!("{reason}; `regent drivers pin` writes one, if you trust the files there"),
    };
    Some(Refused::new("not_pinned", reason))
}

#[cfg(test)]
mod tests;
