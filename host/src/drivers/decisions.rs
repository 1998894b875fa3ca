//! What was decided about drivers, and lasts: `drivers.json` in the data directory. An operator decides there
//! (`regent drivers disable|quarantine|enable`), and so does the agent after a crash.
//!
//! It is not in the plugin directory, which the agent may not write to. A driver is disabled by its name, with all its
//! files; a quarantine is of bytes, and ends with them. One that an operator has decided lasts until it is lifted, one
//! after a crash for a while: then the driver is on trial, and the next crash costs it twice as long.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regent_oci::Digest;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::info::DriverState;
use crate::settings::create_private_dir;
use crate::small_file;
use crate::told_time::in_seconds;

/// The file's name, in the data directory.
pub const FILE: &str = "drivers.json";
/// The only form of the file.
const FORMAT: u32 = 1;
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 1000;

/// The longest time that a driver is withheld after a crash.
const LONGEST_QUARANTINE: Duration = Duration::from_hours(24);
/// The time without a crash after which those before don't count any more, from the end of the quarantine.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// Everything that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decisions {
    format: u32,
    /// By the driver's name.
    #[serde(default)]
    disabled: BTreeMap<String, Decision>,
    /// By the digest of the bytes.
    #[serde(default)]
    quarantined: BTreeMap<String, Decision>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    /// When it was made, by RFC 3339.
    since: String,
    /// Why, in words.
    reason: String,
    /// The file that it was made about, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    file: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<Ends>,
}

/// The end of a quarantine after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    /// When, by RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Crashes that led here, this one included.
    crashes: u32,
}

impl Ends {
    /// After one more crash.
    fn after(before: Option<&Self>, now: OffsetDateTime, first: Duration) -> Self {
        let counted = before.filter(|ends| now < ends.at.saturating_add(signed(FORGOTTEN_AFTER)));
        let crashes = counted.map_or(0, |ends| ends.crashes).saturating_add(1);
        let times = 2_u32.saturating_pow(crashes - 1);
        let lasts = first.saturating_mul(times).min(LONGEST_QUARANTINE);
        Self { at: now.saturating_add(signed(lasts)), crashes }
    }
}

fn signed(duration: Duration) -> time::Duration {
    duration.try_into().unwrap_or(time::Duration::MAX)
}

/// What can be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The driver of this name is not to be used.
    Disable {
        /// Its name.
        driver: String,
    },
    /// These bytes are not to be used.
    Quarantine {
        /// Their digest.
        digest: Digest,
        /// The name of their file.
        file: String,
    },
    /// These bytes have crashed the agent, and are not to be used for a while: this long the first time, twice as long after
    /// each further crash, up to a day.
    Suspend {
        /// Their digest.
        digest: Digest,
        /// The name of their file.
        file: String,
        /// For how long, the first time.
        first: Duration,
    },
    /// Neither holds any more for the drivers and bytes.
    Enable {
        /// Names of drivers.
        drivers: Vec<String>,
        /// Digests of files, or names of files that are gone.
        files: Vec<String>,
    },
}

impl Default for Decisions {
    fn default() -> Self {
        Self { format: FORMAT, disabled: BTreeMap::new(), quarantined: BTreeMap::new() }
    }
}

impl Decisions {
    /// Whether the driver is withheld at a time, and how that looks.
    fn of(&self, driver: &str, digest: Option<&Digest>, now: OffsetDateTime) -> Option<DriverState> {
        let quarantined = digest.and_then(|digest| self.quarantined.get(digest.as_str()));
        if let Some(decision) = quarantined.filter(|d| d.holds(now)) {
            let (reason, since) = (decision.reason.clone(), Some(decision.since.clone()));
            let until = decision.ends.as_ref().map(|ends| in_seconds(ends.at));
            return Some(DriverState::Quarantined { reason, since, until });
        }
        let decision = self.disabled.get(driver)?;
        let (reason, since) = (decision.reason.clone(), Some(decision.since.clone()));
        Some(DriverState::Disabled { reason, since })
    }

    /// Whether the driver serves again after a quarantine, and why it was in one.
    fn trial_of(&self, digest: &Digest, now: OffsetDateTime) -> Option<DriverState> {
        let decision = self.quarantined.get(digest.as_str()).filter(|d| !d.holds(now))?;
        let ends = decision.ends.as_ref()?;
        if now >= ends.at.saturating_add(signed(FORGOTTEN_AFTER)) {
            return None;
        }
        let (times, ended, reason) = (ends.crashes, in_seconds(ends.at), &decision.reason);
        let reason = format!("quarantine {times} has ended at {ended}; at its last crash {reason}");
        Some(DriverState::OnTrial { reason, since: Some(ended) })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let decisions: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if decisions.format == FORMAT {
            Ok(decisions)
        } else {
            Err(format!("it has format {}, this program reads {FORMAT}", decisions.format))
        }
    }

