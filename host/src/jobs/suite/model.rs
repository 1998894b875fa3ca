//! Random walks: each queue does what a model of it does, whatever is asked of it and whenever the agent dies.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::{Builder, Runtime};

use super::super::fixtures::scan;
use super::super::{QueueError, Wish};
use super::*;

mod reference;

use reference::{Kind, Model, Told};

/// A wait that does not end while a test lasts.
const LONG: Duration = Duration::from_hours(100);

/// What is asked of a queue.
#[derive(Debug, Clone)]
enum Ask {
    /// By this user, in this request.
    Accept(u8, Option<u8>),
    Lease(Work),
    Renew(Index),
    Record(Index, Noted),
    /// A lease runs out.
    RunOut(Index),
    Cancel(Index),
    Redeliver(Index),
    Forget(Index),
    /// The agent dies, and another one opens the queue.
    Crash,
}

/// What is noted of a lease; whether there is a long wait, or how many parts there are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Noted {
    Outcome(usize),
    Again(bool),
    Defer(bool),
    Yield(bool),
    Delivered(usize),
    Finish,
    Postpone(bool),
    DeadLetter,
    Anew,
    HandBack,
}

impl Noted {
    fn step(self) -> Step {
        let wait = |is_long| if is_long { LONG } else { Duration::ZERO };
        match self {
            Self::Outcome(n) => {
                let parts = (0..n).map(|n| (Part::Result(n), body(&format!("part {n}")))).collect();
                Step::Outcome(Outcome::Succeeded(Summary::default()), parts)
            }
            Self::Again(is_long) => Step::Again(wait(is_long), problem()),
            Self::Defer(is_long) => Step::Defer(wait(is_long), problem()),
            Self::Yield(is_long) => Step::Yield(wait(is_long), problem()),
            Self::Delivered(n) => Step::Delivered(n),
            Self::Finish => Step::Finish,
            Self::Postpone(is_long) => Step::Postpone(wait(is_long), "no answer".to_owned()),
            Self::DeadLetter => Step::DeadLetter(problem()),
            Self::Anew => Step::Anew(problem()),
            Self::HandBack => Step::HandBack,
        }
    }
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let noted = prop_oneof![
        4 => (0..3_usize).prop_map(Noted::Outcome),
        1 => any::<bool>().prop_map(Noted::Again),
        1 => any::<bool>().prop_map(Noted::Defer),
        1 => any::<bool>().prop_map(Noted::Yield),
        1 => (0..4_usize).prop_map(Noted::Delivered),
        2 => Just(Noted::Finish),
        1 => any::<bool>().prop_map(Noted::Postpone),
        1 => Just(Noted::DeadLetter),
        1 => Just(Noted::Anew),
        1 => Just(Noted::HandBack),
    ];
    let ask = prop_oneof![
        5 => (0..4_u8, proptest::option::of(0..6_u8)).prop_map(|(user, request)| Ask::Accept(user, request)),
        5 => Just(Ask::Lease(Work::Run)),
        5 => Just(Ask::Lease(Work::Deliver)),
        2 => any::<Index>().prop_map(Ask::Renew),
        8 => (any::<Index>(), noted).prop_map(|(lease, noted)| Ask::Record(lease, noted)),
        1 => any::<Index>().prop_map(Ask::RunOut),
        1 => any::<Index>().prop_map(Ask::Cancel),
        1 => any::<Index>().prop_map(Ask::Redeliver),
        1 => any::<Index>().prop_map(Ask::Forget),
        1 => Just(Ask::Crash),
    ];
    proptest::collection::vec(ask, 1..60)
}

/// One walk.
struct Walk<'a, P: Place> {
    place: &'a P,
    queue: Option<P::Queue>,
    model: Model,
    leases: Vec<Lease>,
}

