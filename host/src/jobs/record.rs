//! What is stored of an operation, and the ways from one state to another.
//!
//! Both stores keep one [`Record`] an operation and change it by the functions here, which know nothing of stores: each
//! looks whether it may be done, changes the record, and leaves it alone where it returns an error.

use std::time::{Duration, SystemTime};

use regent_report::Compat;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lease::{Delivery, Lease, Run, Step, Task, Wish, Work};
use super::state::Outbox;
use super::{
    NewOperation, Operation, OperationId, OperationKind, OperationView, Outcome, Priority, QueueError,
    ScanOptions, State,
};
use crate::api::problem::Problem;
use crate::callbacks::{About, CallbackTarget, Part};
use crate::connection::Connection;
use crate::seal::{SealKeys, Sealed};

/// The version of what is stored. What has another one is not understood, and is left alone.
const VERSION: u32 = 1;
/// How often an operation may be begun without coming to an outcome. One whose image brings the agent down each time
/// would else do so for ever.
pub const MAX_ATTEMPTS: u32 = 12;

/// What is stored of an operation. Its connection and callback URL are sealed, and erased when they are no longer needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// Its name.
    pub id: OperationId,
    /// The id of its request.
    pub request_id: Option<String>,
    /// Whether somebody waits for it.
    pub priority: Priority,
    /// Tells connections apart ([`SealKeys::mark`]): work is shared out evenly between them.
    pub tenant: u64,
    kind: OperationKind,
    image: String,
    requested_name: String,
    platform: Option<String>,
    options: Map<String, Value>,
    compat: Compat,
    correlation_id: Option<String>,
    registry_type: String,
    accepted_at: SystemTime,
    begun_at: Option<SystemTime>,
    attempts: u32,
    /// How many attempts have ended in [`Step::Again`].
    n_failures: u32,
    /// The number of its newest lease.
    fence: u64,
    is_cancelled: bool,
    /// Why the last attempt failed that ended in [`Step::Again`].
    last_failure: Option<Problem>,
    connection: Option<Sealed>,
    callback: Option<Sealed>,
    /// How far it is.
    pub state: State,
}

impl Record {
    /// Of an operation that is accepted now.
    pub fn new(operation: &NewOperation, keys: &SealKeys, now: SystemTime) -> Self {
        Self::named(OperationId::new(), operation, keys, now)
    }

    /// The same, under a name that it has been given already.
    pub fn named(id: OperationId, operation: &NewOperation, keys: &SealKeys, now: SystemTime) -> Self {
        let connection = keys.seal(&operation.connection.to_secret_json(), &place(id, "connection"));
        let callback = operation.callback.as_ref();
        Self {
            version: VERSION,
            id,
            request_id: operation.request_id.clone(),
            priority: operation.priority,
            tenant: keys.mark(operation.connection.fingerprint().as_bytes()),
            kind: operation.kind,
            image: operation.image.to_string(),
            requested_name: operation.requested_name.clone(),
            platform: operation.platform.as_ref().map(ToString::to_string),
            options: operation.options.given().clone(),
            compat: operation.options.compat,
            correlation_id: operation.correlation_id.clone(),
            registry_type: operation.connection.registry_type.clone(),
            accepted_at: now,
            begun_at: None,
            attempts: 0,
            n_failures: 0,
            fence: 0,
            is_cancelled: false,
            last_failure: None,
            connection: Some(connection),
            callback: callback.map(|target| keys.seal(&target.to_secret(), &place(id, "callback"))),
            state: State::Queued { not_before: None, after: None },
        }
    }

    /// From the text that is stored.
    ///
    /// # Errors
    /// [`QueueError::Damaged`].
    pub fn from_json(text: &[u8]) -> Result<Self, QueueError> {
        let record: Self = serde_json::from_slice(text)
            .map_err(|e| QueueError::Damaged { reason: format!("a record can't be read: {e}") })?;
        record.check_version()?;
        Ok(record)
    }

    /// Whether it is of a version that is understood.
    ///
    /// # Errors
    /// [`QueueError::Damaged`].
    pub fn check_version(&self) -> Result<(), QueueError> {
        if self.version == VERSION {
            return Ok(());
        }
        let reason = format!("operation {} is stored in version {}", self.id, self.version);
        Err(QueueError::Damaged { reason })
    }

