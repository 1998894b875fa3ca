//! The one error type of drivers.

use std::collections::BTreeMap;
use std::fmt;

use regent_transport::{Class, Fault, Retry};

/// What a driver's methods return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a driver call failed: a class that the host acts on, a stable code, one sentence for the operator.
///
/// The message names the object and what to check or grant next. It never holds a secret, an upstream body, or a
/// header: it is shown to operators and sent to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    class: Class,
    code: String,
    message: String,
    retry: Retry,
    /// More, by name. Unknown names are ignored by the host.
    pub details: BTreeMap<String, String>,
}

impl Error {
    /// The longest message that crosses the ABI, in bytes. Longer ones are cut.
    pub const MAX_MESSAGE_BYTES: usize = 1024;

    /// An error of this class. `code` is stable: lower case and underscores.
    pub fn new(class: Class, code: impl Into<String>, message: impl Into<String>) -> Self {
        let retry = match class {
            Class::Throttled | Class::Unavailable | Class::Timeout => Retry::Backoff,
            _ => Retry::Never,
        };
        let mut message = message.into();
        if message.len() > Self::MAX_MESSAGE_BYTES {
            let mut end = Self::MAX_MESSAGE_BYTES;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
        }
        Self { class, code: code.into(), message, retry, details: BTreeMap::new() }
    }

    /// The same error with another word on retrying than its class implies.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// A setting of the connection is missing or unusable. The message names the setting, never its value.
    pub fn invalid_setting(name: &str, why: impl fmt::Display) -> Self {
        Self::new(Class::Invalid, "setting_invalid", format!("the connection's {name} {why}"))
            .with_detail("setting", name)
    }

    /// The registry does not know these credentials.
    pub fn credentials_rejected(message: impl Into<String>) -> Self {
        Self::new(Class::Authentication, "credentials_rejected", message)
    }

    /// The credentials lack a right; the message names the right to grant.
    pub fn permission_missing(message: impl Into<String>) -> Self {
        Self::new(Class::Denied, "permission_missing", message)
    }

    /// No such repository or tag, or the credentials may not see it.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::Absent, "not_found", message)
    }

    /// The registry, or this driver, has no way to do it.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(Class::Unsupported, "unsupported", format!("this driver does not support {what}"))
    }

    /// A cursor that no page of this listing gave: it comes from an API client.
    pub fn invalid_cursor() -> Self {
        Self::new(Class::Invalid, "cursor_invalid", "the place to go on from is none that this listing gave")
    }

    /// An answer that breaks the registry's own protocol.
    pub fn bad_answer(message: impl Into<String>) -> Self {
        Self::new(Class::Corrupt, "registry_answer_invalid", message)
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence for the operator.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether and when to try again.
    pub fn retry(&self) -> Retry {
        self.retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Any error of the core crates becomes a driver's error with its class, code and retry kept, so that `?` works on
/// everything from `regent-distribution` and on transport errors. (`Error` itself does not implement
/// [`std::error::Error`], as `anyhow::Error` does not, so that this blanket conversion can exist.)
impl<E: Fault> From<E> for Error {
    fn from(fault: E) -> Self {
        let (class, code, retry) = (fault.class(), fault.code().to_owned(), fault.retry());
        Self::new(class, code, fault.to_string()).with_retry(retry)
    }
}
