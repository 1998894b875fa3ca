use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::timeout;

use super::super::fixtures::{PASSWORD, scan, scan_of_request};
use super::super::{LEASE, Outcome, State, Summary, Task};
use super::disk::Disk;
use super::*;
use crate::api::problem::Problem;
use crate::callbacks::Part;

const CAPACITY: usize = 100;

async fn open(disk: &Disk, keys: &SealKeys) -> Result<EmbeddedQueue, QueueError> {
    let disk = disk.clone();
    let backend = move || Box::new(disk.handle()) as Box<dyn StorageBackend>;
    EmbeddedQueue::over(backend, keys.clone(), CAPACITY, Retention::default()).await
}

async fn lease(queue: &EmbeddedQueue, work: Work) -> Lease {
    queue.lease(work).await.unwrap().unwrap()
}

fn outcome() -> Step {
    let body = |text: &str| Bytes::from(text.repeat(1000));
    let parts = vec![(Part::Result(0), body("result")), (Part::Done, body("done"))];
    Step::Outcome(Outcome::Succeeded(Summary::default()), parts)
}

#[tokio::test]
async fn an_operation_goes_its_way_and_leaves_nothing_but_its_outcome() {
    let (disk, keys) = (Disk::default(), SealKeys::generate());
    let queue = open(&disk, &keys).await.unwrap();
    let id = queue.accept(scan("ada")).await.unwrap().id;
    let run = lease(&queue, Work::Run).await;
    assert_eq!((run.id, run.task.work()), (id, Work::Run));
    queue.record(&run, outcome()).await.unwrap();
    let delivery = lease(&queue, Work::Deliver).await;
    assert!(queue.body(&run, 0).await.is_err(), "the lease of the run has ended");
    assert_eq!(queue.body(&delivery, 0).await.unwrap(), "result".repeat(1000));
    queue.record(&delivery, Step::Delivered(1)).await.unwrap();
    assert_eq!(queue.body(&delivery, 1).await.unwrap(), "done".repeat(1000));
    queue.record(&delivery, Step::Finish).await.unwrap();
    let view = queue.ended(id).await.unwrap();
    assert_eq!((view.state.as_str(), view.attempts), ("done", 1));
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.open(), counts.done), (0, 1));
    assert!(!disk.has(PASSWORD) && !disk.has("callback.broker.test"));
}

#[tokio::test]
async fn in_each_state_an_operation_is_there_after_a_crash() {
    let (disk, keys) = (Disk::default(), SealKeys::generate());
    let mut random = StdRng::seed_from_u64(1);
    let queue = open(&disk, &keys).await.unwrap();
    let [queued, running, delivering, dead, done] = {
        let mut ids = Vec::new();
        for user in ["queued", "running", "delivering", "dead", "done"] {
            ids.push(queue.accept(scan_of_request("ada", user)).await.unwrap().id);
        }
        <[OperationId; 5]>::try_from(ids).unwrap()
    };
    let first = lease(&queue, Work::Run).await;
    assert_eq!(first.id, queued);
    queue
        .record(&first, Step::Again(Duration::from_hours(1), Problem::new("registry_timeout", "x")))
        .await
        .unwrap();
    assert_eq!(lease(&queue, Work::Run).await.id, running);
    for _ in 0..3 {
        let run = lease(&queue, Work::Run).await;
        queue.record(&run, outcome()).await.unwrap();
    }
    for step in
        [Step::Delivered(1), Step::DeadLetter(Problem::new("callback_undeliverable", "x")), Step::Finish]
    {
        let delivery = lease(&queue, Work::Deliver).await;
        queue.record(&delivery, step).await.unwrap();
    }
    drop(queue);
    disk.lose_power(&mut random);

    let queue = open(&disk, &keys).await.unwrap();
    let states: BTreeMap<_, _> =
        queue.list().await.unwrap().into_iter().map(|view| (view.id, view.state.as_str())).collect();
    let expected = [
        (queued, "queued"),
        (running, "running"),
        (delivering, "delivering"),
        (dead, "dead_lettered"),
        (done, "done"),
    ];
    assert_eq!(states, BTreeMap::from(expected));
    // What ran is run again, at once; what was delivered goes on where it was.
    let run = lease(&queue, Work::Run).await;
    let Task::Run(task) = &run.task else { panic!() };
    assert_eq!((run.id, task.attempt, task.n_failures), (running, 2, 0));
    let delivery = lease(&queue, Work::Deliver).await;
    let Task::Deliver(task) = &delivery.task else { panic!() };
    assert_eq!((delivery.id, task.n_delivered), (delivering, 1));
    assert_eq!(queue.body(&delivery, 1).await.unwrap(), "done".repeat(1000));
    queue.redeliver(dead).await.unwrap();
    assert_eq!(lease(&queue, Work::Deliver).await.id, dead);
    for (request, id) in [("queued", queued), ("done", done)] {
        let accepted = queue.accept(scan_of_request("ada", request)).await.unwrap();
        assert_eq!(accepted, Accepted { id, is_repeat: true });
    }
}

