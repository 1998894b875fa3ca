//! What is taken, and in which order it is given out.

use regent_transport::{Fault as _, Retry};
use secrecy::ExposeSecret as _;

use super::super::fixtures::{PASSWORD, scan, scan_of_request};
use super::super::{Accepted, Priority, QueueError, Task};
use super::*;
use crate::connection::Connection;

behaviours![
    a_request_that_comes_twice_is_one_operation,
    a_full_queue_says_when_to_ask_again_and_still_knows_its_requests,
    a_closed_queue_takes_nothing_and_gives_nothing,
    interactive_operations_go_first_and_leave_a_share_to_bulk_ones,
    connections_take_turns_and_each_keeps_its_order,
    what_was_asked_for_is_what_is_run,
    secrets_are_stored_sealed,
];

async fn a_request_that_comes_twice_is_one_operation(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan_of_request("ada", "r 1/ü")).await;
    let other = accept(&queue, scan_of_request("ada", "r 2")).await;
    let repeat = Ok(Accepted { id, is_repeat: true });
    assert_eq!(queue.repeat_of("r 1/ü").await, Ok(Some(id)));
    assert_eq!(queue.repeat_of("r 9").await, Ok(None));
    assert_eq!(queue.accept(scan_of_request("ada", "r 1/ü")).await, repeat);
    let both = tokio::join!(
        queue.accept(scan_of_request("ada", "r 3")),
        queue.accept(scan_of_request("ada", "r 3"))
    );
    assert_eq!(both.0.unwrap().id, both.1.unwrap().id);
    // Also once it has been begun.
    assert_eq!(lease(&queue, Work::Run).await.id, id);
    assert_eq!(queue.accept(scan_of_request("ada", "r 1/ü")).await, repeat);
    lease(&queue, Work::Run).await;
    lease(&queue, Work::Run).await;
    assert!(is_idle(&queue, Work::Run).await, "nothing is run twice");
    assert_ne!(id, other);
    assert_eq!(queue.list().await.unwrap().len(), 3);
}

async fn a_full_queue_says_when_to_ask_again_and_still_knows_its_requests(place: &impl Place) {
    let queue = place.open().await;
    for number in 0..CAPACITY {
        accept(&queue, scan_of_request("ada", &number.to_string())).await;
    }
    for request_id in [None, Some("another".to_owned())] {
        let refused = queue.accept(NewOperation { request_id, ..scan("ada") }).await.unwrap_err();
        assert!(matches!(refused, QueueError::Full { capacity: CAPACITY, .. }), "{refused}");
        assert!(matches!(refused.retry(), Retry::After(wait) if !wait.is_zero()));
    }
    assert!(queue.accept(scan_of_request("ada", "0")).await.unwrap().is_repeat);
    assert_eq!(queue.counts().await.unwrap().open(), CAPACITY);
    let run = lease(&queue, Work::Run).await;
    queue.record(&run, Step::Outcome(Outcome::Succeeded(Summary::default()), Vec::new())).await.unwrap();
    accept(&queue, scan_of_request("ada", "another")).await;
}

async fn a_closed_queue_takes_nothing_and_gives_nothing(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan_of_request("ada", "r")).await;
    let run = lease(&queue, Work::Run).await;
    accept(&queue, scan("ada")).await;
    let (leased, ()) = tokio::join!(queue.lease(Work::Deliver), queue.close());
    assert!(leased.unwrap().is_none(), "who waits is told");
    assert!(queue.lease(Work::Run).await.unwrap().is_none());
    assert_eq!(queue.accept(scan("ada")).await, Err(QueueError::Closed));
    assert!(queue.accept(scan_of_request("ada", "r")).await.unwrap().is_repeat);
    // What runs goes on.
    queue.renew(&run).await.unwrap();
    queue.record(&run, outcome()).await.unwrap();
    assert_eq!(state(&queue, id).await, "delivering");
    queue.stop().await.unwrap();
    let queue = place.open().await;
    assert_eq!(lease(&queue, Work::Deliver).await.id, id);
}

async fn interactive_operations_go_first_and_leave_a_share_to_bulk_ones(place: &impl Place) {
    let queue = place.open().await;
    let mut bulk = Vec::new();
    for _ in 0..2 {
        bulk.push(accept(&queue, scan("ada")).await);
    }
    for _ in 0..10 {
        accept(&queue, NewOperation { priority: Priority::Interactive, ..scan("ada") }).await;
    }
    let mut order = String::new();
    for _ in 0..12 {
        order.push(if bulk.contains(&lease(&queue, Work::Run).await.id) { 'b' } else { 'i' });
    }
    assert_eq!(order, "iiiiiiibiiib");
}

async fn connections_take_turns_and_each_keeps_its_order(place: &impl Place) {
    let queue = place.open().await;
    let (mut many, mut few) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        many.push(accept(&queue, scan("many")).await);
    }
    for user in ["few", "others"] {
        few.push(accept(&queue, scan(user)).await);
        few.push(accept(&queue, scan(user)).await);
    }
    let mut order = Vec::new();
    for _ in 0..12 {
        order.push(lease(&queue, Work::Run).await.id);
    }
    let place_of = |id: &OperationId| order.iter().position(|leased| leased == id).unwrap();
    assert!(few.iter().all(|id| place_of(id) < 6), "two rounds of three: {order:?} {few:?}");
    assert!(many.is_sorted_by_key(place_of));
    assert!(few[..2].is_sorted_by_key(place_of) && few[2..].is_sorted_by_key(place_of));
}

async fn what_was_asked_for_is_what_is_run(place: &impl Place) {
    let queue = place.open().await;
    let asked = scan_of_request("ada", "r");
    accept(&queue, asked.clone()).await;
    place.crash(queue).await;
    let queue = place.open().await;
    let Task::Run(run) = lease(&queue, Work::Run).await.task else { panic!() };
    let request = run.operation.request;
    let text = |connection: &Connection| connection.to_secret_json().expose_secret().to_vec();
    assert_eq!(text(&request.connection), text(&asked.connection));
    assert_eq!(format!("{request:?}"), format!("{asked:?}"));
}

async fn secrets_are_stored_sealed(place: &impl Place) {
    let queue = place.open().await;
    delivering(&queue).await;
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::Finish).await.unwrap();
    queue.stop().await.unwrap();
    assert!(place.has("team/app:1").await, "it is looked in the right place");
    assert!(!place.has(PASSWORD).await && !place.has("callback.broker.test").await);
}
