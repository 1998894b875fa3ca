//! Kills at each named point between two durable writes: windows that chance would not find.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backend::QueueKind;
use super::client::Order;
use super::failing_sink::Failure;
use super::fleet::Member;
use super::ledger::Expected;
use super::replica::Installation;
use super::report::Report;
use super::run;
use super::scene::{Scene, Stage};
use super::watch::Watch;
use crate::faults::Fault;
use crate::process::Process;

/// The variable that names the point.
pub(super) const VARIABLE: &str = "REGENT_CRASH_POINT";
/// A value that no point has.
const UNKNOWN: &str = "?";
/// What stands in front of the names when the program refuses a value.
const LIST: &str = "must be one of ";
/// How often an operation is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long an operation may take to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the names of points begin with that only one queue has.
const OF_JETSTREAM: &str = "jetstream-";

/// The names of the crash points that an agent with this queue can come to, from the program itself.
///
/// # Panics
/// When the program does not tell them.
pub async fn crash_points(installation: &Installation, queue: QueueKind) -> Vec<String> {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(&installation.regent);
    command.arg("serve").env_clear().env(VARIABLE, UNKNOWN).env("REGENT_DATA_DIR", data.path());
    let mut process = Process::start("regent", &mut command);
    process.wait_for(async |process| process.ended().is_some()).await;
    let output = process.output();
    let line = output.lines().find_map(|line| line.split_once(LIST)).map(|(_, names)| names);
    let line = line.unwrap_or_else(|| panic!("no list of crash points in:\n{output}"));
    // What follows the last name is another sentence.
    let names = line.split(", ").filter_map(|name| name.split_whitespace().next());
    let has_point = |name: &&str| queue != QueueKind::Embedded || !name.starts_with(OF_JETSTREAM);
    names.filter(has_point).map(str::to_owned).collect()
}

/// What came of a point.
#[derive(Debug, Clone)]
pub struct Crash {
    /// Its name.
    pub point: String,
    /// Whether the agent came there, and died.
    pub hit: bool,
    /// What came of the work around it.
    pub report: Report,
}

impl Crash {
    /// Panics unless the agent died there, and nothing was lost.
    ///
    /// # Panics
    /// When it is not so.
    pub fn expect_survived(&self) {
        assert!(self.hit, "nothing led to the crash point {}:\n{}", self.point, self.report);
        assert!(self.report.is_clean(), "{}", self.report);
    }
}

/// Lets an agent that dies at a point do some of everything, until all that was promised is there.
pub async fn crash_at(point: &str, queue: QueueKind, installation: &Installation) -> Crash {
    let begin = Instant::now();
    let stage = Stage {
        installation,
        queue,
        replicas: 1,
        images: 12,
        seed: 1,
        failing_percent: 0,
        // More than the tries of one run.
        faults: &[("/manifests/image-7", 5), ("/manifests/image-10", 5)],
        settings: &[("MAX_ACTIVE_OPERATIONS", "2"), ("REGENT_SHUTDOWN_GRACE", "3s")],
    };
    let mut scene = Scene::set(stage).await;
    let replica = scene.replicas.pop().unwrap();
    let watch = Watch::start(replica, point);
    some_of_everything(&scene).await;
    killed_at_work(&scene, &watch).await;
    stopped_at_work(&scene, &watch).await;
    scene.settle().await;
    let unended = scene.unended().await;
    let (replica, hit) = watch.end().await;
    scene.replicas.push(replica);
    let report =
        Report { name: format!("{queue} queue, {point}"), kills: usize::from(hit), ..Report::default() };
    let report = run::finish(&mut scene, report, unended, begin).await;
    Crash { point: point.to_owned(), hit, report }
}

