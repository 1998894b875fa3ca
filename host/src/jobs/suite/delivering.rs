//! From an outcome to its end.

use super::super::fixtures::{scan, scan_of_request};
use super::super::{OperationKind, QueueError, State};
use super::*;

behaviours![
    an_outcome_is_delivered_part_by_part,
    an_outcome_without_parts_is_the_end,
    an_outcome_that_turns_out_worse_replaces_the_first_one,
    what_is_lost_on_its_way_is_found_once_more,
    bodies_of_all_sizes_come_back_as_they_were,
    a_dead_letter_waits_for_an_operator_and_is_delivered_as_it_was,
    who_waits_for_an_end_is_told_of_it,
];

async fn an_outcome_is_delivered_part_by_part(place: &impl Place) {
    let queue = place.open().await;
    let id = delivering(&queue).await;
    let delivery = lease(&queue, Work::Deliver).await;
    let Task::Deliver(task) = &delivery.task else { panic!() };
    assert_eq!((delivery.id, task.kind, task.about.image()), (id, OperationKind::Scan, "team/app:1"));
    assert_eq!(task.target.host(), scan("ada").callback.unwrap().host());
    assert_eq!(task.parts, [Part::Result(0), Part::Done]);
    assert_eq!(task.outcome, Outcome::Succeeded(Summary::default()));
    for (number, (_, body)) in parts().into_iter().enumerate() {
        assert_eq!(queue.body(&delivery, number).await.unwrap(), body);
    }
    assert!(matches!(queue.body(&delivery, 2).await, Err(QueueError::Damaged { .. })));
    queue.record(&delivery, Step::Delivered(1)).await.unwrap();
    let State::Delivering(outbox) = queue.operation(id).await.unwrap().state else { panic!() };
    assert_eq!(outbox.n_delivered, 1);
    queue.record(&delivery, Step::Finish).await.unwrap();
    let view = queue.operation(id).await.unwrap();
    assert_eq!((view.state.as_str(), view.attempts), ("done", 1));
    assert!(queue.body(&delivery, 0).await.is_err());
    assert!(is_idle(&queue, Work::Deliver).await);
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.open(), counts.done), (0, 1));
}

async fn an_outcome_without_parts_is_the_end(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, NewOperation { kind: OperationKind::Pull, callback: None, ..scan("ada") }).await;
    let run = lease(&queue, Work::Run).await;
    queue.record(&run, Step::Outcome(Outcome::Failed(problem()), Vec::new())).await.unwrap();
    let view = queue.operation(id).await.unwrap();
    let Some(Outcome::Failed(found)) = view.state.outcome() else { panic!("{view:?}") };
    assert_eq!((view.state.as_str(), found), ("done", &problem()));
    assert!(is_idle(&queue, Work::Deliver).await);
}

async fn an_outcome_that_turns_out_worse_replaces_the_first_one(place: &impl Place) {
    let queue = place.open().await;
    let id = delivering(&queue).await;
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::Delivered(1)).await.unwrap();
    let worse = vec![(Part::Done, body("failed"))];
    queue.record(&delivery, Step::Outcome(Outcome::Failed(problem()), worse)).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    let Task::Deliver(task) = &delivery.task else { panic!() };
    assert_eq!((delivery.id, arrived(&delivery), &task.parts[..]), (id, (0, 0), &[Part::Done][..]));
    assert_eq!(task.outcome, Outcome::Failed(problem()));
    assert_eq!(queue.body(&delivery, 0).await.unwrap(), body("failed"));
    assert!(queue.body(&delivery, 1).await.is_err());
    queue.record(&delivery, Step::Outcome(Outcome::Failed(problem()), Vec::new())).await.unwrap();
    assert_eq!(state(&queue, id).await, "done");
}

