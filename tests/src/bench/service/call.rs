//! What it costs to call a driver in its library: over the same driver linked in, with the way to the driver's thread, and
//! with the one to its process.

use std::process::Command;
use std::time::Instant;

use regent_oci::{Descriptor, MediaType};
use regent_plugin_api::load::{FilePolicy, LibraryFile};
use regent_plugin_api::{Access, DynDriver, Settings, testkit};
use serde_json::json;

use crate::agent::{Agent, Connection};
use crate::bench::Subject;
use crate::bench::report::Target;
use crate::bench::sample::Sample;

use super::caller::Caller;

const ACROSS_LIMIT_US: f64 = 2.0;
const HOP_LIMIT_US: f64 = 150.0;
const PROCESS_LIMIT_US: f64 = 300.0;
const CALLS: u32 = 5_000;

/// All of it.
pub async fn measure(subject: &Subject) -> Vec<Target> {
    let on_a_thread = ("a request with one call of a driver, over one without", HOP_LIMIT_US);
    let in_a_process = ("the same with the driver in a process of its own", PROCESS_LIMIT_US);
    vec![
        across(subject).await,
        with_the_hop(subject, "thread", on_a_thread).await,
        with_the_hop(subject, "process", in_a_process).await,
    ]
}

/// `authorize` of the fixture driver, which does no I/O: on one thread, as a driver's thread calls it.
async fn across(subject: &Subject) -> Target {
    let folder = subject.echo.parent().unwrap();
    let file = LibraryFile::read(&subject.echo, &FilePolicy::in_directory(folder)).unwrap();
    let settings = || {
        let values = [("registryBase", "registry.example"), ("token", "t"), ("repositories", "team/app")];
        Settings::new("fixture-echo", values.map(|(name, value)| (name.to_owned(), value.into())), false)
    };
    let services = || testkit::Script::new().shared();
    let loaded = regent_plugin_api::load::load(&file).unwrap().connect(&settings(), services()).unwrap();
    let native = fixture_echo::DRIVER.connect(settings(), services()).unwrap();
    let (mut more, mut within) = (Vec::new(), Vec::new());
    // The first pair is for warmth.
    for i in 0..=subject.or_quick(20, 5) {
        let pair = (microseconds(&loaded).await, microseconds(&*native).await);
        if i > 0 {
            more.push(pair.0 - pair.1);
            within.push(pair.1);
        }
    }
    let (more, within) = (Sample::of(more), Sample::of(within));
    Target::at_most(
        "a driver's call across the ABI, over the same in process",
        ACROSS_LIMIT_US,
        " µs",
        more.median,
        format!("{more:.2} µs, over {within:.2} µs"),
    )
}

async fn microseconds(driver: &dyn DynDriver) -> f64 {
    let begin = Instant::now();
    for _ in 0..CALLS {
        let access = Access { repository: "team/app".parse().unwrap(), renew: false };
        driver.authorize(access).await.unwrap();
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

/// A request that needs one call of a driver, over one that needs none: with all that is done to find connection, driver and
/// session, so it is more than the way to the driver's thread, or its process, and back.
async fn with_the_hop(subject: &Subject, isolation: &str, (what, limit_us): (&str, f64)) -> Target {
    let plugins = tempfile::tempdir().unwrap();
    std::fs::copy(&subject.echo, plugins.path().join("libfixture_echo.so")).unwrap();
    let (command, data) = (Command::new(&subject.regent), tempfile::tempdir().unwrap());
    let environment = [("LOG_LEVEL", "warn"), ("REGENT_DRIVER_ISOLATION", isolation)];
    let agent = Agent::start_by(command, plugins.path(), data, &environment).await;
    let mut connection = Connection::new("fixture-echo", "registry.example", "", "");
    connection.0["repositories"] = "team/app".into();
    connection.0["blob"] = manifest().into();
    let header = format!("x-cr-credentials: {}\r\n", connection.encoded());
    let port = agent.port();
    let n = subject.or_quick(3_000, 500);
    let samples = tokio::task::spawn_blocking(move || {
        let mut caller = Caller::to(port).unwrap();
        let mut round = |n: usize| {
            let mut median = |path: &str, headers: &str| {
                Sample::of((0..n).map(|_| caller.get(path, headers))).median * 1000.0
            };
            let with = median("/get-state-identifier?image=team/app:1", &header);
            (with, median("/healthcheck", ""))
        };
        round(100);
        (0..5).map(|_| round(n / 5)).collect::<Vec<_>>()
    });
    let samples = samples.await.unwrap();
    let more = Sample::of(samples.iter().map(|(with, without)| with - without));
    let without = Sample::of(samples.iter().map(|(_, without)| *without));
    Target::at_most(what, limit_us, " µs", more.median, format!("{more:.0} µs, over {without:.0} µs"))
}

/// The manifest of an image without layers.
fn manifest() -> String {
    let config = Descriptor::of(MediaType::OCI_CONFIG, b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": [],
    });
    manifest.to_string()
}
