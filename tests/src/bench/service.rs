//! The service itself: what a driver's call costs, how soon it is there, and how it answers while it has much to do.

mod call;
mod caller;
mod load;
mod start;

use super::report::{Section, Table};
use super::{Subject, progress};

/// All of it.
pub async fn measure(subject: &Subject) -> Section {
    progress("calls of a driver");
    let mut targets = call::measure(subject).await;
    progress("starts");
    targets.extend(start::measure(subject));
    progress("answers during scans");
    targets.extend(load::healthchecks(subject).await);
    progress("many listings at once");
    targets.push(load::listings(subject).await);
    Section {
        subject: "`regent serve` with all drivers in the directory.".to_owned(),
        tables: vec![libraries(subject)],
        targets,
    }
}

/// The sizes of the drivers' libraries.
fn libraries(subject: &Subject) -> Table {
    let mut files: Vec<(u64, String)> = std::fs::read_dir(&subject.plugins)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = name.trim_start_matches("libregent_driver_").trim_end_matches(".so").replace('_', "-");
            (entry.metadata().unwrap().len().div_ceil(1024), name)
        })
        .collect();
    files.sort();
    let mut table = Table::new(["driver's library", "KiB"]);
    for (kibibytes, name) in files {
        table.row([format!("`{name}`"), kibibytes.to_string()]);
    }
    table
}
