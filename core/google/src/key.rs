//! The key of a service account: the JSON file that Google's console hands out.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::error::Error;

/// Base64 with or without padding: keys are copied by hand.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The hosts that `token_uri` names in keys of all ages. It is looked at, and never followed: the key comes from a
/// connection, and what it signs is as good as a password.
const TOKEN_HOSTS: [&str; 3] = ["oauth2.googleapis.com", "accounts.google.com", "www.googleapis.com"];

/// A key of a service account.
///
/// Signatures are made by `ring`: it is in the tree already, as the provider of rustls, it is built for constant time, and
/// it adds some 80 KB to a library, by its symbols. The `rsa` crate was not measured; it has an open advisory for the
/// time that its private operations take (RUSTSEC-2023-0071).
pub(crate) struct ServiceAccountKey {
    /// Who it speaks for.
    pub(crate) email: String,
    /// The project of the service account, which need not be the one with the images.
    pub(crate) project: Option<String>,
    /// Which of the account's keys it is.
    pub(crate) id: Option<String>,
    /// The whole file, as the registry's token service takes it.
    pub(crate) text: SecretString,
    pair: RsaKeyPair,
}

/// The fields that are read.
#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    private_key_id: Option<String>,
    #[serde(default)]
    private_key: Option<SecretString>,
    #[serde(default)]
    client_email: Option<String>,
    #[serde(default)]
    token_uri: Option<String>,
    #[serde(default)]
    universe_domain: Option<String>,
}

impl ServiceAccountKey {
    /// Reads the JSON of a key, or base64 of it.
    ///
    /// Line breaks that became real ones or blanks on the way, as shell scripts do to them, are mended.
    ///
    /// # Errors
    /// [`Error::KeyUnusable`].
    pub(crate) fn parse(password: &SecretString) -> Result<Self, Error> {
        let text = file_text(password)?;
        let (text, mut mended) = match serde_json::from_str::<File>(text.expose_secret()) {
            Ok(_) => (text, false),
            // A control character can't stand in JSON text. Between fields a blank is as good, within the private key
            // blanks are dropped.
            Err(_) => (SecretString::from(text.expose_secret().replace(char::is_control, " ")), true),
        };
        let file: File = serde_json::from_str(text.expose_secret()).map_err(|e| {
            unusable(format!("it is not valid JSON, at line {} column {}", e.line(), e.column()))
        })?;
        if file.kind.as_deref().is_some_and(|kind| kind != "service_account") {
            return Err(unusable("it is a file of another type than service_account"));
        }
        if file.universe_domain.as_deref().is_some_and(|domain| domain != "googleapis.com") {
            return Err(unusable("it is for another cloud than Google's public one"));
        }
        if file.token_uri.as_deref().is_some_and(|uri| !is_google_token_uri(uri)) {
            return Err(unusable("its token_uri leads to another host than Google's"));
        }
        let missing = |field: &str| unusable(format!("it has no {field}"));
        let email = file.client_email.filter(|email| !email.is_empty());
        let pem = file.private_key.ok_or_else(|| missing("private_key"))?;
        let private = PrivateKey::parse(pem.expose_secret())?;
        mended |= !private.was_clean;
        let text = if mended { with_private_key(&text, &private.pem)? } else { text };
        Ok(Self {
            email: email.ok_or_else(|| missing("client_email"))?,
            project: file.project_id.filter(|project| !project.is_empty()),
            id: file.private_key_id.filter(|id| !id.is_empty()),
            text,
            pair: private.pair,
        })
    }

