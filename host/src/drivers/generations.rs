//! Which loaded driver serves under each name, and what becomes of it when the files change.
//!
//! What lies in the directories is one thing, what serves another: a driver that is loaded goes on serving until a better
//! file has been loaded and tried, or its own is gone for good. Everything here is decided without waiting.

mod step;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::decisions::View;
use super::index::{Entry, Key, Refused, Snapshot};
use super::loaded::LoadedDriver;
pub(super) use step::Step;

/// The generations that serve, and the files that were tried in vain.
#[derive(Default)]
pub(super) struct Generations {
    serving: BTreeMap<String, Serving>,
    failed: HashMap<Key, Failure>,
    changes: BTreeMap<(String, Change), u64>,
    seen: Arc<Snapshot>,
}

/// A driver that serves under its name.
pub(super) struct Serving {
    pub(super) entry: Arc<Entry>,
    pub(super) key: Key,
    pub(super) driver: Arc<LoadedDriver>,
    /// Why it serves although its file is no reason to any more.
    kept: Option<String>,
    /// When it stops serving.
    leaves: Option<Instant>,
}

/// Why a file that could be read does not serve.
struct Failure {
    refused: Refused,
    /// Another try may end better, once something has changed.
    passes: bool,
}

/// What can become of a driver that serves. Its word is a label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Change {
    /// A new generation serves.
    Upgraded,
    /// A new file was refused, and the old generation serves on.
    Refused,
    /// Its file is gone, and with it the driver.
    Removed,
}

impl Change {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Upgraded => "upgraded",
            Self::Refused => "refused",
            Self::Removed => "removed",
        }
    }
}

impl Generations {
    /// A driver was loaded for a request: it serves, unless another of its name does already.
    pub(super) fn begin(&mut self, entry: &Arc<Entry>, key: &Key, driver: &Arc<LoadedDriver>) {
        self.serving
            .entry(driver.name().to_owned())
            .or_insert_with(|| Serving::new(Arc::clone(entry), key.clone(), Arc::clone(driver)));
    }

    /// The driver that serves under a name.
    pub(super) fn serving(&self, name: &str) -> Option<&Serving> {
        self.serving.get(name)
    }

    /// What lies there now. What failed for a reason that passes is tried again, once something has changed.
    pub(super) fn see(&mut self, found: &Arc<Snapshot>) {
        if !Arc::ptr_eq(&self.seen, found) {
            self.failed.retain(|_, failure| !failure.passes);
            self.seen = Arc::clone(found);
        }
    }

    /// What may serve: the files but for those that failed, and what serves without one.
    pub(super) fn view(&self) -> Snapshot {
        let files = self.files();
        let has_file = |s: &&Serving| files.entries.iter().any(|e| e.key().as_ref() == Some(&s.key));
        // First, since the first of equal versions serves.
        let kept = self.serving.values().filter(|s| !has_file(s)).map(|s| Arc::clone(&s.entry));
        Snapshot { entries: kept.chain(files.entries.iter().cloned()).collect() }
    }

    /// The files as they are judged.
    fn files(&self) -> Snapshot {
        let judged = |entry: &Arc<Entry>| match entry.key().and_then(|key| self.failed.get(&key)) {
            Some(failure) => Arc::new(Entry { outcome: Err(failure.refused.clone()), ..Entry::clone(entry) }),
            None => Arc::clone(entry),
        };
        Snapshot { entries: self.seen.entries.iter().map(judged).collect() }
    }

    /// What each driver that serves is to do next. What an operator withholds is as good as refused.
    pub(super) fn steps(&self, decided: &View) -> Vec<(String, Step)> {
        let mut files = self.files();
        for entry in &mut files.entries {
            let Ok(description) = &entry.outcome else { continue };
            if let Some(state) = decided.of(&description.name, entry.digest.as_ref()) {
                let reason = state.reason().unwrap_or_default();
                let outcome =
                    Err(Refused::new(state.as_str(), format!("it is {}: {reason}", state.as_str())));
                *entry = Arc::new(Entry { outcome, ..Entry::clone(entry) });
            }
        }
        self.serving.iter().map(|(name, s)| (name.clone(), step::next(&files, &s.entry))).collect()
    }

    /// A new generation serves from now on; the old one is returned.
    pub(super) fn switch(
        &mut self,
        name: &str,
        entry: &Arc<Entry>,
        key: &Key,
        driver: &Arc<LoadedDriver>,
    ) -> Option<Serving> {
        self.count(name, Change::Upgraded);
        self.serving.insert(name.to_owned(), Serving::new(Arc::clone(entry), key.clone(), Arc::clone(driver)))
    }

    /// A new file is of no use to the driver of that name.
    pub(super) fn fail(&mut self, name: &str, entry: &Entry, refused: Refused, passes: bool) {
        let Some(key) = entry.key() else { return };
        self.count(name, Change::Refused);
        self.fail_alone(key, entry, refused, passes);
    }

    /// A file is of no use, and nothing serves in its place.
    pub(super) fn fail_alone(&mut self, key: Key, entry: &Entry, refused: Refused, passes: bool) {
        let description = entry.outcome.as_ref().ok().cloned().map(Box::new);
        self.failed.insert(key, Failure { refused: Refused { description, ..refused }, passes });
    }

    /// The driver's file is in order.
    pub(super) fn stay(&mut self, name: &str) {
        if let Some(serving) = self.serving.get_mut(name) {
            (serving.kept, serving.leaves) = (None, None);
        }
    }

    /// The driver serves on without its file. Returns whether that is news.
    pub(super) fn keep(&mut self, name: &str, why: String) -> bool {
        let Some(serving) = self.serving.get_mut(name) else { return false };
        serving.leaves = None;
        let is_news = serving.kept.as_ref() != Some(&why);
        serving.kept = Some(why);
        if is_news {
            self.count(name, Change::Refused);
        }
        is_news
    }

    /// The driver serves on for as long as the grace. Returns it when that is over.
    pub(super) fn leave(&mut self, name: &str, why: String, grace: Duration) -> Option<Serving> {
        let serving = self.serving.get_mut(name)?;
        let now = Instant::now();
        let leaves = *serving.leaves.get_or_insert(now + grace);
        serving.kept = Some(why);
        if now < leaves {
            return None;
        }
        self.count(name, Change::Removed);
        self.serving.remove(name)
    }

    /// When the next driver leaves.
    pub(super) fn next_leave(&self) -> Option<Instant> {
        self.serving.values().filter_map(|s| s.leaves).min()
    }

    /// Why an entry serves without its file.
    pub(super) fn kept(&self, entry: &Entry) -> Option<&str> {
        let serving = self.serving.values().find(|s| entry.key().as_ref() == Some(&s.key))?;
        serving.kept.as_deref()
    }

    /// All changes so far.
    pub(super) fn changes(&self) -> Vec<(String, &'static str, u64)> {
        self.changes.iter().map(|((name, change), n)| (name.clone(), change.as_str(), *n)).collect()
    }

    fn count(&mut self, name: &str, change: Change) {
        *self.changes.entry((name.to_owned(), change)).or_default() += 1;
    }
}

impl Serving {
    fn new(entry: Arc<Entry>, key: Key, driver: Arc<LoadedDriver>) -> Self {
        Self { entry, key, driver, kept: None, leaves: None }
    }
}
