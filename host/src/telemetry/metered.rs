//! A queue whose operations are counted as they end.

use std::sync::Arc;

use regent_transport::BoxFuture;

use super::Metrics;
use crate::jobs::{
    Accepted, Lease, NewOperation, OperationId, OperationView, Outcome, Queue, QueueCounts, QueueError, Step,
};

/// Passes everything on to another queue, and counts what ends.
pub struct MeteredQueue {
    queue: Arc<dyn Queue>,
    metrics: Metrics,
}

impl MeteredQueue {
    /// Counts what ends in this queue.
    pub fn new(queue: Arc<dyn Queue>, metrics: Metrics) -> Self {
        Self { queue, metrics }
    }
}

impl Queue for MeteredQueue {
    fn accept(&self, operation: NewOperation) -> BoxFuture<'_, Result<Accepted, QueueError>> {
        self.queue.accept(operation)
    }

    fn lease(&self) -> BoxFuture<'_, Result<Option<Lease>, QueueError>> {
        self.queue.lease()
    }

    fn renew<'a>(&'a self, lease: &Lease) -> BoxFuture<'a, Result<(), QueueError>> {
        self.queue.renew(lease)
    }

    fn record<'a>(&'a self, lease: &Lease, step: Step) -> BoxFuture<'a, Result<(), QueueError>> {
        let kind = lease.operation.request.kind.as_str();
        match &step {
            Step::Deliver(_) => {}
            Step::Finish(outcome) | Step::DeadLetter(outcome, _) => match outcome {
                Outcome::Succeeded(summary) => self.metrics.succeeded(kind, summary),
                Outcome::Failed(problem) => self.metrics.failed(kind, &problem.code),
            },
        }
        self.queue.record(lease, step)
    }

    fn operation(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        self.queue.operation(id)
    }

    fn ended(&self, id: OperationId) -> BoxFuture<'_, Result<OperationView, QueueError>> {
        self.queue.ended(id)
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        self.queue.list()
    }

    fn dead_letters(&self) -> BoxFuture<'_, Result<Vec<OperationView>, QueueError>> {
        self.queue.dead_letters()
    }

    fn redeliver(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        self.queue.redeliver(id)
    }

    fn forget(&self, id: OperationId) -> BoxFuture<'_, Result<(), QueueError>> {
        self.queue.forget(id)
    }

    fn counts(&self) -> BoxFuture<'_, Result<QueueCounts, QueueError>> {
        self.queue.counts()
    }

    fn close(&self) {
        self.queue.close();
    }

    fn is_durable(&self) -> bool {
        self.queue.is_durable()
    }
}

impl std::fmt::Debug for MeteredQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeteredQueue")
    }
}
