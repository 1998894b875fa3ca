//! Sealing: what is stored of credentials is encrypted, and bound to the place where it is stored.
//!
//! XChaCha20-Poly1305 with a random nonce for each text. Keys are told apart by an id, so that they can be replaced one
//! by one: the first of [`SealKeys`] seals, all of them open.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Generate as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

mod keys;

pub use keys::{KeyError, KeySource};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Characters of a key's id.
const KEY_ID_BYTES: usize = 8;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;

/// Tells keys apart without telling anything of them: eight hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

/// A sealed text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The key that opens it.
    pub key: KeyId,
    /// Base64 of nonce, ciphertext and tag.
    text: String,
}

/// The keys of this process. Cheap to clone. `Debug` shows their ids.
#[derive(Clone)]
pub struct SealKeys(Arc<Vec<SealKey>>);

struct SealKey {
    id: KeyId,
    key: SecretBox<[u8; KEY_BYTES]>,
}

/// Why a sealed text does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It was sealed with a key that this process does not have.
    #[error("it is sealed with key {id}, and the agent has {known}")]
    UnknownKey {
        /// That key.
        id: KeyId,
        /// The keys that there are.
        known: String,
    },
    /// It is not what was sealed, or not in the place where it was sealed for.
    #[error("what is sealed with key {id} is damaged")]
    Damaged {
        /// Its key.
        id: KeyId,
    },
}

impl SealKeys {
    /// A key made now, for a store that does not outlive the process.
    pub fn generate() -> Self {
        let mut key = SecretBox::<[u8; KEY_BYTES]>::init_with_mut(|_| {});
        key.expose_secret_mut().copy_from_slice(&Key::generate());
        Self(Arc::new(vec![SealKey::new(key)]))
    }

    /// Keys in base64, the one that seals first.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] and [`KeyError::None`].
    pub fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let words = text.expose_secret().split(|c: char| c == ',' || c.is_whitespace());
        let keys =
            words.filter(|word| !word.is_empty()).map(SealKey::parse).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self(Arc::new(keys))) }
    }

    /// The keys' ids, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.iter().map(|key| &key.id)
    }

    /// Seals a text for a place, such as an operation's id and a word for what it is there.
    pub fn seal(&self, text: &SecretSlice<u8>, place: &str) -> Sealed {
        let key = self.first();
        Sealed { key: key.id.clone(), text: STANDARD.encode(key.seal(text.expose_secret(), place)) }
    }

    /// Seals what is stored as bytes, and may be large, for a place.
    pub fn seal_bytes(&self, bytes: &[u8], place: &str) -> Vec<u8> {
        let key = self.first();
        [key.id.0.as_bytes(), &key.seal(bytes, place)].concat()
    }

    /// Opens what [`SealKeys::seal_bytes`] has sealed for this place.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open_bytes(&self, sealed: &[u8], place: &str) -> Result<Vec<u8>, SealError> {
        let (id, sealed) = sealed.split_at_checked(KEY_ID_BYTES).unwrap_or_default();
        let id = KeyId(String::from_utf8_lossy(id).into_owned());
        self.key(&id)?.open(sealed, place).ok_or(SealError::Damaged { id })
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<SecretSlice<u8>, SealError> {
        let id = &sealed.key;
        let key = self.key(id)?;
        let damaged = || SealError::Damaged { id: id.clone() };
        let bytes = STANDARD.decode(&sealed.text).map_err(|_| damaged())?;
        key.open(&bytes, place).map(Into::into).ok_or_else(damaged)
    }

    /// The one that seals.
    fn first(&self) -> &SealKey {
        self.0.first().expect("keys are never made without one")
    }

    /// Whether this key is there.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`].
    pub fn check(&self, id: &KeyId) -> Result<(), SealError> {
        self.key(id).map(drop)
    }

    fn key(&self, id: &KeyId) -> Result<&SealKey, SealError> {
        self.0.iter().find(|key| key.id == *id).ok_or_else(|| {
            let known: Vec<_> = self.ids().map(ToString::to_string).collect();
            SealError::UnknownKey { id: id.clone(), known: known.join(", ") }
        })
    }

    /// A number that tells tenants apart, and of which nobody without the key can say to whom it belongs.
    pub fn mark(&self, bytes: &[u8]) -> u64 {
        let key = self.first();
        let mut hash = Sha256::new();
        hash.update(b"regent mark");
        hash.update(key.key.expose_secret());
        hash.update(bytes);
        hash.finalize().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
    }
}