/// Random work with the power gone at random moments, many times over: whatever was answered holds.
#[tokio::test]
async fn nothing_that_was_answered_is_lost_when_the_power_goes() {
    let (disk, keys) = (Disk::default(), SealKeys::generate());
    let mut random = StdRng::seed_from_u64(7);
    // What is known of each operation: the least that must have become of it, in the order of states.
    let mut known: BTreeMap<OperationId, u8> = BTreeMap::new();
    let rank = |state: &State| match state {
        State::Queued { .. } | State::Running { .. } => 0,
        State::Delivering(_) => 1,
        State::Done { .. } | State::DeadLettered { .. } => 2,
    };
    for round in 0..40 {
        let queue = open(&disk, &keys).await.unwrap();
        for view in queue.list().await.unwrap() {
            let least = known.get(&view.id).copied().unwrap_or_default();
            assert!(rank(&view.state) >= least, "round {round}: {view:?} was beyond that");
        }
        let found: Vec<_> = queue.list().await.unwrap().iter().map(|view| view.id).collect();
        assert!(known.keys().all(|id| found.contains(id)), "round {round}: one is gone");
        for _ in 0..random.random_range(1..12) {
            match random.random_range(0..4) {
                0 | 1 => {
                    if let Ok(accepted) = queue.accept(scan("ada")).await {
                        known.insert(accepted.id, 0);
                    }
                }
                2 if queue.counts().await.unwrap().queued > 0 => {
                    let run = lease(&queue, Work::Run).await;
                    queue.record(&run, outcome()).await.unwrap();
                    known.insert(run.id, 1);
                }
                3 if queue.counts().await.unwrap().delivering > 0 => {
                    let delivery = lease(&queue, Work::Deliver).await;
                    assert_eq!(queue.body(&delivery, 0).await.unwrap(), "result".repeat(1000));
                    queue.record(&delivery, Step::Finish).await.unwrap();
                    known.insert(delivery.id, 2);
                }
                _ => {}
            }
        }
        // Something that was asked for and not answered: it may be there or not.
        let begun = queue.accept(scan("bob"));
        if random.random_bool(0.5) {
            let _ = tokio::time::timeout(Duration::ZERO, begun).await;
        } else {
            drop(begun);
        }
        drop(queue);
        disk.lose_power(&mut random);
    }
    assert!(known.len() > 50);
}

