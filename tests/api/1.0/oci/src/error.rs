//! What can be wrong with a piece of text or a document, told so that its sender can mend it.

use std::fmt;

/// A name, digest, reference or document that breaks its specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that does not match its grammar.
    #[error("{what} {input:?} {rule}")]
    Grammar {
        /// What the text should have been, e.g. `"repository name"`.
        what: &'static str,
        /// The text, shortened to 80 characters.
        input: String,
        /// The rule it breaks.
        rule: Rule,
    },
    /// A manifest, index or config that is no such document.
    #[error("{what} is not usable: {reason}")]
    Document {
        /// Which document, e.g. `"manifest"`.
        what: &'static str,
        /// What is wrong with it. Names fields and positions, never quotes the document.
        reason: String,
    },
    /// No image of the wanted platform in an index.
    #[error("no image for {wanted}; the index has {}", list(available))]
    NoPlatform {
        /// The platform asked for.
        wanted: String,
        /// The platforms that are there.
        available: Vec<String>,
    },
    /// Bytes that do not have the digest they are named by.
    #[error("content has digest {actual}, expected {expected}")]
    DigestMismatch {
        /// The digest asked for.
        expected: crate::Digest,
        /// The digest of what came.
        actual: crate::Digest,
    },
}

/// The rule that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Nothing there.
    Empty,
    /// Longer than the limit, in bytes.
    TooLong(usize),
    /// A byte that may not stand at this offset.
    Character(usize),
    /// A path component that is empty, or begins or ends with a separator; the offset of the component.
    Component(usize),
    /// No `:` between algorithm and encoded part.
    NoAlgorithm,
    /// An algorithm other than sha256 and sha512.
    UnknownAlgorithm,
    /// The wrong number of hex digits; the right number.
    Length(usize),
    /// Neither tag nor digest.
    NoReference,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong(limit) => write!(f, "is longer than {limit} characters"),
            Self::Character(at) => write!(f, "has a character that is not allowed at offset {at}"),
            Self::Component(at) => {
                write!(
                    f,
                    "has an empty component, or one that begins or ends with a separator, at offset {at}"
                )
            }
            Self::NoAlgorithm => f.write_str("does not begin with an algorithm and a colon"),
            Self::UnknownAlgorithm => f.write_str("has an algorithm other than sha256 and sha512"),
            Self::Length(n) => write!(f, "does not have exactly {n} lower-case hex digits"),
            Self::NoReference => f.write_str("has neither a tag nor a digest"),
        }
    }
}

impl Error {
    pub(crate) fn grammar(what: &'static str, input: &str, rule: Rule) -> Self {
        Self::Grammar { what, input: input.chars().take(80).collect(), rule }
    }

    pub(crate) fn document(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Document { what, reason: reason.into() }
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
