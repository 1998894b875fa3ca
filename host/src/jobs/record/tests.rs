use bytes::Bytes;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::super::Summary;
use super::super::fixtures::{PASSWORD, scan};
use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const WAIT: Duration = Duration::from_secs(30);

fn problem() -> Problem {
    Problem::new("registry_timeout", "slow")
}

fn success() -> Outcome {
    Outcome::Succeeded(Summary::default())
}

fn bodies() -> Vec<(Part, Bytes)> {
    vec![(Part::Result(0), Bytes::new()), (Part::Done, Bytes::new())]
}

fn keys() -> SealKeys {
    SealKeys::generate()
}

/// A record in each state, with the fence of its newest lease.
fn in_each_state(keys: &SealKeys) -> Vec<Record> {
    let queued = Record::new(&scan("ada"), keys, NOW);
    let mut running = queued.clone();
    let lease = running.lease(keys, NOW).unwrap();
    let mut delivering = running.clone();
    delivering.step(lease.fence, &Step::Outcome(success(), bodies()), NOW).unwrap();
    let lease = delivering.lease(keys, NOW).unwrap();
    let (mut done, mut dead) = (delivering.clone(), delivering.clone());
    done.step(lease.fence, &Step::Finish, NOW).unwrap();
    dead.step(lease.fence, &Step::DeadLetter(problem()), NOW).unwrap();
    vec![queued, running, delivering, done, dead]
}

#[test]
fn from_each_state_there_are_these_ways_and_no_others() {
    let keys = keys();
    let steps = [
        Step::Outcome(success(), bodies()),
        Step::Outcome(success(), Vec::new()),
        Step::Again(WAIT, problem()),
        Step::Defer(WAIT, problem()),
        Step::Delivered(1),
        Step::Delivered(3),
        Step::Finish,
        Step::Postpone(WAIT, "no answer".to_owned()),
        Step::DeadLetter(problem()),
        Step::HandBack,
        Step::Anew(problem()),
        Step::Yield(WAIT, problem()),
    ];
    // By state; what each step makes of it: q(ueued), d(elivering), D(one), X (a dead letter), - where there is no way.
    let expected = [
        ("queued", "------------"),
        ("running", "dDqq-----q-q"),
        ("delivering", "dD-dd-DdXdq-"),
        ("done", "------------"),
        ("dead_lettered", "------------"),
    ];
    for (record, (state, ways)) in in_each_state(&keys).into_iter().zip(expected) {
        assert_eq!(record.state.as_str(), state);
        let found: String = steps
            .iter()
            .map(|step| {
                let mut record = record.clone();
                let before = record.clone();
                match record.step(record.fence(), step, NOW) {
                    Ok(()) => match record.state.as_str() {
                        "done" => 'D',
                        "dead_lettered" => 'X',
                        other => other.chars().next().unwrap(),
                    },
                    Err(error) => {
                        assert_eq!((&record, error), (&before, before.wrong_state()));
                        '-'
                    }
                }
            })
            .collect();
        assert_eq!(found, ways, "{state}");
        let (mut cancelled, mut redelivered, mut leased) = (record.clone(), record.clone(), record.clone());
        assert_eq!(cancelled.cancel().is_ok(), matches!(state, "queued" | "running"), "{state}");
        assert_eq!(redelivered.redeliver(NOW).is_ok(), state == "dead_lettered", "{state}");
        assert_eq!(leased.lease(&keys, NOW).is_ok(), !record.state.has_ended(), "{state}");
        assert_eq!(record.check_ended().is_ok(), record.state.has_ended(), "{state}");
    }
}

#[test]
fn only_the_newest_lease_holds() {
    let keys = keys();
    let mut record = Record::new(&scan("ada"), &keys, NOW);
    let first = record.lease(&keys, NOW).unwrap();
    let second = record.lease(&keys, NOW).unwrap();
    assert!(record.step(first.fence, &Step::HandBack, NOW).is_err());
    assert!(record.wish(first.fence).is_err());
    assert_eq!(record.wish(second.fence), Ok(Wish::GoOn));
    record.step(second.fence, &Step::HandBack, NOW).unwrap();
    assert!(record.step(second.fence, &Step::HandBack, NOW).is_err());
}