async fn what_is_lost_on_its_way_is_found_once_more(place: &impl Place) {
    let queue = place.open().await;
    let id = delivering(&queue).await;
    let lost = lease(&queue, Work::Deliver).await;
    queue.record(&lost, Step::Delivered(1)).await.unwrap();
    queue.record(&lost, Step::Anew(problem())).await.unwrap();
    assert_eq!(state(&queue, id).await, "queued");
    assert!(is_idle(&queue, Work::Deliver).await);
    let run = lease(&queue, Work::Run).await;
    assert_eq!((run.id, attempt(&run)), (id, (2, 0)));
    let other = vec![(Part::Done, body("other"))];
    queue.record(&run, Step::Outcome(Outcome::Failed(problem()), other)).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    assert_eq!((delivery.id, arrived(&delivery)), (id, (0, 0)));
    assert_eq!(queue.body(&delivery, 0).await, Ok(body("other")));
    queue.record(&delivery, Step::Finish).await.unwrap();
    assert!(is_idle(&queue, Work::Run).await && is_idle(&queue, Work::Deliver).await);
}

async fn bodies_of_all_sizes_come_back_as_they_were(place: &impl Place) {
    use rand::{RngExt as _, SeedableRng as _};
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let mut noise = |n: usize| (0..n).map(|_| random.random()).collect::<Vec<u8>>();
    let bodies: Vec<Bytes> =
        [noise(0), noise(1), noise(900_000), noise(256 << 10), vec![b' '; 10 << 20]].map(Bytes::from).into();
    let queue = place.open().await;
    accept(&queue, scan("ada")).await;
    let run = lease(&queue, Work::Run).await;
    let parts = bodies.iter().enumerate().map(|(n, body)| (Part::Result(n), body.clone())).collect();
    queue.record(&run, Step::Outcome(Outcome::Succeeded(Summary::default()), parts)).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    for (number, body) in bodies.iter().enumerate() {
        assert!(queue.body(&delivery, number).await.unwrap() == *body, "part {number}");
    }
}

async fn a_dead_letter_waits_for_an_operator_and_is_delivered_as_it_was(place: &impl Place) {
    let queue = place.open().await;
    let id = delivering(&queue).await;
    let done = delivering(&queue).await;
    assert_eq!(queue.redeliver(id).await, Err(QueueError::WrongState { id, state: "delivering" }));
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::Delivered(1)).await.unwrap();
    queue.record(&delivery, Step::DeadLetter(problem())).await.unwrap();
    let other = lease(&queue, Work::Deliver).await;
    assert_eq!((delivery.id, other.id), (id, done));
    queue.record(&other, Step::Finish).await.unwrap();
    let letters = queue.dead_letters().await.unwrap();
    assert_eq!(letters.iter().map(|view| view.id).collect::<Vec<_>>(), [id]);
    assert!(is_idle(&queue, Work::Deliver).await);
    place.crash(queue).await;

    let queue = place.open().await;
    for _ in 0..2 {
        queue.redeliver(id).await.unwrap();
        assert_eq!(state(&queue, id).await, "delivering");
        let delivery = lease(&queue, Work::Deliver).await;
        assert_eq!((delivery.id, arrived(&delivery)), (id, (1, 0)));
        assert_eq!(queue.body(&delivery, 1).await.unwrap(), body("done"));
        queue.record(&delivery, Step::DeadLetter(problem())).await.unwrap();
    }
    // It needs room like any other.
    for _ in 0..CAPACITY {
        accept(&queue, scan("bob")).await;
    }
    assert!(matches!(queue.redeliver(id).await, Err(QueueError::Full { .. })));
    let unknown = OperationId::new();
    assert_eq!(queue.redeliver(unknown).await, Err(QueueError::Unknown { id: unknown }));
    assert_eq!(queue.redeliver(done).await, Err(QueueError::WrongState { id: done, state: "done" }));
}

async fn who_waits_for_an_end_is_told_of_it(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan_of_request("ada", "r")).await;
    let work = async {
        let run = lease(&queue, Work::Run).await;
        queue.record(&run, outcome()).await.unwrap();
        let delivery = lease(&queue, Work::Deliver).await;
        queue.record(&delivery, Step::Finish).await.unwrap();
    };
    let (ended, ()) = tokio::join!(queue.ended(id), work);
    assert_eq!(ended.unwrap().state.as_str(), "done");
    assert_eq!(queue.ended(id).await.unwrap().id, id, "also afterwards");
    let unknown = OperationId::new();
    assert_eq!(queue.ended(unknown).await.unwrap_err(), QueueError::Unknown { id: unknown });
}
