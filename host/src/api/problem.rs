//! Errors → what an operator reads: RFC 9457 problems. The only place where it is made.

use http::StatusCode;
use regent_transport::{Class, Fault, Retry};
use serde::{Deserialize, Serialize};

use super::code::code;
use crate::causes::chain;

/// The media type of a [`Problem`] (RFC 9457 §3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem, as answers, operations and callbacks carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stable code (RFC 9457's `type`, as a reference relative to the documentation).
    #[serde(rename = "type")]
    pub code: String,
    /// What the code is, in a few words.
    pub title: Box<str>,
    /// The HTTP status.
    pub status: u16,
    /// One sentence that an operator can act on.
    pub detail: String,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The driver that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Box<str>>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Seconds after which to try again, for the header `Retry-After`.
    #[serde(skip)]
    pub retry_after_secs: Option<u32>,
    /// For the header `Allow`.
    #[serde(skip)]
    pub allow: Option<Methods>,
}

/// The methods that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// GET and HEAD.
    Read,
    /// GET, HEAD and DELETE.
    ReadOrDrop,
    /// POST.
    Post,
}

impl Methods {
    /// As the header has them (RFC 9110 §10.2.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "GET, HEAD",
            Self::ReadOrDrop => "GET, HEAD, DELETE",
            Self::Post => "POST",
        }
    }
}

impl Problem {
    /// A problem with this code and detail. A code that is not in the table is a fault of ours and reads so.
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        let row = code(name).or_else(|| code("internal"));
        let (status, title) = row.map_or((500, ""), |row| (row.status, row.title));
        Self {
            code: name.to_owned(),
            title: title.into(),
            status,
            detail: bounded(&detail.into()),
            instance: None,
            driver: None,
            retryable: matches!(status, 429 | 502 | 503 | 504),
            retry_after_secs: None,
            allow: None,
        }
    }

    /// The problem that an error of any of Regent's crates is. Faults of ours are logged in full and answered plainly.
    pub fn of(fault: &dyn Fault) -> Self {
        Self::from_parts(fault.code(), fault.class(), fault.retry(), &chain(fault))
    }

    /// The problem that a driver's error is; its message is already meant for operators.
    pub fn of_driver(error: &regent_plugin_api::Error) -> Self {
        Self::from_parts(error.code(), error.class(), error.retry(), error.message())
    }

    /// The same problem, naming the driver that was asked.
    #[must_use]
    pub fn with_driver(mut self, driver: &str) -> Self {
        self.driver = Some(driver.into());
        self
    }

    /// The same problem, naming the request.
    #[must_use]
    pub fn with_instance(mut self, request_id: &str) -> Self {
        self.instance = Some(request_id.to_owned());
        self
    }

    /// The status; one that is none is 500.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn from_parts(name: &str, class: Class, retry: Retry, detail: &str) -> Self {
        if class == Class::Internal {
            tracing::error!(code = name, error = detail, "internal error");
        }
        let detail = match class {
            // What a driver did wrong is told by the host, in words of its own.
            Class::Internal if name != regent_plugin_api::bounds::CONTRACT_BROKEN => {
                "the agent failed; its log has the cause under this request's id"
            }
            _ => detail,
        };
        let mut problem = Self::new(name, detail);
        if code(name).is_none() {
            problem.status = status_of(class);
            problem.title = title_of(class).into();
        }
        problem.retryable = retry != Retry::Never;
        problem.retry_after_secs = match retry {
            Retry::Never => None,
            Retry::Backoff => matches!(problem.status, 429 | 503).then_some(30),
            Retry::After(time) => Some(u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)),
        };
        problem
    }
}

/// The status of a driver's own code.
fn status_of(class: Class) -> u16 {
    match class {
        Class::Authentication => 401,
        Class::Denied | Class::Refused => 403,
        Class::Absent => 404,
        Class::Throttled => 429,
        Class::Timeout => 504,
        Class::Unavailable | Class::Corrupt => 502,
        Class::Unsupported => 501,
        Class::Limit => 422,
        Class::Invalid => 400,
        // `Internal`; and the enum is open, what this build does not know is a fault of ours.
        _ => 500,
    }
}

/// The title of a driver's own code.
fn title_of(class: Class) -> &'static str {
    match class {
        Class::Authentication => "The credentials don't work",
        Class::Denied => "The credentials lack a right",
        Class::Absent => "Not there, or not to be seen",
        Class::Throttled => "The registry throttles",
        Class::Unavailable => "The registry fails",
        Class::Timeout => "The registry did not answer in time",
        Class::Corrupt => "What came can't be used",
        Class::Unsupported => "Not possible with this registry",
        Class::Limit => "A limit was reached",
        Class::Refused => "A rule of the operator forbids it",
        Class::Invalid => "The request or a setting is wrong",
        _ => "The agent failed",
    }
}

/// At most a screenful, and no control characters: some words come from registries.
fn bounded(detail: &str) -> String {
    const MAX_CHARS: usize = 2000;
    detail.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use regent_transport::TransportError;

    use super::super::code::CODES;
    use super::*;

    #[test]
    fn the_table_of_codes_is_sorted_without_duplicates_and_every_code_has_a_remedy() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        for row in CODES {
            assert!(
                StatusCode::from_u16(row.status).is_ok_and(|s| s.is_client_error() || s.is_server_error())
            );
            assert!(row.remedy.ends_with('.') && !row.title.is_empty(), "{}", row.code);
        }
    }

    #[test]
    fn every_transport_error_has_its_own_row() {
        let (host, reason) = (|| "r.example:443".to_owned(), || "x".to_owned());
        let rows = [
            (TransportError::Refused { host: host(), rule: reason() }, 403, false),
            (TransportError::Invalid { reason: reason() }, 400, false),
            (TransportError::Connect { host: host(), reason: reason() }, 502, true),
            (TransportError::Tls { host: host(), reason: reason() }, 502, false),
            (TransportError::Timeout { host: host() }, 504, true),
            (TransportError::Broken { host: host(), reason: reason() }, 502, true),
            (TransportError::TooLarge { host: host(), limit_bytes: 1 }, 502, false),
        ];
        for (error, status, retryable) in rows {
            let problem = Problem::of(&error);
            assert!(code(&problem.code).is_some(), "{}", problem.code);
            assert_eq!((problem.status, problem.retryable), (status, retryable), "{error}");
        }
    }

    #[test]
    fn a_drivers_own_code_gets_its_status_from_its_class() {
        use regent_plugin_api::Error;
        for class in Class::ALL {
            let problem =
                Problem::of_driver(&Error::new(class, "quota_of_my_own", "the project's quota is used up"));
            assert_eq!(problem.code, "quota_of_my_own");
            assert_eq!(problem.status, status_of(class));
            assert_eq!(problem.detail.contains("quota"), class != Class::Internal, "{class:?}");
        }
        let throttled = Error::new(Class::Throttled, "rate_limited", "slow down")
            .with_retry(Retry::After(Duration::from_secs(7)));
        assert_eq!(Problem::of_driver(&throttled).retry_after_secs, Some(7));
    }

    #[test]
    fn details_are_bounded_and_free_of_control_characters() {
        let problem = Problem::new("not_found", format!("a\r\nb{}", "x".repeat(5000)));
        assert!(problem.detail.starts_with("a  bx"));
        assert_eq!(problem.detail.len(), 2000);
    }
}
