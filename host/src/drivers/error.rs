//! Why a driver can't serve, or a call of it failed.

use std::fmt;
use std::time::Duration;

use regent_plugin_api::Error as CallError;
use regent_transport::{Class, Fault, Retry};

use super::budget::Breach;

/// One file that was looked at for a type, and why it does not serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReason {
    /// The file's name.
    pub file: String,
    /// The reason in words.
    pub reason: String,
}

/// Why there is no session, or a call of its driver failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No driver claims the type.
    #[error("no driver serves connections of type {registry_type:?}; there are {}", types(available))]
    UnknownType {
        /// The type as the connection spelled it.
        registry_type: String,
        /// Types that can be served.
        available: Vec<String>,
        /// Files that were looked at and refused.
        refused: Vec<FileReason>,
    },
    /// Several drivers claim the type.
    #[error(
        "several drivers claim type {registry_type:?} ({}): name one in REGENT_DRIVER_BINDINGS",
        claimants(candidates)
    )]
    Ambiguous {
        /// The type as the connection spelled it.
        registry_type: String,
        /// Their files; the reason is the driver's name and version.
        candidates: Vec<FileReason>,
    },
    /// Drivers for the type are there, and none can be loaded.
    #[error("no driver for type {registry_type:?} can be loaded: {}", reasons(looked_at))]
    Unloadable {
        /// The type as the connection spelled it.
        registry_type: String,
        /// Every file that was looked at.
        looked_at: Vec<FileReason>,
    },
    /// The driver answered with an error.
    #[error("{error}")]
    Call {
        /// The driver's name.
        driver: String,
        /// Its error.
        error: CallError,
    },
    /// The driver did not answer in time.
    #[error("driver {driver} did not answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// The driver's name.
        driver: String,
        /// The time that it had.
        after: Duration,
    },
    /// The driver asked its host for more than it gets, and the call failed over it.
    #[error("driver {driver} asks for {breach}")]
    Exceeded {
        /// The driver's name.
        driver: String,
        /// The bound.
        breach: Breach,
    },
    /// More calls at once than a driver gets.
    #[error("driver {driver} has too many calls at once")]
    Busy {
        /// The driver's name.
        driver: String,
    },
    /// The driver's thread hung in a call and was given up, with all sessions on it.
    #[error("driver {driver} hung and was started anew: the session is gone")]
    Wedged {
        /// The driver's name.
        driver: String,
    },
    /// The driver's process has ended, with all sessions and calls in it.
    #[error("the process of driver {driver} is gone: {how}")]
    Crashed {
        /// The driver's name.
        driver: String,
        /// How it has ended, e.g. `it crashed with SIGSEGV`.
        how: String,
    },
    /// The driver's thread hung too often, its process ended too often, or its bytes are quarantined.
    #[error("driver {driver} {}", quarantine(why.as_deref(), until.as_deref()))]
    Quarantined {
        /// The driver's name.
        driver: String,
        /// Why, where it was decided.
        why: Option<String>,
        /// Until when, by RFC 3339, where it ends by itself.
        until: Option<String>,
    },
}

impl Error {
    /// Its thread hung too often.
    pub(super) fn out_of_use(driver: &str) -> Self {
        Self::Quarantined { driver: driver.to_owned(), why: None, until: None }
    }

    /// The driver at fault, where one was found.
    pub fn driver(&self) -> Option<&str> {
        match self {
            Self::UnknownType { .. } | Self::Ambiguous { .. } | Self::Unloadable { .. } => None,
            Self::Call { driver, .. }
            | Self::TimedOut { driver, .. }
            | Self::Exceeded { driver, .. }
            | Self::Busy { driver }
            | Self::Wedged { driver }
            | Self::Crashed { driver, .. }
            | Self::Quarantined { driver, .. } => Some(driver),
        }
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::UnknownType { .. } | Self::Ambiguous { .. } => Class::Invalid,
            Self::Unloadable { .. }
            | Self::Wedged { .. }
            | Self::Crashed { .. }
            | Self::Quarantined { .. } => Class::Unavailable,
            Self::Call { error, .. } => error.class(),
            Self::TimedOut { .. } => Class::Timeout,
            Self::Busy { .. } | Self::Exceeded { .. } => Class::Limit,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::UnknownType { .. }
            | Self::Ambiguous { .. }
            | Self::Unloadable { .. }
            | Self::Exceeded { .. }
            | Self::Quarantined { .. } => Retry::Never,
            Self::Call { error, .. } => error.retry(),
            Self::TimedOut { .. } | Self::Busy { .. } | Self::Wedged { .. } | Self::Crashed { .. } => {
                Retry::Backoff
            }
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::UnknownType { .. } => "driver_unknown",
            Self::Ambiguous { .. } => "type_ambiguous",
            Self::Unloadable { .. } => "driver_unavailable",
            Self::Call { error, .. } => error.code(),
            Self::TimedOut { .. } => "driver_timeout",
            Self::Exceeded { .. } => "driver_limit_exceeded",
            Self::Busy { .. } => "driver_busy",
            Self::Wedged { .. } => "driver_wedged",
            Self::Crashed { .. } => "driver_crashed",
            Self::Quarantined { .. } => "driver_quarantined",
        }
    }
}

impl fmt::Display for FileReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.reason)
    }
}

fn quarantine(why: Option<&str>, until: Option<&str>) -> String {
    match (why, until) {
        (None, _) => {
            "hung or crashed too often and is out of use until its file changes or the agent is restarted"
                .to_owned()
        }
        (Some(why), None) => format!("is quarantined until it is enabled: {why}"),
        (Some(why), Some(until)) => format!("is quarantined until {until}: {why}"),
    }
}

fn types(available: &[String]) -> String {
    if available.is_empty() { "none".to_owned() } else { available.join(", ") }
}

fn reasons(files: &[FileReason]) -> String {
    files.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn claimants(files: &[FileReason]) -> String {
    files.iter().map(|f| format!("{} is {}", f.file, f.reason)).collect::<Vec<_>>().join(", ")
}
