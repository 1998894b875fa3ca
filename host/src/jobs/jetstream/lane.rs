//! Lanes: the subjects on which work waits, and the names of streams.
//!
//! A message is the sign that there is work at an operation. It has a subject of its own, at whose end the operation's id
//! stands, and a subject never holds two messages: whoever puts a sign where one is finds that out.

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream;
use std::time::Duration;

use super::super::{OperationId, Priority, Work};
use crate::nats::DUPLICATE_WINDOW;

/// Buckets into which connections are shared out, and lanes of bulk operations. Each lane is a consumer, which a cluster keeps in
/// agreement by itself: many of them make its servers slow to come up.
pub(super) const BUCKETS: u8 = 8;
/// Lanes of the other classes, each of several buckets: what is interactive or ready to be delivered does not wait for long.
const FEWER_BUCKETS: u8 = 4;

/// Where work of one class waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Operations to be run.
    Jobs(Priority, u8),
    /// Outcomes to be delivered.
    Deliveries(u8),
}

impl Lane {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::of(Work::Run).chain(Self::of(Work::Deliver))
    }

    /// Those of one kind of work.
    pub(super) fn of(work: Work) -> impl Iterator<Item = Self> {
        let classes = match work {
            Work::Run => vec![Some(Priority::Interactive), Some(Priority::Bulk)],
            Work::Deliver => vec![None],
        };
        classes.into_iter().flat_map(|class| {
            let n_buckets = if class == Some(Priority::Bulk) { BUCKETS } else { FEWER_BUCKETS };
            (0..n_buckets).map(move |bucket| match class {
                Some(priority) => Self::Jobs(priority, bucket),
                None => Self::Deliveries(bucket),
            })
        })
    }

    /// The lane in which operations of a bucket wait to be run.
    pub(super) fn to_run(priority: Priority, bucket: u8) -> Self {
        match priority {
            Priority::Bulk => Self::Jobs(priority, bucket % BUCKETS),
            Priority::Interactive => Self::Jobs(priority, bucket % FEWER_BUCKETS),
        }
    }

    /// The lane in which outcomes of a bucket wait to be delivered.
    pub(super) fn to_deliver(bucket: u8) -> Self {
        Self::Deliveries(bucket % FEWER_BUCKETS)
    }

    /// Its number among those of its class.
    pub(super) fn bucket(self) -> u8 {
        match self {
            Self::Jobs(_, bucket) | Self::Deliveries(bucket) => bucket,
        }
    }

    /// Its consumer.
    pub(super) fn consumer(self) -> String {
        match self {
            Self::Jobs(priority, bucket) => format!("jobs-{}-{bucket}", priority.as_str()),
            Self::Deliveries(bucket) => format!("deliveries-{bucket}"),
        }
    }

    fn subject(self) -> String {
        match self {
            Self::Jobs(priority, bucket) => format!("jobs.{}.{bucket}", priority.as_str()),
            Self::Deliveries(bucket) => format!("deliveries.{bucket}"),
        }
    }
}

/// The names of all that a queue has at its servers.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The stream of signs.
    pub(super) fn jobs(&self) -> String {
        format!("{}-jobs", self.prefix)
    }

    /// The stream of bodies.
    pub(super) fn bodies(&self) -> String {
        format!("{}-bodies", self.prefix)
    }

    /// The bucket of records.
    pub(super) fn operations(&self) -> String {
        format!("{}-operations", self.prefix)
    }

    /// The bucket of the ids of requests.
    pub(super) fn requests(&self) -> String {
        format!("{}-requests", self.prefix)
    }

    /// Where the signs of a lane stand, without the dot and the operation that follow.
    pub(super) fn lane(&self, lane: Lane) -> String {
        format!("{}.{}", self.prefix, lane.subject())
    }

    /// Where the sign of an operation stands.
    pub(super) fn sign(&self, lane: Lane, id: OperationId) -> String {
        format!("{}.{id}", self.lane(lane))
    }

    /// The operation of which this is the sign.
    pub(super) fn operation(subject: &str) -> Option<OperationId> {
        subject.rsplit('.').next()?.parse().ok()
    }

    /// Where a piece of a body is.
    pub(super) fn piece(&self, id: OperationId, generation: u64, part: usize, piece: usize) -> String {
        format!("{}.bodies.{id}.{generation}.{part}.{piece}", self.prefix)
    }

    /// Where all bodies of an operation are.
    pub(super) fn all_pieces(&self, id: OperationId) -> String {
        format!("{}.bodies.{id}.>", self.prefix)
    }

    /// The operation whose body this is a piece of.
    pub(super) fn owner(&self, piece: &str) -> Option<OperationId> {
        piece.strip_prefix(&self.prefix)?.strip_prefix(".bodies.")?.split('.').next()?.parse().ok()
    }

    /// The stream of signs: each stays until it is acknowledged.
    pub(super) fn jobs_config(&self) -> stream::Config {
        stream::Config {
            name: self.jobs(),
            subjects: vec![format!("{}.jobs.>", self.prefix), format!("{}.deliveries.>", self.prefix)],
            retention: stream::RetentionPolicy::WorkQueue,
            duplicate_window: DUPLICATE_WINDOW,
            description: Some("Regent: the signs of operations that wait, run or are delivered".to_owned()),
            ..stream::Config::default()
        }
    }

    /// The stream of bodies: each piece stays until it is removed.
    pub(super) fn bodies_config(&self) -> stream::Config {
        stream::Config {
            name: self.bodies(),
            subjects: vec![format!("{}.bodies.>", self.prefix)],
            max_messages_per_subject: 1,
            description: Some("Regent: bodies of callbacks that have not arrived yet".to_owned()),
            ..stream::Config::default()
        }
    }

    /// The consumer of a lane.
    pub(super) fn consumer_config(&self, lane: Lane, lease: Duration) -> pull::Config {
        pull::Config {
            durable_name: Some(lane.consumer()),
            filter_subject: format!("{}.*", self.lane(lane)),
            ack_policy: AckPolicy::Explicit,
            ack_wait: lease,
            max_deliver: -1,
            // Signs that are given back for later count as given out: there may be as many as there are operations.
            max_ack_pending: -1,
            ..pull::Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_found_again_in_its_subjects() {
        let (names, id) = (Names::new("a-b"), OperationId::new());
        assert_eq!(Lane::all().count(), 16);
        for lane in Lane::all() {
            let sign = names.sign(lane, id);
            assert_eq!(Names::operation(&sign), Some(id), "{sign}");
            let filter = names.consumer_config(lane, Duration::from_secs(1)).filter_subject;
            assert_eq!(filter.strip_suffix('*'), sign.strip_suffix(&id.to_string()));
        }
        assert_eq!(names.owner(&names.piece(id, 1, 2, 3)), Some(id));
        assert_eq!(names.owner("other.bodies.x"), None);
    }
}
