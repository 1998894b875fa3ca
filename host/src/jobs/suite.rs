//! What every queue has to do: one suite, run on each of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redb::StorageBackend;
use tokio::time::timeout;

use super::embedded::disk::Disk;
use super::fixtures::scan;
use super::{
    EmbeddedQueue, JetStreamConfig, JetStreamQueue, LEASE, Lease, NewOperation, OperationId, Outcome, Queue,
    Retention, Step, Summary, Task, Work,
};
use crate::api::problem::Problem;
use crate::callbacks::Part;
use crate::nats::Nats;
use crate::nats::test_server::NatsServer;
use crate::seal::SealKeys;

mod accepting;
mod delivering;
mod leasing;
mod model;
mod operating;

/// How many operations may be open in the queues of these tests.
const CAPACITY: usize = 24;

/// Where a queue is kept, which outlives the agents that open it.
pub(super) trait Place: Sized {
    type Queue: Queue;

    async fn new() -> Self;

    /// Opens the queue.
    async fn open(&self) -> Self::Queue;

    /// The agent dies, and its leases run out.
    async fn crash(&self, queue: Self::Queue);

    /// A lease runs out, and no other one.
    async fn run_out(&self, queue: &Self::Queue, lease: &Lease, others: &[&Lease]);

    /// Whether this text is anywhere in what is stored.
    async fn has(&self, text: &str) -> bool;
}

/// A disk of this machine.
pub(super) struct Embedded {
    disk: Disk,
    keys: SealKeys,
}

impl Place for Embedded {
    type Queue = EmbeddedQueue;

    async fn new() -> Self {
        Self { disk: Disk::default(), keys: SealKeys::generate() }
    }

    async fn open(&self) -> EmbeddedQueue {
        let disk = self.disk.clone();
        let backend = move || Box::new(disk.handle()) as Box<dyn StorageBackend>;
        EmbeddedQueue::over(backend, self.keys.clone(), CAPACITY, Retention::default()).await.unwrap()
    }

    async fn crash(&self, queue: EmbeddedQueue) {
        drop(queue);
        self.disk.lose_power(&mut rand::rng());
    }

    async fn run_out(&self, queue: &EmbeddedQueue, _: &Lease, others: &[&Lease]) {
        for _ in 0..2 {
            for other in others {
                // One that was lost is not renewed.
                let _ = queue.renew(other).await;
            }
            tokio::time::advance(LEASE / 2).await;
        }
    }

    async fn has(&self, text: &str) -> bool {
        self.disk.has(text)
    }
}

/// A NATS server.
pub(super) struct JetStream {
    server: Arc<NatsServer>,
    prefix: String,
    keys: SealKeys,
}

impl JetStream {
    /// A queue of its own at a server.
    pub(super) fn at(server: &Arc<NatsServer>) -> Self {
        let prefix = format!("t{:08x}", rand::random::<u32>());
        Self { server: Arc::clone(server), prefix, keys: SealKeys::generate() }
    }
}

impl Place for JetStream {
    type Queue = JetStreamQueue;

    async fn new() -> Self {
        Self::at(&Arc::new(NatsServer::start().await))
    }

    async fn open(&self) -> JetStreamQueue {
        let nats = Nats::connect(&self.server.settings(&self.prefix)).await.unwrap();
        JetStreamQueue::open(&nats, JetStreamConfig::new(self.keys.clone(), CAPACITY)).await.unwrap()
    }

    async fn crash(&self, queue: JetStreamQueue) {
        queue.let_all_run_out().await;
        drop(queue);
    }

    async fn run_out(&self, queue: &JetStreamQueue, lease: &Lease, _: &[&Lease]) {
        queue.let_run_out(lease.id, lease.fence).await;
    }

    async fn has(&self, text: &str) -> bool {
        self.server.has(text)
    }
}

/// Makes a test of each of these for each kind of queue.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            use super::super::{Embedded, Place as _};
            // Time is paused, and goes on when nothing else does.
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(&Embedded::new().await).await;
            })*
        }
        mod jetstream {
            use super::super::{JetStream, Place as _};
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&JetStream::new().await).await;
            })*
        }
    };
}
use behaviours;

async fn accept(queue: &impl Queue, operation: NewOperation) -> OperationId {
    let accepted = queue.accept(operation).await.unwrap();
    assert!(!accepted.is_repeat);
    accepted.id
}

async fn lease(queue: &impl Queue, work: Work) -> Lease {
    let _ = tracing_subscriber::fmt().with_env_filter("warn").with_test_writer().try_init();
    queue.lease(work).await.unwrap().unwrap()
}

/// Whether there is no work of this kind for some time.
async fn is_idle(queue: &impl Queue, work: Work) -> bool {
    timeout(Duration::from_millis(200), queue.lease(work)).await.is_err()
}

fn body(text: &str) -> Bytes {
    Bytes::from(text.repeat(1000))
}

fn parts() -> Vec<(Part, Bytes)> {
    vec![(Part::Result(0), body("result")), (Part::Done, body("done"))]
}

fn outcome() -> Step {
    Step::Outcome(Outcome::Succeeded(Summary::default()), parts())
}

fn problem() -> Problem {
    Problem::new("registry_timeout", "it took too long")
}

/// A scan that was accepted, run, and is to be delivered.
async fn delivering(queue: &impl Queue) -> OperationId {
    let id = accept(queue, scan("ada")).await;
    let run = lease(queue, Work::Run).await;
    assert_eq!(run.id, id);
    queue.record(&run, outcome()).await.unwrap();
    id
}

fn attempt(lease: &Lease) -> (u32, u32) {
    match &lease.task {
        Task::Run(run) => (run.attempt, run.n_failures),
        Task::Deliver(_) => panic!("{lease:?}"),
    }
}

/// How far a delivery is: arrived parts, and tries since then.
fn arrived(lease: &Lease) -> (usize, u32) {
    match &lease.task {
        Task::Deliver(delivery) => (delivery.n_delivered, delivery.n_tries),
        Task::Run(_) => panic!("{lease:?}"),
    }
}

async fn state(queue: &impl Queue, id: OperationId) -> &'static str {
    queue.operation(id).await.unwrap().state.as_str()
}
