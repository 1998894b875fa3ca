//! Many images that share their bases, as a registry has them: scanned by one agent on one core in 256 MiB.

use std::collections::BTreeMap;

use regent_oci::Digest;

use super::account::{cpu_seconds, folder_bytes, memory_mib, run_well};
use super::confined::{Confinement, command_on_one_core, on_one_core};
use super::content::Content;
use super::depot::{Depot, Layer};
use super::report::{Section, Table, Target};
use super::sample::Sample;
use super::scans::Scans;
use super::specimen::TAG;
use super::stock::Stock;
use super::{Subject, kinds, progress};

const CPU_LIMIT: f64 = 1.3;
const MEMORY_BYTES: u64 = 256 << 20;
const MIB: usize = 1 << 20;
/// Layers of a base in MiB: the distribution, a runtime, and what is set up on it.
const BASE_LAYERS: [usize; 4] = [76, 124, 60, 40];
/// The least and the most of a layer on top, in MiB; small ones are more frequent.
const TOP_LAYER: [usize; 2] = [5, 60];
/// More pairs would take long, and the ratio hardly moves.
const MAX_RUNS: usize = 3;

/// What the images are.
struct Fleet {
    images: Vec<(String, Vec<Layer>)>,
}

/// One run of the agent over all images.
struct Round {
    cpu: f64,
    wall: f64,
    peak_mib: f64,
    /// How often each layer was asked for.
    fetched: BTreeMap<Digest, u64>,
    stored_bytes: u64,
}

/// An agent and the floor program in turn, both on one core.
pub async fn measure(subject: &Subject) -> Section {
    progress("making the layers");
    let (n_images, n_bases) = subject.or_quick((160, 12), (10, 2));
    let fleet = tokio::task::block_in_place(|| Fleet::of(n_images, n_bases));
    let depot = Depot::start().await;
    for (repository, layers) in &fleet.images {
        depot.add(repository, TAG, layers);
    }
    let confinement = Confinement::of_memory(MEMORY_BYTES);
    let images = || fleet.images.iter().map(|(repository, _)| format!("{repository}:{TAG}"));
    let floor = command_on_one_core(&subject.floor(&depot.authority(), images()));
    let mut pairs = Vec::new();
    for i in 0..subject.runs_up_to(MAX_RUNS) {
        progress(&format!("pair {}", i + 1));
        let round = round(subject, &depot, &fleet, confinement.as_ref()).await;
        pairs.push((round, tokio::task::block_in_place(|| run_well(&floor))));
    }
    section(&fleet, &pairs, confinement.is_some())
}

impl Fleet {
    fn of(n_images: usize, n_bases: usize) -> Self {
        let mut stock = Stock::of(36);
        let bases: Vec<Vec<Layer>> = (0..n_bases)
            .map(|base| {
                let layer = |(place, mebibytes): (usize, usize)| {
                    let seed = (base * BASE_LAYERS.len() + place) as u64;
                    let n_packages = if place == 0 { 180 } else { 40 };
                    let beginning = kinds::debian(&mut Content::new(seed), n_packages, 0);
                    stock.layer(beginning, mebibytes * MIB)
                };
                BASE_LAYERS.into_iter().enumerate().map(layer).collect()
            })
            .collect();
        let mut sizes = Content::new(0);
        let images = (0..n_images).map(|i| {
            let mut own = Content::new(1_000_000 + i as u64);
            let size = sizes.size(TOP_LAYER[0] * MIB, TOP_LAYER[1] * MIB);
            let mut layers = bases[i % bases.len()].clone();
            layers.push(stock.layer(kinds::npm(&mut own, MIB), size));
            (format!("team-{}/app-{i}", i % 7), layers)
        });
        Self { images: images.collect() }
    }

    /// The size of each distinct layer.
    fn distinct(&self) -> BTreeMap<Digest, u64> {
        let all = self.images.iter().flat_map(|(_, layers)| layers);
        all.map(|layer| (layer.descriptor.digest.clone(), layer.descriptor.size_bytes)).collect()
    }
}