    /// The text to store.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("records have text keys and no failing parts")
    }

    /// Whether all that is sealed in it can be opened.
    ///
    /// # Errors
    /// [`QueueError::Sealed`].
    pub fn check_keys(&self, keys: &SealKeys) -> Result<(), QueueError> {
        let mut sealed = self.connection.iter().chain(&self.callback);
        sealed.try_for_each(|sealed| keys.check(&sealed.key).map_err(|e| self.sealed_error(e)))
    }

    /// The number of its newest lease.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Which kind of work it is now; `None` for one that has ended.
    pub fn work(&self) -> Option<Work> {
        match self.state {
            State::Queued { .. } | State::Running { .. } => Some(Work::Run),
            State::Delivering(_) => Some(Work::Deliver),
            State::Done { .. } | State::DeadLettered { .. } => None,
        }
    }

    /// Leases it, for the kind of work that it is. One that runs is taken from whoever had it: the store decides whether that
    /// lease has run out.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for one that has ended; [`QueueError::Sealed`] and [`QueueError::Damaged`]: the record is
    /// leased all the same, so that its holder can put it aside.
    pub fn lease(&mut self, keys: &SealKeys, now: SystemTime) -> Result<Lease, QueueError> {
        let work = self.work().ok_or_else(|| self.wrong_state())?;
        let task = match work {
            Work::Run => {
                let begun_at = *self.begun_at.get_or_insert(now);
                self.attempts = self.attempts.saturating_add(1);
                self.state = State::Running { since: now };
                let elapsed = now.duration_since(begun_at).unwrap_or_default();
                self.run(keys, elapsed).map(|run| Task::Run(Box::new(run)))
            }
            Work::Deliver => self.delivery(keys, now).map(|delivery| Task::Deliver(Box::new(delivery))),
        };
        self.fence += 1;
        Ok(Lease { id: self.id, fence: self.fence, task: task? })
    }

    /// What is wanted of the holder of this lease.
    ///
    /// # Errors
    /// [`QueueError::WrongState`]: the lease is lost.
    pub fn wish(&self, fence: u64) -> Result<Wish, QueueError> {
        if self.fence != fence || !matches!(self.state, State::Running { .. } | State::Delivering(_)) {
            return Err(self.wrong_state());
        }
        let stop = self.is_cancelled && matches!(self.state, State::Running { .. });
        Ok(if stop { Wish::Cancel } else { Wish::GoOn })
    }

    /// Notes how far the holder of a lease has come. The bodies of [`Step::Outcome`] are the store's part.
    ///
    /// # Errors
    /// [`QueueError::WrongState`]: the lease is lost, or that is not the way from the state it is in.
    pub fn step(&mut self, fence: u64, step: &Step, now: SystemTime) -> Result<(), QueueError> {
        self.wish(fence)?;
        let next = match (&self.state, step) {
            (State::Running { .. } | State::Delivering(_), Step::Outcome(outcome, bodies)) => {
                let (outcome, at) = (outcome.clone(), now);
                let parts: Vec<Part> = bodies.iter().map(|(part, _)| *part).collect();
                if parts.is_empty() {
                    State::Done { at, outcome }
                } else {
                    State::Delivering(Outbox::new(outcome, parts, self.delivering_since().unwrap_or(now)))
                }
            }
            (State::Running { .. }, Step::Again(wait, problem)) => {
                self.n_failures = self.n_failures.saturating_add(1);
                self.last_failure = Some(problem.clone());
                self.waiting(now, *wait, Some(problem.clone()))
            }
            (State::Running { .. }, Step::Defer(wait, problem)) => {
                self.attempts = self.attempts.saturating_sub(1);
                self.waiting(now, *wait, Some(problem.clone()))
            }
            (State::Running { .. }, Step::Yield(wait, problem)) => {
                self.attempts = self.attempts.saturating_sub(1);
                if self.attempts == 0 {
                    self.begun_at = None;
                }
                self.waiting(now, *wait, Some(problem.clone()))
            }
            (State::Running { .. }, Step::HandBack) => {
                self.attempts = self.attempts.saturating_sub(1);
                self.waiting(now, Duration::ZERO, None)
            }
            (State::Delivering(outbox), Step::Defer(wait, problem)) => State::Delivering(Outbox {
                not_before: after(now, *wait),
                // Why it is left alone says more than that it is.
                after: outbox.after.clone().or_else(|| Some(problem.detail.clone())),
                ..outbox.clone()
            }),
            (State::Delivering(_), Step::Anew(problem)) if self.connection.is_some() => {
                self.last_failure = Some(problem.clone());
                self.waiting(now, Duration::ZERO, Some(problem.clone()))
            }
            (State::Delivering(_), Step::HandBack) => self.state.clone(),
            (State::Delivering(outbox), Step::Delivered(n)) if *n <= outbox.parts.len() => {
                State::Delivering(Outbox { n_delivered: *n, n_tries: 0, after: None, ..outbox.clone() })
            }
            (State::Delivering(outbox), Step::Finish) => {
                State::Done { at: now, outcome: outbox.outcome.clone() }
            }
            (State::Delivering(outbox), Step::Postpone(wait, reason)) => State::Delivering(Outbox {
                n_tries: outbox.n_tries.saturating_add(1),
                not_before: after(now, *wait),
                after: Some(reason.clone()),
                ..outbox.clone()
            }),
            (State::Delivering(outbox), Step::DeadLetter(reason)) => {
                State::DeadLettered { at: now, reason: reason.clone(), outbox: outbox.clone() }
            }
            _ => return Err(self.wrong_state()),
        };
        self.state = next;
        if !matches!(step, Step::Delivered(_)) {
            self.fence += 1; // the lease has ended, also for a holder that does not know it yet
        }
        self.erase();
        Ok(())
    }

    /// Somebody does not want it any more: whoever has it, or takes it up next, reports it as cancelled.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for one whose outcome is known already.
    pub fn cancel(&mut self) -> Result<(), QueueError> {
        match &mut self.state {
            State::Queued { not_before, .. } => *not_before = None,
            State::Running { .. } => {}
            State::Delivering(_) | State::Done { .. } | State::DeadLettered { .. } => {
                return Err(self.wrong_state());
            }
        }
        self.is_cancelled = true;
        Ok(())
    }

    /// An operator wants a dead letter to be delivered again: the parts that have not arrived, as they were.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for what is none, and for one that was put aside before it had anything to deliver.
    pub fn redeliver(&mut self, now: SystemTime) -> Result<(), QueueError> {
        let State::DeadLettered { outbox, .. } = &self.state else { return Err(self.wrong_state()) };
        if outbox.parts.is_empty() {
            return Err(self.wrong_state());
        }
        let outbox = Outbox { since: now, n_tries: 0, not_before: None, after: None, ..outbox.clone() };
        self.state = State::Delivering(outbox);
        Ok(())
    }

    /// It can't be worked at, for this reason: it waits for an operator.
    pub fn set_aside(&mut self, reason: Problem, now: SystemTime) {
        let outbox = match &self.state {
            State::Delivering(outbox) => outbox.clone(),
            _ => Outbox::new(Outcome::Failed(reason.clone()), Vec::new(), now),
        };
        self.state = State::DeadLettered { at: now, reason, outbox };
        self.fence += 1;
        self.erase();
    }

    /// Whether it may be forgotten.
    ///
    /// # Errors
    /// [`QueueError::WrongState`] for one that has not ended.
    pub fn check_ended(&self) -> Result<(), QueueError> {
        if self.state.has_ended() { Ok(()) } else { Err(self.wrong_state()) }
    }

    /// What may be told of it.
    pub fn view(&self) -> OperationView {
        OperationView {
            id: self.id,
            kind: self.kind,
            priority: self.priority,
            image: self.requested_name.clone(),
            registry_type: self.registry_type.clone(),
            correlation_id: self.correlation_id.clone(),
            accepted_at: self.accepted_at,
            attempts: self.attempts,
            is_cancelled: self.is_cancelled && !self.state.has_ended(),
            state: self.state.clone(),
        }
    }

    /// The error of something that can't be done in the state that it is in.
    pub fn wrong_state(&self) -> QueueError {
        QueueError::WrongState { id: self.id, state: self.state.as_str() }
    }

    /// What is no longer needed of the connection and the callback's URL goes.
    fn erase(&mut self) {
        match self.state {
            // The connection as well: where the outcome is lost it has to be found once more.
            State::Queued { .. } | State::Running { .. } | State::Delivering(_) => {}
            State::DeadLettered { .. } => self.connection = None,
            State::Done { .. } => (self.connection, self.callback) = (None, None),
        }
    }

    fn waiting(&self, now: SystemTime, wait: Duration, problem: Option<Problem>) -> State {
        let wait = if self.is_cancelled { Duration::ZERO } else { wait };
        State::Queued { not_before: after(now, wait), after: problem }
    }

    fn delivering_since(&self) -> Option<SystemTime> {
        match &self.state {
            State::Delivering(outbox) => Some(outbox.since),
            _ => None,
        }
    }

    fn run(&self, keys: &SealKeys, elapsed: Duration) -> Result<Run, QueueError> {
        let damaged = |what: &str| QueueError::Damaged { reason: format!("operation {}: {what}", self.id) };
        let sealed = self.connection.as_ref().ok_or_else(|| damaged("its connection is not there"))?;
        let connection =
            keys.open(sealed, &place(self.id, "connection")).map_err(|e| self.sealed_error(e))?;
        let connection =
            Connection::from_secret_json(&connection).ok_or_else(|| damaged("its connection"))?;
        let platform = self.platform.as_ref().map(|p| p.parse()).transpose();
        let request = NewOperation {
            request_id: self.request_id.clone(),
            kind: self.kind,
            priority: self.priority,
            image: self.image.parse().map_err(|_| damaged("its image"))?,
            requested_name: self.requested_name.clone(),
            platform: platform.map_err(|_| damaged("its platform"))?,
            connection,
            callback: self.target(keys)?,
            correlation_id: self.correlation_id.clone(),
            options: ScanOptions::parse(self.options.clone(), self.compat)
                .map_err(|_| damaged("its options"))?,
        };
        Ok(Run {
            operation: Operation { id: self.id, accepted_at: self.accepted_at, request },
            attempt: self.attempts,
            n_failures: self.n_failures,
            last_failure: self.last_failure.clone(),
            elapsed,
            is_cancelled: self.is_cancelled,
        })
    }

    fn delivery(&self, keys: &SealKeys, now: SystemTime) -> Result<Delivery, QueueError> {
        let State::Delivering(outbox) = &self.state else { return Err(self.wrong_state()) };
        let outbox = outbox.clone();
        let target = self.target(keys)?.ok_or_else(|| QueueError::Damaged {
            reason: format!("operation {}: its callback is not there", self.id),
        })?;
        Ok(Delivery {
            kind: self.kind,
            about: About::new(self.id, self.correlation_id.clone(), self.requested_name.clone()),
            target,
            outcome: outbox.outcome,
            parts: outbox.parts,
            n_delivered: outbox.n_delivered,
            n_tries: outbox.n_tries,
            elapsed: now.duration_since(outbox.since).unwrap_or_default(),
            last_failure: outbox.after,
            may_run_anew: self.connection.is_some(),
        })
    }

    fn target(&self, keys: &SealKeys) -> Result<Option<CallbackTarget>, QueueError> {
        let Some(sealed) = &self.callback else { return Ok(None) };
        let text = keys.open(sealed, &place(self.id, "callback")).map_err(|e| self.sealed_error(e))?;
        let target = CallbackTarget::from_secret(&text);
        let damaged = || QueueError::Damaged { reason: format!("operation {}: its callback", self.id) };
        target.map(Some).ok_or_else(damaged)
    }

    fn sealed_error(&self, source: crate::seal::SealError) -> QueueError {
        QueueError::Sealed { id: self.id, source }
    }
}

/// Where something is sealed for: a sealed text that is put into another record, or another field, does not open.
fn place(id: OperationId, field: &str) -> String {
    format!("{id}/{field}")
}

/// A time from now; `None` for at once.
fn after(now: SystemTime, wait: Duration) -> Option<SystemTime> {
    if wait.is_zero() { None } else { now.checked_add(wait) }
}

/// The problem of an operation that brings the agent down each time.
pub fn too_many_attempts(attempts: u32) -> Problem {
    Problem::new(
        "operation_abandoned",
        format!(
            "the operation was begun {attempts} times, and each time the agent died before it had an outcome"
        ),
    )
}

#[cfg(test)]
mod tests;
