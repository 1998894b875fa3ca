//! What callers ask of the keeper of the store, and how they are answered.

use tokio::sync::oneshot;

use super::super::{
    Accepted, Lease, NewOperation, OperationId, OperationView, QueueCounts, QueueError, Step, Wish, Work,
};

/// Where an answer goes. A caller that no longer waits is none that is missed.
pub(super) type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// What is asked for.
pub(super) enum Command {
    Accept(Box<NewOperation>, Reply<Accepted>),
    RepeatOf(String, Reply<Option<OperationId>>),
    Lease(Work, Reply<Option<Lease>>),
    /// A lease that nobody took.
    Return(OperationId, u64),
    Renew(OperationId, u64, Reply<Wish>),
    /// With the packed bodies of [`Step::Outcome`].
    Record(OperationId, u64, Box<Step>, Vec<Vec<u8>>, Reply<()>),
    Body(OperationId, u64, usize, Reply<Vec<u8>>),
    View(OperationId, Reply<OperationView>),
    List(Wanted, Reply<Vec<OperationView>>),
    Redeliver(OperationId, Reply<()>),
    Cancel(OperationId, Reply<()>),
    Forget(OperationId, Reply<()>),
    Counts(Reply<QueueCounts>),
    /// No more operations, no more leases.
    Close,
    /// Let go of the store.
    Stop(Reply<()>),
}

impl Command {
    /// Whether it may change what is stored.
    pub(super) fn is_change(&self) -> bool {
        match self {
            Self::Accept(..)
            | Self::Return(..)
            | Self::Record(..)
            | Self::Redeliver(..)
            | Self::Cancel(..)
            | Self::Forget(..) => true,
            Self::RepeatOf(..)
            | Self::Lease(..)
            | Self::Renew(..)
            | Self::Body(..)
            | Self::View(..)
            | Self::List(..)
            | Self::Counts(..)
            | Self::Close
            | Self::Stop(..) => false,
        }
    }

    /// Answers that it can't be done.
    pub(super) fn refuse(self, error: &QueueError) {
        fn say<T>(reply: Reply<T>, error: &QueueError) {
            let _ = reply.send(Err(error.clone()));
        }
        match self {
            Self::Accept(_, reply) => say(reply, error),
            Self::RepeatOf(_, reply) => say(reply, error),
            Self::Lease(_, reply) => say(reply, error),
            Self::Renew(_, _, reply) => say(reply, error),
            Self::Body(_, _, _, reply) => say(reply, error),
            Self::View(_, reply) => say(reply, error),
            Self::List(_, reply) => say(reply, error),
            Self::Counts(reply) => say(reply, error),
            Self::Record(_, _, _, _, reply)
            | Self::Redeliver(_, reply)
            | Self::Cancel(_, reply)
            | Self::Forget(_, reply)
            | Self::Stop(reply) => say(reply, error),
            Self::Return(..) | Self::Close => {}
        }
    }
}

/// Which operations are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    DeadLetters,
}

/// An answer that goes out once it is on the disk what it says.
pub(super) enum Answer {
    /// Told whether that went well.
    Settled(Box<dyn FnOnce(Result<(), QueueError>) + Send>),
    /// A lease, which has to be taken.
    Leased(Box<Lease>, Reply<Option<Lease>>),
}

impl Answer {
    /// An answer to one command.
    pub(super) fn of<T: Send + 'static>(reply: Reply<T>, result: Result<T, QueueError>) -> Self {
        Self::Settled(Box::new(move |stored| {
            let _ = reply.send(stored.and(result));
        }))
    }
}
