//! What operators see of drivers.

use std::path::PathBuf;

use regent_oci::Digest;
use regent_plugin_api::Description;

use super::isolation::Isolation;
use super::trust::SignatureState;

/// One driver file, or a driver that is linked in.
#[derive(Debug, Clone)]
pub struct DriverInfo {
    /// The file; `None` for a driver that is linked in.
    pub file: Option<PathBuf>,
    /// SHA-256 of the file, where it could be read.
    pub digest: Option<Digest>,
    /// Who has signed it.
    pub signature: SignatureState,
    /// What it says about itself, where that could be read.
    pub description: Option<Description>,
    /// Whether it serves.
    pub state: DriverState,
    /// Where its code runs, or would.
    pub isolation: Isolation,
    /// The number of its own process, while it has one.
    pub pid: Option<u32>,
    /// How often its thread or its process was started anew.
    pub restarts: u32,
}

/// Whether a driver serves, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverState {
    /// It will be loaded at the first request for one of its types.
    Ready,
    /// It is loaded.
    Loaded,
    /// The file is refused.
    Refused {
        /// A stable code, e.g. `not_elf`.
        code: String,
        /// The reason in words.
        reason: String,
    },
    /// It is loaded and serves on, although its file is not there or not in order any more.
    Retained {
        /// What happened to the file.
        why: String,
    },
    /// A higher version of the same driver serves.
    Superseded {
        /// The file of that one.
        by: String,
    },
    /// Another driver claims some of its types, and no binding decides. Its other types are served.
    Ambiguous {
        /// These types.
        types: Vec<String>,
    },
    /// Its bytes are not used: its thread hung too often since the process started, or it was decided.
    Quarantined {
        /// Why.
        reason: String,
        /// Since when, by RFC 3339, where that was noted.
        since: Option<String>,
        /// Until when, by RFC 3339, where it ends by itself.
        until: Option<String>,
    },
    /// It serves again after a quarantine that has ended, and a crash has it quarantined for twice as long.
    OnTrial {
        /// Why it was quarantined, and how often.
        reason: String,
        /// When its quarantine has ended, by RFC 3339.
        since: Option<String>,
    },
    /// An operator does not want it to be used.
    Disabled {
        /// Why.
        reason: String,
        /// Since when, by RFC 3339.
        since: Option<String>,
    },
}

impl DriverInfo {
    /// The file's name, for lists; `(built in)` for a driver that is linked in.
    pub fn label(&self) -> String {
        let name = self.file.as_ref().and_then(|f| f.file_name());
        name.map_or_else(|| "(built in)".to_owned(), |n| n.to_string_lossy().into_owned())
    }

    /// Whether requests for all of its types, or but for those that another driver claims, are served.
    pub fn serves(&self) -> bool {
        use DriverState::{Ambiguous, Loaded, OnTrial, Ready, Retained};
        matches!(self.state, Ready | Loaded | Retained { .. } | OnTrial { .. } | Ambiguous { .. })
    }
}

impl DriverState {
    /// One word: `ready`, `loaded`, `retained`, `refused`, `superseded`, `ambiguous`, `quarantined`, `trial`,
    /// `disabled`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Loaded => "loaded",
            Self::Retained { .. } => "retained",
            Self::Refused { .. } => "refused",
            Self::Superseded { .. } => "superseded",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Quarantined { .. } => "quarantined",
            Self::OnTrial { .. } => "trial",
            Self::Disabled { .. } => "disabled",
        }
    }

    /// Since when it is withheld or on trial, by RFC 3339.
    pub fn since(&self) -> Option<&str> {
        match self {
            Self::Quarantined { since, .. } | Self::OnTrial { since, .. } | Self::Disabled { since, .. } => {
                since.as_deref()
            }
            _ => None,
        }
    }

    /// Until when it is withheld, by RFC 3339, where that ends by itself.
    pub fn until(&self) -> Option<&str> {
        match self {
            Self::Quarantined { until, .. } => until.as_deref(),
            _ => None,
        }
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Why it does not serve, or not all of its types, or not for long, in words.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Retained { why } => Some(why.clone()),
            Self::Superseded { by } => Some(format!("{by} is a higher version of it")),
            Self::Ambiguous { types } => Some(format!(
                "another driver claims {}; bind it with REGENT_DRIVER_BINDINGS",
                types.join(", ")
            )),
            Self::Refused { reason, .. }
            | Self::Quarantined { reason, .. }
            | Self::OnTrial { reason, .. }
            | Self::Disabled { reason, .. } => Some(reason.clone()),
            Self::Ready | Self::Loaded => None,
        }
    }
}
