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
///
/// What the statuses of an API mean is most of what a driver knows about errors:
///
/// ```
/// use regent_plugin_api::Error;
/// use regent_plugin_api::http::StatusCode;
/// use regent_plugin_api::transport::Class;
///
/// fn refused(status: StatusCode) -> Error {
///     match status.as_u16() {
///         401 => Error::credentials_rejected("the registry does not know the token: is it revoked?"),
///         403 => Error::permission_missing("the token may not list: give it the role Reader"),
///         404 => Error::not_found("the registry has no such project"),
///         500.. => Error::new(Class::Unavailable, "unavailable", "the registry is down"),
///         _ => Error::bad_answer(format!("the registry answers {status}")),
///     }
/// }
/// assert_eq!(refused(StatusCode::FORBIDDEN).class(), Class::Denied);
/// ```
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
    ///
    /// ```
    /// use regent_plugin_api::Error;
    /// use regent_plugin_api::transport::{Class, Retry};
    ///
    /// let down = Error::new(Class::Unavailable, "maintenance", "the registry is in maintenance");
    /// assert_eq!(down.retry(), Retry::Backoff);
    /// let none = Error::new(Class::Unsupported, "catalog_unsupported", "the registry has no list of repositories");
    /// assert_eq!(none.retry(), Retry::Never);
    /// ```
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
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use regent_plugin_api::Error;
    /// use regent_plugin_api::transport::{Class, Retry};
    ///
    /// let error = Error::new(Class::Throttled, "throttled", "the registry asks for a pause")
    ///     .with_retry(Retry::After(Duration::from_secs(30))); // as its `Retry-After` says
    /// assert_eq!(error.retry(), Retry::After(Duration::from_secs(30)));
    /// ```
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same error with one more detail.
    ///
    /// ```
    /// use regent_plugin_api::Error;
    ///
    /// let error = Error::permission_missing("the robot may not list: give it the right `repository.list`")
    ///     .with_detail("right", "repository.list");
    /// assert_eq!(error.details["right"], "repository.list");
    /// ```
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// A setting of the connection is missing or unusable. The message names the setting, never its value.
    ///
    /// ```
    /// use regent_plugin_api::Error;
    /// use regent_plugin_api::url::Url;
    ///
    /// let error = Url::parse("https://registry example/")
    ///     .map_err(|_| Error::invalid_setting("registryBase", "is no host"))
    ///     .unwrap_err();
    /// assert_eq!(error.message(), "the connection's registryBase is no host");
    /// assert_eq!(error.code(), "setting_invalid");
    /// ```
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
    ///
    /// ```
    /// # use regent_plugin_api::Error;
    /// assert_eq!(Error::unsupported("tag details").message(), "this driver does not support tag details");
    /// ```
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(Class::Unsupported, "unsupported", format!("this driver does not support {what}"))
    }

    /// A cursor that no page of this listing gave: it comes from an API client.
    ///
    /// ```
    /// use regent_plugin_api::{Cursor, Error, Result};
    ///
    /// fn offset(cursor: &Cursor) -> Result<u64> {
    ///     cursor.0.parse().map_err(|_| Error::invalid_cursor())
    /// }
    /// assert_eq!(offset(&Cursor("200".to_owned()))?, 200);
    /// assert_eq!(offset(&Cursor("../etc".to_owned())).unwrap_err().code(), "cursor_invalid");
    /// # Ok::<(), Error>(())
    /// ```
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
///
/// ```
/// # use regent_plugin_api::testkit::{Exchange, Script};
/// # use regent_plugin_api::transport::{Class, Request, Response, TransportError};
/// # use regent_plugin_api::url::Url;
/// # use regent_plugin_api::{Host, Result};
/// async fn version(host: &Host, base: &Url) -> Result<Response> {
///     Ok(host.http(Request::get(base.clone())).await?)
/// }
/// # let base = Url::parse("https://registry.example.com/").unwrap();
/// let timeout = TransportError::Timeout { host: "registry.example.com".to_owned() };
/// let host = Host::new(Script::new().then(Exchange::get(base.as_str()).fail(timeout)).shared());
/// let error = futures_executor::block_on(version(&host, &base)).unwrap_err();
/// assert_eq!((error.class(), error.code()), (Class::Timeout, "registry_timeout"));
/// ```
impl<E: Fault> From<E> for Error {
    fn from(fault: E) -> Self {
        let (class, code, retry) = (fault.class(), fault.code().to_owned(), fault.retry());
        Self::new(class, code, fault.to_string()).with_retry(retry)
    }
}
