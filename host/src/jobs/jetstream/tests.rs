//! What only a shared queue has to do. What every queue has to do is in `jobs::suite`.

use std::collections::BTreeSet;

use super::super::fixtures::{scan, scan_of_request};
use super::super::{Outcome, Summary};
use super::change::{Change, Tries};
use super::ledger::{Entry, Stored};
use super::*;
use crate::api::problem::Problem;
use crate::callbacks::Part;
use crate::nats::test_server::NatsServer;

mod cluster;
mod cut_off;
mod fleet;
mod servers;

const CAPACITY: usize = 1000;

/// A server, and what agents need to share a queue there.
struct Site {
    server: NatsServer,
    config: JetStreamConfig,
}

impl Site {
    async fn new() -> Self {
        Self::with_lease(LEASE).await
    }

    async fn with_lease(lease: Duration) -> Self {
        let config = JetStreamConfig { lease, ..JetStreamConfig::new(SealKeys::generate(), CAPACITY) };
        Self { server: NatsServer::start().await, config }
    }

    async fn nats(&self) -> Nats {
        Nats::connect(&self.server.settings("t")).await.unwrap()
    }

    async fn agent(&self) -> JetStreamQueue {
        JetStreamQueue::open(&self.nats().await, self.config.clone()).await.unwrap()
    }
}

async fn accept(queue: &JetStreamQueue, operation: NewOperation) -> OperationId {
    queue.accept(operation).await.unwrap().id
}

async fn lease(queue: &JetStreamQueue, work: Work) -> Lease {
    queue.lease(work).await.unwrap().unwrap()
}

async fn is_idle(queue: &JetStreamQueue, work: Work) -> bool {
    timeout(Duration::from_millis(300), queue.lease(work)).await.is_err()
}

async fn state(queue: &JetStreamQueue, id: OperationId) -> &'static str {
    queue.operation(id).await.unwrap().state.as_str()
}

fn outcome() -> Step {
    let parts = vec![(Part::Result(0), Bytes::from("result")), (Part::Done, Bytes::from("done"))];
    Step::Outcome(Outcome::Succeeded(Summary::default()), parts)
}

fn problem() -> Problem {
    Problem::new("registry_timeout", "it took too long")
}
