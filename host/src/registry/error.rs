//! Why a registry could not be read.

use regent_oci::Digest;
use regent_transport::{Class, Fault, Retry, TransportError};

use crate::breaker::Sign;
use crate::drivers;

/// Why a registry could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The driver failed, or can't be called.
    #[error(transparent)]
    Driver(#[from] drivers::Error),
    /// The registry failed, or its content is not what it should be.
    #[error("{error}")]
    Registry {
        /// The driver that led there.
        driver: String,
        /// The protocol's error.
        error: Box<regent_distribution::Error>,
    },
    /// Content that a driver served is not what its digest says.
    #[error("driver {driver} served content with digest {actual} for {expected}")]
    Content {
        /// The driver.
        driver: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A blob that a driver served has another size than its descriptor says.
    #[error("driver {driver} served {actual_bytes} bytes for {digest}, which has {expected_bytes}")]
    ContentSize {
        /// The driver.
        driver: String,
        /// The blob.
        digest: Digest,
        /// In its descriptor.
        expected_bytes: u64,
        /// What came; reading stops one piece past the expected size.
        actual_bytes: u64,
    },
    /// A manifest, index or configuration that can't be used.
    #[error("{image} can't be used: {error}")]
    Image {
        /// As it was asked for.
        image: String,
        /// What is wrong.
        error: regent_oci::Error,
    },
    /// Indexes in indexes.
    #[error("{image} is an index of indexes, more than {limit} deep")]
    TooDeep {
        /// As it was asked for.
        image: String,
        /// The limit.
        limit: u32,
    },
    /// An image configuration above its limit.
    #[error("the configuration of {image} has {size_bytes} bytes, more than {limit_bytes}")]
    ConfigTooLarge {
        /// As it was asked for.
        image: String,
        /// In its descriptor.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
}

impl Error {
    pub(super) fn registry(driver: &str, error: regent_distribution::Error) -> Self {
        Self::Registry { driver: driver.to_owned(), error: Box::new(error) }
    }

    /// The driver behind the error, where one was found.
    pub fn driver(&self) -> Option<&str> {
        match self {
            Self::Driver(error) => error.driver(),
            Self::Registry { driver, .. }
            | Self::Content { driver, .. }
            | Self::ContentSize { driver, .. } => Some(driver),
            Self::Image { .. } | Self::TooDeep { .. } | Self::ConfigTooLarge { .. } => None,
        }
    }

    /// What it says of the registry's host.
    pub fn sign(&self) -> Sign {
        match self {
            // Of the driver, not of what it asked.
            Self::Driver(error)
                if !matches!(error, drivers::Error::Call { .. } | drivers::Error::TimedOut { .. }) =>
            {
                Sign::Nothing
            }
            // Of the storage behind the registry, which may lack just this blob.
            Self::Registry { error, .. }
                if matches!(**error, regent_distribution::Error::RedirectTarget { .. }) =>
            {
                Sign::Nothing
            }
            // The limits are of what the registry answered.
            Self::TooDeep { .. } | Self::ConfigTooLarge { .. } => Sign::Alive,
            _ => Sign::of(self),
        }
    }

    /// The transport's error, if it is one.
    pub fn transport(&self) -> Option<&TransportError> {
        match self {
            Self::Registry { error, .. } => match &**error {
                regent_distribution::Error::Transport(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Driver(error) => error.class(),
            Self::Registry { error, .. } => error.class(),
            Self::Content { .. } | Self::ContentSize { .. } => Class::Corrupt,
            Self::Image { error, .. } => match error {
                regent_oci::Error::NoPlatform { .. } => Class::Absent,
                _ => Class::Corrupt,
            },
            Self::TooDeep { .. } | Self::ConfigTooLarge { .. } => Class::Limit,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Driver(error) => error.retry(),
            Self::Registry { error, .. } => error.retry(),
            Self::Content { .. }
            | Self::ContentSize { .. }
            | Self::Image { .. }
            | Self::TooDeep { .. }
            | Self::ConfigTooLarge { .. } => Retry::Never,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Driver(error) => error.code(),
            Self::Registry { error, .. } => error.code(),
            Self::Content { .. } => "digest_mismatch",
            Self::ContentSize { .. } => "size_mismatch",
            Self::Image { error: regent_oci::Error::NoPlatform { .. }, .. } => "platform_absent",
            Self::Image { .. } => "manifest_invalid",
            Self::TooDeep { .. } => "index_too_deep",
            Self::ConfigTooLarge { .. } => "config_too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use regent_distribution::Subject;

    use super::*;

    #[test]
    fn the_driver_and_the_storage_behind_do_not_speak_of_the_registry() {
        use drivers::Error as E;
        let driver = || "d".to_owned();
        let connect = TransportError::Connect { host: "r.example".to_owned(), reason: "refused".to_owned() };
        let target = regent_distribution::Error::RedirectTarget {
            host: "s.example".to_owned(),
            subject: Subject::Registry,
            status: http::StatusCode::FORBIDDEN,
        };
        let rows = [
            (Error::Driver(E::Wedged { driver: driver() }), Sign::Nothing),
            (Error::Driver(E::Busy { driver: driver() }), Sign::Nothing),
            (Error::Driver(E::TimedOut { driver: driver(), after: Duration::from_mins(1) }), Sign::Failing),
            (Error::registry("d", connect.into()), Sign::Failing),
            (Error::registry("d", target), Sign::Nothing),
            (Error::TooDeep { image: "a".to_owned(), limit: 3 }, Sign::Alive),
        ];
        for (error, expected) in rows {
            assert_eq!(error.sign(), expected, "{error}");
        }
    }
}
