//! The dispenser: gives out leases of one kind of work to those who wait for them.
//!
//! It looks into a lane when the mirror says that something there is ready, and asks the servers for one sign at a time: what
//! nobody has asked for stays where others can take it. A lane that turns out to be empty is looked into again a moment
//! later, then ever more rarely: its work may be on the way, or be held by somebody who has died.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::super::handover::LeaseReply;
use super::super::{Lease, OperationId, QueueError, Step, Work};
use super::Shared;
use super::lane::Lane;
use super::mirror::LaneView;
use super::turns::Turns;

/// The waits before an empty lane is looked into again.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// How often all lanes are looked into, whatever the mirror says.
const ALL_EVERY: Duration = Duration::from_secs(5);
/// The wait after the servers could not be reached.
const FAILED_WAIT: Duration = Duration::from_secs(1);
/// Signs without work that are dealt with in a lane before the next one has its turn.
const MAX_LEFTOVERS: usize = 16;

/// What is asked of a dispenser.
pub(super) enum Ask {
    /// A lease, once there is one.
    Lease(LeaseReply),
    /// A lease that nobody took.
    Return(OperationId, u64),
    /// To end.
    Stop,
}

pub(super) struct Dispenser {
    shared: Arc<Shared>,
    work: Work,
    waiting: VecDeque<LeaseReply>,
    turns: Turns,
    pauses: HashMap<Lane, Pause>,
    all_at: Instant,
    /// When the servers are asked next, after they could not be reached.
    failed_until: Option<Instant>,
}

/// When a lane is looked into next.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    wait: Duration,
    /// The lane's count of ready operations, as far as it has been looked into.
    n_ready: u64,
}

impl Dispenser {
    pub(super) fn new(shared: Arc<Shared>, work: Work) -> Self {
        Self {
            shared,
            work,
            waiting: VecDeque::new(),
            turns: Turns::default(),
            pauses: HashMap::new(),
            all_at: Instant::now(),
            failed_until: None,
        }
    }

    /// Serves until it is told to stop, or nobody is left to ask.
    pub(super) async fn serve(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut changes = self.shared.mirror.changes();
        let mut closed = self.shared.closed.subscribe();
        loop {
            changes.mark_unchanged();
            closed.mark_unchanged();
            self.waiting.retain(|reply| !reply.is_closed());
            if *closed.borrow() {
                self.waiting.drain(..).for_each(|reply| drop(reply.send(Ok(None))));
            }
            self.give().await;
            let next = self.next_look();
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(Ask::Lease(reply)) => self.waiting.push_back(reply),
                    Some(Ask::Return(id, fence)) => self.take_back(id, fence).await,
                    Some(Ask::Stop) | None => return,
                },
                _ = closed.changed() => {}
                () = changed(&mut changes), if next.is_some() => {}
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Gives leases to those who wait, as long as there are both.
    async fn give(&mut self) {
        if self.failed_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        self.failed_until = None;
        while !self.waiting.is_empty() {
            match self.look().await {
                Ok(Some(lease)) => self.hand_out(lease).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "no work can be taken from the queue now");
                    self.failed_until = Some(Instant::now() + FAILED_WAIT);
                    return;
                }
            }
        }
    }

    async fn hand_out(&mut self, lease: Lease) {
        let (id, fence) = (lease.id, lease.fence);
        let mut answer = Ok(Some(lease));
        while let Some(reply) = self.waiting.pop_front() {
            match reply.send(answer) {
                Ok(()) => return,
                Err(unsent) => answer = unsent,
            }
        }
        self.take_back(id, fence).await;
    }

    /// A lease that nobody took goes back. That it was lost already is as good.
    async fn take_back(&self, id: OperationId, fence: u64) {
        if let Err(error) = self.shared.settle(id, fence, Step::HandBack).await {
            tracing::debug!(operation = %id, %error, "a lease that nobody took could not be given back");
        }
    }

    /// When it is worth while to look again; `None` while nobody waits.
    fn next_look(&mut self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        if self.failed_until.is_some() {
            return self.failed_until;
        }
        let (now, time) = (Instant::now(), SystemTime::now());
        let (lanes, ripe) = self.shared.mirror.lanes(self.work, time);
        let ripe = ripe.map(|ripe| now + ripe.duration_since(time).unwrap_or_default());
        let lanes = lanes.iter().filter(|view| has_work(view)).map(|view| self.pause(view, now).until);
        lanes.chain(ripe).chain([self.all_at]).min()
    }

    /// The pause of a lane, which is over when something new is ready there.
    fn pause(&self, view: &LaneView, now: Instant) -> Pause {
        match self.pauses.get(&view.lane) {
            Some(pause) if pause.n_ready == view.n_ready => *pause,
            _ => Pause { until: now, wait: AGAIN_AFTER.0, n_ready: view.n_ready },
        }
    }

    /// Looks once into each lane in which there may be work, in the order of their turns.
    async fn look(&mut self) -> Result<Option<Lease>, QueueError> {
        let now = Instant::now();
        let looks_at_all = self.all_at <= now;
        let (lanes, _) = self.shared.mirror.lanes(self.work, SystemTime::now());
        let due: Vec<_> = lanes
            .iter()
            .filter(|view| looks_at_all || (has_work(view) && self.pause(view, now).until <= now))
            .copied()
            .collect();
        for lane in self.turns.order(&due) {
            for _ in 0..MAX_LEFTOVERS {
                let Some(sign) = self.shared.pull(lane).await? else {
                    self.lengthen(lane, &lanes);
                    break;
                };
                if let Some(lease) = self.shared.take_up(lane, sign).await? {
                    self.turns.gave(lane, &lanes);
                    self.pauses.remove(&lane);
                    return Ok(Some(lease));
                }
            }
        }
        if looks_at_all {
            self.all_at = Instant::now() + ALL_EVERY;
        }
        Ok(None)
    }

    /// Nothing was found in a lane.
    fn lengthen(&mut self, lane: Lane, lanes: &[LaneView]) {
        let Some(view) = lanes.iter().find(|view| view.lane == lane) else { return };
        let now = Instant::now();
        let pause = self.pause(view, now);
        let wait = (pause.wait * 2).min(AGAIN_AFTER.1);
        self.pauses.insert(lane, Pause { until: now + pause.wait, wait, n_ready: view.n_ready });
    }
}

