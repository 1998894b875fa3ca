//! What a driver that serves is to do when the files have changed.

use std::sync::Arc;

use regent_plugin_api::Description;

use crate::drivers::index::{Entry, Snapshot};

/// What is to be done next about a driver that serves.
#[derive(Debug, Clone)]
pub(in crate::drivers) enum Step {
    /// It is what there is.
    Stay,
    /// It serves although its file is refused: that is a bad upgrade, and has the reason.
    Keep(String),
    /// There is no file for it any more, for this reason: it stops serving after a while.
    Leave(String),
    /// This file is to serve, if it can.
    Try(Arc<Entry>),
}

/// The next step of a driver that serves from `live`, by the files that there are.
pub(super) fn next(files: &Snapshot, live: &Arc<Entry>) -> Step {
    let (Some(key), Ok(serving)) = (live.key(), &live.outcome) else { return Step::Stay };
    // Of equal versions the first serves.
    let mut best: Option<(&Arc<Entry>, &Description)> = None;
    let mut has_file = false;
    for entry in &files.entries {
        let Ok(description) = &entry.outcome else { continue };
        if description.name != serving.name {
            continue;
        }
        has_file |= entry.key().as_ref() == Some(&key);
        if best.is_none_or(|(_, known)| known.version < description.version) {
            best = Some((entry, description));
        }
    }
    if best.is_some_and(|(entry, _)| entry.key().as_ref() == Some(&key)) {
        return Step::Stay;
    }
    let in_its_place = files.entries.iter().find(|e| e.path().is_some() && e.path() == live.path());
    let refused = in_its_place.and_then(|entry| Some((entry, entry.outcome.as_ref().err()?)));
    match (refused, best) {
        (Some((entry, refused)), best) if !has_file && entry.digest != live.digest => match best {
            Some((better, found)) if found.version > serving.version => Step::Try(Arc::clone(better)),
            _ => Step::Keep(format!("its file was replaced by one that is refused: {}", refused.reason)),
        },
        (_, Some((entry, _))) => Step::Try(Arc::clone(entry)),
        (Some((_, refused)), None) => Step::Leave(format!("its file is refused now: {}", refused.reason)),
        (None, None) => Step::Leave("its file was removed".to_owned()),
    }
}

#[cfg(test)]
mod tests;
