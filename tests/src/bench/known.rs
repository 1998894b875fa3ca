//! Images and layers that the agent knows already.

use std::process::Command;

use super::account::{cpu_seconds, folder_bytes};
use super::content::Content;
use super::depot::{Asked, Depot, Layer};
use super::report::{Section, Target};
use super::sample::Sample;
use super::scans::Scans;
use super::stock::Stock;
use super::{Subject, kinds, progress};

const REPOSITORY: &str = "bench/known";
const LAYER_BYTES: usize = 100 << 20;
const LAYERS: usize = 5;
const CPU_LIMIT_MS: f64 = 10.0;
const CACHE_LIMIT_PERCENT: f64 = 1.0;
/// What an agent has in its data directory besides captures.
const NO_CAPTURES: [&str; 3] = ["queue.redb", "seal.key", "layers"];

/// What was seen.
struct Figures {
    stored_bytes: u64,
    new_bytes: u64,
    cpu_ms: Sample,
    /// By `n_scans` scans again.
    asked: Asked,
    n_scans: u64,
    cache_bytes: u64,
    fetched_for_new_tag: u64,
    fetched_after_restart: u64,
}

/// The same image again and again, then a new layer on it, then another agent on the same data.
pub async fn measure(subject: &Subject) -> Section {
    progress("making the layers");
    let (known, new): (Vec<Layer>, Layer) = tokio::task::block_in_place(|| {
        let mut stock = Stock::of(subject.or_quick(25, 12));
        let beginning = |i: usize| kinds::debian(&mut Content::new(i as u64), 300, 0);
        let known = (0..LAYERS).map(|i| stock.layer(beginning(i), LAYER_BYTES)).collect();
        (known, stock.layer(kinds::npm(&mut Content::new(99), 2 << 20), 10 << 20))
    });
    let stored_bytes: u64 = known.iter().map(|layer| layer.descriptor.size_bytes).sum();
    let depot = Depot::start().await;
    depot.add(REPOSITORY, "1", &known);
    depot.add(REPOSITORY, "2", &[known.clone(), vec![new.clone()]].concat());

    let data = tempfile::tempdir().unwrap();
    let command = Command::new(&subject.regent);
    let mut scans = Scans::start(subject, command, &depot.authority(), data, &[]).await;
    let pid = scans.pid();
    progress("the first scan");
    scans.scan(&format!("{REPOSITORY}:1")).await;
    let cache_bytes = cache_bytes(&scans);

    let (rounds, repeats) = subject.or_quick((5_u32, 40_u32), (2, 20));
    let mut cpu_ms = Vec::new();
    depot.asked();
    for round in 1..=rounds {
        progress(&format!("{repeats} scans again, round {round}"));
        let before = cpu_seconds(pid);
        for _ in 0..repeats {
            scans.scan(&format!("{REPOSITORY}:1")).await;
        }
        cpu_ms.push((cpu_seconds(pid) - before) * 1000.0 / f64::from(repeats));
    }
    let asked = depot.asked();
    let n_scans = u64::from(rounds * repeats);
    progress("a new layer");
    let before = scans.fetched_bytes().await;
    scans.scan(&format!("{REPOSITORY}:2")).await;
    let fetched_for_new_tag = scans.fetched_bytes().await - before;

    progress("another agent on the same data");
    let scans = scans.restart(subject, &[]).await;
    scans.scan(&format!("{REPOSITORY}:1")).await;
    let fetched_after_restart = scans.fetched_bytes().await;
    section(&Figures {
        stored_bytes,
        new_bytes: new.descriptor.size_bytes,
        cpu_ms: Sample::of(cpu_ms),
        asked,
        n_scans,
        cache_bytes,
        fetched_for_new_tag,
        fetched_after_restart,
    })
}

/// A count for each scan, without decimals where there are none.
fn per_scan(n: u64, n_scans: u64) -> String {
    if n.is_multiple_of(n_scans) {
        return (n / n_scans).to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let share = n as f64 / n_scans as f64;
    format!("{share:.2}")
}

fn cache_bytes(scans: &Scans) -> u64 {
    let entries = std::fs::read_dir(scans.agent.data()).unwrap().map(|entry| entry.unwrap());
    let captures =
        entries.filter(|entry| !NO_CAPTURES.contains(&entry.file_name().to_string_lossy().as_ref()));
    let sizes = captures.map(|entry| {
        let path = entry.path();
        if path.is_dir() { folder_bytes(&path) } else { entry.metadata().map_or(0, |file| file.len()) }
    });
    sizes.sum()
}

#[expect(clippy::cast_precision_loss, reason = "sizes in bytes, to be shown in MB")]
fn section(figures: &Figures) -> Section {
    let Figures { stored_bytes, new_bytes, cpu_ms, cache_bytes, .. } = figures;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let cache_percent = *cache_bytes as f64 / *stored_bytes as f64 * 100.0;
    let Asked { heads, manifests, blobs, .. } = &figures.asked;
    let n_blobs: u64 = blobs.values().sum();
    let of = |n: u64| per_scan(n, figures.n_scans);
    let asked = format!("{} HEAD, {} GET of manifests, {} of blobs", of(*heads), of(*manifests), of(n_blobs));
    let is_one_head = (*heads, *manifests, n_blobs) == (figures.n_scans, 0, 0);
    let (for_new_tag, after_restart) = (figures.fetched_for_new_tag, figures.fetched_after_restart);
    Section {
        subject: format!(
            "An image of {:.0} MB compressed in {LAYERS} layers; a tag with one layer of {:.1} MB more.",
            megabytes(*stored_bytes),
            megabytes(*new_bytes),
        ),
        tables: Vec::new(),
        targets: vec![
            Target::at_most(
                "CPU of a scan again",
                CPU_LIMIT_MS,
                " ms",
                cpu_ms.median,
                format!("{cpu_ms:.1} ms"),
            ),
            Target::holds("requests of a scan again", "1 HEAD", asked, is_one_head),
            Target::holds(
                "fetched for a new tag on a known base",
                "the new layer",
                format!("{:.1} MB", megabytes(for_new_tag)),
                for_new_tag == *new_bytes,
            ),
            Target::holds(
                "cache of captures on the disk",
                &format!("there, ≤ {CACHE_LIMIT_PERCENT} % of the layers"),
                format!("{cache_percent:.2} % ({} KiB)", cache_bytes / 1024),
                *cache_bytes > 0 && cache_percent <= CACHE_LIMIT_PERCENT,
            ),
            Target::holds(
                "fetched by another process on the same data",
                "nothing",
                format!("{:.1} MB", megabytes(after_restart)),
                after_restart == 0,
            ),
        ],
    }
}