#[tokio::test]
async fn a_full_disk_takes_nothing_and_loses_nothing() {
    for read_only in [false, true] {
        let (disk, keys) = (Disk::default(), SealKeys::generate());
        let queue = open(&disk, &keys).await.unwrap();
        let id = queue.accept(scan("ada")).await.unwrap().id;
        let run = lease(&queue, Work::Run).await;
        if read_only {
            disk.read_only(true);
        } else {
            disk.limit(Some(0));
        }
        let refused = queue.accept(scan_of_request("ada", "r")).await.unwrap_err();
        assert!(matches!(refused, QueueError::Unwritable { .. }), "{refused}");
        assert_eq!(regent_transport::Fault::code(&refused), "queue_unwritable");
        assert!(queue.counts().await.is_err(), "the agent is not ready");
        assert!(queue.record(&run, outcome()).await.is_err());
        assert_eq!(queue.renew(&run).await, Ok(Wish::GoOn), "what runs may go on");
        disk.limit(None);
        disk.read_only(false);
        // The holder of the lease still has it.
        queue.record(&run, outcome()).await.unwrap();
        assert_eq!(queue.operation(id).await.unwrap().state.as_str(), "delivering");
        assert!(!queue.accept(scan_of_request("ada", "r")).await.unwrap().is_repeat, "it had not been taken");
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_and_not_used() {
    let (disk, keys) = (Disk::default(), SealKeys::generate());
    let queue = open(&disk, &keys).await.unwrap();
    for _ in 0..20 {
        queue.accept(scan("ada")).await.unwrap();
    }
    queue.stop().await.unwrap();
    let mut n_found = 0;
    let n_bytes = disk.len();
    // Some bytes are of no page that is in use; what is in use is found.
    for at in (0..n_bytes).step_by(n_bytes / 64) {
        disk.corrupt(at);
        match open(&disk, &keys).await {
            Err(QueueError::Damaged { .. }) => n_found += 1,
            Err(other) => panic!("{other}"),
            Ok(queue) => {
                assert_eq!(queue.list().await.unwrap().len(), 20, "byte {at}");
                queue.stop().await.unwrap();
            }
        }
        disk.corrupt(at);
    }
    assert!(n_found > 5, "{n_found} of 64");
}

#[tokio::test]
async fn with_another_seal_key_the_queue_stays_closed_and_whole() {
    let (disk, keys) = (Disk::default(), SealKeys::generate());
    let queue = open(&disk, &keys).await.unwrap();
    let id = queue.accept(scan("ada")).await.unwrap().id;
    queue.stop().await.unwrap();
    let other = SealKeys::generate();
    let error = open(&disk, &other).await.unwrap_err();
    let [sealed, known] = [&keys, &other].map(|keys| keys.ids().next().unwrap().to_string());
    assert_eq!(
        error.to_string(),
        format!("operation {id}: it is sealed with key {sealed}, and the agent has {known}")
    );
    let queue = open(&disk, &keys).await.unwrap();
    assert_eq!(lease(&queue, Work::Run).await.id, id);
}

#[tokio::test]
async fn one_file_has_one_agent_and_is_private() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.redb");
    let keys = SealKeys::generate();
    let open = || EmbeddedQueue::open(path.clone(), keys.clone(), CAPACITY, Retention::default());
    let queue = open().await.unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    let error = open().await.unwrap_err();
    assert!(error.to_string().contains("queue.redb: another agent has it open"), "{error}");
    queue.stop().await.unwrap();
    open().await.unwrap().stop().await.unwrap();

    assert_eq!(directory.path().read_dir().unwrap().count(), 1, "nothing else is left there");
    for damaged in ["garbage".repeat(1000), String::new()] {
        std::fs::write(&path, damaged).unwrap();
        let error = open().await.unwrap_err();
        assert!(matches!(&error, QueueError::Damaged { reason } if reason.contains("queue.redb")), "{error}");
    }
}

#[tokio::test]
async fn a_lease_that_arrives_when_nobody_waits_any_more_goes_back() {
    let queue = EmbeddedQueue::in_memory(CAPACITY).await.unwrap();
    for _ in 0..50 {
        let waiting = queue.lease(Work::Run);
        let accepting = queue.accept(scan("ada"));
        tokio::select! {
            biased;
            _ = accepting => {} // and the wait is dropped, wherever it is
            _ = waiting => {}
        }
    }
    for _ in 0..50 {
        lease(&queue, Work::Run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_forgotten_after_its_time_and_beyond_its_number() {
    let retention = Retention { done_for: Duration::from_mins(1), n_done: 3, n_dead_letters: 2 };
    let disk = Disk::default();
    let backend = move || Box::new(disk.handle()) as Box<dyn StorageBackend>;
    let queue = EmbeddedQueue::over(backend, SealKeys::generate(), CAPACITY, retention).await.unwrap();
    for number in 0..10 {
        queue.accept(scan_of_request("ada", &number.to_string())).await.unwrap();
        let run = lease(&queue, Work::Run).await;
        queue.record(&run, outcome()).await.unwrap();
        let delivery = lease(&queue, Work::Deliver).await;
        let step =
            if number % 2 == 0 { Step::Finish } else { Step::DeadLetter(Problem::new("internal", "x")) };
        queue.record(&delivery, step).await.unwrap();
    }
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.done, counts.dead_lettered, queue.list().await.unwrap().len()), (3, 2, 5));
    assert!(queue.accept(scan_of_request("ada", "8")).await.unwrap().is_repeat);
    tokio::time::advance(Duration::from_mins(2)).await;
    queue.accept(scan("ada")).await.unwrap();
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.done, counts.dead_lettered), (0, 2));
    assert!(!queue.accept(scan_of_request("ada", "8")).await.unwrap().is_repeat);
}

#[tokio::test(start_paused = true)]
async fn who_gives_a_late_sign_of_life_keeps_what_nobody_has_taken() {
    let queue = open(&Disk::default(), &SealKeys::generate()).await.unwrap();
    queue.accept(scan("ada")).await.unwrap();
    let run = lease(&queue, Work::Run).await;
    tokio::time::advance(LEASE * 2).await;
    // It is taken back by now.
    assert_eq!(queue.counts().await.unwrap().running, 1);
    assert_eq!(queue.renew(&run).await, Ok(Wish::GoOn));
    assert!(timeout(LEASE / 2, queue.lease(Work::Run)).await.is_err());
    queue.record(&run, outcome()).await.unwrap();
    assert_eq!(lease(&queue, Work::Deliver).await.id, run.id);
}
