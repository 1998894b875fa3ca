//! Why a registry of Google's could not be read.

use regent_distribution::Error as ProtocolError;
use regent_transport::{Class, Fault, Retry};

/// What this crate's calls fail with. No message holds a part of a key, a token, or a foreign body.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A setting of the connection is missing or unusable.
    #[error("the connection's {name} {reason}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// What is wrong with it, as the rest of a sentence.
        reason: String,
    },
    /// The password is no key of a service account.
    #[error("the connection's password is no usable key of a service account: {reason}")]
    KeyUnusable {
        /// What is wrong, without quoting it.
        reason: String,
    },
    /// Google does not take what the key has signed.
    #[error(
        "google does not accept the service account's key{}: check that the key and its service account are there and \
         enabled, and that this machine's clock is right",
        shown(code.as_deref())
    )]
    KeyRejected {
        /// Google's word for it (RFC 6749 §5.2), such as `invalid_grant`.
        code: Option<String>,
    },
    /// The credentials are good and do not permit it.
    #[error("{what}; {advice}")]
    RightMissing {
        /// What they do not permit.
        what: String,
        /// What to grant, or to enable.
        advice: String,
    },
    /// Everything else, as the protocol has it.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

fn shown(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" ({code})"))
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Setting { .. } => Class::Invalid,
            Self::KeyUnusable { .. } | Self::KeyRejected { .. } => Class::Authentication,
            Self::RightMissing { .. } => Class::Denied,
            Self::Protocol(error) => error.class(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Protocol(error) => error.retry(),
            _ => Retry::Never,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Setting { .. } => "setting_invalid",
            Self::KeyUnusable { .. } | Self::KeyRejected { .. } => "credentials_rejected",
            Self::RightMissing { .. } => "permission_missing",
            Self::Protocol(error) => error.code(),
        }
    }
}
