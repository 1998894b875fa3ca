//! A registry that fails in each way, beside one that does not: how much does the healthy one's work suffer?

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::client::{Client, Order};
use super::failing_sink::FailingSink;
use super::fleet::Fleet;
use super::progress::Progress;
use super::replica::{Installation, Replica};
use crate::agent::Connection;
use crate::faults::{Fault, FaultyRegistry};
use crate::registry::{Auth, Registry};

/// Operations of each registry that are open at once.
const OPEN: usize = 16;
/// Images of the healthy registry, and of the sick one in each phase.
const IMAGES: usize = 60;
/// Before anything is counted.
const WARM_UP: Duration = Duration::from_secs(5);
/// What the healthy registry's throughput may fall to.
const LEAST: f64 = 0.9;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Sickness {
    /// Fault, operations of the healthy registry in a second while it lasts, and the mean of the quiet time before and after.
    phases: Vec<(&'static str, f64, f64)>,
}

impl Sickness {
    /// Whether the healthy registry's work went on as before.
    pub fn is_clean(&self) -> bool {
        self.phases.iter().all(|(_, sick, quiet)| *sick >= quiet * LEAST)
    }
}

/// What the sick registry has.
fn faults() -> Vec<(&'static str, Fault)> {
    let nowhere = "127.0.0.1:1".to_owned();
    let later = vec![("retry-after", "20".to_owned())];
    vec![
        ("500", Fault::Status(500, Vec::new())),
        ("503 with Retry-After", Fault::Status(503, later.clone())),
        ("429 with Retry-After", Fault::Status(429, later)),
        ("401", Fault::Status(401, Vec::new())),
        ("connections break", Fault::Reset { after_bytes: 200 }),
        ("bodies end early", Fault::Truncate { to_bytes: 200 }),
        ("a wrong byte", Fault::WrongByte),
        ("slow", Fault::Drip { piece_bytes: 256, pause: Duration::from_millis(100) }),
        ("redirects to nowhere", Fault::Redirect { to: nowhere }),
    ]
}

/// Runs it: quiet and sick in turn, each for this time.
pub async fn sick_registry(installation: &Installation, phase: Duration, seed: u64) -> Sickness {
    let (healthy, upstream) = (Registry::start(Auth::None).await, Registry::start(Auth::None).await);
    let proxy = FaultyRegistry::start(&upstream.authority()).await;
    let progress = Progress::default();
    let sink = FailingSink::start(seed, 0, progress.clone()).await;
    let insecure = format!("{},{}", healthy.authority(), proxy.authority());
    let environment = [
        ("BROKER_CLIENT_URL", sink.url()),
        ("REGENT_INSECURE_REGISTRIES", insecure),
        ("MAX_ACTIVE_OPERATIONS", "4".to_owned()),
        ("LOG_LEVEL", "error".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let mut agent = Replica::new(installation, "agent", &environment);
    agent.start(&[]);
    agent.ready().await;

    let faults = faults();
    let fleet = Fleet::push(&healthy.authority(), None, "healthy/app", IMAGES).await;
    // New images in each phase: the layers of others are known already, and not read again.
    let mut sick = Vec::new();
    for number in 0..=faults.len() {
        sick.push(Fleet::push(&upstream.authority(), None, &format!("sick/app-{number}"), IMAGES).await);
    }
    let connect = |registry: &str| Connection::anonymous("oci-cr", registry);
    let client = |registry: &str| Client::new(vec![agent.url()], connect(registry), progress.clone());
    let healthy_client = Arc::new(client(&healthy.authority()));
    let sick_client = Arc::new(client(&proxy.authority()));

    let _healthy_load = Load::start("healthy", &healthy_client, fleet, &sink);
    let mut phases: Vec<(&'static str, f64, f64)> = Vec::new();
    let mut sick = sick.into_iter();
    let idle = sick.next().expect("one more than there are faults");
    let quiet_load = Load::start("quiet", &sick_client, idle.clone(), &sink);
    measure(&sink, WARM_UP).await;
    let mut quiet = measure(&sink, phase).await;
    drop(quiet_load);
    for ((name, fault), images) in faults.into_iter().zip(sick) {
        // Manifests are small: what breaks a body in the middle is for layers.
        let path = match fault {
            Fault::Status(..) | Fault::Redirect { .. } => "/v2/",
            _ => "/blobs/",
        };
        proxy.break_with(path, usize::MAX, fault);
        let load = Load::start(name, &sick_client, images, &sink);
        measure(&sink, WARM_UP).await;
        let during = measure(&sink, phase).await;
        drop(load);
        proxy.mend();
        let quiet_load = Load::start("quiet", &sick_client, idle.clone(), &sink);
        measure(&sink, WARM_UP).await;
        let after = measure(&sink, phase).await;
        drop(quiet_load);
        phases.push((name, during, f64::midpoint(quiet, after)));
        quiet = after;
    }
    Sickness { phases }
}

/// Operations of the healthy registry that end in a second.
async fn measure(sink: &FailingSink, time: Duration) -> f64 {
    let mut ends = sink.ended();
    let end = Instant::now() + time;
    let mut n_ended = 0_u32;
    loop {
        match timeout_at(end, ends.recv()).await {
            Ok(Ok(correlation)) => n_ended += u32::from(correlation.starts_with("healthy-")),
            Ok(Err(broadcast::error::RecvError::Lagged(n))) => panic!("{n} ends were missed"),
            Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => break,
        }
    }
    f64::from(n_ended) / time.as_secs_f64()
}

/// Someone who always has as many operations open as may be. Dropping it ends the asking.
struct Load {
    _task: JoinSet<()>,
}

impl Load {
    fn start(name: &'static str, client: &Arc<Client>, fleet: Fleet, sink: &FailingSink) -> Self {
        // Names differ between phases: what of an earlier one still ends is not counted for this one.
        let run = uuid::Uuid::new_v4();
        let prefix = format!("{name}-{run}");
        let (client, mut ends) = (Arc::clone(client), sink.ended());
        let open = Arc::new(Semaphore::new(OPEN));
        let mut task = JoinSet::new();
        let (given_back, mine) = (Arc::clone(&open), prefix.clone());
        task.spawn(async move {
            while let Ok(correlation) = ends.recv().await {
                if correlation.starts_with(&mine) {
                    given_back.add_permits(1);
                }
            }
        });
        let numbers: Range<usize> = 0..usize::MAX;
        task.spawn(async move {
            for number in numbers {
                open.acquire().await.unwrap().forget();
                let image = &fleet.member(number).image;
                client.submit(&Order::new("/scan", image, &format!("{prefix}-{number}"))).await;
            }
        });
        Self { _task: task }
    }
}

impl fmt::Display for Sickness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>10} {:>10} {:>7}", "the other registry", "quiet/s", "then/s", "ratio")?;
        for (name, sick, quiet) in &self.phases {
            writeln!(f, "{name:<24} {quiet:>10.1} {sick:>10.1} {:>7.2}", sick / quiet)?;
        }
        Ok(())
    }
}