async fn round(subject: &Subject, depot: &Depot, fleet: &Fleet, confinement: Option<&Confinement>) -> Round {
    let data = tempfile::tempdir().unwrap();
    let command = on_one_core(&subject.regent);
    let mut scans = Scans::start(subject, command, &depot.authority(), data, &[]).await;
    let pid = scans.pid();
    if let Some(confinement) = confinement {
        confinement.take(pid);
    }
    depot.asked();
    let (begin, cpu_before) = (std::time::Instant::now(), cpu_seconds(pid));
    let mut operations = Vec::new();
    for (repository, _) in &fleet.images {
        operations.push(scans.accept(&format!("{repository}:{TAG}")).await);
    }
    for operation in &operations {
        scans.end(operation).await;
    }
    Round {
        cpu: cpu_seconds(pid) - cpu_before,
        wall: begin.elapsed().as_secs_f64(),
        peak_mib: memory_mib(pid, "VmHWM"),
        fetched: depot.asked().blobs,
        stored_bytes: folder_bytes(scans.agent.data()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes in bytes, to be shown in GB")]
fn section(fleet: &Fleet, pairs: &[(Round, super::account::Run)], is_confined: bool) -> Section {
    let distinct = fleet.distinct();
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let all: u64 = distinct.values().sum();
    let named: u64 =
        fleet.images.iter().flat_map(|(_, layers)| layers).map(|layer| layer.descriptor.size_bytes).sum();
    let mut table = Table::new(["", "wall s", "CPU s", "peak MiB", "fetched GB", "stored MB"]);
    let of = |figure: fn(&Round) -> f64| Sample::of(pairs.iter().map(|(round, _)| figure(round)));
    let fetched = Sample::of(pairs.iter().map(|(round, _)| {
        gigabytes(distinct.iter().map(|(digest, size)| size * round.fetched.get(digest).unwrap_or(&0)).sum())
    }));
    let (peak, stored) = (of(|round| round.peak_mib), of(|round| round.stored_bytes as f64 / 1e6));
    table.row([
        "`regent serve`".to_owned(),
        format!("{:.1}", of(|round| round.wall)),
        format!("{:.1}", of(|round| round.cpu)),
        format!("{peak:.0}"),
        format!("{fetched:.2}"),
        format!("{stored:.1}"),
    ]);
    table.row([
        "floor".to_owned(),
        format!("{:.1}", Sample::of(pairs.iter().map(|(_, floor)| floor.wall))),
        format!("{:.1}", Sample::of(pairs.iter().map(|(_, floor)| floor.cpu))),
        format!("{:.0}", Sample::of(pairs.iter().map(|(_, floor)| floor.peak_mib))),
        format!("{:.2}", gigabytes(all)),
        String::new(),
    ]);
    let ratio = Sample::of(pairs.iter().map(|(round, floor)| round.cpu / floor.cpu));
    let once =
        pairs.iter().all(|(round, _)| distinct.keys().all(|digest| round.fetched.get(digest) == Some(&1)));
    let times =
        pairs.iter().flat_map(|(round, _)| distinct.keys().filter_map(|d| round.fetched.get(d))).max();
    let limit =
        if is_confined { "held by a control group" } else { "by peak resident memory; no control group" };
    Section {
        subject: format!(
            "{} images of {:.2} GB in all, {} distinct layers of {:.2} GB; one core (`taskset`), 256 MiB ({limit}).",
            fleet.images.len(),
            gigabytes(named),
            distinct.len(),
            gigabytes(all),
        ),
        tables: vec![table],
        targets: vec![
            Target::holds(
                "each distinct layer is fetched",
                "once",
                if once { "once".to_owned() } else { format!("up to {} times", times.unwrap_or(&0)) },
                once,
            ),
            Target::at_most(
                "CPU / floor over the distinct layers",
                CPU_LIMIT,
                " ×",
                ratio.median,
                format!("{ratio:.2}"),
            ),
            Target::at_most("peak memory", 256.0, " MiB", peak.max, format!("{peak:.0} MiB")),
            Target::at_most(
                "data directory afterwards",
                1.0,
                " % of the layers",
                stored.median / (all as f64 / 1e8),
                format!("{:.2} %", stored.median / (all as f64 / 1e8)),
            ),
        ],
    }
}
