//! From an image reference to findings.
//!
//! The image is resolved, its size checked, and its layers are read, each as a stream in constant memory
//! (`bridge`), or in parts where that is enough (`parts`), or taken from the captures of earlier scans (`captures`, and below them `store`). The captures are laid over each other and
//! analyzed. A link that leads to a file which no one asked for means that its layer is read once more.

mod attestations;
mod bridge;
mod captures;
mod disk;
mod error;
mod fleet;
mod form;
mod known;
mod layers;
mod levels;
mod names;
mod parts;
mod readers;
mod store;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regent_oci::{Digest, ImageRef, Platform};
use regent_report::{Compat, Digests, ImageFacts, ImageName, Options, ScanResponse, scan_result};
use regent_scan::{Findings, Gap, Interest, Limits, MissingTarget, Overlay, analyze, attribute};

pub use disk::DiskCaptures;
pub use error::Error;
pub use fleet::FleetCaptures;
pub use levels::Levels;
pub use store::{CaptureKey, CaptureStore, Sighting, Turn};

use crate::registry::{Registry, ResolvedImage};
use captures::Captures;
use known::KnownFindings;
use layers::{Layers, ReadLayers};
use readers::Readers;

/// How often layers are read again for link targets. A second round is needed when a target is a link itself.
const MAX_ROUNDS: u32 = 2;

/// What a scan may cost at most.
#[derive(Debug, Clone)]
pub struct ScanLimits {
    /// Sum of the layers' sizes in the manifest, in bytes (`SNYK_MAX_IMAGE_SIZE_IN_BYTES`).
    pub max_image_bytes: u64,
    /// Per layer.
    pub layer: Limits,
}

impl ScanLimits {
    /// 2 GiB, as the replaced agent has it.
    pub const DEFAULT_MAX_IMAGE_BYTES: u64 = 2_147_483_648;
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { max_image_bytes: Self::DEFAULT_MAX_IMAGE_BYTES, layer: Limits::default() }
    }
}

/// Told how a scan goes. Called from the scan's own task: it must not block.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: ProgressEvent<'_>);
}

/// What happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ProgressEvent<'a> {
    /// The reference led to an image.
    Resolved(&'a ResolvedImage),
    /// Bytes of a layer came. `layer` counts from the base layer, 0.
    LayerBytes {
        /// Which layer.
        layer: usize,
        /// How many bytes, since the last time.
        n_bytes: u64,
    },
    /// Bytes of a layer are there, and wait for the thread that reads them.
    LayerHeld {
        /// Which layer.
        layer: usize,
    },
    /// A layer is done.
    LayerDone {
        /// Which layer.
        layer: usize,
        /// Whether its capture was at hand, so that nothing was read.
        cached: bool,
    },
    /// All layers are there; once more when some were read again.
    Analyzing,
}

/// Progress that no one looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: ProgressEvent<'_>) {}
}

/// Scans images, and keeps captures of layers and findings for the next scan. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Scanner {
    captures: Arc<Captures>,
    known: Arc<KnownFindings>,
    store: Option<Arc<dyn CaptureStore>>,
    readers: Readers,
    reads_attestations: bool,
    reads_parts: bool,
}

/// What a scan found, and what it cost.
#[derive(Debug, Clone)]
pub struct ScannedImage {
    /// As it was asked for.
    pub image: ImageRef,
    /// Digests of what was pulled; `None` for what a driver serves from disk.
    pub digests: Option<Digests>,
    /// The platform of the configuration.
    pub platform: Option<Platform>,
    /// For the report.
    pub facts: ImageFacts,
    /// For the report.
    pub findings: Arc<Findings>,
    /// What it cost.
    pub cost: Cost,
}

/// What a scan cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Layers of the image, each place counted.
    pub n_layers: usize,
    /// Distinct layers whose capture was at hand.
    pub n_cached_layers: usize,
    /// Layer bytes read from the registry.
    pub fetched_bytes: u64,
    /// Time until the image was resolved.
    pub resolving: Duration,
    /// Time to read the layers.
    pub reading: Duration,
    /// Time for overlay and analyzers, second readings included.
    pub analyzing: Duration,
}

impl Scanner {
    /// Memory for captures when nobody says otherwise, in bytes. A base layer's capture has some hundred KiB.
    pub const DEFAULT_CAPTURES_BYTES: u64 = 32 << 20;

    /// A scanner that keeps captures up to this much memory, in bytes, and findings up to half of it.
    pub fn new(captures_bytes: u64) -> Self {
        Self {
            captures: Arc::new(Captures::new(captures_bytes)),
            known: Arc::new(KnownFindings::new(captures_bytes / 2)),
            store: None,
            readers: Readers::default(),
            reads_attestations: false,
            reads_parts: true,
        }
    }

    /// The same in a program that serves: layers are read when nobody waits for an answer.
    #[must_use]
    pub fn after_answers(self) -> Self {
        Self { readers: Readers::last(), ..self }
    }

    /// The same for results that match this release: the older one knows nothing of attestations, and they aren't read
    /// for it.
    #[must_use]
    pub fn matching(self, compat: Compat) -> Self {
        Self { reads_attestations: compat == Compat::V9_20, ..self }
    }

