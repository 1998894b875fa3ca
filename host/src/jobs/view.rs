//! What may be told of operations.

use std::time::SystemTime;

use super::{OperationId, OperationKind, Priority, State};

/// What may be told of an operation. No secret is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationView {
    /// Its name.
    pub id: OperationId,
    /// What is to be done.
    pub kind: OperationKind,
    /// Whether somebody waits for it.
    pub priority: Priority,
    /// The image as the request spelled it.
    pub image: String,
    /// The type of the connection.
    pub registry_type: String,
    /// As the request had it.
    pub correlation_id: Option<String>,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    /// How often it was begun.
    pub attempts: u32,
    /// Whether it is to be cancelled, and has not ended yet.
    pub is_cancelled: bool,
    /// How far it is.
    pub state: State,
}

/// How many operations are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Waiting.
    pub queued: usize,
    /// Scanned or pulled.
    pub running: usize,
    /// On the way to the Broker Client.
    pub delivering: usize,
    /// Done, and not yet forgotten.
    pub done: usize,
    /// Waiting for an operator.
    pub dead_lettered: usize,
    /// How many may be queued, running or delivering.
    pub capacity: usize,
}

impl QueueCounts {
    /// Operations that have not ended.
    pub fn open(&self) -> usize {
        self.queued + self.running + self.delivering
    }

    /// The count of a state.
    pub fn of(&mut self, state: &State) -> &mut usize {
        match state {
            State::Queued { .. } => &mut self.queued,
            State::Running { .. } => &mut self.running,
            State::Delivering(_) => &mut self.delivering,
            State::Done { .. } => &mut self.done,
            State::DeadLettered { .. } => &mut self.dead_lettered,
        }
    }
}
