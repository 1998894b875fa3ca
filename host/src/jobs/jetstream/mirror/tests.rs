use super::super::super::fixtures::scan;
use super::super::super::record::Record;
use super::super::super::{Outcome, Step, Summary};
use super::super::ledger::Bodies;
use super::*;
use crate::api::problem::Problem;
use crate::seal::SealKeys;

fn stored(tenant: u64, bucket: u8, revision: u64) -> Stored {
    let mut record = Record::new(&scan("ada"), &SealKeys::generate(), SystemTime::now());
    record.tenant = tenant;
    let entry = Entry { bucket, bodies: Bodies::default(), record };
    Stored { json: entry.to_json(), entry, revision }
}

fn again(stored: &Stored, change: impl FnOnce(&mut Record)) -> Stored {
    let mut next = stored.clone();
    change(&mut next.entry.record);
    next.revision += 1;
    next
}

fn step(step: Step) -> impl FnOnce(&mut Record) {
    move |record| {
        let fence = record.fence();
        record.step(fence, &step, SystemTime::now()).unwrap();
    }
}

fn run(record: &mut Record) {
    record.state = State::Running { since: SystemTime::now() };
}

fn view(mirror: &Mirror, work: Work, bucket: u8) -> (usize, usize) {
    let (lanes, _) = mirror.lanes(work, SystemTime::now());
    let lane =
        lanes.iter().filter(|view| view.lane.bucket() == bucket && view.n_waiting + view.n_running > 0);
    lane.fold((0, 0), |sum, view| (sum.0 + view.n_waiting, sum.1 + view.n_running))
}

#[test]
fn an_operation_is_seen_in_the_lane_of_its_state() {
    let mirror = Mirror::new();
    let queued = stored(1, 5, 1);
    let running = again(&queued, run);
    let done = Step::Outcome(Outcome::Succeeded(Summary::default()), vec![]);
    let ended = again(&running, step(done));
    for (seen, waiting_and_running) in
        [(&queued, (1, 0)), (&running, (0, 1)), (&queued, (0, 1)), (&ended, (0, 0))]
    {
        mirror.note(seen);
        assert_eq!(view(&mirror, Work::Run, 5), waiting_and_running);
    }
    let counts = mirror.counts();
    assert_eq!((counts.open(), counts.done), (0, 1));
    assert_eq!(mirror.revision(queued.entry.record.id), Some(3));
    mirror.note_removal(queued.entry.record.id, 3);
    mirror.note(&ended);
    assert_eq!(mirror.counts(), QueueCounts::default(), "what is forgotten stays so");
}

#[test]
fn what_waits_for_a_time_is_ready_then() {
    let mirror = Mirror::new();
    let queued = stored(1, 5, 1);
    let wait = Step::Again(Duration::from_hours(1), Problem::new("registry_timeout", "x"));
    let waiting = again(&again(&queued, run), step(wait));
    mirror.note(&waiting);
    let (_, next) = mirror.lanes(Work::Run, SystemTime::now());
    let time = waiting.entry.record.state.not_before();
    assert!(next == time && time.is_some());
    assert_eq!(view(&mirror, Work::Run, 5), (0, 0));
    let (lanes, next) = mirror.lanes(Work::Run, time.unwrap());
    assert_eq!((lanes.iter().map(|view| view.n_waiting).sum::<usize>(), next), (1, None));
}

#[test]
fn a_tenant_shares_its_bucket_only_when_there_are_more_tenants_than_buckets() {
    let mirror = Mirror::new();
    let mut buckets = Vec::new();
    for number in 0..u64::from(BUCKETS) {
        // All of them have the same number to begin with.
        let tenant = 3 + number * u64::from(BUCKETS);
        let bucket = mirror.bucket(tenant);
        mirror.note(&stored(tenant, bucket, 2 * number + 1));
        assert_eq!(mirror.bucket(tenant), bucket, "it stays there");
        mirror.note(&stored(tenant, bucket, 2 * number + 2));
        buckets.push(bucket);
    }
    assert_eq!(buckets[0], 3);
    buckets.sort_unstable();
    assert!(buckets.iter().copied().eq(0..BUCKETS));
}

#[test]
fn what_the_servers_do_not_name_is_gone() {
    let mirror = Mirror::new();
    let (gone, kept) = (stored(1, 1, 1), stored(1, 1, 2));
    mirror.note(&gone);
    mirror.note(&kept);
    mirror.begin_telling();
    mirror.note(&kept);
    let new = stored(1, 1, 3);
    mirror.note(&new);
    mirror.end_telling();
    assert_eq!(mirror.ids(false), [kept.entry.record.id, new.entry.record.id]);
}

#[test]
fn old_is_what_ended_long_ago_or_is_beyond_the_number() {
    let mirror = Mirror::new();
    let now = SystemTime::now();
    let outcome = Outcome::Succeeded(Summary::default());
    let mut ids = Vec::new();
    for seconds in [400, 300, 200, 100] {
        let at = now - Duration::from_secs(seconds);
        let outcome = outcome.clone();
        let ended = again(&stored(1, 1, 1), |record| record.state = State::Done { at, outcome });
        mirror.note(&ended);
        ids.push(ended.entry.record.id);
    }
    let retention = |done_for, n_done| Retention { done_for, n_done, n_dead_letters: 1 };
    let minutes = Duration::from_mins;
    for (kept, n_old) in
        [(retention(minutes(4), 9), 2), (retention(minutes(60), 1), 3), (retention(minutes(4), 1), 3)]
    {
        assert_eq!(mirror.old(kept, now), (ids[..n_old].to_vec(), Vec::new()));
    }
    let set_aside = |record: &mut Record| record.set_aside(Problem::new("internal", "x"), now);
    let letters = [again(&stored(1, 1, 1), set_aside), again(&stored(1, 1, 1), set_aside)];
    for letter in &letters {
        mirror.note(letter);
    }
    assert_eq!(mirror.old(retention(minutes(60), 9), now), (Vec::new(), vec![letters[0].entry.record.id]));
}
