//! In which order lanes are looked at.
//!
//! As in the embedded queue, interactive work goes before bulk work, but for a share that bulk work keeps; within a class the
//! lanes take turns.

use super::super::Priority;
use super::super::schedule::INTERACTIVE_IN_A_ROW;
use super::lane::{BUCKETS, Lane};
use super::mirror::LaneView;

#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Where the next round of each class begins.
    interactive: u8,
    bulk: u8,
    deliveries: u8,
    /// Interactive operations given out since a bulk one was.
    n_interactive: u32,
}

impl Turns {
    /// These lanes in the order of their turns.
    pub(super) fn order(&self, lanes: &[LaneView]) -> Vec<Lane> {
        let mut ordered: Vec<_> = lanes.iter().map(|view| view.lane).collect();
        let bulk_first = bulk_waits(lanes) && self.n_interactive >= INTERACTIVE_IN_A_ROW;
        ordered.sort_by_key(|lane| {
            let (class, first) = match lane {
                Lane::Jobs(Priority::Interactive, _) => (1, self.interactive),
                Lane::Jobs(Priority::Bulk, _) => (if bulk_first { 0 } else { 2 }, self.bulk),
                Lane::Deliveries(_) => (3, self.deliveries),
            };
            (class, (lane.bucket() + BUCKETS - first) % BUCKETS)
        });
        ordered
    }

    /// Work of this lane was given out, when this was known of the lanes of its kind.
    pub(super) fn gave(&mut self, lane: Lane, lanes: &[LaneView]) {
        let next = (lane.bucket() + 1) % BUCKETS;
        match lane {
            Lane::Jobs(Priority::Interactive, _) => {
                self.interactive = next;
                self.n_interactive = if bulk_waits(lanes) { self.n_interactive + 1 } else { 0 };
            }
            Lane::Jobs(Priority::Bulk, _) => {
                self.bulk = next;
                self.n_interactive = 0;
            }
            Lane::Deliveries(_) => self.deliveries = next,
        }
    }
}

fn bulk_waits(lanes: &[LaneView]) -> bool {
    lanes.iter().any(|view| matches!(view.lane, Lane::Jobs(Priority::Bulk, _)) && view.n_waiting > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(lane: Lane) -> LaneView {
        LaneView { lane, n_waiting: 9, n_running: 0, n_ready: 0 }
    }

    #[test]
    fn lanes_of_a_class_take_turns() {
        let mut turns = Turns::default();
        let lanes = [0, 3, 7].map(|bucket| view(Lane::Deliveries(bucket)));
        let order: Vec<_> = (0..7)
            .map(|_| {
                let first = turns.order(&lanes)[0];
                turns.gave(first, &lanes);
                first.bucket()
            })
            .collect();
        assert_eq!(order, [0, 3, 7, 0, 3, 7, 0]);
    }

    #[test]
    fn interactive_lanes_go_first_and_leave_a_share_to_bulk_ones() {
        let mut turns = Turns::default();
        let lanes = [view(Lane::Jobs(Priority::Bulk, 1)), view(Lane::Jobs(Priority::Interactive, 2))];
        let mut take = |lanes: &[LaneView]| {
            let first = turns.order(lanes)[0];
            turns.gave(first, lanes);
            if matches!(first, Lane::Jobs(Priority::Bulk, _)) { 'b' } else { 'i' }
        };
        let order: String = (0..17).map(|_| take(&lanes)).collect();
        assert_eq!(order, "iiiiiiibiiiiiiibi");
        let alone: String = (0..9).map(|_| take(&lanes[1..])).collect();
        assert_eq!(alone, "iiiiiiiii");
    }
}
