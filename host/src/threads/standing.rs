//! How far a thread stands behind others in the kernel's scheduler. A thread can always step back, and needs no privilege.

use rustix::process::setpriority_process;
use rustix::thread::gettid;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// What the kernel's scheduler takes from their weight (setpriority(2)): beside another thread they get a tenth.
const NICE: i32 = 10;

/// Where threads stand that compute for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// They get a tenth of what another thread gets that wants the processor.
    #[default]
    Behind,
    /// They get what no other thread wants, and are interrupted as soon as one does (`SCHED_IDLE`, sched(7)). By their weight
    /// alone they are not: one that runs may finish its slice of some milliseconds first.
    Last,
}

impl Standing {
    /// Puts this thread there. Refused by some sandboxes; then it runs as any other thread.
    pub(crate) fn take(self) {
        let _ = setpriority_process(Some(gettid()), NICE);
        if self == Self::Last {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::*;

    /// The niceness and the policy of a thread that stands there.
    fn of_a_thread(standing: Option<Standing>) -> (i32, ThreadSchedulePolicy) {
        let look = move || {
            if let Some(standing) = standing {
                standing.take();
            }
            (getpriority_process(Some(gettid())).unwrap(), thread_priority::thread_schedule_policy().unwrap())
        };
        thread::spawn(look).join().unwrap()
    }

    #[test]
    fn a_thread_steps_behind_others_or_gets_what_they_leave() {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let (nice, policy) = of_a_thread(None);
        let (nice_behind, policy_behind) = of_a_thread(Some(Standing::Behind));
        assert!(nice_behind > nice || nice_behind == NICE, "{nice_behind}");
        assert_eq!(policy_behind, policy);
        assert_eq!(of_a_thread(Some(Standing::Last)).1, idle);
        assert_eq!(of_a_thread(None), (nice, policy), "others' stay as they were");
    }
}