    /// The same, with captures that others have made, or this process before: of the disk ([`DiskCaptures`]), of a fleet
    /// ([`FleetCaptures`]), or of both ([`Levels`]).
    #[must_use]
    pub fn sharing(self, store: Arc<dyn CaptureStore>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The same, that reads layers in parts where manifests pin their tables of contents, or else each as a whole.
    #[must_use]
    pub fn reading_parts(self, reads_parts: bool) -> Self {
        Self { reads_parts, ..self }
    }

    /// Scans an image. Dropping the future stops it, with the threads that read layers.
    ///
    /// # Errors
    /// [`Error`]. A file that can't be understood is a gap among the findings, no error.
    pub async fn scan(
        &self,
        registry: &Registry,
        image: &ImageRef,
        platform: Option<&Platform>,
        limits: &ScanLimits,
        interest: &Arc<Interest>,
        progress: &dyn Progress,
    ) -> Result<ScannedImage, Error> {
        let started = Instant::now();
        let resolved = registry.resolve(image, platform).await?;
        progress.event(ProgressEvent::Resolved(&resolved));
        let size_bytes = resolved.layers_size_bytes();
        if size_bytes > limits.max_image_bytes {
            let limit_bytes = limits.max_image_bytes;
            return Err(Error::ImageTooLarge { image: image.to_string(), size_bytes, limit_bytes });
        }
        let resolving = started.elapsed();
        let (findings, cost) = match self.known.find(&resolved, &limits.layer, interest) {
            Some(findings) => (findings, cost_of_known(&resolved, progress)),
            None => self.read(registry, &resolved, limits, interest, progress).await?,
        };
        let mut scanned = scanned(image, &resolved, findings, Cost { resolving, ..cost });
        if self.reads_attestations {
            let (attestations, gaps) = attestations::read(registry, &resolved).await?;
            scanned.facts.attestations = attestations;
            if !gaps.is_empty() {
                Arc::make_mut(&mut scanned.findings).gaps.extend(gaps);
            }
        }
        Ok(scanned)
    }

    /// Reads the layers of an image and analyzes them.
    async fn read(
        &self,
        registry: &Registry,
        image: &ResolvedImage,
        limits: &ScanLimits,
        interest: &Arc<Interest>,
        progress: &dyn Progress,
    ) -> Result<(Arc<Findings>, Cost), Error> {
        let started = Instant::now();
        let layers = Layers::new(self, registry, image, &limits.layer, Arc::clone(interest), progress);
        let mut read = layers.read_all().await?;
        let reading = started.elapsed();
        let started = Instant::now();

        let mut findings = analyze_layers(&layers, &mut read, &limits.layer, interest).await?;
        findings.gaps.extend(read.gaps);
        let findings = Arc::new(findings);
        self.known.keep(image, &limits.layer, interest, &findings);
        let cost = Cost {
            n_layers: read.captured.len(),
            n_cached_layers: read.n_cached,
            fetched_bytes: layers.fetched_bytes(),
            reading,
            analyzing: started.elapsed(),
            ..Cost::default()
        };
        Ok((findings, cost))
    }
}

/// What an image costs whose findings are known. All of its layers count as known, and are reported as such.
fn cost_of_known(image: &ResolvedImage, progress: &dyn Progress) -> Cost {
    let layers = &image.image.layers;
    for layer in 0..layers.len() {
        progress.event(ProgressEvent::LayerDone { layer, cached: true });
    }
    let distinct: HashSet<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    Cost { n_layers: layers.len(), n_cached_layers: distinct.len(), ..Cost::default() }
}

/// Lays the layers over each other, reads again what links lead to, and runs the analyzers.
async fn analyze_layers(
    layers: &Layers<'_>,
    read: &mut ReadLayers,
    limits: &Limits,
    interest: &Arc<Interest>,
) -> Result<Findings, Error> {
    for round in 0..=MAX_ROUNDS {
        layers.progress().event(ProgressEvent::Analyzing);
        let (given, own, interest) = (read.captured.clone(), limits.clone(), Arc::clone(interest));
        let is_last = round == MAX_ROUNDS;
        // Not by the thread that has read the layers: in what the allocator has for that one, findings would lie between
        // captures, and a large image would take a tenth more memory.
        let step = tokio::task::spawn_blocking(move || {
            let (overlay, missing) = Overlay::new(&given, &own);
            if missing.is_empty() || is_last {
                let mut findings = analyze(&overlay, &interest);
                attribute(&mut findings, overlay, &given, &own);
                Step::Findings(Box::new(findings))
            } else {
                Step::Again(missing)
            }
        });
        match step.await.map_err(|_| Error::Stopped)? {
            Step::Findings(mut findings) => {
                findings.place_layers(&read.places);
                return Ok(*findings);
            }
            Step::Again(missing) => layers.read_again(missing, read).await?,
        }
    }
    Err(Error::Stopped) // not reached: the last round has findings
}

enum Step {
    Findings(Box<Findings>),
    Again(Vec<MissingTarget>),
}

fn scanned(image: &ImageRef, resolved: &ResolvedImage, findings: Arc<Findings>, cost: Cost) -> ScannedImage {
    // What a driver serves from disk was not pulled: its digests are no distribution's.
    let digests = (!resolved.annotated).then(|| Digests {
        manifest: resolved.manifest.digest.clone(),
        index: resolved.index.as_ref().map(|index| index.digest.clone()),
    });
    ScannedImage {
        image: image.clone(),
        digests,
        platform: resolved.config.platform(),
        facts: names::facts(resolved),
        findings,
        cost,
    }
}

/// The result of a scan as it is handed out. `name` is what the caller calls the image.
///
/// # Errors
/// [`regent_report::Error`]: a name or digest in the options is none.
pub fn report(
    scanned: &ScannedImage,
    name: &ImageName,
    options: &Options,
) -> Result<ScanResponse, regent_report::Error> {
    scan_result(&scanned.facts, name, scanned.digests.as_ref(), &scanned.findings, options)
}

/// A gap that concerns a layer as a whole.
fn layer_gap(code: &'static str, reason: String) -> Gap {
    Gap { path: regent_scan::LayerPath::new("/"), code, reason }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scanner")
    }
}

#[cfg(test)]
mod tests;
