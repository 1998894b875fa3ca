//! What `cargo xtask bench` measures, a part of it in each file: whole processes, as the operating system accounts for them,
//! side by side in one run with the floor program (`tests/benches/floor.rs`).

pub mod account;
pub mod cold;
pub mod confined;
pub mod content;
pub mod depot;
pub mod kinds;
pub mod known;
pub mod lazy;
pub mod listing;
pub mod many;
pub mod memory;
pub mod peers;
pub mod real;
pub mod report;
pub mod sample;
pub mod scans;
pub mod service;
pub mod specimen;
pub mod stock;

#[path = "../../core/scan/tests/layer/chunked/build.rs"]
#[expect(dead_code, reason = "tests of the layer reader use more of it")]
mod chunked;

use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;
use report::Section;

/// What is measured, and how much of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Subject {
    /// The program.
    #[arg(long)]
    pub regent: PathBuf,
    /// The directory of its drivers.
    #[arg(long)]
    pub plugins: PathBuf,
    /// The floor program.
    #[arg(long)]
    pub floor: PathBuf,
    /// The library of the driver of `tests/fixtures/echo`.
    #[arg(long)]
    pub echo: PathBuf,
    /// Where things are kept that are made once: the image of `--real`, the peers.
    #[arg(long)]
    pub kept: PathBuf,
    /// Measure less: for a look whether it works.
    #[arg(long)]
    pub quick: bool,
    /// Compressed size of the cold image in MiB.
    #[arg(long, default_value_t = 500)]
    pub mebibytes: usize,
    /// Counted runs of each program.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Make the cold image with debootstrap, npm and pip.
    #[arg(long)]
    pub real: bool,
}

impl Subject {
    /// This much, or less where only a look is wanted.
    pub fn or_quick<T>(&self, all: T, quick: T) -> T {
        if self.quick { quick } else { all }
    }

    /// Counted runs, this many at most.
    pub fn runs_up_to(&self, most: usize) -> usize {
        self.or_quick(self.runs.min(most), self.runs.min(2)).max(1)
    }

    /// `regent scan` of an image at a registry, with a data directory of its own. The results go nowhere.
    pub fn scan(&self, registry: &str, image: &str, data: &std::path::Path) -> Command {
        let mut command = Command::new(&self.regent);
        command
            .args(["scan", image, "--registry", registry, "--plain-http"])
            .args(["--format", "scan-result", "-o", "/dev/null"])
            .env("REGENT_PLUGIN_DIR", &self.plugins)
            .env("REGENT_DATA_DIR", data)
            // Larger than any image here.
            .env("SNYK_MAX_IMAGE_SIZE_IN_BYTES", u64::MAX.to_string());
        command
    }

    /// The floor program on images at a registry.
    pub fn floor(&self, registry: &str, images: impl IntoIterator<Item = String>) -> Command {
        let mut command = Command::new(&self.floor);
        command.arg(registry).args(images);
        command
    }
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// One image, scanned cold.
    Cold,
    /// Memory by the size of the image.
    Memory,
    /// Many images, on one core and in 256 MiB.
    Many,
    /// Images and layers that are known.
    Known,
    /// Layers with a table of contents.
    Lazy,
    /// The service itself: drivers, start, answers.
    Service,
    /// A long list of tags with metadata.
    Listing,
    /// The same image by other scanners.
    Peers,
}

impl Part {
    /// All of them but the peers, which have to be installed.
    pub const USUAL: [Self; 7] =
        [Self::Cold, Self::Memory, Self::Many, Self::Known, Self::Lazy, Self::Service, Self::Listing];

    /// The name on the command line and in the document.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Measures it.
    pub async fn measure(self, subject: &Subject) -> Section {
        match self {
            Self::Cold => cold::measure(subject).await,
            Self::Memory => memory::measure(subject).await,
            Self::Many => many::measure(subject).await,
            Self::Known => known::measure(subject).await,
            Self::Lazy => lazy::measure(subject).await,
            Self::Service => service::measure(subject).await,
            Self::Listing => listing::measure(subject).await,
            Self::Peers => peers::measure(subject).await,
        }
    }
}

/// Says how far it is, beside what is asked for.
pub fn progress(what: &str) {
    eprintln!("  {what}");
}