impl SealKey {
    fn new(key: SecretBox<[u8; KEY_BYTES]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"regent seal key id");
        hash.update(key.expose_secret());
        let id = hash.finalize().iter().take(4).fold(0, |id: u32, byte| id << 8 | u32::from(*byte));
        Self { id: KeyId(format!("{id:08x}")), key }
    }

    fn parse(word: &str) -> Result<Self, KeyError> {
        let bytes = SecretSlice::from(STANDARD.decode(word).map_err(|_| KeyError::Malformed)?);
        let mut key = SecretBox::<[u8; KEY_BYTES]>::init_with_mut(|_| {});
        let given = bytes.expose_secret();
        if given.len() != KEY_BYTES {
            return Err(KeyError::Malformed);
        }
        key.expose_secret_mut().copy_from_slice(given);
        Ok(Self::new(key))
    }

    /// Nonce, ciphertext and tag.
    fn seal(&self, text: &[u8], place: &str) -> Vec<u8> {
        let nonce = XNonce::generate();
        let payload = Payload { msg: text, aad: place.as_bytes() };
        let sealed = self.cipher().encrypt(&nonce, payload).expect("texts are far shorter than 256 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The text, if it was sealed with this key for this place.
    fn open(&self, sealed: &[u8], place: &str) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        self.cipher().decrypt(&nonce, Payload { msg: text, aad: place.as_bytes() }).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.key.expose_secret()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SecretSlice<u8> {
        text.as_bytes().to_vec().into()
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
        let keys = SealKeys::generate();
        let sealed = keys.seal(&text("s3cret"), "operation 1");
        assert_eq!(keys.open(&sealed, "operation 1").unwrap().expose_secret(), b"s3cret");
        let id = sealed.key.clone();
        assert_eq!(keys.open(&sealed, "operation 2").unwrap_err(), SealError::Damaged { id: id.clone() });
        for damage in ["", "AAAA", "*"] {
            let damaged = Sealed { key: id.clone(), text: damage.to_owned() };
            assert_eq!(
                keys.open(&damaged, "operation 1").unwrap_err(),
                SealError::Damaged { id: id.clone() }
            );
        }
        assert_ne!(keys.seal(&text("s3cret"), "operation 1"), sealed, "a nonce is never used twice");
    }

    #[test]
    fn bytes_open_in_their_place_and_nowhere_else() {
        let (keys, other) = (SealKeys::generate(), SealKeys::generate());
        for bytes in [vec![], vec![7; 100_000]] {
            let sealed = keys.seal_bytes(&bytes, "a");
            assert_eq!(keys.open_bytes(&sealed, "a").unwrap(), bytes);
            assert!(matches!(keys.open_bytes(&sealed, "b"), Err(SealError::Damaged { .. })));
            assert!(matches!(other.open_bytes(&sealed, "a"), Err(SealError::UnknownKey { .. })));
            let mut damaged = sealed.clone();
            *damaged.last_mut().unwrap() ^= 1;
            assert!(matches!(keys.open_bytes(&damaged, "a"), Err(SealError::Damaged { .. })));
            for length in [0, 7, 8, 31, sealed.len() - 1] {
                assert!(keys.open_bytes(&sealed[..length], "a").is_err());
            }
        }
    }

    #[test]
    fn the_first_key_seals_and_all_keys_open() {
        let (old, new) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 32]));
        let keys = |text: String| SealKeys::parse(&text.into()).unwrap();
        let (before, both, after) = (keys(old.clone()), keys(format!("{new},{old}")), keys(new));
        let sealed = before.seal(&text("x"), "p");
        assert_eq!(both.open(&sealed, "p").unwrap().expose_secret(), b"x");
        assert_eq!(both.seal(&text("x"), "p").key, *after.ids().next().unwrap());
        let error = after.open(&sealed, "p").unwrap_err();
        let [old, new] = [before, after].map(|keys| keys.ids().next().unwrap().clone());
        assert_eq!(error.to_string(), format!("it is sealed with key {old}, and the agent has {new}"));
    }

    #[test]
    fn neither_keys_nor_errors_show_a_key() {
        let key = STANDARD.encode([7; 32]);
        let keys = SealKeys::parse(&key.clone().into()).unwrap();
        assert!(!format!("{keys:?}").contains(&key));
        for wrong in [key.get(1..).unwrap(), "not base64!", "AAAA"] {
            let error = SealKeys::parse(&wrong.to_owned().into()).unwrap_err();
            assert!(!error.to_string().contains(wrong), "{error}");
        }
    }
}
