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
const LAYER_BYTES: usize = 50 << 20;
/// Layers of each image. Two at least, since that many are read at once.
const LAYERS: [usize; 3] = [2, 20, 200];
const QUICK_LAYERS: [usize; 3] = [2, 6, 20];

/// Scans of images of 0.1, 1 and 10 GB. The layers are put together in memory, so that the disk has room for them.
pub async fn measure(subject: &Subject) -> Section {
    let sizes = subject.or_quick(LAYERS, QUICK_LAYERS);
    let depot = Depot::start().await;
    progress("making the layers");
    let layers: Vec<Layer> = tokio::task::block_in_place(|| {
        // More than one GB of an image are models and programs: what has as much of sources would have some hundred
        // thousand packages.
        let (mut stock, mut large) = (Stock::of(25), Stock::of_large_files(9));
        // One layer has the distribution, and others install some packages each, as layers of a real image do.
        let beginning = |i: usize| {
            let n_packages = if i == 0 { 300 } else { 10 };
            kinds::debian(&mut Content::new(i as u64), n_packages, 0)
        };
        let layer = |i: usize| {
            let stock = if i < sizes[1] { &mut stock } else { &mut large };
            stock.layer(beginning(i), LAYER_BYTES)
        };
        (0..sizes[2]).map(layer).collect()
    });
    let mut table =
        Table::new(["image GB, compressed", "layers", "wall s", "CPU s", "peak MiB", "written MB"]);
    let mut peaks = Vec::new();
    for n_layers in sizes {
        let image = &layers[..n_layers];
        let repository = format!("bench/of-{n_layers}");
        depot.add(&repository, TAG, image);
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
    let (most, growth) = (peaks.iter().copied().fold(0.0, f64::max), peaks[2] / peaks[0]);
    Section {
        subject:
            "Distinct layers of 52 MB each, generated and served from memory; one scan of each size. Layers \
                  beyond the first GB have few and large files."
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
