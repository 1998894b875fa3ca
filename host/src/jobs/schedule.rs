//! Which work is next.
//!
//! Interactive work goes before bulk work, but for a share that bulk work keeps. Within a priority tenants take turns, so
//! that one tenant's ten thousand images do not hold up another's one; within a tenant work goes in its order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::SystemTime;

use super::{OperationId, Priority};

/// How many interactive operations go in a row while bulk ones wait.
pub(super) const INTERACTIVE_IN_A_ROW: u32 = 7;

/// Work that waits.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    interactive: Turns,
    bulk: Turns,
    /// Interactive operations given out since a bulk one was.
    n_interactive: u32,
    /// What may not be given out yet, by time.
    later: BTreeSet<(SystemTime, OperationId)>,
    waiting: HashMap<OperationId, Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    priority: Priority,
    tenant: u64,
    not_before: Option<SystemTime>,
}

/// The tenants that wait, in turn, each with its work in order.
#[derive(Debug, Default)]
struct Turns {
    order: VecDeque<u64>,
    tenants: HashMap<u64, BTreeSet<OperationId>>,
}

impl Schedule {
    /// Adds work that may be given out from `not_before` on; `None` for now. What is there already takes its new place.
    pub(super) fn add(
        &mut self,
        id: OperationId,
        priority: Priority,
        tenant: u64,
        not_before: Option<SystemTime>,
    ) {
        self.remove(id);
        self.waiting.insert(id, Place { priority, tenant, not_before });
        match not_before {
            Some(time) => _ = self.later.insert((time, id)),
            None => self.turns(priority).push(tenant, id),
        }
    }

    /// Takes work out, wherever it is.
    pub(super) fn remove(&mut self, id: OperationId) {
        let Some(place) = self.waiting.remove(&id) else { return };
        if let Some(time) = place.not_before {
            self.later.remove(&(time, id));
        }
        self.turns(place.priority).remove(place.tenant, id);
    }

    /// Takes out what is next at this time.
    pub(super) fn next(&mut self, now: SystemTime) -> Option<OperationId> {
        self.ripen(now);
        let bulk_waits = !self.bulk.order.is_empty();
        let bulk_first = bulk_waits && self.n_interactive >= INTERACTIVE_IN_A_ROW;
        let interactive = if bulk_first { None } else { self.interactive.pop() };
        let id = if let Some(id) = interactive {
            self.n_interactive = if bulk_waits { self.n_interactive + 1 } else { 0 };
            id
        } else {
            self.n_interactive = 0;
            self.bulk.pop()?
        };
        self.waiting.remove(&id);
        Some(id)
    }

    /// When there will be work that may not be given out yet; `None` where there is none.
    pub(super) fn next_time(&self) -> Option<SystemTime> {
        self.later.first().map(|(time, _)| *time)
    }

    fn ripen(&mut self, now: SystemTime) {
        while let Some((time, id)) = self.later.first().copied() {
            if time > now {
                break;
            }
            self.later.pop_first();
            if let Some(place) = self.waiting.get_mut(&id) {
                place.not_before = None;
                let place = *place;
                self.turns(place.priority).push(place.tenant, id);
            }
        }
    }

    fn turns(&mut self, priority: Priority) -> &mut Turns {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Bulk => &mut self.bulk,
        }
    }
}

impl Turns {
    fn push(&mut self, tenant: u64, id: OperationId) {
        let waiting = self.tenants.entry(tenant).or_default();
        if waiting.is_empty() {
            self.order.push_back(tenant);
        }
        waiting.insert(id);
    }

    fn pop(&mut self) -> Option<OperationId> {
        let tenant = self.order.pop_front()?;
        let waiting = self.tenants.get_mut(&tenant)?;
        let id = waiting.pop_first();
        if waiting.is_empty() {
            self.tenants.remove(&tenant);
        } else {
            self.order.push_back(tenant);
        }
        id
    }

    fn remove(&mut self, tenant: u64, id: OperationId) {
        let Some(waiting) = self.tenants.get_mut(&tenant) else { return };
        if waiting.remove(&id) && waiting.is_empty() {
            self.tenants.remove(&tenant);
            self.order.retain(|other| *other != tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn ids(n: usize) -> Vec<OperationId> {
        let mut ids: Vec<_> = (0..n).map(|_| OperationId::new()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn tenants_take_turns_and_each_keeps_its_order() {
        let (mut schedule, ids) = (Schedule::default(), ids(8));
        for id in &ids[..6] {
            schedule.add(*id, Priority::Bulk, 1, None);
        }
        schedule.add(ids[6], Priority::Bulk, 2, None);
        schedule.add(ids[7], Priority::Bulk, 2, None);
        let order: Vec<_> = std::iter::from_fn(|| schedule.next(START)).collect();
        let expected = [0, 6, 1, 7, 2, 3, 4, 5].map(|n: usize| ids[n]);
        assert_eq!(order, expected);
    }

    #[test]
    fn interactive_work_goes_first_and_leaves_a_share_to_bulk_work() {
        let (mut schedule, ids) = (Schedule::default(), ids(22));
        for id in &ids[..2] {
            schedule.add(*id, Priority::Bulk, 1, None);
        }
        for id in &ids[2..] {
            schedule.add(*id, Priority::Interactive, 1, None);
        }
        let order: String = std::iter::from_fn(|| schedule.next(START))
            .map(|id| if ids[..2].contains(&id) { 'b' } else { 'i' })
            .collect();
        assert_eq!(order, "iiiiiiibiiiiiiibiiiiii");
    }

    #[test]
    fn work_waits_for_its_time_and_takes_a_new_place_when_it_is_added_again() {
        let (mut schedule, ids) = (Schedule::default(), ids(2));
        let later = START + Duration::from_secs(10);
        schedule.add(ids[0], Priority::Bulk, 1, Some(later));
        assert_eq!((schedule.next(START), schedule.next_time()), (None, Some(later)));
        assert_eq!(schedule.next(later), Some(ids[0]));
        schedule.add(ids[1], Priority::Bulk, 1, Some(later));
        schedule.add(ids[1], Priority::Interactive, 1, None);
        assert_eq!(
            (schedule.next(START), schedule.next_time(), schedule.next(later)),
            (Some(ids[1]), None, None)
        );
        schedule.add(ids[0], Priority::Bulk, 1, None);
        schedule.remove(ids[0]);
        assert_eq!(schedule.next(later), None);
    }
}