fn has_work(view: &LaneView) -> bool {
    view.n_waiting + view.n_running > 0
}

/// Returns when something has changed; never once nothing can change any more.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::scan;
    use super::super::super::record::Record;
    use super::super::super::{Lease, Queue as _};
    use super::super::ledger::{Bodies, Entry};
    use super::super::{JetStreamConfig, JetStreamQueue};
    use super::*;
    use crate::nats::Nats;
    use crate::nats::test_server::NatsServer;
    use crate::seal::SealKeys;

    /// A dispenser that finds only what it has been told of.
    fn dispenser(queue: &JetStreamQueue) -> Dispenser {
        let all_at = Instant::now() + Duration::from_hours(1);
        Dispenser { all_at, ..Dispenser::new(Arc::clone(&queue.shared), Work::Run) }
    }

    async fn open(server: &NatsServer, keys: &SealKeys) -> JetStreamQueue {
        let nats = Nats::connect(&server.settings("t")).await.unwrap();
        JetStreamQueue::open(&nats, JetStreamConfig::new(keys.clone(), 100)).await.unwrap()
    }

    async fn look(dispenser: &mut Dispenser) -> Option<OperationId> {
        dispenser.look().await.unwrap().map(|Lease { id, .. }| id)
    }

    /// A server may tell of a sign a moment after it has taken it.
    async fn find(dispenser: &mut Dispenser) -> OperationId {
        let found = async {
            loop {
                if let Some(id) = look(dispenser).await {
                    break id;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.expect("it is looked for")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_accepted_is_found_where_it_is_said_to_be() {
        let (server, keys) = (NatsServer::start().await, SealKeys::generate());
        let queue = open(&server, &keys).await;
        let mut dispenser = dispenser(&queue);
        for _ in 0..20 {
            assert_eq!(look(&mut dispenser).await, None);
            let id = queue.accept(scan("ada")).await.unwrap().id;
            assert_eq!(find(&mut dispenser).await, id);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_sign_that_comes_late_ends_the_wait_for_it() {
        let (server, keys) = (NatsServer::start().await, SealKeys::generate());
        let queue = open(&server, &keys).await;
        let mut dispenser = dispenser(&queue);
        let record = Record::named(OperationId::new(), &scan("ada"), &keys, SystemTime::now());
        let entry = Entry { bucket: 3, bodies: Bodies::default(), record };
        let stored = queue.shared.ledger.insert(entry).await.unwrap().unwrap();
        queue.shared.mirror.note(&stored);
        assert_eq!(look(&mut dispenser).await, None);
        // As if it had been looked for in vain for long.
        dispenser.pauses.values_mut().for_each(|pause| pause.until += Duration::from_hours(1));
        assert_eq!(dispenser.pauses.len(), 1);
        queue.shared.post(&stored).await.unwrap();
        assert_eq!(find(&mut dispenser).await, stored.entry.record.id);
    }
}