    /// How many decisions were made or taken back.
    fn apply(&mut self, change: &Change, reason: &str, now: OffsetDateTime) -> usize {
        let reason = reason.chars().take(MAX_REASON).collect();
        let decision =
            |file: &str| Decision { since: in_seconds(now), reason, file: file.to_owned(), ends: None };
        match change {
            Change::Disable { driver } => {
                self.disabled.insert(driver.clone(), decision(""));
                1
            }
            Change::Quarantine { digest, file } => {
                self.quarantined.insert(digest.to_string(), decision(file));
                1
            }
            Change::Suspend { digest, file, first } => {
                let known = self.quarantined.get(digest.as_str());
                if known.is_some_and(|known| known.ends.is_none()) {
                    return 0; // an operator has decided that it does not end
                }
                let before = known.and_then(|known| known.ends.as_ref());
                let ends = Some(Ends::after(before, now, *first));
                self.quarantined.insert(digest.to_string(), Decision { ends, ..decision(file) });
                1
            }
            Change::Enable { drivers, files } => {
                let before = self.disabled.len() + self.quarantined.len();
                self.disabled.retain(|name, _| !drivers.contains(name));
                self.quarantined.retain(|digest, d| !files.contains(digest) && !files.contains(&d.file));
                before - self.disabled.len() - self.quarantined.len()
            }
        }
    }
}

impl Decision {
    fn holds(&self, now: OffsetDateTime) -> bool {
        self.ends.as_ref().is_none_or(|ends| now < ends.at)
    }
}

/// Makes a decision, or takes some back, durably; running agents notice. Returns how many it was about.
///
/// # Errors
/// The data directory can't be written, or holds a file that is not understood.
pub fn decide(data_dir: &Path, change: &Change, reason: &str) -> io::Result<usize> {
    create_private_dir(data_dir)?;
    let path = data_dir.join(FILE);
    small_file::change(&path, 0o600, |known| {
        let mut decisions = match known {
            None => Decisions::default(),
            Some(text) => Decisions::parse(&text)
                .map_err(|why| io::Error::other(format!("{} is damaged: {why}", path.display())))?,
        };
        let n = decisions.apply(change, reason, OffsetDateTime::now_utc());
        Ok((serde_json::to_string_pretty(&decisions)? + "\n", n))
    })
}

/// The decisions as they are now, read again when their file changes.
#[derive(Debug, Default)]
pub(super) struct Decided {
    file: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    at: At,
    has_failed: bool,
    view: Arc<View>,
}

/// Which file was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// None yet, or it could not be looked at.
    #[default]
    Unknown,
    /// There was none.
    Missing,
    /// Inode, size, time of the last change.
    File(u64, u64, i64, i64),
}

/// What is known of the decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    Known(Decisions),
    /// There are some, and no one knows which.
    Unknown(String),
}

impl Default for View {
    fn default() -> Self {
        Self::Known(Decisions::default())
    }
}

impl View {
    /// Whether the driver is withheld, and how that looks. While no one knows, all are: one of them may be in quarantine
    /// for good reason.
    pub(super) fn of(&self, driver: &str, digest: Option<&Digest>) -> Option<DriverState> {
        match self {
            Self::Known(decisions) => decisions.of(driver, digest, OffsetDateTime::now_utc()),
            Self::Unknown(reason) => {
                Some(DriverState::Refused { code: "decisions_unreadable".to_owned(), reason: reason.clone() })
            }
        }
    }

    /// Whether the driver serves again after a quarantine, and why it was in one.
    pub(super) fn trial_of(&self, digest: Option<&Digest>) -> Option<DriverState> {
        let Self::Known(decisions) = self else { return None };
        decisions.trial_of(digest?, OffsetDateTime::now_utc())
    }
}

impl Decided {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, seen: Mutex::default() }
    }

    /// Blocking, for one look at the file's metadata.
    pub(super) fn now(&self) -> Arc<View> {
        let Some(file) = &self.file else { return Arc::default() };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match file.metadata() {
            Ok(m) => Ok(At::File(m.ino(), m.size(), m.ctime(), m.ctime_nsec())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(At::Missing),
            Err(error) => Err(error),
        };
        let now = *at.as_ref().unwrap_or(&At::Unknown);
        if now == seen.at && now != At::Unknown {
            return Arc::clone(&seen.view);
        }
        let read = at.and_then(|at| match at {
            At::File(..) => Decisions::parse(&std::fs::read_to_string(file)?).map_err(io::Error::other),
            At::Missing | At::Unknown => Ok(Decisions::default()),
        });
        match read {
            Ok(decisions) => {
                *seen = Seen { at: now, has_failed: false, view: Arc::new(View::Known(decisions)) };
            }
            Err(error) => {
                if !seen.has_failed {
                    tracing::error!(file = %file.display(), %error, "decisions about drivers can't be read");
                }
                // What was decided before holds on; of the first look there is no before.
                if seen.at == At::Unknown && !seen.has_failed {
                    let reason = format!("{} can't be read ({error}): mend or remove it", file.display());
                    seen.view = Arc::new(View::Unknown(reason));
                }
                (seen.at, seen.has_failed) = (now, true);
            }
        }
        Arc::clone(&seen.view)
    }
}

#[cfg(test)]
mod tests;
