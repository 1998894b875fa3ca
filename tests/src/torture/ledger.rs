//! What was promised to the one who asked, and whether it was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::tally::Tally;

/// How an accepted operation has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// With a delivered result that has exactly these packages.
    Packages(BTreeSet<String>),
    /// Delivered with these packages, or as failed with this code.
    PackagesOr(BTreeSet<String>, &'static str),
    /// As an operator likes: delivered with these packages, or dropped.
    Optional(BTreeSet<String>),
    /// Without any callback.
    Nothing,
}

impl Expected {
    /// Whether a last callback has to come.
    fn is_certain(&self) -> bool {
        matches!(self, Self::Packages(_) | Self::PackagesOr(..))
    }
}

/// The operations that were accepted.
#[derive(Debug, Default)]
pub struct Ledger {
    promises: Mutex<Promises>,
}

#[derive(Debug, Default)]
struct Promises {
    by_operation: BTreeMap<String, (String, Expected)>,
    broken: Vec<String>,
}

/// What became of the promises.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Operations without their last callback, with the request's correlation ID.
    pub lost: Vec<(String, String)>,
    /// What is there and should not be.
    pub wrong: Vec<String>,
}

impl Ledger {
    /// Notes that an operation was accepted for the request with this correlation ID.
    pub fn promise(&self, operation: &str, correlation: &str, expected: Expected) {
        let mut promises = self.promises();
        let promise = (correlation.to_owned(), expected);
        if let Some((earlier, _)) = promises.by_operation.insert(operation.to_owned(), promise) {
            promises.broken.push(format!("{operation} was promised to {earlier} and to {correlation}"));
        }
    }

    /// Notes that a repeated request got this operation.
    pub fn repeated(&self, correlation: &str, first: &str, again: &str) {
        if first != again {
            self.promises().broken.push(format!("{correlation} was accepted as {first} and as {again}"));
        }
    }

    /// How many operations were promised a last callback.
    pub fn n_certain(&self) -> usize {
        self.promises().by_operation.values().filter(|(_, expected)| expected.is_certain()).count()
    }

    /// How many were accepted.
    pub fn len(&self) -> usize {
        self.promises().by_operation.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Compares what arrived with what was promised.
    pub fn judge(&self, tally: &Tally) -> Verdict {
        let promises = self.promises();
        let mut verdict = Verdict { lost: Vec::new(), wrong: promises.broken.clone() };
        verdict.wrong.extend(tally.wrong.iter().cloned());
        for (operation, (correlation, expected)) in &promises.by_operation {
            let arrived = tally.operations.get(operation);
            let Some(arrived) = arrived.filter(|arrived| arrived.status.is_some()) else {
                if expected.is_certain() {
                    verdict.lost.push((operation.clone(), correlation.clone()));
                }
                continue;
            };
            let is_right = match expected {
                Expected::Packages(packages) | Expected::Optional(packages) => {
                    arrived.status.as_deref() == Some("succeeded") && arrived.packages == *packages
                }
                Expected::PackagesOr(packages, code) => match arrived.status.as_deref() {
                    Some("succeeded") => arrived.packages == *packages,
                    _ => arrived.error.as_deref() == Some(*code),
                },
                Expected::Nothing => false,
            };
            if !is_right {
                verdict
                    .wrong
                    .push(format!("{correlation} ({operation}): {arrived:?} instead of {expected:?}"));
            }
        }
        let strangers = tally.operations.keys().filter(|id| !promises.by_operation.contains_key(*id));
        verdict.wrong.extend(strangers.map(|id| format!("callbacks of {id}, which nobody was promised")));
        verdict
    }

    fn promises(&self) -> MutexGuard<'_, Promises> {
        self.promises.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