#[test]
fn time_counts_from_the_first_attempt_that_was_begun() {
    let keys = keys();
    let elapsed = |record: &mut Record, after: u32| {
        let lease = record.lease(&keys, NOW + WAIT * after).unwrap();
        let Task::Run(run) = lease.task else { panic!("{record:?}") };
        (lease.fence, run.elapsed)
    };
    let mut record = Record::new(&scan("ada"), &keys, NOW);
    for (after, step, expected) in [
        (0, Step::Yield(WAIT, problem()), Duration::ZERO),
        (1, Step::Defer(WAIT, problem()), Duration::ZERO),
        (3, Step::Again(WAIT, problem()), WAIT * 2),
        (4, Step::Yield(WAIT, problem()), WAIT * 3),
        (5, Step::Again(WAIT, problem()), WAIT * 4),
    ] {
        let (fence, time) = elapsed(&mut record, after);
        assert_eq!(time, expected, "{step:?}");
        record.step(fence, &step, NOW).unwrap();
    }
}

#[test]
fn attempts_count_what_was_begun_and_a_time_to_wait_is_kept() {
    let keys = keys();
    let mut record = Record::new(&scan("ada"), &keys, NOW);
    // (step, attempts after it, failures that the next run knows of, whether it waits)
    let rows = [
        (Step::HandBack, 0, 0, false),
        (Step::Defer(WAIT, problem()), 0, 0, true),
        (Step::Yield(WAIT, problem()), 0, 0, true),
        (Step::Again(WAIT, problem()), 1, 1, true),
        (Step::Again(Duration::ZERO, problem()), 2, 2, false),
    ];
    for (step, attempts, n_failures, waits) in rows {
        let lease = record.lease(&keys, NOW).unwrap();
        record.step(lease.fence, &step, NOW).unwrap();
        assert_eq!(record.view().attempts, attempts, "{step:?}");
        assert_eq!(record.state.not_before(), waits.then_some(NOW + WAIT), "{step:?}");
        let Task::Run(run) = record.clone().lease(&keys, NOW).unwrap().task else { panic!("{step:?}") };
        assert_eq!(run.n_failures, n_failures, "{step:?}");
    }
}

#[test]
fn a_cancellation_is_seen_by_whoever_has_it_and_by_whoever_takes_it_next() {
    let keys = keys();
    let mut record = Record::new(&scan("ada"), &keys, NOW);
    let lease = record.lease(&keys, NOW).unwrap();
    record.cancel().unwrap();
    assert_eq!(record.wish(lease.fence), Ok(Wish::Cancel));
    record.step(lease.fence, &Step::Again(WAIT, problem()), NOW).unwrap();
    assert_eq!(record.state.not_before(), None, "nobody waits to cancel");
    let Task::Run(run) = record.lease(&keys, NOW).unwrap().task else { panic!() };
    assert!(run.is_cancelled);
}

#[test]
fn what_is_delivered_begins_where_it_was_and_a_redelivery_as_well() {
    let keys = keys();
    let mut record = in_each_state(&keys).swap_remove(2);
    let fence = record.fence();
    record.step(fence, &Step::Delivered(1), NOW).unwrap();
    record.step(fence, &Step::Postpone(WAIT, "x".to_owned()), NOW).unwrap();
    let lease = record.lease(&keys, NOW).unwrap();
    record.step(lease.fence, &Step::DeadLetter(problem()), NOW).unwrap();
    record.redeliver(NOW + WAIT).unwrap();
    let Task::Deliver(delivery) = record.lease(&keys, NOW + 2 * WAIT).unwrap().task else { panic!() };
    assert_eq!(delivery.parts, [Part::Result(0), Part::Done]);
    assert_eq!((delivery.n_delivered, delivery.n_tries, delivery.elapsed), (1, 0, WAIT));
}

#[test]
fn what_is_lost_on_its_way_is_found_once_more_while_the_connection_is_there() {
    let keys = keys();
    let mut record = in_each_state(&keys).swap_remove(2);
    record.step(record.fence(), &Step::Delivered(1), NOW).unwrap();
    record.step(record.fence(), &Step::Anew(problem()), NOW).unwrap();
    let lease = record.lease(&keys, NOW).unwrap();
    let Task::Run(run) = lease.task else { panic!() };
    assert_eq!((run.attempt, run.n_failures, run.last_failure), (2, 0, Some(problem())));
    record.step(lease.fence, &Step::Outcome(success(), bodies()), NOW).unwrap();
    let lease = record.lease(&keys, NOW).unwrap();
    let Task::Deliver(delivery) = lease.task else { panic!() };
    assert_eq!((delivery.n_delivered, delivery.may_run_anew), (0, true));
    // Not after it was a dead letter.
    record.step(lease.fence, &Step::DeadLetter(problem()), NOW).unwrap();
    record.redeliver(NOW).unwrap();
    let lease = record.lease(&keys, NOW).unwrap();
    let Task::Deliver(delivery) = lease.task else { panic!() };
    assert!(!delivery.may_run_anew);
    assert!(record.step(lease.fence, &Step::Anew(problem()), NOW).is_err());
}

