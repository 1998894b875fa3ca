//! Which driver serves a type.

use std::collections::BTreeMap;
use std::sync::Arc;

use regent_plugin_api::Description;

use super::{Entry, Snapshot};
use crate::drivers::decisions::View;
use crate::drivers::error::{Error, FileReason};
use crate::drivers::info::{DriverInfo, DriverState};
use crate::drivers::isolation::Isolation;

/// How files are named: what stands between these names the driver.
const PREFIX: &str = "libregent_driver_";

/// A snapshot with the operator's bindings and decisions.
pub(in crate::drivers) struct Choice<'a> {
    pub(in crate::drivers) snapshot: &'a Snapshot,
    /// Lower-case type → name of a driver.
    pub(in crate::drivers) bindings: &'a BTreeMap<String, String>,
    /// Which drivers are not to be used.
    pub(in crate::drivers) decided: &'a View,
}

type Described<'a> = (&'a Arc<Entry>, &'a Description);

impl<'a> Choice<'a> {
    /// The entry that serves a type.
    ///
    /// # Errors
    /// [`Error::UnknownType`], [`Error::Ambiguous`], [`Error::Unloadable`].
    pub(in crate::drivers) fn of(&self, registry_type: &str) -> Result<&'a Arc<Entry>, Error> {
        let claimants: Vec<Described<'a>> =
            self.serving().into_iter().filter(|(_, d)| d.serves_type(registry_type)).collect();
        if let Some(bound) = self.bindings.get(&registry_type.to_ascii_lowercase()) {
            let found = claimants.iter().find(|(_, d)| d.name == *bound);
            return found.map(|(e, _)| *e).ok_or_else(|| self.unbound(registry_type, bound));
        }
        match claimants.as_slice() {
            [] => Err(self.none(registry_type)),
            [(only, _)] => Ok(only),
            several => {
                let candidates = several.iter().map(|(e, d)| reason(e, format!("{} {}", d.name, d.version)));
                Err(Error::Ambiguous {
                    registry_type: registry_type.to_owned(),
                    candidates: candidates.collect(),
                })
            }
        }
    }

    /// Whether an entry is not to be used although it could be.
    fn withheld(&self, entry: &Entry, description: &Description) -> Option<DriverState> {
        self.decided.of(&description.name, entry.digest.as_ref())
    }

    /// Of each driver the highest version that may be used; of equal ones the first.
    fn serving(&self) -> Vec<Described<'a>> {
        let mut best: Vec<Described<'a>> = Vec::new();
        for entry in &self.snapshot.entries {
            let Ok(description) = &entry.outcome else { continue };
            if self.withheld(entry, description).is_some() {
                continue;
            }
            match best.iter_mut().find(|(_, d)| d.name == description.name) {
                Some(known) if known.1.version < description.version => *known = (entry, description),
                Some(_) => {}
                None => best.push((entry, description)),
            }
        }
        best
    }

    fn refused(&self) -> impl Iterator<Item = FileReason> {
        self.snapshot.entries.iter().filter_map(|e| {
            let refused = e.outcome.as_ref().err()?;
            Some(reason(e, refused.reason.clone()))
        })
    }

    /// A refused file can't say which types it would serve; its name can.
    fn none(&self, registry_type: &str) -> Error {
        let asked = registry_type.to_ascii_lowercase();
        let meant = |file: &str| {
            let name = file.strip_prefix(PREFIX).and_then(|f| f.strip_suffix(".so"));
            name.map(|n| n.replace('_', "-")).is_some_and(|n| {
                asked.strip_prefix(&n).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
        };
        let refused: Vec<FileReason> = self.refused().collect();
        let withheld = self.snapshot.entries.iter().filter_map(|entry| {
            let description = entry.outcome.as_ref().ok().filter(|d| d.serves_type(registry_type))?;
            Some((description.name.as_str(), self.withheld(entry, description)?))
        });
        let withheld: Vec<(&str, DriverState)> = withheld.collect();
        // Where there is more to be said, each file is named with its reason.
        let quarantined = withheld.iter().all(|(_, state)| matches!(state, DriverState::Quarantined { .. }));
        if let (true, Some((driver, DriverState::Quarantined { reason, until, .. }))) =
            (quarantined, withheld.first())
        {
            let (driver, why) = ((*driver).to_owned(), Some(reason.clone()));
            return Error::Quarantined { driver, why, until: until.clone() };
        }
        if !withheld.is_empty() || refused.iter().any(|r| meant(&r.file)) {
            return Error::Unloadable {
                registry_type: registry_type.to_owned(),
                looked_at: self.looked_at(),
            };
        }
        let mut available: Vec<String> = self.serving().iter().flat_map(|(_, d)| d.types.clone()).collect();
        available.sort();
        available.dedup();
        Error::UnknownType { registry_type: registry_type.to_owned(), available, refused }
    }

    fn unbound(&self, registry_type: &str, bound: &str) -> Error {
        let mut looked_at = self.looked_at();
        let reason =
            format!("binds {registry_type} to driver {bound}, which is not there or does not claim it");
        looked_at.insert(0, FileReason { file: "REGENT_DRIVER_BINDINGS".to_owned(), reason });
        Error::Unloadable { registry_type: registry_type.to_owned(), looked_at }
    }

    /// Every file, and why it does not serve the type that was asked for.
    fn looked_at(&self) -> Vec<FileReason> {
        let serves = |d: &Description| format!("driver {} serves {}", d.name, d.types.join(", "));
        let each = self.snapshot.entries.iter().map(|e| match &e.outcome {
            Ok(description) => match self.withheld(e, description) {
                Some(state) => {
                    let why = state.reason().unwrap_or_default();
                    reason(e, format!("driver {} is {}: {why}", description.name, state.as_str()))
                }
                None => reason(e, serves(description)),
            },
            Err(refused) => reason(e, refused.reason.clone()),
        });
        each.collect()
    }

    /// What operators see of an entry. `loaded` and `quarantined` are known to whoever loads.
    pub(in crate::drivers) fn info(&self, entry: &Arc<Entry>) -> DriverInfo {
        let state = match &entry.outcome {
            Err(refused) => {
                DriverState::Refused { code: refused.code.clone(), reason: refused.reason.clone() }
            }
            Ok(description) => self.state(entry, description),
        };
        DriverInfo {
            file: entry.path().cloned(),
            digest: entry.digest.clone(),
            signature: entry.signature.clone(),
            description: match &entry.outcome {
                Ok(description) => Some(description.clone()),
                Err(refused) => refused.description.as_deref().cloned(),
            },
            state,
            isolation: Isolation::default(),
            pid: None,
            restarts: 0,
        }
    }

    fn state(&self, entry: &Arc<Entry>, description: &Description) -> DriverState {
        if let Some(state) = self.withheld(entry, description) {
            return state;
        }
        let serving = self.serving();
        let own = serving.iter().find(|(_, d)| d.name == description.name);
        if let Some((winner, _)) = own
            && !Arc::ptr_eq(winner, entry)
        {
            return DriverState::Superseded { by: winner.label() };
        }
        let undecided = |t: &&String| {
            let bound = self.bindings.contains_key(&t.to_ascii_lowercase());
            !bound && serving.iter().filter(|(_, d)| d.serves_type(t)).count() > 1
        };
        let types: Vec<String> = description.types.iter().filter(undecided).cloned().collect();
        if !types.is_empty() {
            return DriverState::Ambiguous { types };
        }
        self.decided.trial_of(entry.digest.as_ref()).unwrap_or(DriverState::Ready)
    }
}

fn reason(entry: &Entry, reason: String) -> FileReason {
    FileReason { file: entry.label(), reason }
}
