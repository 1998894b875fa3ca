//! A long run without kills: does anything grow?

use std::fmt;
use std::time::{Duration, Instant};

use super::backend::QueueKind;
use super::footprint::Footprint;
use super::replica::Installation;
use super::scene::{Scene, Stage};

/// Images of the run; each is scanned many times.
const IMAGES: usize = 200;
/// Operations that are open at once.
const OPEN: usize = 32;
/// Scans before the first look at what is open when nothing happens.
const WARM_UP: usize = 100;
/// Times that the process is looked at.
const SAMPLES: usize = 400;
/// How long idle connections and threads may take to go.
const REST: Duration = Duration::from_mins(2);
/// After how long without a change they are gone: longer than the agent keeps an idle connection or thread.
const STILL: Duration = Duration::from_secs(30);
/// How often it is looked whether they are gone.
const POLL: Duration = Duration::from_secs(1);
/// How much more memory the last quarter may take than the second: what a measurement is worth.
const GROWTH: f64 = 1.05;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Soak {
    scans: usize,
    time: Duration,
    /// Mean resident memory by quarter, in MiB.
    quarters: [f64; 4],
    before: Footprint,
    after: Footprint,
    wrong: Vec<String>,
}

impl Soak {
    /// Whether nothing has grown, and nothing was lost.
    pub fn is_clean(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Runs so many scans, eight at once.
pub async fn soak(installation: &Installation, queue: QueueKind, scans: usize, seed: u64) -> Soak {
    let mut scene = Scene::set(Stage {
        installation,
        queue,
        replicas: 1,
        images: IMAGES,
        seed,
        failing_percent: 1,
        faults: &[],
        settings: &[("MAX_ACTIVE_OPERATIONS", "8"), ("LOG_LEVEL", "error")],
    })
    .await;
    scene.start_agents().await;
    let pid = scene.replicas[0].pid();
    go(&scene, 0..WARM_UP, |_| ()).await;
    let before = at_rest(&scene, pid, None).await;

    let begin = Instant::now();
    let mut samples = Vec::new();
    let every = (scans / SAMPLES).max(1);
    go(&scene, WARM_UP..WARM_UP + scans, |n_ended| {
        if n_ended % every == 0 {
            samples.push(Footprint::of(pid));
        }
    })
    .await;
    let time = begin.elapsed();
    let after = at_rest(&scene, pid, Some(before)).await;
    let quarters = quarters(&samples);

    let verdict = scene.judge().await;
    let mut wrong = verdict.wrong;
    wrong.extend(verdict.lost.iter().map(|(operation, _)| format!("lost: {operation}")));
    wrong.extend(scene.unended().await.iter().map(|operation| format!("still open: {operation}")));
    if quarters[3] > quarters[1] * GROWTH {
        wrong.push(format!("memory grows: {:.1} MiB, then {:.1} MiB", quarters[1], quarters[3]));
    }
    if after.files > before.files || after.threads > before.threads {
        wrong.push(format!("left open: {after:?}, before: {before:?}"));
    }
    Soak { scans, time, quarters, before, after, wrong }
}

/// Has these scans accepted, a bounded number at once, and calls back after each that ended.
async fn go(scene: &Scene, numbers: std::ops::Range<usize>, mut seen: impl FnMut(usize)) {
    let mut ends = scene.sink.ended();
    let (n_scans, mut n_ended) = (numbers.len(), 0);
    for (n_started, number) in numbers.enumerate() {
        while n_started - n_ended >= OPEN {
            ends.recv().await.expect("ends are taken as they come");
            n_ended += 1;
            seen(n_ended);
        }
        scene.scan(number).await;
    }
    while n_ended < n_scans {
        ends.recv().await.expect("ends are taken as they come");
        n_ended += 1;
        seen(n_ended);
    }
}

/// What the process has when nothing happens: once it is no more than before, or has been the same for a while.
async fn at_rest(scene: &Scene, pid: i32, before: Option<Footprint>) -> Footprint {
    scene.unended().await;
    let (begin, mut last_change) = (Instant::now(), Instant::now());
    let mut least = Footprint::of(pid);
    loop {
        let is_enough = match before {
            Some(before) => least.files <= before.files && least.threads <= before.threads,
            None => last_change.elapsed() >= STILL,
        };
        if is_enough || begin.elapsed() >= REST {
            return least;
        }
        tokio::time::sleep(POLL).await;
        let now = Footprint::of(pid);
        if now.files < least.files || now.threads < least.threads {
            last_change = Instant::now();
        }
        least.files = least.files.min(now.files);
        least.threads = least.threads.min(now.threads);
        least.resident_kib = now.resident_kib;
    }
}

fn quarters(samples: &[Footprint]) -> [f64; 4] {
    let quarter = samples.len().div_ceil(4).max(1);
    let mean = |part: &[Footprint]| {
        let sum: u64 = part.iter().map(|sample| sample.resident_kib).sum();
        #[expect(clippy::cast_precision_loss, reason = "kibibytes of one process")]
        let mean = sum as f64 / part.len().max(1) as f64 / 1024.0;
        mean
    };
    let mut means = [0.0; 4];
    for (mean_of, part) in means.iter_mut().zip(samples.chunks(quarter)) {
        *mean_of = mean(part);
    }
    means
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "some thousand scans")]
        let rate = self.scans as f64 / self.time.as_secs_f64();
        writeln!(f, "{} scans in {:.0} s: {rate:.1} a second", self.scans, self.time.as_secs_f64())?;
        let [first, second, third, last] = self.quarters;
        writeln!(f, "resident MiB, mean by quarter: {first:.1}  {second:.1}  {third:.1}  {last:.1}")?;
        for (name, Footprint { resident_kib, files, threads }) in
            [("before", self.before), ("after", self.after)]
        {
            writeln!(f, "at rest {name}: {files} files, {threads} threads, {} MiB", resident_kib / 1024)?;
        }
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "  {wrong}"))
    }
}
