use super::*;

#[test]
fn how_a_child_has_ended_decides_whether_it_is_started_anew_and_whether_a_driver_is_looked_for() {
    let exit = |code: i32| ExitStatus::from_raw(code << 8);
    let crash = |words: &str| End::Crash(words.to_owned());
    let killed = |words: &str| End::Killed(words.to_owned());
    let own = |words: &str| Some(Cause::Own(words.to_owned()));
    let rows = [
        ("it was told to stop", exit(0), None, false, End::Exit(0)),
        ("its settings are wrong", exit(2), None, false, End::Exit(2)),
        ("it ended while a driver happened to run", exit(0), None, true, End::Exit(0)),
        ("a driver called exit", exit(7), None, true, crash("it exited with code 7")),
        ("it crashed", ExitStatus::from_raw(11), own("SIGSEGV"), false, crash("it crashed with SIGSEGV")),
        (
            "it crashed, and could not say how",
            ExitStatus::from_raw(11),
            None,
            false,
            crash("it crashed with SIGSEGV"),
        ),
        (
            "it crashed, with a core dump",
            ExitStatus::from_raw(6 | 0x80),
            own("SIGABRT"),
            true,
            crash("it crashed with SIGABRT"),
        ),
        (
            "somebody has sent the signal of a crash",
            ExitStatus::from_raw(11),
            Some(Cause::Sent(17)),
            true,
            killed("it was sent SIGSEGV by process 17"),
        ),
        ("it had no memory", ExitStatus::from_raw(9), None, true, killed("it was killed by signal 9")),
    ];
    for (case, status, cause, in_a_driver, expected) in rows {
        assert_eq!(end(status, cause, in_a_driver), expected, "{case}");
    }
}
