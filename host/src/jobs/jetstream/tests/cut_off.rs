//! Agents that die between two of the things that they store: what they have begun is completed.

use std::time::SystemTime;

use async_nats::jetstream::consumer::pull;

use super::super::super::record::Record;
use super::*;

/// The record of an operation becomes what a step makes of it, and nothing else happens: the agent dies there.
async fn note_only(queue: &JetStreamQueue, lease: &Lease, step: Step) -> Stored {
    let shared = &queue.shared;
    let change = |entry: &mut Entry| {
        entry.record.step(lease.fence, &step, SystemTime::now())?;
        Ok(Change::Write(()))
    };
    shared.change(lease.id, &mut Tries::default(), change).await.unwrap().0
}

fn entry(site: &Site, operation: &NewOperation, id: OperationId) -> Entry {
    let record = Record::named(id, operation, &site.config.keys, SystemTime::now());
    Entry { bucket: 3, bodies: super::super::ledger::Bodies::default(), record }
}

async fn n_pieces(queue: &JetStreamQueue) -> u64 {
    queue.shared.bodies.stream().get_info().await.unwrap().state.messages
}

async fn n_signs(queue: &JetStreamQueue) -> u64 {
    queue.shared.jobs.get_info().await.unwrap().state.messages
}

/// Waits for work, which there is not, until something is so.
async fn no_work_until(queue: &JetStreamQueue, work: Work, is_so: impl AsyncFn() -> bool) {
    let seen = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = seen => {}
        leased = queue.lease(work) => panic!("{leased:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_cut_off_is_completed_by_its_repeat() {
    let site = Site::new().await;
    let queue = site.agent().await;
    for (request, has_record) in [("noted", false), ("stored", true)] {
        let (operation, id) = (scan_of_request("ada", request), OperationId::new());
        assert!(queue.shared.ledger.note_request(request, id).await.unwrap());
        if has_record {
            queue.shared.ledger.insert(entry(&site, &operation, id)).await.unwrap().unwrap();
        }
        let accepted = queue.accept(operation).await.unwrap();
        assert_eq!(accepted, Accepted { id, is_repeat: has_record });
        assert_eq!(lease(&queue, Work::Run).await.id, id);
    }
    assert!(is_idle(&queue, Work::Run).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_without_a_sign_gets_one_from_the_sweeper() {
    let site = Site::new().await;
    let (queue, other) = (site.agent().await, site.agent().await);
    let id = OperationId::new();
    queue.shared.ledger.insert(entry(&site, &scan("ada"), id)).await.unwrap().unwrap();
    // Who has not been told of it yet hears of it now.
    let told = async {
        while other.shared.mirror.revision(id).is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    other.shared.sweep(Duration::from_hours(1), false).await.unwrap();
    assert_eq!(n_signs(&queue).await, 0, "its sign may be on its way");
    other.shared.sweep(Duration::ZERO, false).await.unwrap();
    other.shared.sweep(Duration::ZERO, false).await.unwrap();
    assert_eq!(n_signs(&queue).await, 1);
    let run = lease(&queue, Work::Run).await;
    assert_eq!(run.id, id);
    // Somebody empties the stream.
    queue.shared.jobs.purge().await.unwrap();
    other.shared.sweep(Duration::ZERO, false).await.unwrap();
    let newer = lease(&other, Work::Run).await;
    assert!(newer.id == id && queue.renew(&run).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_was_noted_is_delivered() {
    let site = Site::new().await;
    let queue = site.agent().await;
    for is_posted in [false, true] {
        let id = accept(&queue, scan("ada")).await;
        let run = lease(&queue, Work::Run).await;
        let stored = note_only(&queue, &run, outcome()).await;
        if is_posted {
            queue.shared.post(&stored).await.unwrap();
        }
        queue.let_run_out(id, run.fence).await;
        let delivery = tokio::select! {
            delivery = lease(&queue, Work::Deliver) => delivery,
            run = lease(&queue, Work::Run) => panic!("{run:?}"),
        };
        assert_eq!(delivery.id, id);
        no_work_until(&queue, Work::Run, async || n_signs(&queue).await == 1).await;
        queue.record(&delivery, Step::Finish).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_leaves_neither_sign_nor_bodies() {
    let site = Site::new().await;
    let queue = site.agent().await;
    for (step, pieces_left) in [(Step::Finish, 0), (Step::DeadLetter(problem()), 2)] {
        let id = accept(&queue, scan("ada")).await;
        let run = lease(&queue, Work::Run).await;
        queue.record(&run, outcome()).await.unwrap();
        let delivery = lease(&queue, Work::Deliver).await;
        note_only(&queue, &delivery, step).await;
        assert_eq!(n_pieces(&queue).await, 2);
        queue.let_run_out(id, delivery.fence).await;
        no_work_until(&queue, Work::Deliver, async || n_signs(&queue).await == 0).await;
        assert_eq!(n_pieces(&queue).await, pieces_left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_time_is_not_taken_up_before_it() {
    let site = Site::new().await;
    let queue = site.agent().await;
    let id = accept(&queue, scan("ada")).await;
    let run = lease(&queue, Work::Run).await;
    note_only(&queue, &run, Step::Again(Duration::from_hours(1), problem())).await;
    queue.let_run_out(id, run.fence).await;
    assert!(is_idle(&queue, Work::Run).await);
    assert_eq!((state(&queue, id).await, n_signs(&queue).await), ("queued", 1));
    // Nor is one lost that is cancelled halfway: its sign was taken away, and not put up again.
    queue.cancel(id).await.unwrap();
    queue.shared.jobs.purge().await.unwrap();
    queue.shared.sweep(Duration::ZERO, false).await.unwrap();
    assert_eq!(lease(&queue, Work::Run).await.id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_to_be_delivered_is_delivered() {
    let site = Site::new().await;
    let queue = site.agent().await;
    let id = accept(&queue, scan("ada")).await;
    let run = lease(&queue, Work::Run).await;
    queue.record(&run, outcome()).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    queue.record(&delivery, Step::DeadLetter(problem())).await.unwrap();
    let redeliver = |entry: &mut Entry| {
        entry.record.redeliver(SystemTime::now())?;
        Ok(Change::Write(()))
    };
    queue.shared.change(id, &mut Tries::default(), redeliver).await.unwrap();
    queue.shared.sweep(Duration::ZERO, false).await.unwrap();
    assert_eq!(lease(&queue, Work::Deliver).await.id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_belong_to_nothing_are_removed() {
    let site = Site::new().await;
    let queue = site.agent().await;
    let [done, kept] = [accept(&queue, scan("ada")).await, accept(&queue, scan("ada")).await];
    let run = lease(&queue, Work::Run).await;
    queue.record(&run, Step::Outcome(Outcome::Succeeded(Summary::default()), Vec::new())).await.unwrap();
    let kept_run = lease(&queue, Work::Run).await;
    assert_eq!((run.id, kept_run.id), (done, kept));
    for id in [done, kept, OperationId::new()] {
        queue.shared.bodies.put(id, 9, vec![Bytes::from("body")]).await.unwrap();
    }
    queue.shared.sweep(Duration::ZERO, true).await.unwrap();
    assert_eq!(n_pieces(&queue).await, 1, "of the one that runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_does_not_make_a_step_count_twice() {
    let site = Site::new().await;
    let queue = site.agent().await;
    accept(&queue, scan("ada")).await;
    let run = lease(&queue, Work::Run).await;
    let step = Step::Again(Duration::ZERO, problem());
    let stored = note_only(&queue, &run, step.clone()).await;
    // The agent has not heard that it is stored.
    let tries = Tries::of(stored.json, ());
    queue.shared.held().get_mut(&run.id).unwrap().tries = tries;
    queue.record(&run, step).await.unwrap();
    let again = lease(&queue, Work::Run).await;
    let super::super::super::Task::Run(task) = again.task else { panic!() };
    assert_eq!((task.attempt, task.n_failures), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_is_left_alone_or_put_aside() {
    let site = Site::new().await;
    let queue = site.agent().await;
    // A record of a newer version: an agent of that version can read it.
    let id = accept(&queue, scan("ada")).await;
    let stored = queue.shared.ledger.get(id).await.unwrap().unwrap();
    let newer = String::from_utf8(stored.json.to_vec()).unwrap().replace("\"version\":1", "\"version\":2");
    let bucket = queue.shared.ledger.operations();
    bucket.update(id.to_string(), newer.into(), stored.revision).await.unwrap();
    assert!(is_idle(&queue, Work::Run).await);
    assert!(matches!(queue.operation(id).await, Err(QueueError::Damaged { .. })));
    assert_eq!(n_signs(&queue).await, 1, "nothing is dropped");
    // A text that its own key does not open: nobody ever can.
    let id = accept(&queue, scan("bob")).await;
    let stored = queue.shared.ledger.get(id).await.unwrap().unwrap();
    let json = String::from_utf8(stored.json.to_vec()).unwrap();
    let broken = json.replacen("\"text\":\"", "\"text\":\"AAAA", 1);
    bucket.update(id.to_string(), broken.into(), stored.revision).await.unwrap();
    let view = tokio::select! {
        ended = queue.ended(id) => ended.unwrap(),
        leased = queue.lease(Work::Run) => panic!("{leased:?}"),
    };
    assert_eq!(view.state.as_str(), "dead_lettered");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_is_forgotten_after_its_time_and_beyond_its_number() {
    let mut site = Site::new().await;
    site.config.retention = Retention { done_for: Duration::from_hours(1), n_done: 2, n_dead_letters: 1 };
    let queue = site.agent().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(accept(&queue, scan_of_request("ada", &number.to_string())).await);
        let run = lease(&queue, Work::Run).await;
        queue.record(&run, outcome()).await.unwrap();
        let delivery = lease(&queue, Work::Deliver).await;
        let step = if number % 2 == 0 { Step::Finish } else { Step::DeadLetter(problem()) };
        queue.record(&delivery, step).await.unwrap();
    }
    queue.shared.sweep(Duration::ZERO, true).await.unwrap();
    let left = |views: Vec<OperationView>| views.into_iter().map(|view| view.id).collect::<Vec<_>>();
    assert_eq!(left(queue.list().await.unwrap()), [ids[2], ids[4], ids[5]]);
    assert_eq!(n_pieces(&queue).await, 2, "of the dead letter");
    assert!(!queue.accept(scan_of_request("ada", "0")).await.unwrap().is_repeat);
    // An agent that comes later is told the same.
    assert_eq!(left(site.agent().await.list().await.unwrap()).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_gives_out_nothing_is_made_anew() {
    let site = Site::new().await;
    let queue = site.agent().await;
    let shared = &queue.shared;
    // As it is for one that believes to have given out what the stream does not have any more: it does not see its lane.
    for lane in Lane::of(Work::Run) {
        let filter_subject = format!("{}.blind.*", shared.names.lane(lane));
        let usual = shared.names.consumer_config(lane, LEASE);
        shared.jobs.delete_consumer(&lane.consumer()).await.unwrap();
        shared.jobs.create_consumer(pull::Config { filter_subject, ..usual }).await.unwrap();
    }
    let id = accept(&queue, scan("ada")).await;
    assert!(is_idle(&queue, Work::Run).await);
    shared.revive_consumers().await.unwrap();
    assert_eq!(lease(&queue, Work::Run).await.id, id);
    shared.revive_consumers().await.unwrap();
    assert!(is_idle(&queue, Work::Run).await, "what is given out is not given out again");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_the_servers_have_lost_are_told_from_those_that_can_not_be_read_now() {
    let site = Site::new().await;
    let queue = site.agent().await;
    accept(&queue, scan("ada")).await;
    queue.record(&lease(&queue, Work::Run).await, outcome()).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    queue.shared.bodies.stream().purge().await.unwrap();
    assert!(matches!(queue.body(&delivery, 0).await, Err(QueueError::Damaged { .. })));
    queue.record(&delivery, Step::Anew(problem())).await.unwrap();
    queue.record(&lease(&queue, Work::Run).await, outcome()).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    assert_eq!(queue.body(&delivery, 0).await.unwrap(), "result");
}
