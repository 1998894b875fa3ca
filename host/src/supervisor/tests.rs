use super::*;

fn suspect(driver: &str) -> Suspect {
    Suspect {
        driver: driver.to_owned(),
        version: "1.0.0".to_owned(),
        file: format!("{driver}.so"),
        digest: Digest::sha256(driver.as_bytes()),
    }
}

#[test]
fn how_a_child_has_ended_decides_whether_it_is_started_anew_and_whether_a_driver_is_looked_for() {
    let exit = |code: i32| ExitStatus::from_raw(code << 8);
    let crash = |words: &str| End::Crash(words.to_owned());
    let rows = [
        ("it was told to stop", exit(0), false, End::Exit(0)),
        ("its settings are wrong", exit(2), false, End::Exit(2)),
        ("it ended while a driver happened to run", exit(0), true, End::Exit(0)),
        ("a driver called exit", exit(7), true, crash("it exited with code 7")),
        ("it crashed", ExitStatus::from_raw(11), false, crash("it crashed with SIGSEGV")),
        (
            "it crashed, with a core dump",
            ExitStatus::from_raw(6 | 0x80),
            true,
            crash("it crashed with SIGABRT"),
        ),
        (
            "it had no memory",
            ExitStatus::from_raw(9),
            true,
            End::Killed("it was killed by signal 9".to_owned()),
        ),
    ];
    for (case, status, in_a_driver, expected) in rows {
        assert_eq!(end(status, in_a_driver), expected, "{case}");
    }
}

#[test]
fn a_driver_that_ran_alone_is_blamed_at_once_and_one_beside_others_at_the_second_time() {
    let mut strikes = HashMap::new();
    let mut blame = |inside: &[&str]| -> Vec<String> {
        let inside = inside.iter().map(|driver| suspect(driver)).collect();
        blamed(inside, &mut strikes).into_iter().map(|s| s.driver).collect()
    };
    assert_eq!(blame(&["harbor"]), ["harbor"]);
    assert_eq!(blame(&[]), [""; 0]);
    assert_eq!(blame(&["quay", "nexus"]), [""; 0]);
    assert_eq!(blame(&["ecr", "quay"]), ["quay"]);
}
