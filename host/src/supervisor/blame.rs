//! Which drivers are held to be the cause of a crash.
//!
//! The thread that crashed says it, where the process could tell: it is one of a driver's and was in its code, or a
//! driver's code is on its stack. Otherwise all that is known is whose code ran at that moment.

use std::collections::HashMap;

use regent_oci::Digest;

use crate::crash::Frame;
use crate::drivers::{Line, Suspect};

/// Crashes at which a driver ran beside others, until it is held to be the cause.
const STRIKES: u32 = 2;

/// What is known of the thread that crashed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crashed<'a> {
    /// Its id.
    pub(super) thread: u32,
    /// Its stack, the innermost frame first.
    pub(super) stack: &'a [Frame],
}

/// Those that are held to be the cause, and those that ran beside them.
pub(super) type Verdict = (Vec<Suspect>, Vec<Suspect>);

/// Crashes at which each driver ran, and another may have been the cause.
#[derive(Debug, Default)]
pub(super) struct Strikes(HashMap<Digest, u32>);

impl Strikes {
    pub(super) fn judge(&mut self, lines: Vec<Line>, crashed: Option<Crashed<'_>>) -> Verdict {
        let certain = crashed.and_then(|crashed| culprit(&lines, crashed));
        let mut inside: Vec<Suspect> = Vec::new();
        for line in lines.into_iter().filter(|line| line.is_inside) {
            if !inside.contains(&line.suspect) {
                inside.push(line.suspect);
            }
        }
        if let Some(culprit) = certain {
            inside.retain(|suspect| *suspect != culprit);
            return (vec![culprit], inside);
        }
        // Whose thread it was is not known, and one alone was running.
        if crashed.is_none() && inside.len() == 1 {
            return (inside, Vec::new());
        }
        inside.into_iter().partition(|suspect| {
            let count = self.0.entry(suspect.digest.clone()).or_default();
            *count += 1;
            *count >= STRIKES
        })
    }
}

fn culprit(lines: &[Line], crashed: Crashed<'_>) -> Option<Suspect> {
    let by_thread = lines.iter().find(|line| line.is_inside && line.thread == Some(crashed.thread));
    // Of a thread that a driver has started, or of a service that it was given.
    let by_stack = || {
        let mut drivers = crashed.stack.iter().filter_map(|frame| frame.driver.as_ref());
        let digest = drivers.next()?;
        lines.iter().find(|line| line.suspect.digest == *digest)
    };
    by_thread.or_else(by_stack).map(|line| line.suspect.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(driver: &str) -> Suspect {
        Suspect {
            driver: driver.to_owned(),
            version: "1.0.0".to_owned(),
            file: format!("{driver}.so"),
            digest: Digest::sha256(driver.as_bytes()),
        }
    }

    /// Drivers with threads 1, 2, 3, …; those with a mark are inside.
    fn lines(drivers: &[&str]) -> Vec<Line> {
        let line = |(i, driver): (u32, &&str)| Line {
            suspect: suspect(driver.trim_start_matches('!')),
            thread: Some(i),
            is_inside: driver.starts_with('!'),
        };
        (1..).zip(drivers).map(line).collect()
    }

    fn names(verdict: Verdict) -> (Vec<String>, Vec<String>) {
        let names = |suspects: Vec<Suspect>| suspects.into_iter().map(|s| s.driver).collect();
        (names(verdict.0), names(verdict.1))
    }

    /// A case: the drivers inside, the thread that crashed, the drivers on its stack, who is blamed, and who was beside it.
    type Row<'a> = (&'a str, &'a [&'a str], u32, &'a [Option<&'a str>], &'a str, &'a str);

    #[test]
    fn the_thread_and_then_the_stack_say_whose_fault_it_was() {
        let frame = |driver: Option<&str>| Frame {
            module: "x.so".to_owned(),
            offset: 1,
            function: None,
            driver: driver.map(|d| Digest::sha256(d.as_bytes())),
        };
        let rows: [Row<'_>; 6] = [
            ("in its code", &["!harbor", "!quay"], 2, &[None, Some("quay")], "quay", "harbor"),
            ("in its code, by its thread alone", &["!harbor", "!quay"], 2, &[], "quay", "harbor"),
            ("on its own thread", &["!harbor", "quay"], 9, &[None, Some("quay")], "quay", "harbor"),
            ("of a thread of the host", &["!harbor", "quay"], 9, &[None], "", "harbor"),
            ("of a thread of a driver that is not in its code", &["harbor", "quay"], 1, &[None], "", ""),
            ("of a driver that nothing is noted of", &["harbor"], 9, &[Some("nexus")], "", ""),
        ];
        for (case, drivers, thread, stack, blamed, beside) in rows {
            let stack: Vec<Frame> = stack.iter().map(|driver| frame(*driver)).collect();
            let crashed = Crashed { thread, stack: &stack };
            let (b, s) = names(Strikes::default().judge(lines(drivers), Some(crashed)));
            assert_eq!((b.join(" ").as_str(), s.join(" ").as_str()), (blamed, beside), "{case}");
        }
    }

    #[test]
    fn without_a_word_of_the_thread_one_that_ran_alone_is_blamed_and_one_beside_others_at_the_second_time() {
        let mut strikes = Strikes::default();
        let mut blame = |inside: &[&str]| names(strikes.judge(lines(inside), None)).0;
        assert_eq!(blame(&["!harbor", "quay"]), ["harbor"]);
        assert_eq!(blame(&["harbor"]), [""; 0]);
        assert_eq!(blame(&["!quay", "!nexus"]), [""; 0]);
        assert_eq!(blame(&["!ecr", "!quay"]), ["quay"]);
    }
}
