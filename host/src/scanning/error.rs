//! Why an image could not be scanned.

use regent_transport::{Class, Fault, Retry};

use crate::breaker::Sign;
use crate::registry;

/// Why an image could not be scanned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry, or the driver.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A layer's content.
    #[error(transparent)]
    Layer(#[from] regent_scan::Error),
    /// The image is larger than allowed. No layer was fetched.
    #[error("the layers of {image} have {size_bytes} bytes, more than the {limit_bytes} allowed")]
    ImageTooLarge {
        /// As it was asked for.
        image: String,
        /// Sum of the layers' sizes in the manifest.
        size_bytes: u64,
        /// `SNYK_MAX_IMAGE_SIZE_IN_BYTES`.
        limit_bytes: u64,
    },
    /// An analyzer panicked, or the program is shutting down.
    #[error("the scan was stopped before its end")]
    Stopped,
}

impl Error {
    /// The driver behind the error, where one was found.
    pub fn driver(&self) -> Option<&str> {
        match self {
            Self::Registry(error) => error.driver(),
            Self::Layer(_) | Self::ImageTooLarge { .. } | Self::Stopped => None,
        }
    }

    /// What it says of the registry's host.
    pub fn sign(&self) -> Sign {
        match self {
            Self::Registry(error) => error.sign(),
            Self::Layer(_) | Self::Stopped => Sign::of(self),
            // So says the manifest that it answered with.
            Self::ImageTooLarge { .. } => Sign::Alive,
        }
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Registry(error) => error.class(),
            Self::Layer(regent_scan::Error::Read { .. }) => Class::Unavailable,
            Self::Layer(regent_scan::Error::Limit { .. }) | Self::ImageTooLarge { .. } => Class::Limit,
            Self::Layer(_) => Class::Corrupt,
            Self::Stopped => Class::Internal,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Registry(error) => error.retry(),
            Self::Layer(regent_scan::Error::Read { .. }) => Retry::Backoff,
            Self::Layer(_) | Self::ImageTooLarge { .. } | Self::Stopped => Retry::Never,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Registry(error) => error.code(),
            Self::Layer(error) => error.code(),
            Self::ImageTooLarge { .. } => "image_too_large",
            Self::Stopped => "scan_stopped",
        }
    }
}