/// Each way that an operation may take.
async fn some_of_everything(scene: &Scene) {
    let refused = [Failure::Status(400, None)];
    for (which, failures) in [
        ("retried", [Failure::Status(503, None), Failure::HangUp].as_slice()),
        ("answer-lost", &[Failure::AnswerLost]),
        ("rejected/result-0", &refused),
        ("redelivered/done", &refused),
        ("dropped/done", &refused),
    ] {
        scene.sink.plan(which, failures);
    }
    let mut operations = BTreeMap::new();
    for (number, (path, correlation)) in [
        ("/scan", "plain"),
        ("/scan", "retried"),
        ("/scan", "answer-lost"),
        ("/scan", "rejected"),
        ("/scan", "redelivered"),
        ("/discover", "older"),
        ("/pull", "pulled"),
        ("/scan", "begun-again"),
        ("/scan", "dropped"),
        ("/scan", "cancelled"),
        ("/scan", "put-off"),
    ]
    .into_iter()
    .enumerate()
    {
        let Member { image, packages } = scene.fleet.member(number).clone();
        let expected = match correlation {
            "pulled" => Expected::Nothing,
            "dropped" => Expected::Optional(packages),
            "rejected" => Expected::PackagesOr(packages, "callback_rejected"),
            "cancelled" | "put-off" => Expected::PackagesOr(packages, "operation_cancelled"),
            _ => Expected::Packages(packages),
        };
        let operation = scene.order(&Order::new(path, &image, correlation), expected).await;
        operations.insert(correlation, format!("/operations/{operation}"));
    }
    // Whatever it is by now.
    scene.client.delete(&operations["cancelled"]).await;
    // One that waits for its next try.
    let is_put_off = |operation: &Value| operation["notBefore"].is_string() && operation["state"] == "queued";
    until(scene, &operations["put-off"], |operation| is_put_off(operation) || has_ended(operation)).await;
    scene.client.delete(&operations["put-off"]).await;
    // A kill may come between a refusal and its record: then the callback was tried again, and has arrived.
    if ended(scene, &operations["redelivered"]).await == "dead_lettered" {
        scene.client.post(&format!("{}/redeliver", operations["redelivered"])).await;
    }
    if ended(scene, &operations["dropped"]).await == "dead_lettered" {
        scene.client.delete(&operations["dropped"]).await;
    }
    ended(scene, &operations["pulled"]).await;
    until(scene, &operations["begun-again"], |operation| {
        operation["state"] != "running" && operation["attempts"] != 0 || operation["attempts"] == 2
    })
    .await;
}

/// An agent that finds leases which nobody holds any more.
async fn killed_at_work(scene: &Scene, watch: &Watch) {
    work(scene, "killed").await;
    watch.kill().await;
}

/// An agent that is told to stop.
async fn stopped_at_work(scene: &Scene, watch: &Watch) {
    // One that is not done when the time is over: the registry takes its time once, for an image that is not known yet.
    let proxy = scene.proxy.as_ref().expect("the registry fails");
    proxy.break_with(
        "/manifests/image-11",
        1,
        Fault::Drip { piece_bytes: 16, pause: Duration::from_millis(200) },
    );
    let Member { image, packages } = scene.fleet.member(11).clone();
    let order = Order::new("/scan", &image, "handed-back");
    let operation = scene.order(&order, Expected::Packages(packages)).await;
    work(scene, "stopped").await;
    until(scene, &format!("/operations/{operation}"), |operation| operation["state"] != "queued").await;
    watch.terminate().await;
}

/// Scans of which some wait, some run and some can't be delivered yet.
async fn work(scene: &Scene, name: &str) {
    let before = scene.progress.counts().callbacks;
    for number in 0..6 {
        let correlation = format!("{name}-{number}");
        if number < 3 {
            scene.sink.plan(&correlation, &[Failure::Status(503, Some(1)), Failure::Silence]);
        }
        let Member { image, packages } = scene.fleet.member(number).clone();
        scene.order(&Order::new("/scan", &image, &correlation), Expected::Packages(packages)).await;
    }
    scene.progress.reached(|now| now.callbacks > before).await;
}

/// The state in which an operation has ended; `forgotten` if it is not there any more.
async fn ended(scene: &Scene, path: &str) -> String {
    until(scene, path, has_ended).await["state"].as_str().unwrap_or_default().to_owned()
}

fn has_ended(operation: &Value) -> bool {
    const ENDED: [&str; 3] = ["done", "dead_lettered", "forgotten"];
    operation["state"].as_str().is_some_and(|state| ENDED.contains(&state))
}

/// The operation, once it is as wanted.
async fn until(scene: &Scene, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let (status, mut operation) = scene.client.get(path).await;
        if status != 200 {
            operation = json!({ "state": "forgotten" });
        }
        if wanted(&operation) {
            return operation;
        }
        assert!(begin.elapsed() < PATIENCE, "{path} stays {operation}");
        tokio::time::sleep(POLL).await;
    }
}
