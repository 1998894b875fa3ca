//! One run: scans, strikes, and the tally.

use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::backend::{Backend, QueueKind};
use super::client::{Client, Order};
use super::fleet::{Fleet, Member};
use super::ledger::{Expected, Ledger};
use super::replica::Installation;
use super::report::Report;
use super::scene::{Scene, Stage};
use super::strike::{Moment, Strike};

/// What is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Scans to be accepted.
    pub scans: usize,
    /// Processes to be killed; the last strike may kill one more.
    pub kills: usize,
    /// Of what is random.
    pub seed: u64,
    /// Which queue.
    pub queue: QueueKind,
    /// How many agents.
    pub replicas: usize,
    /// How many images there are.
    pub images: usize,
    /// How many of a hundred callbacks fail.
    pub failing_percent: u32,
}

impl Plan {
    /// The short form, which is part of the tests.
    pub fn short(queue: QueueKind, replicas: usize) -> Self {
        Self { scans: 50, kills: 20, seed: 1, queue, replicas, images: 20, failing_percent: 25 }
    }
}

/// One of so many requests is sent twice by the one who asks.
const REPEATED: u32 = 8;
/// Requests that wait for an answer at once.
const CALLERS: usize = 8;

/// Runs it.
pub async fn run(plan: &Plan, installation: &Installation) -> Report {
    let stage = Stage {
        installation,
        queue: plan.queue,
        replicas: plan.replicas,
        images: plan.images,
        seed: plan.seed,
        failing_percent: plan.failing_percent,
        faults: &[],
        settings: &[],
    };
    let mut scene = Scene::set(stage).await;
    scene.start_agents().await;
    let begin = Instant::now();
    let mut report = Report {
        name: format!("{} queue, {} agents, seed {}", plan.queue, plan.replicas, plan.seed),
        ..Report::default()
    };

    // Scans are let in along the run: else the queue would be empty long before the last kill.
    let admitted = Arc::new(Semaphore::new(0));
    let mut let_in = 0;
    let mut let_in_until = |total: usize| {
        admitted.add_permits(total - let_in);
        let_in = total;
    };
    let_in_until(if plan.kills == 0 { plan.scans } else { plan.scans / 4 });
    let callers = callers(plan, &scene, &admitted);
    let mut random = StdRng::seed_from_u64(plan.seed);
    for number in 0_usize.. {
        if report.kills >= plan.kills {
            break;
        }
        Moment::choose(&mut random).wait(&scene.progress).await;
        let strike = Strike::choose(number, &scene, &mut random);
        let counts = scene.progress.counts();
        if counts.ended < counts.accepted {
            report.kills_at_work += strike.n_kills();
        }
        report.kills += strike.n_kills();
        report.cuts += usize::from(strike.n_kills() == 0);
        strike.happen(&mut scene, &mut random).await;
        let share = (plan.scans - plan.scans / 4) * report.kills.min(plan.kills) / plan.kills;
        let_in_until(plan.scans / 4 + share);
    }
    callers.join_all().await;
    scene.settle().await;
    let unended = scene.unended().await;
    finish(&mut scene, report, unended, begin).await
}

/// Those who ask: each takes the next scan that is let in.
fn callers(plan: &Plan, scene: &Scene, admitted: &Arc<Semaphore>) -> JoinSet<()> {
    let numbers = Arc::new(std::sync::Mutex::new(0..plan.scans));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (numbers, admitted) = (Arc::clone(&numbers), Arc::clone(admitted));
        let (client, ledger, fleet) =
            (Arc::clone(&scene.client), Arc::clone(&scene.ledger), Arc::clone(&scene.fleet));
        let mut random = StdRng::seed_from_u64(plan.seed.wrapping_add(caller as u64));
        callers.spawn(async move {
            loop {
                let next = numbers.lock().unwrap().next();
                let Some(number) = next else { return };
                admitted.acquire().await.unwrap().forget();
                let repeats = random.random_ratio(1, REPEATED);
                ask(&client, &ledger, &fleet, number, repeats).await;
            }
        });
    }
    callers
}

async fn ask(client: &Client, ledger: &Ledger, fleet: &Fleet, number: usize, repeats: bool) {
    let Member { image, packages } = fleet.member(number).clone();
    let order = Order::new("/scan", &image, &format!("scan-{number}"));
    let operation = client.submit(&order).await;
    ledger.promise(&operation, &order.correlation, Expected::Packages(packages));
    if repeats {
        ledger.repeated(&order.correlation, &operation, &client.submit_again(&order).await);
    }
}

/// Stops the agents and counts up.
pub(super) async fn finish(
    scene: &mut Scene,
    mut report: Report,
    unended: Vec<serde_json::Value>,
    begin: Instant,
) -> Report {
    report.time = begin.elapsed();
    let verdict = scene.judge().await;
    report.wrong.extend(verdict.wrong);
    report.wrong.extend(unended.iter().map(|operation| format!("still open: {operation}")));
    report.wrong.extend(scene.readable_secrets());
    for replica in &mut scene.replicas {
        let status = replica.terminate().await;
        if !status.success() {
            report.wrong.push(format!("an agent that was told to stop ended with {status}"));
        }
    }
    let tally = scene.sink.tally();
    report.operations = scene.ledger.len();
    report.lost = verdict.lost.len();
    (report.taken, report.duplicates, report.refused) = (tally.taken, tally.duplicates, tally.refused);
    report.anew = tally.anew.len();
    // Only a cluster whose servers are killed before they agree loses what it has confirmed.
    if !matches!(scene.backend, Backend::Cluster(_)) {
        report.wrong.extend(tally.anew.iter().map(|name| format!("{name} came with other bytes")));
    }
    report.repeated = scene.client.n_repeated();
    report.put_off = scene.client.n_put_off();
    report
}
