//! What a scan takes of memory, by the size of the image.

use super::account::run_well;
use super::content::Content;
use super::depot::{Depot, Layer};
use super::report::{Section, Table, Target};
use super::specimen::TAG;
use super::stock::Stock;
use super::{Subject, kinds, progress};

const PEAK_LIMIT_MIB: f64 = 48.0;
/// How much more memory a scan of the largest image may take than one of the smallest.
const GROWTH_LIMIT: f64 = 1.25;
/// The images: how many layers each has, and of how many MiB. Two at least, since that many are read at once; 125 at most, since
/// what runs containers mounts no more than 127: very large images have very large layers.
const IMAGES: [(usize, usize); 4] = [(2, 50), (20, 50), (100, 100), (125, 150)];
const QUICK_IMAGES: [(usize, usize); 4] = [(2, 50), (6, 50), (10, 100), (12, 150)];
/// The layers whose content is of all kinds. More than one GB of an image are models and programs: what has as much of sources
/// would have some hundred thousand packages.
const OF_ALL_KINDS: usize = 20;

/// Scans of images of 0.1 to 19 GB. The layers are put together in memory, so that the disk has room for them.
pub async fn measure(subject: &Subject) -> Section {
    let depot = Depot::start().await;
    progress("making the layers");
    let (mut stock, mut large) = tokio::task::block_in_place(|| (Stock::of(25), Stock::of_large_files(9)));
    // One layer has the distribution, and others install some packages each, as layers of a real image do.
    let beginning = |i: usize| {
        let n_packages = if i == 0 { 300 } else { 10 };
        kinds::debian(&mut Content::new(i as u64), n_packages, 0)
    };
    let mut layer = |i: usize, mebibytes: usize| {
        let stock = if i < OF_ALL_KINDS { &mut stock } else { &mut large };
        stock.layer(beginning(i), mebibytes << 20)
    };
    let mut table =
        Table::new(["image GB, compressed", "layers", "wall s", "CPU s", "peak MiB", "written MB"]);
    let mut peaks = Vec::new();
    for (n_layers, mebibytes) in subject.or_quick(IMAGES, QUICK_IMAGES) {
        let image: Vec<Layer> =
            tokio::task::block_in_place(|| (0..n_layers).map(|i| layer(i, mebibytes)).collect());
        let repository = format!("bench/of-{n_layers}");
        depot.add(&repository, TAG, &image);
        let bytes: u64 = image.iter().map(|layer| layer.descriptor.size_bytes).sum();
        #[expect(clippy::cast_precision_loss, reason = "a size in bytes, to be shown in GB")]
        let gigabytes = bytes as f64 / 1e9;
        progress(&format!("{gigabytes:.2} GB"));
        let data = tempfile::tempdir().unwrap();
        let scan = subject.scan(&depot.authority(), &format!("{repository}:{TAG}"), data.path());
        let run = tokio::task::block_in_place(|| run_well(&scan));
        table.row([
            format!("{gigabytes:.2}"),
            n_layers.to_string(),
            format!("{:.1}", run.wall),
            format!("{:.1}", run.cpu),
            format!("{:.1}", run.peak_mib),
            format!("{:.2}", run.written_mb),
        ]);
        peaks.push(run.peak_mib);
    }
    let most = peaks.iter().copied().fold(0.0, f64::max);
    let growth = most / peaks[0];
    Section {
        subject:
            "Distinct layers of 50 to 150 MiB, generated and served from memory; one scan of each size. Layers \
                  beyond the first twenty have few and large files."
                .to_owned(),
        tables: vec![table],
        targets: vec![
            Target::at_most(
                "peak memory, the largest",
                PEAK_LIMIT_MIB,
                " MiB",
                most,
                format!("{most:.1} MiB"),
            ),
            Target::at_most(
                "peak memory, largest image / smallest",
                GROWTH_LIMIT,
                " ×",
                growth,
                format!("{growth:.2}"),
            ),
        ],
    }
}
