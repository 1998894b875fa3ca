//! What callers and operators do to operations.

use super::super::fixtures::{scan, scan_of_request};
use super::super::{QueueError, Wish};
use super::*;

behaviours![
    an_operation_that_waits_is_given_out_as_cancelled,
    an_operation_that_waits_for_a_time_is_cancelled_before_it,
    an_operation_that_runs_is_told_that_it_is_cancelled,
    what_has_an_outcome_is_not_cancelled,
    what_has_ended_can_be_forgotten,
    what_is_told_of_operations_is_up_to_date,
];

fn is_cancelled(lease: &Lease) -> bool {
    matches!(&lease.task, Task::Run(run) if run.is_cancelled)
}

async fn an_operation_that_waits_is_given_out_as_cancelled(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan("ada")).await;
    queue.cancel(id).await.unwrap();
    queue.cancel(id).await.unwrap();
    assert!(queue.operation(id).await.unwrap().is_cancelled);
    place.crash(queue).await;
    let queue = place.open().await;
    let run = lease(&queue, Work::Run).await;
    assert!(run.id == id && is_cancelled(&run));
    queue.record(&run, Step::Outcome(Outcome::Failed(problem()), parts())).await.unwrap();
    assert_eq!(lease(&queue, Work::Deliver).await.id, id);
}

async fn an_operation_that_waits_for_a_time_is_cancelled_before_it(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan("ada")).await;
    for _ in 0..2 {
        let run = lease(&queue, Work::Run).await;
        let is_second = is_cancelled(&run);
        queue.record(&run, Step::Again(Duration::from_hours(1), problem())).await.unwrap();
        // Once it is cancelled it need not wait.
        if !is_second {
            assert!(is_idle(&queue, Work::Run).await);
            queue.cancel(id).await.unwrap();
        }
    }
    let run = lease(&queue, Work::Run).await;
    assert!(run.id == id && is_cancelled(&run));
    assert!(is_idle(&queue, Work::Run).await, "it is there once");
    queue.renew(&run).await.unwrap();
}

async fn an_operation_that_runs_is_told_that_it_is_cancelled(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan("ada")).await;
    let run = lease(&queue, Work::Run).await;
    queue.cancel(id).await.unwrap();
    assert_eq!(queue.renew(&run).await, Ok(Wish::Cancel));
    queue.record(&run, Step::Outcome(Outcome::Failed(problem()), parts())).await.unwrap();
    let view = queue.operation(id).await.unwrap();
    assert_eq!(view.state.as_str(), "delivering");
    let delivery = lease(&queue, Work::Deliver).await;
    assert_eq!(queue.renew(&delivery).await, Ok(Wish::GoOn), "the news of it is delivered");
}

async fn what_has_an_outcome_is_not_cancelled(place: &impl Place) {
    let queue = place.open().await;
    let id = delivering(&queue).await;
    let refused = |state| Err(QueueError::WrongState { id, state });
    assert_eq!(queue.cancel(id).await, refused("delivering"));
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::DeadLetter(problem())).await.unwrap();
    assert_eq!(queue.cancel(id).await, refused("dead_lettered"));
    queue.redeliver(id).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::Finish).await.unwrap();
    assert_eq!(queue.cancel(id).await, refused("done"));
    let unknown = OperationId::new();
    assert_eq!(queue.cancel(unknown).await, Err(QueueError::Unknown { id: unknown }));
}

async fn what_has_ended_can_be_forgotten(place: &impl Place) {
    let queue = place.open().await;
    let mut ids = Vec::new();
    for request in ["done", "dead", "delivering", "queued"] {
        ids.push(accept(&queue, scan_of_request("ada", request)).await);
    }
    for _ in 0..3 {
        let run = lease(&queue, Work::Run).await;
        queue.record(&run, outcome()).await.unwrap();
    }
    for step in [Step::Finish, Step::DeadLetter(problem())] {
        let delivery = lease(&queue, Work::Deliver).await;
        queue.record(&delivery, step).await.unwrap();
    }
    for (id, state) in [(ids[2], "delivering"), (ids[3], "queued")] {
        assert_eq!(queue.forget(id).await, Err(QueueError::WrongState { id, state }));
    }
    for id in &ids[..2] {
        queue.forget(*id).await.unwrap();
        let unknown = QueueError::Unknown { id: *id };
        assert_eq!(queue.forget(*id).await.unwrap_err(), unknown);
        assert_eq!(queue.operation(*id).await.unwrap_err(), unknown);
        assert_eq!(queue.ended(*id).await.unwrap_err(), unknown);
        assert_eq!(queue.redeliver(*id).await.unwrap_err(), unknown);
    }
    let left =
        |views: Vec<super::super::OperationView>| views.into_iter().map(|view| view.id).collect::<Vec<_>>();
    assert_eq!(left(queue.list().await.unwrap()), ids[2..]);
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.done, counts.dead_lettered, counts.open()), (0, 0, 2));
    // Its request is a new one now.
    assert!(!queue.accept(scan_of_request("ada", "done")).await.unwrap().is_repeat);
    place.crash(queue).await;
    let queue = place.open().await;
    assert_eq!(queue.list().await.unwrap().len(), 3);
}

async fn what_is_told_of_operations_is_up_to_date(place: &impl Place) {
    let queue = place.open().await;
    assert!(queue.list().await.unwrap().is_empty());
    assert_eq!(queue.counts().await.unwrap().open(), 0);
    let id = accept(&queue, scan("ada")).await;
    let view = queue.operation(id).await.unwrap();
    assert_eq!((view.image.as_str(), view.registry_type.as_str()), ("team/app:1", "oci-cr"));
    assert_eq!((view.correlation_id.as_deref(), view.attempts, view.is_cancelled), (Some("c-1"), 0, false));
    let run = lease(&queue, Work::Run).await;
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.queued, counts.running), (0, 1));
    queue.record(&run, outcome()).await.unwrap();
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.running, counts.delivering), (0, 1));
    let listed = queue.list().await.unwrap();
    assert_eq!(listed, [queue.operation(id).await.unwrap()]);
    assert!(!queue.describe().is_empty());
}
