//! Which registry, and with which credentials.
//!
//! Every request names a connection: in its body, in a header, or, where it has none, through the agent's own
//! settings ([`find`]). The texts come from the broker's start script, which pastes values into a JSON template
//! without escaping them; [`decode`] reads what can be read without guessing.

use std::collections::BTreeMap;
use std::fmt;

use regent_plugin_api::Settings;
use regent_transport::{Class, Fault, Retry};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

mod confine;
mod decode;
mod find;

pub use confine::confine;
pub use decode::{Decoded, Notice, decode};
pub use find::{Given, find, own};

use crate::http::authority;

/// A registry connection: its type and the fields of its JSON, nested ones joined by a dot (`extra.region`). `Debug`
/// shows the names of the fields.
#[derive(Clone)]
pub struct Connection {
    /// The type as it was spelled, e.g. `harbor-cr`.
    pub registry_type: String,
    fields: BTreeMap<String, SecretString>,
}

/// Tells connections apart, secrets included, without showing them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Why a request has no usable connection. No message holds anything of the connection's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The request names none, and the agent has none of its own.
    #[error("the request names no registry connection: {reason}")]
    Missing {
        /// What was seen instead.
        reason: &'static str,
    },
    /// Something was given that can't be read.
    #[error("the connection in {place} can't be used: {part}")]
    Malformed {
        /// Where it was given, e.g. `the x-cr-credentials header`.
        place: &'static str,
        /// Which part of it is wrong, and how.
        part: String,
    },
    /// A local path, and the operator has not allowed any.
    #[error("requests may not name local images unless REGENT_LOCAL_ROOT is set")]
    LocalRootUnset,
    /// A local path that is not below the allowed directory, or not there at all: which of the two is not told.
    #[error("the connection's registryBase is not a path below REGENT_LOCAL_ROOT")]
    LocalPathRefused,
}

impl Fault for ConnectionError {
    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::Authentication,
            Self::Malformed { .. } => Class::Invalid,
            Self::LocalRootUnset | Self::LocalPathRefused => Class::Refused,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "connection_missing",
            Self::Malformed { .. } => "connection_malformed",
            Self::LocalRootUnset => "local_root_unset",
            Self::LocalPathRefused => "local_path_refused",
        }
    }
}

impl Connection {
    /// The field that names the registry.
    const BASE: &str = "registryBase";
    /// The field that names the region of a registry that has several.
    const REGION: &str = "extra.region";

    /// A connection of this type with these fields.
    pub fn new(
        registry_type: impl Into<String>,
        fields: impl IntoIterator<Item = (String, SecretString)>,
    ) -> Self {
        Self { registry_type: registry_type.into(), fields: fields.into_iter().collect() }
    }

    /// What a driver is given. `plain_http`: the operator allowed HTTP for this registry.
    pub fn settings(&self, plain_http: bool) -> Settings {
        Settings::new(self.registry_type.clone(), self.fields.clone(), plain_http)
    }

    /// `registryBase`, trimmed; `None` where it is absent or empty.
    pub fn base(&self) -> Option<&str> {
        self.text(Self::BASE)
    }

    /// What tells one registry from another, for what is kept by registry: host and port of `registryBase`, or its text
    /// where that is no address. Without one the type says which registry is meant, with the region where there are several.
    pub fn host(&self) -> String {
        match self.base().map(|base| (base, authority(base))) {
            Some((_, Some(url))) => {
                let port = url.port_or_known_default().unwrap_or(443);
                format!("{}:{port}", url.host_str().unwrap_or_default())
            }
            Some((base, None)) => base.to_owned(),
            None => {
                let registry_type = self.registry_type.to_ascii_lowercase();
                match self.text(Self::REGION) {
                    Some(region) => format!("{registry_type}/{region}"),
                    None => registry_type,
                }
            }
        }
    }

    /// A field that is no secret, trimmed; `None` where it is absent or empty.
    pub fn text(&self, field: &str) -> Option<&str> {
        let text = self.fields.get(field)?.expose_secret().trim();
        (!text.is_empty()).then_some(text)
    }

    /// The same connection, with a field filled in where it has none.
    #[must_use]
    pub fn with_default(mut self, field: &str, value: &str) -> Self {
        if self.text(field).is_none() && !value.is_empty() {
            self.fields.insert(field.to_owned(), SecretString::from(value));
        }
        self
    }

    /// The same connection to another registry.
    #[must_use]
    pub fn with_base(self, base: impl Into<String>) -> Self {
        self.with_field(Self::BASE, base)
    }

    /// The same connection with this value in a field.
    #[must_use]
    pub fn with_field(mut self, field: &str, value: impl Into<String>) -> Self {
        self.fields.insert(field.to_owned(), SecretString::from(value.into()));
        self
    }

    /// The names of its fields that have a value.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str).filter(|field| self.text(field).is_some())
    }

    /// All of it as JSON, to be sealed.
    pub fn to_secret_json(&self) -> SecretSlice<u8> {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        let plain = Plain { registry_type: &self.registry_type, fields };
        serde_json::to_vec(&plain).expect("texts are always written").into()
    }

    /// What [`Connection::to_secret_json`] made; `None` for anything else.
    pub fn from_secret_json(text: &SecretSlice<u8>) -> Option<Self> {
        let plain: Owned = serde_json::from_slice(text.expose_secret()).ok()?;
        Some(Self { registry_type: plain.registry_type, fields: plain.fields })
    }

    /// SHA-256 over type and all fields, with their lengths.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(&self.registry_type.to_ascii_lowercase());
        for (name, value) in &self.fields {
            part(name);
            part(value.expose_secret());
        }
        Fingerprint(hash.finalize().into())
    }
}

impl Fingerprint {
    /// The digest. It is one of secrets, and goes nowhere as it is.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A connection on its way to be sealed.
#[derive(Serialize)]
struct Plain<'a> {
    registry_type: &'a str,
    fields: BTreeMap<&'a str, &'a str>,
}

/// A connection that was sealed.
#[derive(Deserialize)]
struct Owned {
    registry_type: String,
    fields: BTreeMap<String, SecretString>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("registry_type", &self.registry_type)
            .field("fields", &self.fields.keys())
            .finish()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

#[cfg(test)]
mod tests;
