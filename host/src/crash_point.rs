//! Named places between two durable writes, at which the process can be made to die.
//!
//! Kills at random moments miss narrow windows, so recovery is tested at each of these as well: `REGENT_CRASH_POINT` names
//! one, and the process kills itself with SIGKILL when it gets there. Without the setting a point costs one load.

use std::sync::OnceLock;

/// One of the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// An operation is stored, and its 202 not yet sent.
    AcceptStored,
    /// A worker has its operation, noted durably, and has not begun.
    LeaseStored,
    /// The results are there, and not yet stored.
    ScanEnded,
    /// The results are stored, and none is sent.
    ResultsStored,
    /// The other side has taken a callback, which is not yet noted.
    CallbackTaken,
    /// That a callback was taken is noted, and the next one not yet sent.
    CallbackNoted,
    /// All callbacks were taken, and the end of the operation is not yet noted.
    BeforeEnd,
    /// The end of the operation is noted.
    EndStored,
    /// A try to deliver has failed, and when to try again is noted.
    PostponeStored,
    /// An operation is noted as a dead letter.
    DeadLetterStored,
    /// A dead letter is to be delivered again, and the answer not yet sent.
    RedeliverStored,
    /// A cancellation is noted, and the answer not yet sent.
    CancelStored,
    /// A run has failed, and that it is to be begun again is noted.
    AgainStored,
    /// A lease was handed back at the end of the agent.
    HandBackStored,
}

impl CrashPoint {
    /// All of them, in the order of an operation's life.
    pub const ALL: [Self; 14] = [
        Self::AcceptStored,
        Self::LeaseStored,
        Self::ScanEnded,
        Self::ResultsStored,
        Self::CallbackTaken,
        Self::CallbackNoted,
        Self::BeforeEnd,
        Self::EndStored,
        Self::PostponeStored,
        Self::DeadLetterStored,
        Self::RedeliverStored,
        Self::CancelStored,
        Self::AgainStored,
        Self::HandBackStored,
    ];

    /// The name in the setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcceptStored => "accept-stored",
            Self::LeaseStored => "lease-stored",
            Self::ScanEnded => "scan-ended",
            Self::ResultsStored => "results-stored",
            Self::CallbackTaken => "callback-taken",
            Self::CallbackNoted => "callback-noted",
            Self::BeforeEnd => "before-end",
            Self::EndStored => "end-stored",
            Self::PostponeStored => "postpone-stored",
            Self::DeadLetterStored => "dead-letter-stored",
            Self::RedeliverStored => "redeliver-stored",
            Self::CancelStored => "cancel-stored",
            Self::AgainStored => "again-stored",
            Self::HandBackStored => "hand-back-stored",
        }
    }
}

static CHOSEN: OnceLock<CrashPoint> = OnceLock::new();

/// Makes this process die at a point. Of several calls the first counts.
pub fn choose(point: CrashPoint) {
    let _ = CHOSEN.set(point);
}

/// The process is at this point. It does not return where that is the chosen one.
pub fn reached(point: CrashPoint) {
    if CHOSEN.get() == Some(&point) {
        tracing::warn!(point = point.name(), "killed at its crash point");
        // As a crash: nothing is flushed, nobody is told.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
