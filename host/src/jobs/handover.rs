//! How a lease gets from the task that gives it out to the one who waits for it.

use tokio::sync::{mpsc, oneshot};

use super::{Lease, OperationId, QueueError};

/// Where a lease goes, or the word that there will be none.
pub(super) type LeaseReply = oneshot::Sender<Result<Option<Lease>, QueueError>>;

/// Asks for a lease and waits for it. One that arrives as the wait is given up goes back at once, rather than when it runs
/// out. `gone` is the error where nobody is left to ask.
pub(super) async fn wait_for_lease<M>(
    asks: &mpsc::Sender<M>,
    ask: impl FnOnce(LeaseReply) -> M,
    give_back: fn(OperationId, u64) -> M,
    gone: fn() -> QueueError,
) -> Result<Option<Lease>, QueueError> {
    let (reply, answer) = oneshot::channel();
    let mut wait = LeaseWait { answer, asks: asks.clone(), give_back };
    asks.send(ask(reply)).await.map_err(|_| gone())?;
    (&mut wait.answer).await.map_err(|_| gone())?
}

struct LeaseWait<M> {
    answer: oneshot::Receiver<Result<Option<Lease>, QueueError>>,
    asks: mpsc::Sender<M>,
    give_back: fn(OperationId, u64) -> M,
}

impl<M> Drop for LeaseWait<M> {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(Ok(Some(lease))) = self.answer.try_recv() {
            let _ = self.asks.try_send((self.give_back)(lease.id, lease.fence));
        }
    }
}
