//! One image, scanned by a process that knows nothing yet.

use crate::registry::{Auth, Registry};

use super::account::{Run, run, run_well};
use super::content::Content;
use super::depot::{Depot, Layer};
use super::report::{Section, Table, Target};
use super::sample::Sample;
use super::specimen::{REPOSITORY, Specimen, TAG};
use super::stock::Stock;
use super::{Subject, kinds, progress, real, specimen};

const CPU_LIMIT: f64 = 1.25;
const WALL_LIMIT: f64 = 1.25;
const PEAK_LIMIT_MIB: f64 = 48.0;
/// The cache of captures may have so much of the layers' size; nothing else should be written.
const WRITTEN_LIMIT_PERCENT: f64 = 1.0;

/// Scans and floor in turn.
pub async fn measure(subject: &Subject) -> Section {
    let registry = Registry::start(Auth::None).await;
    let specimen = push(subject, &registry.authority()).await;
    let image = format!("{REPOSITORY}:{TAG}");
    let scan = || {
        let data = tempfile::tempdir().unwrap();
        run_well(&subject.scan(&registry.authority(), &image, data.path()))
    };
    let floor = || run_well(&subject.floor(&registry.authority(), [image.clone()]));
    // A warm-up each, then in turn, so that a machine that drifts does so for both.
    scan();
    floor();
    let pairs: Vec<(Run, Run)> = (0..subject.runs_up_to(usize::MAX))
        .map(|i| {
            progress(&format!("pair {}", i + 1));
            (scan(), floor())
        })
        .collect();
    let refused = is_changed_byte_refused(subject).await;
    section(&specimen, &pairs, refused)
}

/// The image at a registry: the one with real contents where it is asked for.
pub async fn push(subject: &Subject, registry: &str) -> Specimen {
    progress("making the image");
    if subject.real {
        return real::push(registry, &subject.kept).await;
    }
    specimen::push_generated(registry, subject.or_quick(subject.mebibytes, subject.mebibytes.min(120))).await
}

fn section(specimen: &Specimen, pairs: &[(Run, Run)], is_refused: bool) -> Section {
    let mut table = Table::new(["", "wall s", "CPU s", "peak MiB", "written MB"]);
    for (name, pick) in [("`regent scan`", 0), ("floor", 1)] {
        let of = |figure: fn(&Run) -> f64| {
            Sample::of(pairs.iter().map(|(a, b)| figure(if pick == 0 { a } else { b })))
        };
        table.row([
            name.to_owned(),
            format!("{:.2}", of(|run| run.wall)),
            format!("{:.2}", of(|run| run.cpu)),
            format!("{:.1}", of(|run| run.peak_mib)),
            format!("{:.2}", of(|run| run.written_mb)),
        ]);
    }
    let ratio = |figure: fn(&Run) -> f64| Sample::of(pairs.iter().map(|(a, b)| figure(a) / figure(b)));
    let (cpu, wall) = (ratio(|run| run.cpu), ratio(|run| run.wall));
    table.row([
        "ratio of the pairs".to_owned(),
        format!("{wall:.2}"),
        format!("{cpu:.2}"),
        String::new(),
        String::new(),
    ]);
    let peak = Sample::of(pairs.iter().map(|(scan, _)| scan.peak_mib));
    #[expect(clippy::cast_precision_loss, reason = "a size in bytes, for a percentage")]
    let stored_mb = specimen.stored_bytes as f64 / 1e6;
    let written = Sample::of(pairs.iter().map(|(scan, _)| scan.written_mb / stored_mb * 100.0));
    let verified = if is_refused { "refused" } else { "taken" };
    Section {
        subject: specimen.sentence(),
        tables: vec![table],
        targets: vec![
            Target::at_most("CPU / floor", CPU_LIMIT, " ×", cpu.median, format!("{cpu:.2}")),
            Target::at_most("wall / floor", WALL_LIMIT, " ×", wall.median, format!("{wall:.2}")),
            Target::at_most("peak memory", PEAK_LIMIT_MIB, " MiB", peak.median, format!("{peak:.1} MiB")),
            Target::at_most(
                "written to the disk",
                WRITTEN_LIMIT_PERCENT,
                " % of the layers",
                written.median,
                format!("{written:.2} %"),
            ),
            Target::holds("an image with one changed byte", "refused", verified.to_owned(), is_refused),
        ],
    }
}

/// Whether a layer is refused whose last byte is another one than its digest says.
async fn is_changed_byte_refused(subject: &Subject) -> bool {
    let depot = Depot::start().await;
    let layer: Layer =
        tokio::task::block_in_place(|| Stock::of(1).layer(kinds::debian(&mut Content::new(0), 3, 0), 1));
    depot.add("bench/right", TAG, std::slice::from_ref(&layer));
    let scan = |image: &str| {
        let data = tempfile::tempdir().unwrap();
        tokio::task::block_in_place(|| run(&subject.scan(&depot.authority(), image, data.path()))).1
    };
    let right = scan("bench/right:1");
    depot.add("bench/wrong", TAG, &[layer.with_a_changed_byte()]);
    let wrong = scan("bench/wrong:1");
    right.is_ok() && wrong.is_err_and(|said| said.contains("digest"))
}
