use std::time::Duration;

use regent_report::Options;
use secrecy::SecretString;

use super::super::{OperationKind, Outcome, Summary};
use super::*;
use crate::api::problem::Problem;
use crate::connection::Connection;

fn asked(request_id: Option<&str>) -> NewOperation {
    NewOperation {
        request_id: request_id.map(str::to_owned),
        kind: OperationKind::Scan,
        image: "team/app:1".parse().unwrap(),
        requested_name: "team/app:1".to_owned(),
        platform: None,
        connection: Connection::new("oci-cr", [("password".to_owned(), SecretString::from("hunter2"))]),
        callback: None,
        correlation_id: None,
        options: Options::default(),
    }
}

fn succeeded() -> Outcome {
    Outcome::Succeeded(Summary::default())
}

fn failed() -> Outcome {
    Outcome::Failed(Problem::new("not_found", "x"))
}

fn reason() -> Problem {
    Problem::new("callback_undeliverable", "x")
}

async fn accepted(queue: &MemoryQueue) -> OperationId {
    queue.accept(asked(None)).await.unwrap().id
}

async fn leased(queue: &MemoryQueue) -> Lease {
    queue.lease().await.unwrap().unwrap()
}

async fn state(queue: &MemoryQueue, id: OperationId) -> &'static str {
    match queue.operation(id).await {
        Ok(view) => view.state.as_str(),
        Err(QueueError::Unknown { .. }) => "unknown",
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_request_that_comes_twice_is_one_operation_in_every_state() {
    let queue = MemoryQueue::new(10);
    let first = queue.accept(asked(Some("a"))).await.unwrap();
    assert!(!first.is_repeat);
    let other = queue.accept(asked(Some("b"))).await.unwrap();
    assert_ne!(other.id, first.id);
    let repeat = Accepted { id: first.id, is_repeat: true };
    assert_eq!(queue.accept(asked(Some("a"))).await, Ok(repeat));
    let lease = leased(&queue).await;
    assert_eq!(lease.operation.id, first.id);
    assert_eq!(queue.accept(asked(Some("a"))).await, Ok(repeat));
    queue.record(&lease, Step::Finish(succeeded())).await.unwrap();
    assert_eq!(queue.accept(asked(Some("a"))).await, Ok(repeat));
    // Also while it is full or closed: nothing new is taken.
    queue.close();
    assert_eq!(queue.accept(asked(Some("a"))).await, Ok(repeat));
    assert_eq!(
        queue.counts().await.unwrap(),
        QueueCounts { queued: 1, done: 1, capacity: 10, ..Default::default() }
    );
}

#[tokio::test]
async fn requests_without_an_id_are_operations_of_their_own() {
    let queue = MemoryQueue::new(10);
    assert_ne!(accepted(&queue).await, accepted(&queue).await);
}

#[tokio::test]
async fn the_oldest_operation_is_leased_first() {
    let queue = MemoryQueue::new(10);
    let ids = [accepted(&queue).await, accepted(&queue).await, accepted(&queue).await];
    for id in ids {
        let lease = leased(&queue).await;
        assert_eq!((lease.operation.id, lease.attempt), (id, 1));
    }
}

#[tokio::test]
async fn a_full_queue_takes_nothing_until_an_operation_has_ended() {
    let queue = MemoryQueue::new(2);
    let full = Err(QueueError::Full { capacity: 2, retry_after: RETRY_AFTER });
    accepted(&queue).await;
    accepted(&queue).await;
    assert_eq!(queue.accept(asked(None)).await, full);
    let lease = leased(&queue).await;
    assert_eq!(queue.accept(asked(None)).await, full, "running ones count");
    queue.record(&lease, Step::Deliver(succeeded())).await.unwrap();
    assert_eq!(queue.accept(asked(None)).await, full, "so do those that are being delivered");
    queue.record(&lease, Step::Finish(succeeded())).await.unwrap();
    accepted(&queue).await;
}

#[tokio::test]
async fn an_operation_goes_through_its_states() {
    let queue = MemoryQueue::new(10);
    let id = accepted(&queue).await;
    assert_eq!(state(&queue, id).await, "queued");
    let lease = leased(&queue).await;
    assert_eq!(state(&queue, id).await, "running");
    queue.renew(&lease).await.unwrap();
    queue.record(&lease, Step::Deliver(succeeded())).await.unwrap();
    assert_eq!(state(&queue, id).await, "delivering");
    queue.record(&lease, Step::Deliver(failed())).await.unwrap();
    assert_eq!(queue.operation(id).await.unwrap().state.outcome(), Some(&failed()));
    queue.record(&lease, Step::Finish(failed())).await.unwrap();
    assert_eq!(state(&queue, id).await, "done");
    let ended = QueueError::WrongState { id, state: "done" };
    assert_eq!(queue.record(&lease, Step::Deliver(succeeded())).await, Err(ended.clone()));
    assert_eq!(queue.renew(&lease).await, Err(ended.clone()));
    assert_eq!(queue.redeliver(id).await, Err(ended));
    queue.forget(id).await.unwrap();
    assert_eq!(state(&queue, id).await, "unknown");
}

#[tokio::test]
async fn a_dead_letter_is_listed_and_can_be_queued_anew() {
    let queue = MemoryQueue::new(1);
    let id = accepted(&queue).await;
    assert_eq!(queue.redeliver(id).await, Err(QueueError::WrongState { id, state: "queued" }));
    assert_eq!(queue.forget(id).await, Err(QueueError::WrongState { id, state: "queued" }));
    let first = leased(&queue).await;
    queue.record(&first, Step::DeadLetter(succeeded(), reason())).await.unwrap();
    let dead = queue.dead_letters().await.unwrap();
    assert_eq!(dead.iter().map(|view| view.id).collect::<Vec<_>>(), [id]);
    assert!(matches!(&dead[0].state, State::DeadLettered { reason: r, .. } if *r == reason()));

    // It takes no room of the queue, but needs some to come back.
    let other = accepted(&queue).await;
    assert!(matches!(queue.redeliver(id).await, Err(QueueError::Full { .. })));
    let lease = leased(&queue).await;
    assert_eq!(lease.operation.id, other);
    queue.record(&lease, Step::Finish(succeeded())).await.unwrap();
    queue.redeliver(id).await.unwrap();
    assert!(queue.dead_letters().await.unwrap().is_empty());
    let second = leased(&queue).await;
    assert_eq!((second.operation.id, second.attempt), (id, 2));
    // The first lease means nothing any more.
    assert_eq!(queue.renew(&first).await, Err(QueueError::WrongState { id, state: "running" }));
    queue.record(&second, Step::Finish(succeeded())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_forgotten_by_number_and_by_age() {
    let hour = Duration::from_hours(1);
    let queue = MemoryQueue::with_retention(10, Retention { done_for: hour, n_done: 2, n_dead_letters: 1 });
    let mut done = Vec::new();
    for request in ["a", "b", "c"] {
        done.push(queue.accept(asked(Some(request))).await.unwrap().id);
        let lease = leased(&queue).await;
        queue.record(&lease, Step::Finish(succeeded())).await.unwrap();
    }
    assert_eq!(state(&queue, done[0]).await, "unknown");
    assert_eq!(state(&queue, done[1]).await, "done");
    assert!(!queue.accept(asked(Some("a"))).await.unwrap().is_repeat, "its request is forgotten, too");
    let lease = leased(&queue).await;
    queue.record(&lease, Step::DeadLetter(failed(), reason())).await.unwrap();

    tokio::time::advance(hour).await;
    let id = accepted(&queue).await;
    assert_eq!(state(&queue, done[1]).await, "unknown");
    assert_eq!(queue.dead_letters().await.unwrap().len(), 1, "age does not matter to dead letters");
    let lease = leased(&queue).await;
    queue.record(&lease, Step::DeadLetter(failed(), reason())).await.unwrap();
    assert_eq!(queue.dead_letters().await.unwrap().iter().map(|view| view.id).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn who_waits_gets_the_next_operation() {
    let queue = MemoryQueue::new(10);
    let (first, second, ids) = tokio::join!(queue.lease(), queue.lease(), async {
        [accepted(&queue).await, accepted(&queue).await]
    });
    let mut found = [first, second].map(|lease| lease.unwrap().unwrap().operation.id);
    found.sort(); // which of the two gets which does not matter
    assert_eq!(found, ids);
}

#[tokio::test]
async fn a_closed_queue_gives_out_what_it_has_and_then_ends() {
    let queue = MemoryQueue::new(10);
    let id = accepted(&queue).await;
    queue.close();
    assert_eq!(queue.accept(asked(None)).await, Err(QueueError::Closed));
    assert_eq!(leased(&queue).await.operation.id, id);
    assert!(queue.lease().await.unwrap().is_none());

    let queue = MemoryQueue::new(10);
    let (first, second, ()) = tokio::join!(queue.lease(), queue.lease(), async { queue.close() });
    assert!(first.unwrap().is_none() && second.unwrap().is_none());
}

#[tokio::test]
async fn who_asks_for_the_end_waits_for_it() {
    let queue = MemoryQueue::new(10);
    let (id, other) = (accepted(&queue).await, accepted(&queue).await);
    let (view, ()) = tokio::join!(queue.ended(other), async {
        for _ in [id, other] {
            let lease = leased(&queue).await;
            queue.record(&lease, Step::Deliver(succeeded())).await.unwrap();
            queue.record(&lease, Step::Finish(succeeded())).await.unwrap();
        }
    });
    let view = view.unwrap();
    assert_eq!((view.id, view.state.as_str()), (other, "done"));
    let unknown = OperationId::new();
    assert_eq!(queue.ended(unknown).await, Err(QueueError::Unknown { id: unknown }));
}

#[tokio::test]
async fn views_are_in_order_and_show_no_secret() {
    let queue = MemoryQueue::new(10);
    let ids = [accepted(&queue).await, accepted(&queue).await];
    let views = queue.list().await.unwrap();
    assert_eq!(views.iter().map(|view| view.id).collect::<Vec<_>>(), ids);
    let lease = leased(&queue).await;
    assert!(!format!("{views:?} {lease:?} {queue:?}").contains("hunter2"));
}

#[test]
fn an_id_reads_back_and_nothing_else_does() {
    let id = OperationId::new();
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in ["", "x", "../../etc", "0190a0b0"] {
        assert!(text.parse::<OperationId>().is_err(), "{text}");
    }
}