impl<P: Place> Walk<'_, P> {
    fn queue(&self) -> &P::Queue {
        self.queue.as_ref().unwrap()
    }

    async fn take(&mut self, ask: Ask) -> Result<(), TestCaseError> {
        match ask {
            Ask::Accept(user, request) => self.accept(user, request).await,
            Ask::Lease(work) => self.lease(work).await,
            Ask::Renew(index) => {
                let Some(lease) = pick(index, &self.leases) else { return Ok(()) };
                let expected = self.model.wish(lease);
                let told = told(self.queue().renew(lease).await)?;
                prop_assert_eq!(told, expected, "renewing {:?}", lease.id);
                Ok(())
            }
            Ask::Record(index, noted) => {
                let Some(lease) = pick(index, &self.leases).cloned() else { return Ok(()) };
                let expected = self.model.note(&lease, noted);
                let told = told(self.queue().record(&lease, noted.step()).await)?;
                prop_assert_eq!(told, expected, "noting {:?} of {:?}", noted, lease.id);
                Ok(())
            }
            Ask::RunOut(index) => {
                let Some(lease) = pick(index, &self.leases).cloned() else { return Ok(()) };
                let others: Vec<_> = self
                    .leases
                    .iter()
                    .filter(|other| (other.id, other.fence) != (lease.id, lease.fence))
                    .filter(|other| self.model.may_be_held(other))
                    .collect();
                self.place.run_out(self.queue(), &lease, &others).await;
                self.model.run_out(&lease);
                Ok(())
            }
            Ask::Cancel(index) => {
                let Some(id) = pick(index, &self.model.ids()).copied() else { return Ok(()) };
                let expected = self.model.cancel(id);
                let told = told(self.queue().cancel(id).await)?;
                prop_assert_eq!(told, expected, "cancelling {}", id);
                Ok(())
            }
            Ask::Redeliver(index) => {
                let Some(id) = pick(index, &self.model.ids()).copied() else { return Ok(()) };
                let expected = self.model.redeliver(id);
                let told = told(self.queue().redeliver(id).await)?;
                prop_assert_eq!(told, expected, "redelivering {}", id);
                Ok(())
            }
            Ask::Forget(index) => {
                let Some(id) = pick(index, &self.model.ids()).copied() else { return Ok(()) };
                let expected = self.model.forget(id);
                let told = told(self.queue().forget(id).await)?;
                prop_assert_eq!(told, expected, "forgetting {}", id);
                Ok(())
            }
            Ask::Crash => {
                let queue = self.queue.take().unwrap();
                self.place.crash(queue).await;
                self.queue = Some(self.place.open().await);
                self.model.crash();
                self.leases.clear();
                Ok(())
            }
        }
    }

    async fn accept(&mut self, user: u8, request: Option<u8>) -> Result<(), TestCaseError> {
        let request_id = request.map(|number| number.to_string());
        let operation = NewOperation { request_id, ..scan(&user.to_string()) };
        match self.queue().accept(operation).await {
            Ok(accepted) => {
                let known = self.model.accept(accepted.id, user, request);
                prop_assert_eq!(known, Some(accepted.is_repeat), "{:?} of {:?}", accepted, request);
            }
            Err(error) => {
                prop_assert!(matches!(error, QueueError::Full { .. }), "{}", error);
                prop_assert!(self.model.is_full(request), "it is not full");
            }
        }
        Ok(())
    }

    async fn lease(&mut self, work: Work) -> Result<(), TestCaseError> {
        if self.model.available(work).is_empty() {
            return Ok(());
        }
        let leased = timeout(Duration::from_secs(30), self.queue().lease(work)).await;
        let Ok(Ok(Some(lease))) = leased else {
            return Err(TestCaseError::fail(format!("no {work:?} for {:?}", self.model.available(work))));
        };
        self.model.lease(work, &lease)?;
        if let Task::Deliver(delivery) = &lease.task {
            for part in delivery.n_delivered..delivery.parts.len() {
                let found = self.queue().body(&lease, part).await;
                prop_assert_eq!(found, Ok(body(&format!("part {part}"))));
            }
        }
        self.leases.push(lease);
        Ok(())
    }

    async fn check(&self) -> Result<(), TestCaseError> {
        let views = self.queue().list().await.unwrap();
        let found: Vec<_> = views
            .iter()
            .map(|view| (view.id, Kind::of(&view.state), view.attempts, view.is_cancelled))
            .collect();
        prop_assert_eq!(found, self.model.views());
        let letters = self.queue().dead_letters().await.unwrap();
        let dead: Vec<_> = letters.iter().map(|view| view.id).collect();
        prop_assert_eq!(dead, self.model.in_state(Kind::DeadLettered));
        let counts = self.queue().counts().await.unwrap();
        let expected = [Kind::Queued, Kind::Running, Kind::Delivering, Kind::Done, Kind::DeadLettered]
            .map(|kind| self.model.in_state(kind).len());
        let found = [counts.queued, counts.running, counts.delivering, counts.done, counts.dead_lettered];
        prop_assert_eq!(found, expected);
        Ok(())
    }
}

fn pick<T>(index: Index, among: &[T]) -> Option<&T> {
    (!among.is_empty()).then(|| index.get(among))
}

/// An answer, reduced to what the model knows.
fn told<T: Into<Told>>(answer: Result<T, QueueError>) -> Result<Told, TestCaseError> {
    match answer {
        Ok(answer) => Ok(answer.into()),
        Err(QueueError::WrongState { .. }) => Ok(Told::WrongState),
        Err(QueueError::Unknown { .. }) => Ok(Told::Unknown),
        Err(QueueError::Full { .. }) => Ok(Told::Full),
        Err(error) => Err(TestCaseError::fail(error.to_string())),
    }
}

impl From<()> for Told {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl From<Wish> for Told {
    fn from(wish: Wish) -> Self {
        if wish == Wish::Cancel { Self::Cancel } else { Self::Done }
    }
}

async fn walk(place: &impl Place, asks: Vec<Ask>) -> Result<(), TestCaseError> {
    let queue = Some(place.open().await);
    let mut walk = Walk { place, queue, model: Model::default(), leases: Vec::new() };
    for ask in asks {
        walk.take(ask).await?;
    }
    walk.check().await?;
    walk.take(Ask::Crash).await?;
    walk.check().await?;
    // All that there is to do is given out, and nothing else.
    for work in [Work::Run, Work::Deliver] {
        while !walk.model.available(work).is_empty() {
            walk.lease(work).await?;
        }
        prop_assert!(is_idle(walk.queue(), work).await);
    }
    walk.queue().stop().await.unwrap();
    Ok(())
}

fn run<P: Place>(n_cases: u32, runtime: impl Fn() -> Runtime, place: impl AsyncFn() -> P) {
    let config =
        Config { cases: n_cases, max_shrink_iters: 12, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&asks(), |asks| {
        let runtime = runtime();
        runtime.block_on(async { walk(&place().await, asks).await })
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}

#[test]
fn the_embedded_queue_does_what_the_model_does() {
    let runtime = || Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    run(100, runtime, async || Embedded::new().await);
}

#[test]
fn the_queue_at_a_nats_server_does_what_the_model_does() {
    let of_the_server = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Arc::new(of_the_server.block_on(NatsServer::start()));
    let runtime = || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    run(12, runtime, async || JetStream::at(&server));
}
