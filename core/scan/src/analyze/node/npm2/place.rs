//! Which of several copies of a package a dependency means: told by the packages that led to it.

use std::collections::HashMap;

use super::super::Unreadable;
use super::super::range::Range;
use super::entries::{Entries, Entry, NameId};

/// Comparisons for one lock file, at most. Large real ones need some millions.
const MAX_STEPS: usize = 100_000_000;

/// The packages on the way to the one that is looked into, the root left out.
#[derive(Default)]
pub(super) struct Ancestors<'a> {
    list: Vec<Ancestor<'a>>,
    /// Where each name stands in the list.
    positions: HashMap<NameId, Vec<usize>>,
    steps: usize,
}

/// A package on the way.
struct Ancestor<'a> {
    name: String,
    id: Option<NameId>,
    entry: &'a Entry,
    /// The outermost ancestor that another package brought inside itself, up to this one.
    first_in_bundle: Option<usize>,
}

impl<'a> Ancestors<'a> {
    /// Goes down into a package.
    pub(super) fn push(&mut self, entries: &Entries, name: String, entry: &'a Entry) {
        let position = self.list.len();
        let outer = self.list.last().and_then(|parent| parent.first_in_bundle);
        let id = entries.name_id(&name);
        if let Some(id) = id {
            self.positions.entry(id).or_default().push(position);
        }
        let first_in_bundle = outer.or(entry.is_in_bundle.then_some(position));
        self.list.push(Ancestor { name, id, entry, first_in_bundle });
    }

    /// Goes back up.
    pub(super) fn pop(&mut self) {
        if let Some(id) = self.list.pop().and_then(|ancestor| ancestor.id) {
            self.positions.get_mut(&id).map(Vec::pop);
        }
    }

    /// Names and versions, outermost first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|a| (a.name.as_str(), a.entry.version.as_deref().unwrap_or_default()))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Notes that this many comparisons are made.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), Unreadable> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS {
            return Err(Unreadable::limit("telling the copies of its packages apart takes too long"));
        }
        Ok(())
    }

    /// The copy of package `name` that the innermost ancestor gets with that range.
    pub(super) fn find(
        &mut self,
        entries: &'a Entries,
        name: &str,
        range: &str,
    ) -> Result<Option<&'a Entry>, Unreadable> {
        let candidates = entries.named(name);
        if candidates.len() < 2 {
            return Ok(candidates.first().copied());
        }
        let range = Range::parse(range);
        let on_the_ways: usize = candidates.iter().map(|candidate| candidate.way.len()).sum();
        self.charge(on_the_ways + candidates.len() * (1 + range.as_ref().map_or(0, Range::len)))?;
        let (from, owner) = self.scope();
        let own = entries.name_id(name);
        let fits = |candidate: &&&Entry| {
            let is_on_the_way =
                candidate.way.iter().all(|&id| Some(id) == own || self.last(id).is_some_and(|at| at >= from));
            let is_in_bundle = owner.is_none_or(|owner| candidate.way.first() == Some(&owner));
            let is_in_range = range
                .as_ref()
                .is_none_or(|range| candidate.parsed_version().is_some_and(|version| range.accepts(version)));
            is_on_the_way && is_in_bundle && is_in_range
        };
        let fitting: Vec<&Entry> = candidates.iter().filter(fits).copied().collect();
        if let [only] = fitting.as_slice() {
            return Ok(Some(*only));
        }
        let left = if fitting.is_empty() { &candidates } else { &fitting };
        Ok(self
            .at_the_end_of_the_way(from, &candidates)
            .or_else(|| self.with_the_nearest(from, left))
            .or_else(|| left.iter().rev().max_by_key(|candidate| candidate.way.len()).copied()))
    }

    /// From where on ancestors count, and whose bundle it is, if any.
    fn scope(&self) -> (usize, Option<NameId>) {
        let bundled = self.list.last().filter(|parent| parent.entry.is_in_bundle);
        let owner = bundled.and_then(|parent| parent.first_in_bundle?.checked_sub(1));
        match owner.and_then(|at| Some((at, self.list.get(at)?.id?))) {
            Some((at, id)) => (at, Some(id)),
            None => (0, None),
        }
    }

    fn last(&self, id: NameId) -> Option<usize> {
        self.positions.get(&id)?.last().copied()
    }

    /// The copy whose way is the end of ours, the longest such way first.
    fn at_the_end_of_the_way(&self, from: usize, candidates: &[&'a Entry]) -> Option<&'a Entry> {
        let ours = self.list.get(from..)?;
        candidates
            .iter()
            .filter(|candidate| candidate.is_in_modules)
            .filter(|candidate| {
                ours.len()
                    .checked_sub(candidate.way.len())
                    .and_then(|skipped| ours.get(skipped..))
                    .is_some_and(|end| end.iter().map(|a| a.id).eq(candidate.way.iter().copied().map(Some)))
            })
            .rev()
            .max_by_key(|candidate| candidate.way.len())
            .copied()
    }

    /// The copy that alone lies below an ancestor, for the nearest ancestor that has one.
    fn with_the_nearest(&self, from: usize, candidates: &[&'a Entry]) -> Option<&'a Entry> {
        let mut below: HashMap<NameId, Option<usize>> = HashMap::new();
        for (at, candidate) in candidates.iter().enumerate() {
            for &id in &candidate.way {
                below
                    .entry(id)
                    .and_modify(|only| *only = only.filter(|&known| known == at))
                    .or_insert(Some(at));
            }
        }
        below
            .into_iter()
            .filter_map(|(id, only)| Some((self.last(id).filter(|&at| at >= from)?, only?)))
            .max()
            .and_then(|(_, at)| candidates.get(at).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::manifest::NodeManifest;
    use super::*;

    #[test]
    fn telling_copies_apart_ends_at_the_limit() {
        let lock =
            r#"{"packages":{"node_modules/a":{"version":"1.0.0"},"node_modules/b/node_modules/a":{}}}"#;
        let entries = Entries::parse(lock, &NodeManifest::default()).unwrap();
        let mut ancestors = Ancestors::default();
        // Two copies, one step on the way, and one comparator for each.
        ancestors.charge(MAX_STEPS - 6).unwrap();
        assert!(ancestors.find(&entries, "a", "1.0.0").unwrap().is_some());
        assert!(ancestors.find(&entries, "a", "1.0.0").is_err());
        assert!(ancestors.find(&entries, "b", "1.0.0").unwrap().is_none(), "nothing is to be told apart");
    }
}
