//! Why a command failed, and its exit code.

use std::fmt;
use std::process::ExitCode;

use http::StatusCode;
use regent_transport::{Class, Fault};

use crate::causes::chain;

/// Why a command failed: one line for people, and the number for scripts.
#[derive(Debug)]
pub struct Failure {
    code: String,
    message: String,
    exit: u8,
}

impl Failure {
    /// The command was called the wrong way.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: "usage".to_owned(), message: message.into(), exit: 2 }
    }

    /// Something that the command names is not there.
    pub(super) fn not_there(message: impl Into<String>) -> Self {
        Self { code: "not_found".to_owned(), message: message.into(), exit: 4 }
    }

    /// A driver file that is not taken.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { code: "driver_refused".to_owned(), message: message.into(), exit: 6 }
    }

    /// No agent answers where one should.
    pub(super) fn no_agent(message: impl Into<String>) -> Self {
        Self { code: "agent_unreachable".to_owned(), message: message.into(), exit: 5 }
    }

    /// A problem that an agent answered with this status.
    pub(super) fn answered(status: StatusCode, code: &str, detail: &str) -> Self {
        let class = match status.as_u16() {
            401 | 403 => Class::Denied,
            404 => Class::Absent,
            413 | 422 | 507 => Class::Limit,
            429 | 502..=504 => Class::Unavailable,
            _ => Class::Invalid,
        };
        Self { code: code.to_owned(), message: detail.to_owned(), exit: Self::number(class, code) }
    }

    /// Anything that scripts don't tell apart.
    pub(super) fn other(message: impl Into<String>) -> Self {
        Self { code: "failed".to_owned(), message: message.into(), exit: 1 }
    }

    /// A failure that another process has told of, with its exit code.
    pub(super) fn told(exit: u8) -> Self {
        Self { code: String::new(), message: String::new(), exit }
    }

    /// Whether it is still to be told of.
    pub(super) fn is_news(&self) -> bool {
        !self.message.is_empty()
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }

    #[cfg(test)]
    pub(super) fn exit(&self) -> u8 {
        self.exit
    }

    /// The exit code of an error of this class and code.
    fn number(class: Class, code: &str) -> u8 {
        let of_a_driver = [
            "driver_unknown",
            "driver_unavailable",
            "type_ambiguous",
            "driver_quarantined",
            "driver_wedged",
            "driver_crashed",
        ];
        match class {
            _ if of_a_driver.contains(&code) => 6,
            Class::Authentication | Class::Denied => 3,
            Class::Absent => 4,
            Class::Unavailable | Class::Timeout | Class::Throttled => 5,
            Class::Limit => 7,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Failure {
    /// What an error of Regent's own crates comes to: its causes in one line, its code, its class's exit code.
    fn of(fault: &dyn Fault) -> Self {
        Self {
            code: fault.code().to_owned(),
            message: chain(fault),
            exit: Self::number(fault.class(), fault.code()),
        }
    }
}

macro_rules! from_faults {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(fault: $error) -> Self {
                Self::of(&fault)
            }
        }
    )+};
}

from_faults!(
    crate::connection::ConnectionError,
    crate::drivers::Error,
    crate::layout::Error,
    crate::registry::Error,
    crate::scanning::Error,
    crate::serve::Error,
);

macro_rules! from_plain {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::other(error.to_string())
            }
        }
    )+};
}

from_plain!(std::io::Error, serde_json::Error, regent_report::Error);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_can_tell_the_classes_apart() {
        let rows = [
            (Class::Authentication, "credentials_rejected", 3),
            (Class::Denied, "permission_missing", 3),
            (Class::Absent, "not_found", 4),
            (Class::Unavailable, "registry_unavailable", 5),
            (Class::Timeout, "registry_timeout", 5),
            (Class::Throttled, "rate_limited", 5),
            (Class::Invalid, "driver_unknown", 6),
            (Class::Unavailable, "driver_unavailable", 6),
            (Class::Limit, "image_too_large", 7),
            (Class::Corrupt, "digest_mismatch", 1),
        ];
        for (class, code, exit) in rows {
            assert_eq!(Failure::number(class, code), exit, "{code}");
        }
    }
}