    /// The signature RS256 (RFC 7518 §3.3) of a text, in base64url.
    ///
    /// # Errors
    /// [`Error::KeyUnusable`], if the machine has no randomness.
    pub(crate) fn sign(&self, text: &str) -> Result<String, Error> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| unusable("nothing can be signed with its private_key"))?;
        Ok(URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The private key within the file.
struct PrivateKey {
    pair: RsaKeyPair,
    /// As it should stand in the file.
    pem: SecretString,
    /// It stood so.
    was_clean: bool,
}

impl PrivateKey {
    /// Reads PEM (RFC 7468) of PKCS #8, or of PKCS #1 as in old keys.
    fn parse(pem: &str) -> Result<Self, Error> {
        let labels = [("PRIVATE KEY", true), ("RSA PRIVATE KEY", false)];
        let parts = labels.iter().find_map(|(label, is_pkcs8)| {
            let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
            let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
            Some((*label, *is_pkcs8, body))
        });
        let (label, is_pkcs8, body) =
            parts.ok_or_else(|| unusable("its private_key has no BEGIN and END PRIVATE KEY"))?;
        // `\n` in two characters is what remains of a line break that was escaped twice.
        let packed: SecretString = body.replace("\\n", "").split_whitespace().collect::<String>().into();
        let der = LENIENT.decode(packed.expose_secret());
        let der = SecretSlice::from(der.map_err(|_| unusable("its private_key is not base64"))?);
        let pair = if is_pkcs8 {
            RsaKeyPair::from_pkcs8(der.expose_secret())
        } else {
            RsaKeyPair::from_der(der.expose_secret())
        };
        let pair = pair.map_err(|_| unusable("its private_key is no RSA key of 2048 bits or more"))?;
        let clean = pem_text(label, packed.expose_secret());
        let was_clean = pem.trim_end() == clean.expose_secret().trim_end();
        Ok(Self { pair, pem: clean, was_clean })
    }
}

/// PEM with its lines of 64 characters.
fn pem_text(label: &str, base64: &str) -> SecretString {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (i, c) in base64.chars().enumerate() {
        if i > 0 && i % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    format!("{text}\n-----END {label}-----\n").into()
}

/// The JSON text that a password is or stands for.
fn file_text(password: &SecretString) -> Result<SecretString, Error> {
    let text = password.expose_secret().trim();
    if text.starts_with('{') {
        return Ok(text.to_owned().into());
    }
    let packed: SecretString = text.split_whitespace().collect::<String>().into();
    let decoded = LENIENT.decode(packed.expose_secret()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.map(|text| SecretString::from(text.trim().to_owned()));
    decoded
        .filter(|text| text.expose_secret().starts_with('{'))
        .ok_or_else(|| unusable("it is neither the JSON of one nor base64 of that"))
}

/// The same file with this private key.
fn with_private_key(text: &SecretString, pem: &SecretString) -> Result<SecretString, Error> {
    let mut file: Value =
        serde_json::from_str(text.expose_secret()).map_err(|_| unusable("it is not valid JSON"))?;
    if let Some(field) = file.get_mut("private_key") {
        *field = Value::from(pem.expose_secret());
    }
    Ok(file.to_string().into())
}

fn is_google_token_uri(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| {
        url.scheme() == "https" && url.host_str().is_some_and(|host| TOKEN_HOSTS.contains(&host))
    })
}

fn unusable(reason: impl Into<String>) -> Error {
    Error::KeyUnusable { reason: reason.into() }
}

impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountKey").field("email", &self.email).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that was made for tests and opens nothing.
    const PEM: &str = include_str!("../test-key.pem");

    fn file(pem: &str) -> Value {
        serde_json::json!({
            "type": "service_account",
            "project_id": "acme",
            "private_key_id": "1",
            "private_key": pem,
            "client_email": "regent@acme.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        })
    }

    fn parse(text: &str) -> Result<ServiceAccountKey, String> {
        ServiceAccountKey::parse(&text.to_owned().into()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_read_however_it_was_carried_and_passed_on_as_google_made_it() {
        let made = serde_json::to_string_pretty(&file(PEM)).unwrap();
        let mended = file(PEM).to_string();
        let blanks = made.replace("\\n", " ");
        let rows = [
            ("as it is", made.clone(), &made),
            ("with blanks around it", format!(" \n{made}\n"), &made),
            ("in base64", LENIENT.encode(&made), &made),
            ("in base64 of many lines", LENIENT.encode(&made).replace('A', "A\n "), &made),
            ("on one line", made.split_whitespace().collect::<Vec<_>>().join(" "), &mended),
            ("with real line breaks in its private key", made.replace("\\n", "\n"), &mended),
            ("with blanks in its private key", blanks, &mended),
            ("escaped twice", made.replace("\\n", "\\\\n"), &mended),
        ];
        for (how, text, expected) in rows {
            let key = parse(&text).unwrap_or_else(|error| panic!("{how}: {error}"));
            assert_eq!(key.email, "regent@acme.iam.gserviceaccount.com", "{how}");
            assert_eq!(key.project.as_deref(), Some("acme"), "{how}");
            let (found, expected): (Value, Value) = (
                serde_json::from_str(key.text.expose_secret()).unwrap(),
                serde_json::from_str(expected).unwrap(),
            );
            assert_eq!(found, expected, "{how}");
            assert_eq!(key.sign("text").unwrap().len(), 342, "{how}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_by_what_is_wrong_and_never_quoted() {
        let with = |name: &str, value: Value| {
            let mut file = file(PEM);
            file[name] = value;
            file.to_string()
        };
        let rows = [
            ("s3cr3t".to_owned(), "neither the JSON of one nor base64"),
            (LENIENT.encode("s3cr3t"), "neither the JSON of one nor base64"),
            ("{\"private_key\": s3cr3t}".to_owned(), "not valid JSON, at line 1 column 17"),
            ("{}".to_owned(), "no private_key"),
            (with("type", "authorized_user".into()), "another type than service_account"),
            (with("universe_domain", "example.com".into()), "another cloud"),
            (with("token_uri", "https://s3cr3t.example.com/token".into()), "token_uri"),
            (with("token_uri", "http://oauth2.googleapis.com/token".into()), "token_uri"),
            (with("client_email", "".into()), "no client_email"),
            (with("private_key", "s3cr3t".into()), "no BEGIN and END"),
            (with("private_key", PEM.replace('M', "*").into()), "not base64"),
            (with("private_key", PEM.replace("PRIVATE", "RSA PRIVATE").into()), "no RSA key"),
        ];
        for (text, expected) in rows {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{error}, not {expected}");
            assert!(!error.contains("s3cr3t") && !error.contains("MII"), "{error}");
        }
    }
}
