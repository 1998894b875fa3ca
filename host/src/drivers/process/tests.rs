use super::*;

#[test]
fn the_end_of_a_process_is_told_in_words() {
    let exit = |code: i32| ExitStatus::from_raw(code << 8);
    let rows = [
        (ExitStatus::from_raw(11), false, "it crashed with SIGSEGV"),
        (ExitStatus::from_raw(6 | 0x80), false, "it crashed with SIGABRT"),
        (ExitStatus::from_raw(6), true, "it had no more memory (SIGABRT)"),
        (ExitStatus::from_raw(9), true, "it was killed by signal 9"),
        (exit(0), false, "it exited with code 0"),
        (exit(7), true, "it exited with code 7"),
    ];
    for (status, wants_memory, expected) in rows {
        assert_eq!(how(status, wants_memory), expected, "{status:?} {wants_memory}");
    }
}
