//! How errors are sorted, the same on both sides of the ABI.
//!
//! Every error of Regent answers two questions, and policies (retries, circuit breakers, HTTP answers) read these
//! and nothing else.

use std::time::Duration;

/// What kind of thing went wrong, from the point of view of whoever has to act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The credentials are wrong, expired or missing.
    Authentication,
    /// The credentials are good and do not permit this.
    Denied,
    /// It is not there, or the credentials may not see it.
    Absent,
    /// Asked too often.
    Throttled,
    /// The other side can't be reached or is failing.
    Unavailable,
    /// The other side did not answer in time.
    Timeout,
    /// What came is not what it should be: wrong digest, broken document, broken protocol.
    Corrupt,
    /// The other side has no way to do this.
    Unsupported,
    /// A limit that protects this process was reached.
    Limit,
    /// A rule of the operator forbids it (egress).
    Refused,
    /// The request or a setting is wrong.
    Invalid,
    /// A fault of our own.
    Internal,
}

/// Whether and when trying again makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request will fail the same way.
    Never,
    /// After the usual backoff.
    Backoff,
    /// Not before this time has passed: the other side said so.
    After(Duration),
}

/// An error that knows its class, whether to retry, and its stable code.
pub trait Fault: std::error::Error {
    /// What kind of thing went wrong.
    fn class(&self) -> Class;
    /// Whether and when to try again.
    fn retry(&self) -> Retry;
    /// A stable, documented code such as `digest_mismatch`. Lower case with underscores.
    fn code(&self) -> &str;
}

impl Class {
    /// All classes, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::Authentication,
        Self::Denied,
        Self::Absent,
        Self::Throttled,
        Self::Unavailable,
        Self::Timeout,
        Self::Corrupt,
        Self::Unsupported,
        Self::Limit,
        Self::Refused,
        Self::Invalid,
        Self::Internal,
    ];

    /// The number that stands for it across the ABI. Never reused.
    pub fn number(self) -> u32 {
        match self {
            Self::Authentication => 1,
            Self::Denied => 2,
            Self::Absent => 3,
            Self::Throttled => 4,
            Self::Unavailable => 5,
            Self::Timeout => 6,
            Self::Corrupt => 7,
            Self::Unsupported => 8,
            Self::Limit => 9,
            Self::Refused => 10,
            Self::Invalid => 11,
            Self::Internal => 12,
        }
    }

    /// The class with this number; an unknown one, from a newer driver, is [`Class::Internal`].
    pub fn from_number(number: u32) -> Self {
        Self::ALL.into_iter().find(|c| c.number() == number).unwrap_or(Self::Internal)
    }
}
