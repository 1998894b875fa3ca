//! The model: a queue as it is meant, without a store, without time, without agents.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::super::super::{Lease, OperationId, State, Task, Work};
use super::super::CAPACITY;
use super::Noted;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Queued,
    Running,
    Delivering,
    Done,
    DeadLettered,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Done,
    Cancel,
    WrongState,
    Unknown,
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    operations: BTreeMap<OperationId, Operation>,
    requests: BTreeMap<u8, OperationId>,
}

#[derive(Debug)]
struct Operation {
    user: u8,
    kind: Kind,
    holder: Holder,
    /// It waits for a time that does not come.
    is_later: bool,
    is_cancelled: bool,
    attempts: u32,
    n_failures: u32,
    n_parts: usize,
    n_delivered: usize,
    n_tries: u32,
    /// It goes when the operation ends, and does not come back when a dead letter is delivered again.
    has_connection: bool,
    /// The fence of the lease that holds.
    fence: Option<u64>,
}

/// Who works at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Somebody whose lease holds.
    Alive,
    /// Nobody that is known to be alive.
    Gone,
    /// Its lease ran out, and then its holder gave a sign of life: it stays there or goes to another one.
    Late,
}

impl Operation {
    fn has_ended(&self) -> bool {
        matches!(self.kind, Kind::Done | Kind::DeadLettered)
    }

    fn go(&mut self, kind: Kind) {
        self.has_connection &= !matches!(kind, Kind::Done | Kind::DeadLettered);
        (self.kind, self.fence, self.holder, self.is_later) = (kind, None, Holder::Gone, false);
    }
}

impl Kind {
    pub(super) fn of(state: &State) -> Self {
        match state {
            State::Queued { .. } => Self::Queued,
            State::Running { .. } => Self::Running,
            State::Delivering(_) => Self::Delivering,
            State::Done { .. } => Self::Done,
            State::DeadLettered { .. } => Self::DeadLettered,
        }
    }
}

impl Model {
    /// All operations.
    pub(super) fn ids(&self) -> Vec<OperationId> {
        self.operations.keys().copied().collect()
    }

    pub(super) fn views(&self) -> Vec<(OperationId, Kind, u32, bool)> {
        let view = |(id, one): (&OperationId, &Operation)| {
            (*id, one.kind, one.attempts, one.is_cancelled && !one.has_ended())
        };
        self.operations.iter().map(view).collect()
    }

    pub(super) fn in_state(&self, kind: Kind) -> Vec<OperationId> {
        self.operations.iter().filter(|(_, one)| one.kind == kind).map(|(id, _)| *id).collect()
    }

    /// Operations that are given out when they are asked for.
    pub(super) fn available(&self, work: Work) -> Vec<OperationId> {
        self.waiting(work, |one| one.holder == Holder::Gone)
    }

    fn waiting(&self, work: Work, and: impl Fn(&Operation) -> bool) -> Vec<OperationId> {
        let fits = |one: &Operation| {
            let kinds: &[Kind] = match work {
                Work::Run => &[Kind::Queued, Kind::Running],
                Work::Deliver => &[Kind::Delivering],
            };
            kinds.contains(&one.kind) && one.holder != Holder::Alive && !one.is_later && and(one)
        };
        self.operations.iter().filter(|(_, one)| fits(one)).map(|(id, _)| *id).collect()
    }

    fn has_no_room(&self) -> bool {
        self.operations.values().filter(|one| !one.has_ended()).count() >= CAPACITY
    }

    pub(super) fn is_full(&self, request: Option<u8>) -> bool {
        self.has_no_room() && request.is_none_or(|request| !self.requests.contains_key(&request))
    }

    /// Whether it was known; `None` if it should not have been taken.
    pub(super) fn accept(&mut self, id: OperationId, user: u8, request: Option<u8>) -> Option<bool> {
        if let Some(known) = request.and_then(|request| self.requests.get(&request)) {
            return (*known == id).then_some(true);
        }
        if self.has_no_room() || self.operations.contains_key(&id) {
            return None;
        }
        if let Some(request) = request {
            self.requests.insert(request, id);
        }
        let operation = Operation {
            user,
            kind: Kind::Queued,
            holder: Holder::Gone,
            is_later: false,
            is_cancelled: false,
            attempts: 0,
            n_failures: 0,
            n_parts: 0,
            n_delivered: 0,
            n_tries: 0,
            has_connection: true,
            fence: None,
        };
        self.operations.insert(id, operation);
        Some(false)
    }

    /// Takes in that an operation was given out, and checks what came with it.
    pub(super) fn lease(&mut self, work: Work, lease: &Lease) -> Result<(), TestCaseError> {
        let waiting = self.waiting(work, |_| true);
        prop_assert!(waiting.contains(&lease.id), "{:?} is none of {:?}", lease.id, waiting);
        let one = self.operations.get_mut(&lease.id).unwrap();
        one.fence = Some(lease.fence);
        one.holder = Holder::Alive;
        match &lease.task {
            Task::Run(run) => {
                one.kind = Kind::Running;
                one.attempts += 1;
                let user = run.operation.request.connection.text("username").unwrap();
                prop_assert_eq!(user, one.user.to_string());
                let found = (run.attempt, run.n_failures, run.is_cancelled);
                prop_assert_eq!(found, (one.attempts, one.n_failures, one.is_cancelled));
            }
            Task::Deliver(delivery) => {
                let found = (delivery.parts.len(), delivery.n_delivered, delivery.n_tries);
                prop_assert_eq!(found, (one.n_parts, one.n_delivered, one.n_tries));
            }
        }
        Ok(())
    }

