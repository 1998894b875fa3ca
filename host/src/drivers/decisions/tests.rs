use std::fs;

use super::*;

fn quarantine(bytes: &[u8], file: &str) -> Change {
    Change::Quarantine { digest: Digest::sha256(bytes), file: file.to_owned() }
}

fn disable(driver: &str) -> Change {
    Change::Disable { driver: driver.to_owned() }
}

fn enable(drivers: &[&str], files: &[&str]) -> Change {
    let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    Change::Enable { drivers: owned(drivers), files: owned(files) }
}

#[test]
fn a_driver_is_disabled_by_name_and_quarantined_by_its_bytes_until_it_is_enabled() {
    let data = tempfile::tempdir().unwrap();
    let decided = Decided::new(Some(data.path().join(FILE)));
    let (one, two) = (Digest::sha256(b"one"), Digest::sha256(b"two"));
    let state = |driver: &str, digest: &Digest| {
        decided.now().of(driver, Some(digest)).map(|state| (state.as_str(), state.reason().unwrap()))
    };
    assert_eq!(state("harbor", &one), None, "no one has decided anything");

    assert_eq!(decide(data.path(), &disable("harbor"), "moving away").unwrap(), 1);
    assert_eq!(decide(data.path(), &quarantine(b"two", "nexus.so"), "it crashed").unwrap(), 1);
    assert_eq!(state("harbor", &one), Some(("disabled", "moving away".to_owned())));
    assert_eq!(state("nexus", &two), Some(("quarantined", "it crashed".to_owned())));
    assert_eq!(state("nexus", &one), None, "other bytes of the same driver serve");
    assert!(decided.now().of("harbor", None).unwrap().since().is_some_and(|since| since.ends_with('Z')));

    // Another process sees the same.
    let again = Decided::new(Some(data.path().join(FILE)));
    assert_eq!(again.now(), decided.now());

    assert_eq!(decide(data.path(), &enable(&["quay"], &["quay.so"]), "").unwrap(), 0);
    assert_eq!(decide(data.path(), &enable(&["harbor"], &["nexus.so"]), "").unwrap(), 2);
    assert_eq!((state("harbor", &one), state("nexus", &two)), (None, None));
}

#[test]
fn a_quarantine_after_a_crash_ends_and_takes_twice_as_long_each_time_up_to_a_day() {
    let digest = Digest::sha256(b"harbor");
    let first = Duration::from_mins(15);
    let crash = Change::Suspend { digest: digest.clone(), file: "harbor.so".to_owned(), first };
    let mut decisions = Decisions::default();
    let mut now = OffsetDateTime::UNIX_EPOCH;
    let state = |decisions: &Decisions, now| {
        let state = decisions.of("harbor", Some(&digest), now);
        state.or_else(|| decisions.trial_of(&digest, now)).map_or("free", |state| state.as_str())
    };
    let second = time::Duration::SECOND;
    for minutes in [15, 30, 60, 120, 240, 480, 960, 1440, 1440] {
        assert_eq!(decisions.apply(&crash, "it crashed", now), 1);
        assert_eq!(state(&decisions, now + minutes * 60 * second - second), "quarantined", "{minutes} min");
        now += minutes * 60 * second;
        assert_eq!(state(&decisions, now), "trial", "{minutes} min");
    }
    // A day without a crash, and they are forgotten.
    now += time::Duration::DAY;
    assert_eq!(state(&decisions, now), "free");
    decisions.apply(&crash, "it crashed", now);
    assert_eq!(state(&decisions, now + 15 * 60 * second), "trial");
    // What is written is read.
    let text = serde_json::to_string_pretty(&decisions).unwrap();
    assert_eq!(Decisions::parse(&text).unwrap(), decisions);

    // An operator's word has no end, and no crash gives it one.
    let by_hand = Change::Quarantine { digest: digest.clone(), file: "harbor.so".to_owned() };
    decisions.apply(&by_hand, "by an operator", now);
    assert_eq!(decisions.apply(&crash, "it crashed", now), 0);
    assert_eq!(state(&decisions, now + 1000 * time::Duration::DAY), "quarantined");
    assert_eq!(decisions.apply(&enable(&[], &["harbor.so"]), "", now), 1);
    assert_eq!(state(&decisions, now), "free");
}

#[test]
fn a_damaged_file_frees_no_driver_and_is_not_written_over() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join(FILE);
    let known = Decided::new(Some(file.clone()));
    decide(data.path(), &quarantine(b"bad", "bad.so"), "it crashed").unwrap();
    let bad = Digest::sha256(b"bad");
    assert!(known.now().of("bad", Some(&bad)).is_some());

    for damaged in ["{", "{\"format\": 2}", "{\"format\": 1, \"forgiven\": {}}"] {
        fs::write(&file, damaged).unwrap();
        assert!(known.now().of("bad", Some(&bad)).is_some(), "what was decided before holds: {damaged}");
        assert_eq!(known.now().of("good", None), None, "{damaged}");
        let state = Decided::new(Some(file.clone())).now().of("good", None).unwrap();
        assert_eq!(state.code(), Some("decisions_unreadable"), "{damaged}");
        assert!(decide(data.path(), &disable("x"), "").is_err(), "{damaged}");
        assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(known.now().of("bad", Some(&bad)), None, "removing it is a decision, too");
}
