//! Who has signed a library: minisign signatures, in a file beside it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{Error, PublicKey, Signature};

/// Names a key: what `minisign` prints in the comment of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

/// The keys whose signatures are trusted. Cheap to look through: there are a few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicKeys {
    keys: Vec<(KeyId, PublicKey)>,
}

/// A text that holds no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A line that is none.
    #[error("{line:?} is no minisign public key: one is 56 characters that begin with RW")]
    Malformed {
        /// How the line begins.
        line: String,
    },
    /// Nothing but comments.
    #[error("it holds no minisign public key")]
    Empty,
}

/// Why a library does not count as signed. The text says who signed and who is trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsigned {
    /// There is no signature.
    #[error("it has no signature: {file} is not there; signatures of {trusted} are trusted")]
    Missing {
        /// Where it would be.
        file: PathBuf,
        /// The keys that are trusted.
        trusted: Trusted,
    },
    /// The signature's file can't be read, or is none.
    #[error("its signature can't be read: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// Signed by someone else.
    #[error("it is signed with key {key}, which is not trusted; signatures of {trusted} are")]
    Untrusted {
        /// Who signed.
        key: KeyId,
        /// The keys that are trusted.
        trusted: Trusted,
    },
    /// The signature of a trusted key, of other bytes.
    #[error("its signature with key {key} is not of these bytes: the file or its signature was changed")]
    Wrong {
        /// Who signed, as the signature says.
        key: KeyId,
    },
}

/// Keys, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted(Vec<KeyId>);

impl Unsigned {
    /// A stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "not_signed",
            Self::Malformed { .. } => "signature_malformed",
            Self::Untrusted { .. } => "signature_untrusted",
            Self::Wrong { .. } => "signature_wrong",
        }
    }

    /// The key that the signature names.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Missing { .. } | Self::Malformed { .. } => None,
            Self::Untrusted { key, .. } | Self::Wrong { key } => Some(*key),
        }
    }
}

/// The largest signature file that is read, in bytes: four lines, one of them a comment.
pub const MAX_SIGNATURE_BYTES: u64 = 8 << 10;

/// Where a library's signature is: `<file>.minisig`.
pub fn signature_file(library: &Path) -> PathBuf {
    let mut name = OsString::from(library);
    name.push(".minisig");
    name.into()
}

impl PublicKeys {
    /// Adds the keys of a text: one on each line, as `minisign` prints them, or a `.pub` file. Comments don't count.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn add(&mut self, text: &str) -> Result<(), KeyError> {
        let comment = |line: &&str| {
            !line.is_empty() && !line.starts_with("untrusted comment:") && !line.starts_with('#')
        };
        let mut any = false;
        for line in text.lines().map(str::trim).filter(comment) {
            let malformed = || KeyError::Malformed { line: line.chars().take(20).collect() };
            let key = PublicKey::from_base64(line).map_err(|_| malformed())?;
            let id = KeyId::of(line).ok_or_else(malformed)?;
            if !self.keys.contains(&(id, key.clone())) {
                self.keys.push((id, key));
            }
            any = true;
        }
        if any { Ok(()) } else { Err(KeyError::Empty) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys by name.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|(id, _)| *id)
    }

    /// Who has signed these bytes, by the text of the signature's file.
    ///
    /// # Errors
    /// [`Unsigned`]
    pub fn signer(&self, bytes: &[u8], signature: &str) -> Result<KeyId, Unsigned> {
        let malformed = |reason: &str| Unsigned::Malformed { reason: reason.to_owned() };
        let decoded = Signature::decode(signature).map_err(|_| malformed("it is no minisign signature"))?;
        let key = signature.lines().nth(1).and_then(KeyId::of);
        let key = key.ok_or_else(|| malformed("it is no minisign signature"))?;
        // Two keys may have one name: it is drawn by chance, and anyone may take one that is known.
        let mut verdict = Unsigned::Untrusted { key, trusted: self.trusted() };
        for (_, trusted) in self.keys.iter().filter(|(id, _)| *id == key) {
            match trusted.verify(bytes, &decoded, false) {
                Ok(()) => return Ok(key),
                Err(Error::UnexpectedAlgorithm | Error::UnsupportedLegacyMode) => {
                    return Err(malformed(
                        "it is of minisign's old form: sign with minisign 0.10 or newer, or with -H",
                    ));
                }
                Err(_) => verdict = Unsigned::Wrong { key },
            }
        }
        Err(verdict)
    }

    /// That there is no signature where one should be.
    pub fn missing(&self, file: PathBuf) -> Unsigned {
        Unsigned::Missing { file, trusted: self.trusted() }
    }

    fn trusted(&self) -> Trusted {
        Trusted(self.ids().collect())
    }
}

impl KeyId {
    /// The name of the key of a public key or signature in base64: two bytes name the algorithm, the next eight the key.
    pub fn of(line: &str) -> Option<Self> {
        let bytes = STANDARD.decode(line.trim()).ok()?;
        Some(Self(bytes.get(2..10)?.try_into().ok()?))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no key"),
            [one] => write!(f, "key {one}"),
            several => {
                let names: Vec<_> = several.iter().map(ToString::to_string).collect();
                write!(f, "keys {}", names.join(", "))
            }
        }
    }
}