    /// The operation of a lease that nobody else has taken over.
    fn held(&mut self, lease: &Lease) -> Result<&mut Operation, Told> {
        let one = self.operations.get_mut(&lease.id).ok_or(Told::Unknown)?;
        if one.fence == Some(lease.fence) { Ok(one) } else { Err(Told::WrongState) }
    }

    /// Whether nobody else has or can be sure to get what this lease is of.
    pub(super) fn may_be_held(&self, lease: &Lease) -> bool {
        let one = self.operations.get(&lease.id);
        one.is_some_and(|one| one.fence == Some(lease.fence) && one.holder != Holder::Gone)
    }

    /// The same, whose holder gives a sign of life.
    fn alive(&mut self, lease: &Lease) -> Result<&mut Operation, Told> {
        let one = self.held(lease)?;
        if one.holder == Holder::Gone {
            one.holder = Holder::Late;
        }
        Ok(one)
    }

    pub(super) fn wish(&mut self, lease: &Lease) -> Told {
        match self.alive(lease) {
            Ok(one) if one.is_cancelled && one.kind == Kind::Running => Told::Cancel,
            Ok(_) => Told::Done,
            Err(told) => told,
        }
    }

    pub(super) fn note(&mut self, lease: &Lease, noted: Noted) -> Told {
        let one = match self.alive(lease) {
            Ok(one) => one,
            Err(told) => return told,
        };
        let wait = |one: &mut Operation, is_long: bool| {
            one.go(Kind::Queued);
            one.is_later = is_long && !one.is_cancelled;
        };
        match (one.kind, noted) {
            (Kind::Running | Kind::Delivering, Noted::Outcome(0)) | (Kind::Delivering, Noted::Finish) => {
                one.go(Kind::Done);
            }
            (Kind::Running | Kind::Delivering, Noted::Outcome(n_parts)) => {
                (one.n_parts, one.n_delivered, one.n_tries) = (n_parts, 0, 0);
                one.go(Kind::Delivering);
            }
            (Kind::Running, Noted::Again(is_long)) => {
                one.n_failures += 1;
                wait(one, is_long);
            }
            (Kind::Running, Noted::Defer(is_long) | Noted::Yield(is_long)) => {
                one.attempts -= 1;
                wait(one, is_long);
            }
            (Kind::Running, Noted::HandBack) => {
                one.attempts -= 1;
                wait(one, false);
            }
            (Kind::Delivering, Noted::Delivered(n)) if n <= one.n_parts => {
                (one.n_delivered, one.n_tries) = (n, 0);
            }
            (Kind::Delivering, Noted::Defer(is_long)) => {
                one.go(Kind::Delivering);
                one.is_later = is_long;
            }
            (Kind::Delivering, Noted::Postpone(is_long)) => {
                one.n_tries += 1;
                one.go(Kind::Delivering);
                one.is_later = is_long;
            }
            (Kind::Delivering, Noted::Anew) if one.has_connection => one.go(Kind::Queued),
            (Kind::Delivering, Noted::HandBack) => one.go(Kind::Delivering),
            (Kind::Delivering, Noted::DeadLetter) => one.go(Kind::DeadLettered),
            _ => return Told::WrongState,
        }
        Told::Done
    }

    /// Who has the lease may still be quicker than the next one.
    pub(super) fn run_out(&mut self, lease: &Lease) {
        if let Ok(one) = self.held(lease) {
            one.holder = Holder::Gone;
        }
    }

    pub(super) fn crash(&mut self) {
        for one in self.operations.values_mut() {
            one.holder = Holder::Gone;
        }
    }

    pub(super) fn cancel(&mut self, id: OperationId) -> Told {
        let Some(one) = self.operations.get_mut(&id) else { return Told::Unknown };
        if !matches!(one.kind, Kind::Queued | Kind::Running) {
            return Told::WrongState;
        }
        (one.is_cancelled, one.is_later) = (true, false);
        Told::Done
    }

    pub(super) fn redeliver(&mut self, id: OperationId) -> Told {
        let is_full = self.has_no_room();
        let Some(one) = self.operations.get_mut(&id) else { return Told::Unknown };
        if one.kind != Kind::DeadLettered {
            return Told::WrongState;
        }
        if is_full {
            return Told::Full;
        }
        one.n_tries = 0;
        one.go(Kind::Delivering);
        Told::Done
    }

    pub(super) fn forget(&mut self, id: OperationId) -> Told {
        let Some(one) = self.operations.get(&id) else { return Told::Unknown };
        if !one.has_ended() {
            return Told::WrongState;
        }
        self.operations.remove(&id);
        self.requests.retain(|_, known| *known != id);
        Told::Done
    }
}
