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
    /// It is noted which operation a request makes, and its record not yet stored.
    JetStreamRequestNoted,
    /// The record of an operation is stored, and its sign not yet put up.
    JetStreamRecordStored,
    /// A sign is taken from the stream, and its operation not yet leased.
    JetStreamSignTaken,
    /// The bodies of an outcome are stored, and it is not noted that there is one.
    JetStreamBodiesStored,
    /// An outcome is noted, and the sign that it is to be delivered not yet put up.
    JetStreamOutcomeStored,
    /// The sign that an outcome is to be delivered is put up, and the one of the run still there.
    JetStreamDeliveryPosted,
    /// The end of an operation is noted, and its bodies are still there.
    JetStreamEndStored,
    /// The bodies of an operation that has ended are removed, and its sign is still there.
    JetStreamBodiesRemoved,
    /// It is noted when an operation is taken up next, and its sign not yet given back.
    JetStreamWaitStored,
    /// A dead letter is noted, and its sign is still there.
    JetStreamDeadLetterStored,
    /// A dead letter is noted to be delivered again, and its sign not yet put up.
    JetStreamRedeliverStored,
    /// A cancellation is noted, and the sign still held back until its time.
    JetStreamCancelStored,
    /// The sign of a cancelled operation is removed, and not yet put up anew.
    JetStreamSignRemoved,
    /// The bodies and the request of an operation are forgotten, and its record is still there.
    JetStreamForgetting,
}

impl CrashPoint {
    /// All of them, in the order of an operation's life; last those that only the queue at NATS servers has.
    pub const ALL: [Self; 28] = [
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
        Self::JetStreamRequestNoted,
        Self::JetStreamRecordStored,
        Self::JetStreamSignTaken,
        Self::JetStreamBodiesStored,
        Self::JetStreamOutcomeStored,
        Self::JetStreamDeliveryPosted,
        Self::JetStreamEndStored,
        Self::JetStreamBodiesRemoved,
        Self::JetStreamWaitStored,
        Self::JetStreamDeadLetterStored,
        Self::JetStreamRedeliverStored,
        Self::JetStreamCancelStored,
        Self::JetStreamSignRemoved,
        Self::JetStreamForgetting,
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
            Self::JetStreamRequestNoted => "jetstream-request-noted",
            Self::JetStreamRecordStored => "jetstream-record-stored",
            Self::JetStreamSignTaken => "jetstream-sign-taken",
            Self::JetStreamBodiesStored => "jetstream-bodies-stored",
            Self::JetStreamOutcomeStored => "jetstream-outcome-stored",
            Self::JetStreamDeliveryPosted => "jetstream-delivery-posted",
            Self::JetStreamEndStored => "jetstream-end-stored",
            Self::JetStreamBodiesRemoved => "jetstream-bodies-removed",
            Self::JetStreamWaitStored => "jetstream-wait-stored",
            Self::JetStreamDeadLetterStored => "jetstream-dead-letter-stored",
            Self::JetStreamRedeliverStored => "jetstream-redeliver-stored",
            Self::JetStreamCancelStored => "jetstream-cancel-stored",
            Self::JetStreamSignRemoved => "jetstream-sign-removed",
            Self::JetStreamForgetting => "jetstream-forgetting",
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
