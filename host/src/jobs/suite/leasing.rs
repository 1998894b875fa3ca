//! Who has an operation, and until when.

use tokio::time::Instant;

use super::super::fixtures::scan;
use super::super::{QueueError, Wish};
use super::*;

behaviours![
    work_goes_to_one_that_waits_for_it,
    a_lease_that_is_not_renewed_goes_to_another_one,
    an_operation_that_failed_is_begun_again_after_its_time,
    what_is_put_off_counts_as_not_begun,
    what_is_handed_back_goes_to_the_next_one_at_once,
    a_wait_that_is_given_up_takes_nothing_along,
    only_steps_that_fit_the_state_are_noted,
    after_a_crash_each_operation_is_where_it_was,
];

async fn work_goes_to_one_that_waits_for_it(place: &impl Place) {
    let queue = place.open().await;
    let (leased, id) = tokio::join!(lease(&queue, Work::Run), accept(&queue, scan("ada")));
    assert_eq!((leased.id, state(&queue, id).await), (id, "running"));
    assert_eq!(queue.renew(&leased).await, Ok(Wish::GoOn));
    assert!(is_idle(&queue, Work::Run).await);
    let (delivery, noted) = tokio::join!(lease(&queue, Work::Deliver), queue.record(&leased, outcome()));
    noted.unwrap();
    assert_eq!(delivery.id, id);
}

async fn a_lease_that_is_not_renewed_goes_to_another_one(place: &impl Place) {
    let queue = place.open().await;
    accept(&queue, scan("ada")).await;
    accept(&queue, scan("bob")).await;
    let (lost, kept) = (lease(&queue, Work::Run).await, lease(&queue, Work::Run).await);
    place.run_out(&queue, &lost, &[&kept]).await;
    let newer = lease(&queue, Work::Run).await;
    assert_eq!((newer.id, attempt(&newer)), (lost.id, (2, 0)));
    assert!(newer.fence > lost.fence);
    for told in [queue.renew(&lost).await.map(drop), queue.record(&lost, outcome()).await] {
        assert!(matches!(told, Err(QueueError::WrongState { .. })), "{told:?}");
    }
    assert!(queue.body(&lost, 0).await.is_err());
    queue.renew(&kept).await.unwrap();
    queue.record(&newer, outcome()).await.unwrap();
    // The same for one that is delivered.
    let lost = lease(&queue, Work::Deliver).await;
    queue.record(&lost, Step::Delivered(1)).await.unwrap();
    place.run_out(&queue, &lost, &[&kept]).await;
    let newer = lease(&queue, Work::Deliver).await;
    assert_eq!((newer.id, arrived(&newer)), (lost.id, (1, 0)));
    assert!(queue.renew(&lost).await.is_err() && queue.renew(&kept).await.is_ok());
    assert_eq!(queue.body(&newer, 1).await.unwrap(), body("done"));
}

async fn an_operation_that_failed_is_begun_again_after_its_time(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan("ada")).await;
    let wait = Duration::from_millis(700);
    for n in 1..=2 {
        let run = lease(&queue, Work::Run).await;
        assert_eq!((run.id, attempt(&run)), (id, (n, n - 1)));
        queue.record(&run, Step::Again(wait, problem())).await.unwrap();
        let noted = Instant::now();
        assert_eq!(state(&queue, id).await, "queued");
        assert!(queue.renew(&run).await.is_err());
        // Another one need not wait.
        let other = accept(&queue, scan("ada")).await;
        assert_eq!(lease(&queue, Work::Run).await.id, other);
        let again = lease(&queue, Work::Run).await;
        assert_eq!(again.id, id);
        assert!(noted.elapsed() + Duration::from_millis(100) > wait, "{:?}", noted.elapsed());
        queue.record(&again, Step::HandBack).await.unwrap();
    }
}

async fn what_is_put_off_counts_as_not_begun(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan("ada")).await;
    let run = lease(&queue, Work::Run).await;
    queue.record(&run, Step::Defer(Duration::from_millis(300), problem())).await.unwrap();
    let run = lease(&queue, Work::Run).await;
    assert_eq!((run.id, attempt(&run)), (id, (1, 0)));
    queue.record(&run, outcome()).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::Defer(Duration::from_millis(300), problem())).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    assert_eq!((delivery.id, arrived(&delivery)), (id, (0, 0)));
    queue
        .record(&delivery, Step::Postpone(Duration::from_millis(300), "no answer".to_owned()))
        .await
        .unwrap();
    assert_eq!(arrived(&lease(&queue, Work::Deliver).await), (0, 1));
}

