use std::os::unix::process::ExitStatusExt as _;

use super::*;

fn said(begins: &[&str], ended: usize) -> Vec<u8> {
    let mut lines = vec!["a line of the driver's own".to_owned()];
    for (i, name) in begins.iter().enumerate() {
        lines.push(serde_json::to_string(&Said::Begins((*name).to_owned())).unwrap());
        if i < ended {
            let step = Step { name: (*name).to_owned(), outcome: Outcome::Passed, detail: String::new() };
            lines.push(serde_json::to_string(&Said::Ended(step)).unwrap());
        }
    }
    lines.join("\n").into_bytes()
}

#[test]
fn a_step_without_an_end_names_what_the_driver_did_to_its_process() {
    let exited = |code: i32| Some(ExitStatus::from_raw(code << 8));
    let killed = |signal: i32| Some(ExitStatus::from_raw(signal));
    let rows = [
        (exited(0), 2, 2, None),
        (killed(11), 1, 2, Some(("connect", "signal 11 (SIGSEGV"))),
        (killed(6), 1, 2, Some(("connect", "signal 6 (SIGABRT"))),
        (exited(7), 1, 2, Some(("connect", "exit code 7"))),
        (exited(0), 1, 2, Some(("connect", "exit code 0"))),
        (exited(0), 0, 1, Some(("end", "exit code 0"))),
        (killed(11), 2, 3, Some(("end", "signal 11"))),
        (None, 1, 2, Some(("connect", "blocks or hangs"))),
    ];
    for (status, ended, n, expected) in rows {
        let begins: &[&str] = if expected.is_some_and(|(name, _)| name == "end") && ended == 0 {
            &[]
        } else {
            &["load", "connect"]
        };
        let steps = gathered(&said(begins, ended), status, &[]);
        assert_eq!(steps.len(), n, "{status:?}: {steps:?}");
        let bad = steps.iter().find(|s| s.outcome == Outcome::Failed);
        match (bad, expected) {
            (Some(step), Some((name, part))) => {
                assert_eq!(step.name, name);
                assert!(step.detail.contains(part), "{step:?}");
            }
            (bad, expected) => assert_eq!(bad.is_some(), expected.is_some(), "{status:?}: {steps:?}"),
        }
    }
}

#[test]
fn the_worst_is_named_first_and_a_promise_of_the_description_last() {
    let step = |name: &str, outcome| Step { name: name.to_owned(), outcome, detail: String::new() };
    let settings = step("settings", Outcome::Failed);
    let passed = step("connect", Outcome::Passed);
    let panics = step("validate", Outcome::Failed);
    let named = |steps: &[Step]| worst(steps).map(|step| step.name.clone());
    assert_eq!(named(std::slice::from_ref(&passed)), None);
    assert_eq!(named(&[settings.clone(), passed.clone()]).unwrap(), "settings");
    assert_eq!(named(&[settings, passed, panics]).unwrap(), "validate");
}