#[test]
fn credentials_are_sealed_and_leave_when_they_are_no_longer_needed() {
    let keys = keys();
    let records = in_each_state(&keys);
    for record in &records {
        let text = String::from_utf8(record.to_json()).unwrap();
        assert!(!text.contains(PASSWORD) && !text.contains("callback.broker.test"), "{text}");
        assert_eq!(Record::from_json(text.as_bytes()).as_ref(), Ok(record));
    }
    let sealed: Vec<_> = records.iter().map(|r| (r.connection.is_some(), r.callback.is_some())).collect();
    assert_eq!(sealed, [(true, true), (true, true), (true, true), (false, false), (false, true)]);

    let Task::Run(run) = records[0].clone().lease(&keys, NOW).unwrap().task else { panic!() };
    let connection = &run.operation.request.connection;
    assert_eq!(connection.fingerprint(), scan("ada").connection.fingerprint());
    let callback = run.operation.request.callback.unwrap();
    assert_eq!(
        callback.to_secret().expose_secret(),
        scan("ada").callback.unwrap().to_secret().expose_secret()
    );

    // Another key, and the sealed text of another operation.
    let other = SealKeys::generate();
    assert!(matches!(records[0].clone().lease(&other, NOW), Err(QueueError::Sealed { .. })));
    let mut swapped = records[0].clone();
    swapped.connection = Record::new(&scan("ada"), &keys, NOW).connection;
    assert!(matches!(swapped.lease(&keys, NOW), Err(QueueError::Sealed { .. })));
}

#[test]
fn what_is_put_aside_before_it_had_an_outcome_is_a_dead_letter_that_delivers_nothing() {
    let keys = keys();
    let mut record = Record::new(&scan("ada"), &keys, NOW);
    record.set_aside(problem(), NOW);
    assert_eq!((record.state.as_str(), record.connection.is_some()), ("dead_lettered", false));
    assert_eq!(record.redeliver(NOW), Err(record.wrong_state()));
    assert_eq!(record.check_ended(), Ok(()));
}

#[test]
fn connections_are_told_apart_by_a_mark_that_says_nothing_without_the_key() {
    let keys = keys();
    let tenant = |user: &str, keys: &SealKeys| Record::new(&scan(user), keys, NOW).tenant;
    assert_eq!(tenant("ada", &keys), tenant("ada", &keys));
    assert_ne!(tenant("ada", &keys), tenant("bob", &keys));
    assert_ne!(tenant("ada", &keys), tenant("ada", &SealKeys::generate()));
}

#[test]
fn the_stored_form_is_this_one() {
    let keys = keys();
    let mut record = Record::new(&scan("ada"), &keys, NOW);
    record.lease(&keys, NOW).unwrap();
    let mut stored: Value = serde_json::from_slice(&record.to_json()).unwrap();
    for (field, text) in [("id", "ID"), ("connection", "SEALED"), ("callback", "SEALED"), ("tenant", "MARK")]
    {
        stored[field] = json!(text);
    }
    let time = json!({ "secs_since_epoch": 0, "nanos_since_epoch": 0 });
    let expected = json!({
        "version": 1, "id": "ID", "request_id": null, "priority": "bulk", "tenant": "MARK", "kind": "scan",
        "image": "team/app:1", "requested_name": "team/app:1", "platform": "linux/amd64", "options": {},
        "compat": "9.8", "correlation_id": "c-1", "registry_type": "oci-cr", "accepted_at": time, "begun_at": time,
        "attempts": 1, "n_failures": 0, "fence": 1, "is_cancelled": false, "last_failure": null, "connection": "SEALED",
        "callback": "SEALED", "state": { "running": { "since": time } },
    });
    assert_eq!(stored, expected);
    let other = serde_json::to_vec(&json!({ "version": 2 })).unwrap();
    assert!(matches!(Record::from_json(&other), Err(QueueError::Damaged { .. })));
}