async fn what_is_handed_back_goes_to_the_next_one_at_once(place: &impl Place) {
    let queue = place.open().await;
    let ids = [accept(&queue, scan("ada")).await, accept(&queue, scan("ada")).await];
    for _ in 0..3 {
        let run = lease(&queue, Work::Run).await;
        assert_eq!((run.id, attempt(&run)), (ids[0], (1, 0)));
        queue.record(&run, Step::HandBack).await.unwrap();
    }
    for id in ids {
        let run = lease(&queue, Work::Run).await;
        assert_eq!(run.id, id);
        queue.record(&run, outcome()).await.unwrap();
    }
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::HandBack).await.unwrap();
    assert_eq!(lease(&queue, Work::Deliver).await.id, delivery.id);
}

async fn a_wait_that_is_given_up_takes_nothing_along(place: &impl Place) {
    let queue = place.open().await;
    for _ in 0..CAPACITY {
        let waiting = queue.lease(Work::Run);
        let accepting = queue.accept(scan("ada"));
        tokio::select! {
            biased;
            _ = accepting => {} // and the wait is dropped, wherever it is
            _ = waiting => {}
        }
    }
    for _ in 0..CAPACITY {
        let run = lease(&queue, Work::Run).await;
        assert_eq!(attempt(&run), (1, 0));
    }
}

async fn only_steps_that_fit_the_state_are_noted(place: &impl Place) {
    let queue = place.open().await;
    let id = accept(&queue, scan("ada")).await;
    let run = lease(&queue, Work::Run).await;
    for step in [Step::Delivered(1), Step::Finish, Step::Postpone(Duration::ZERO, String::new())] {
        let told = queue.record(&run, step).await;
        assert_eq!(told, Err(QueueError::WrongState { id, state: "running" }));
    }
    assert_eq!(queue.renew(&run).await, Ok(Wish::GoOn), "the lease is not lost by that");
    queue.record(&run, outcome()).await.unwrap();
    let told = queue.record(&run, outcome()).await;
    assert_eq!(told, Err(QueueError::WrongState { id, state: "delivering" }));
    let delivery = lease(&queue, Work::Deliver).await;
    assert!(queue.record(&delivery, Step::Delivered(3)).await.is_err(), "there are two parts");
    assert!(queue.record(&delivery, Step::Again(Duration::ZERO, problem())).await.is_err());
    queue.record(&delivery, Step::Finish).await.unwrap();
    let unknown = Lease { id: OperationId::new(), ..delivery };
    assert!(matches!(queue.renew(&unknown).await, Err(QueueError::Unknown { .. })));
    assert!(matches!(queue.record(&unknown, Step::Finish).await, Err(QueueError::Unknown { .. })));
}

async fn after_a_crash_each_operation_is_where_it_was(place: &impl Place) {
    let queue = place.open().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(accept(&queue, scan("ada")).await);
    }
    let first = lease(&queue, Work::Run).await;
    queue.record(&first, Step::Again(Duration::from_hours(1), problem())).await.unwrap();
    lease(&queue, Work::Run).await;
    for _ in 0..3 {
        let run = lease(&queue, Work::Run).await;
        queue.record(&run, outcome()).await.unwrap();
    }
    for step in [Step::Delivered(1), Step::DeadLetter(problem()), Step::Finish] {
        let delivery = lease(&queue, Work::Deliver).await;
        queue.record(&delivery, step).await.unwrap();
    }
    let before = queue.list().await.unwrap();
    let states: Vec<_> = before.iter().map(|view| view.state.as_str()).collect();
    assert_eq!(states, ["queued", "running", "delivering", "dead_lettered", "done", "queued"]);
    place.crash(queue).await;

    let queue = place.open().await;
    assert_eq!(queue.list().await.unwrap(), before);
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.queued, counts.running, counts.delivering), (2, 1, 1));
    assert_eq!((counts.done, counts.dead_lettered, counts.capacity), (1, 1, CAPACITY));
    let mut runs = [lease(&queue, Work::Run).await, lease(&queue, Work::Run).await];
    runs.sort_by_key(|run| run.id);
    assert_eq!((runs[0].id, attempt(&runs[0])), (ids[1], (2, 0)));
    assert_eq!((runs[1].id, attempt(&runs[1])), (ids[5], (1, 0)));
    let delivery = lease(&queue, Work::Deliver).await;
    assert_eq!((delivery.id, arrived(&delivery)), (ids[2], (1, 0)));
    assert_eq!(queue.body(&delivery, 1).await.unwrap(), body("done"));
    assert!(is_idle(&queue, Work::Run).await && is_idle(&queue, Work::Deliver).await);
}
