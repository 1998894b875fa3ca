//! Why there is no report.

/// What is wrong with the request. Asking again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A scan option has a value that it can't have.
    #[error("scan option {name} {reason}")]
    Option {
        /// The option's name, as on the command line.
        name: &'static str,
        /// What is expected.
        reason: &'static str,
    },
    /// The image's name is none. Told only after the analysis, when the names are computed.
    #[error("invalid image reference format")]
    ImageReference,
    /// A digest that goes into the image's names is none.
    #[error("invalid image digest format in {place}")]
    ImageDigest {
        /// Where it stands.
        place: &'static str,
    },
}
