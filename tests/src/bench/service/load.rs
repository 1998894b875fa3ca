//! Answers while there is much to do.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::agent::{Agent, Connection};
use crate::bench::content::Content;
use crate::bench::depot::Depot;
use crate::bench::report::Target;
use crate::bench::sample::percentile;
use crate::bench::scans::Scans;
use crate::bench::stock::Stock;
use crate::bench::{Subject, kinds};
use crate::http::{Server, client, json as answer_json};

use super::caller::Caller;

const SCANS: usize = 8;
const HEALTH_LIMIT_MS: f64 = 5.0;
const PAUSE: Duration = Duration::from_millis(2);
const LISTINGS: usize = 500;
/// A registry takes so long for its catalog, so that all requests are under way at once.
const CATALOG_DELAY: Duration = Duration::from_millis(100);

/// `/healthcheck`, again and again while eight scans run.
pub async fn healthchecks(subject: &Subject) -> Vec<Target> {
    let depot = Depot::start().await;
    let layer_bytes = subject.or_quick(240, 40) << 20;
    let layers = tokio::task::block_in_place(|| {
        let mut stock = Stock::of(subject.or_quick(24, 8));
        let beginning = |i: usize| kinds::debian(&mut Content::new(i as u64), 100, 0);
        (0..SCANS).map(|i| stock.layer(beginning(i), layer_bytes)).collect::<Vec<_>>()
    });
    for (i, layer) in layers.iter().enumerate() {
        depot.add(&format!("bench/load-{i}"), "1", std::slice::from_ref(layer));
    }
    let (command, data) = (Command::new(&subject.regent), tempfile::tempdir().unwrap());
    let at_once = [("MAX_ACTIVE_OPERATIONS", "8")];
    let scans = Scans::start(subject, command, &depot.authority(), data, &at_once).await;
    let mut operations = Vec::new();
    for i in 0..SCANS {
        operations.push(scans.accept(&format!("bench/load-{i}:1")).await);
    }
    let (is_over, port) = (Arc::new(AtomicBool::new(false)), scans.agent.port());
    let over = is_over.clone();
    let readings = tokio::task::spawn_blocking(move || {
        let (mut caller, mut readings) = (Caller::to(port).unwrap(), Vec::new());
        while !over.load(Ordering::Relaxed) {
            readings.push(caller.get("/healthcheck", ""));
            std::thread::sleep(PAUSE);
        }
        readings
    });
    // All eight run until the first of them ends.
    let mut ends: JoinSet<()> = JoinSet::new();
    let scans = Arc::new(scans);
    for operation in operations {
        let scans = scans.clone();
        ends.spawn(async move { drop(scans.end(&operation).await) });
    }
    ends.join_next().await.unwrap().unwrap();
    is_over.store(true, Ordering::Relaxed);
    let readings = readings.await.unwrap();
    while let Some(end) = ends.join_next().await {
        end.unwrap();
    }
    let n = readings.len();
    let (middle, high) = (percentile(readings.clone(), 50), percentile(readings, 99));
    vec![Target::at_most(
        "`/healthcheck` while eight scans run, 99 of 100 within",
        HEALTH_LIMIT_MS,
        " ms",
        high,
        format!("{high:.1} ms, half of {n} within {middle:.1} ms"),
    )]
}

/// 500 requests for the catalog at once.
pub async fn listings(subject: &Subject) -> Target {
    let names: Vec<String> = (0..100).map(|i| format!("team/app-{i}")).collect();
    let catalog = json!({ "repositories": names });
    let registry = Server::start(move |request| {
        let is_catalog = request.uri().path().ends_with("_catalog");
        let catalog = catalog.clone();
        async move {
            if is_catalog {
                tokio::time::sleep(CATALOG_DELAY).await;
                return answer_json(200, &catalog);
            }
            answer_json(200, &json!({}))
        }
    })
    .await;
    let authority = registry.authority();
    let (command, data) = (Command::new(&subject.regent), tempfile::tempdir().unwrap());
    let environment = [("REGENT_INSECURE_REGISTRIES", authority.as_str()), ("LOG_LEVEL", "warn")];
    let agent = Agent::start_by(command, &subject.plugins, data, &environment).await;
    let header = Connection::anonymous("oci-cr", &authority).encoded();
    let (client, url) = (client(), format!("{}/list", agent.url()));
    let mut requests = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..LISTINGS {
        let request = client.get(&url).header("x-cr-credentials", &header);
        requests.spawn(async move {
            match request.send().await {
                Ok(answer) if answer.status() == 200 => answer.text().await.is_ok(),
                _ => false,
            }
        });
    }
    let answers = requests.join_all().await;
    let seconds = begin.elapsed().as_secs_f64();
    let n_served = answers.into_iter().filter(|is_served| *is_served).count();
    Target::holds(
        "`/list`, 500 requests at once",
        "500 served",
        format!("{n_served} served in {seconds:.1} s"),
        n_served == LISTINGS,
    )
}
