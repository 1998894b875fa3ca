//! Reads the layers of one image.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use regent_distribution::Verify;
use regent_oci::{Descriptor, DiffId, RepositoryName, annotation};
use regent_scan::{
    CapturedLayer, Extra, Gap, ImageBudget, Interest, LayerSpec, Limits, MissingTarget, TocPin,
    capture_layer_with,
};

use regent_transport::Fault as _;

use super::bridge::{Feed, ReaderGone, bridge};
use super::captures::Captures;
use super::parts::Parts;
use super::readers::Readers;
use super::store::{CaptureKey, CaptureStore, Sighting};
use super::{Error, Progress, ProgressEvent, Scanner, layer_gap};
use crate::registry::{self, Registry, ResolvedImage};

/// Layers of one image that are read at once: one waits for the network while the other inflates.
const LAYERS_AT_ONCE: usize = 2;

/// The layers of one image, and the way to their bytes.
pub(super) struct Layers<'a> {
    captures: &'a Captures,
    store: Option<&'a dyn CaptureStore>,
    registry: &'a Registry,
    image: &'a ResolvedImage,
    limits: &'a Limits,
    interest: Arc<Interest>,
    budget: Arc<ImageBudget>,
    progress: &'a dyn Progress,
    reads_parts: bool,
    readers: &'a Readers,
    fetched_bytes: AtomicU64,
    n_cached: AtomicUsize,
}

/// The layers of an image that are there, base layer first.
pub(super) struct ReadLayers {
    pub(super) captured: Vec<CapturedLayer>,
    /// The place in the manifest of each of `captured`.
    pub(super) places: Vec<usize>,
    /// What could not be vouched for.
    pub(super) gaps: Vec<Gap>,
    pub(super) n_cached: usize,
    /// What `captured` have besides what a first reading keeps, by index.
    asked: HashMap<usize, Extra>,
}

/// What vouches for a layer's bytes besides the digest in the manifest.
enum Voucher {
    /// Nothing has to.
    None,
    /// The configuration's diff ID, as far as there is one; a difference is a gap.
    DiffId(Option<DiffId>),
    /// The driver has seen that it is not what its archive says.
    Refuted,
}

impl<'a> Layers<'a> {
    pub(super) fn new(
        scanner: &'a Scanner,
        registry: &'a Registry,
        image: &'a ResolvedImage,
        limits: &'a Limits,
        interest: Arc<Interest>,
        progress: &'a dyn Progress,
    ) -> Self {
        let (fetched_bytes, n_cached) = (AtomicU64::new(0), AtomicUsize::new(0));
        let budget = Arc::new(ImageBudget::new(limits));
        let Scanner { captures, store, reads_parts, readers, .. } = scanner;
        let (store, reads_parts) = (store.as_deref(), *reads_parts);
        Self {
            captures,
            store,
            registry,
            image,
            limits,
            interest,
            budget,
            progress,
            reads_parts,
            readers,
            fetched_bytes,
            n_cached,
        }
    }

    /// Threads that read layers.
    pub(super) fn readers(&self) -> &Readers {
        self.readers
    }

    pub(super) fn registry(&self) -> &Registry {
        self.registry
    }

    pub(super) fn repository(&self) -> &RepositoryName {
        &self.image.repository
    }

    pub(super) fn limits(&self) -> &Limits {
        self.limits
    }

    /// Who is told of what happens.
    pub(super) fn progress(&self) -> &dyn Progress {
        self.progress
    }

    /// Hands bytes of a layer to the thread that reads it.
    pub(super) async fn hand_over(&self, layer: usize, bytes: Bytes, feed: &Feed) -> Result<(), ReaderGone> {
        if feed.is_full() {
            self.progress.event(ProgressEvent::LayerHeld { layer });
        }
        feed.give(bytes).await
    }

    /// Counts bytes of a layer that came.
    pub(super) fn fetched(&self, layer: usize, n_bytes: u64) {
        self.fetched_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        self.progress.event(ProgressEvent::LayerBytes { layer, n_bytes });
    }

    /// Layer bytes read from the registry so far.
    pub(super) fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes.load(Ordering::Relaxed)
    }

    /// Reads every distinct layer once.
    pub(super) async fn read_all(&self) -> Result<ReadLayers, Error> {
        let layers = &self.image.image.layers;
        let mut first_of = HashMap::new();
        for (i, layer) in layers.iter().enumerate() {
            first_of.entry(&layer.digest).or_insert(i);
        }
        // The largest first, so that no thread is left with it at the end while the others have nothing to do.
        let mut distinct: Vec<(usize, u64)> =
            first_of.values().filter_map(|&i| Some((i, layers.get(i)?.size_bytes))).collect();
        distinct.sort_unstable_by_key(|&(i, size_bytes)| (Reverse(size_bytes), i));
        let mut read: Vec<(usize, Result<CapturedLayer, Error>, Option<Gap>)> = stream::iter(distinct)
            .map(|(i, _)| async move {
                match self.read_first(i).await {
                    Ok((captured, gap)) => Ok((i, Ok(captured), gap)),
                    Err(error) if self.is_absent(&error) => {
                        let gap = layer_gap("layer_missing", error.to_string());
                        Ok((i, Err(error), Some(gap)))
                    }
                    Err(error) => Err(error),
                }
            })
            .buffer_unordered(LAYERS_AT_ONCE)
            .try_collect()
            .await?;
        read.sort_unstable_by_key(|(i, _, _)| *i);
        let gaps = read.iter().filter_map(|(_, _, gap)| gap.clone()).collect();
        let mut by_place = HashMap::new();
        let mut absent = None;
        for (i, captured, _) in read {
            match captured {
                Ok(captured) => drop(by_place.insert(i, captured)),
                Err(error) => absent = Some(error),
            }
        }
        // Some layers can tell something of an image, none can't.
        if let (true, Some(error)) = (by_place.is_empty(), absent) {
            return Err(error);
        }
        let (places, captured) = layers
            .iter()
            .enumerate()
            .filter_map(|(place, layer)| Some((place, by_place.get(first_of.get(&layer.digest)?)?.clone())))
            .unzip();
        let n_cached = self.n_cached.load(Ordering::Relaxed);
        Ok(ReadLayers { captured, places, gaps, n_cached, asked: HashMap::new() })
    }

    /// Whether a driver that reads archives says that a layer is not in its archive. A registry that lacks a layer is
    /// broken; an archive may have been cut down on purpose, and its other layers are reported with a gap.
    fn is_absent(&self, error: &Error) -> bool {
        self.image.annotated && error.code() == "layer_missing"
    }

    /// Reads layers again with what was missing, or takes what an earlier scan has read again.
    pub(super) async fn read_again(
        &self,
        missing: Vec<MissingTarget>,
        read: &mut ReadLayers,
    ) -> Result<(), Error> {
        let (places, asked) = (&read.places, &read.asked);
        let again: Vec<(usize, Extra, CapturedLayer)> = stream::iter(missing)
            .map(|target| async move {
                let place = places.get(target.layer).copied().ok_or(Error::Stopped)?;
                let layer = self.image.image.layers.get(place).ok_or(Error::Stopped)?;
                // The capture takes the place of the one before, and has to have what that was read for.
                let extra = asked.get(&target.layer).cloned().unwrap_or_default().and(&target.paths);
                let captured = match self.voucher(place, layer) {
                    Voucher::None => self.read_shared(place, layer, &extra).await?,
                    Voucher::DiffId(_) | Voucher::Refuted => self.read(place, None, extra.clone()).await?,
                };
                Ok::<_, Error>((target.layer, extra, captured))
            })
            .buffered(LAYERS_AT_ONCE)
            .try_collect()
            .await?;
        for (i, extra, layer) in again {
            read.asked.insert(i, extra);
            if let Some(captured) = read.captured.get_mut(i) {
                self.budget.kept.give_back(captured.capture().cost_bytes());
                *captured = layer;
            }
        }
        Ok(())
    }

    /// Reads a layer for the first time, or takes its capture from an earlier scan.
    async fn read_first(&self, i: usize) -> Result<(CapturedLayer, Option<Gap>), Error> {
        let Some(layer) = self.image.image.layers.get(i) else { return Err(Error::Stopped) };
        let name =
            || layer.annotations.get(annotation::LAYER_NAME).map_or(layer.digest.as_str(), String::as_str);
        let (captured, gap) = match self.voucher(i, layer) {
            Voucher::None => (self.read_shared(i, layer, &Extra::default()).await?, None),
            Voucher::Refuted => {
                let reason =
                    format!("layer {} does not have the digest that its archive names it by", name());
                (self.read(i, None, Extra::default()).await?, Some(layer_gap("digest_mismatch", reason)))
            }
            Voucher::DiffId(diff_id) => match self.read(i, diff_id, Extra::default()).await {
                Err(Error::Layer(error @ regent_scan::Error::DiffIdMismatch { .. })) => {
                    let gap = layer_gap("diff_id_mismatch", error.to_string());
                    (self.read(i, None, Extra::default()).await?, Some(gap))
                }
                other => (other?, None),
            },
        };
        Ok((captured, gap))
    }

    fn voucher(&self, i: usize, layer: &Descriptor) -> Voucher {
        let verify = layer.annotations.get(annotation::VERIFY).filter(|_| self.image.annotated);
        match verify.map(String::as_str) {
            Some(annotation::VERIFY_DIFF_ID) => {
                Voucher::DiffId(self.image.config.diff_ids().into_iter().nth(i).flatten())
            }
            Some(annotation::VERIFY_NOTHING) => Voucher::Refuted,
            _ => Voucher::None,
        }
    }

    /// From the captures at hand, or read by whichever scan comes first.
    async fn read_shared(&self, i: usize, layer: &Descriptor, extra: &Extra) -> Result<CapturedLayer, Error> {
        // What a request asks for of its own is in no capture but its own.
        if !self.interest.is_none() {
            return self.read(i, None, extra.clone()).await;
        }
        let whole = CaptureKey::whole(&layer.digest).with(extra);
        let parts = |pin| CaptureKey::parts(&layer.digest, &pin).with(extra);
        let key = self.pin(layer).map_or_else(|| whole.clone(), parts);
        if let Some(captured) = self.captures.find(&whole).or_else(|| self.captures.find(&key)) {
            return self.found(i, captured);
        }
        let reading = self.captures.reading(&key);
        let is_read = AtomicBool::new(false);
        let captured = reading
            .get_or_try_init(|| async {
                let captured = self.find_or_read(i, &key, extra, &is_read).await?;
                self.captures.keep(&key, &captured);
                Ok::<_, Error>(captured)
            })
            .await?
            .clone();
        if is_read.into_inner() { Ok(captured) } else { self.found(i, captured) }
    }

    /// From the store below, or read, and then stored.
    async fn find_or_read(
        &self,
        i: usize,
        key: &CaptureKey,
        extra: &Extra,
        is_read: &AtomicBool,
    ) -> Result<CapturedLayer, Error> {
        let Some(store) = self.store else {
            is_read.store(true, Ordering::Relaxed);
            return self.read(i, None, extra.clone()).await;
        };
        let turn = match store.look(key).await {
            Sighting::Found(captured) => return Ok(captured),
            Sighting::Missing(turn) => Some(turn),
            Sighting::Unknown => None,
        };
        is_read.store(true, Ordering::Relaxed);
        let captured = self.read(i, None, extra.clone()).await?;
        store.keep(key, &captured, turn);
        Ok(captured)
    }

    /// What the manifest pins of a layer, if it is read in parts.
    fn pin(&self, layer: &Descriptor) -> Option<TocPin> {
        TocPin::of(layer).filter(|_| self.reads_parts && !self.image.annotated)
    }

    /// A capture that was at hand.
    fn found(&self, layer: usize, captured: CapturedLayer) -> Result<CapturedLayer, Error> {
        captured.count(&self.budget)?;
        self.n_cached.fetch_add(1, Ordering::Relaxed);
        self.progress.event(ProgressEvent::LayerDone { layer, cached: true });
        Ok(captured)
    }

    /// Reads a layer from the registry: what is wanted of it, where the manifest pins its table of contents, or else as a
    /// whole.
    async fn read(&self, i: usize, diff_id: Option<DiffId>, extra: Extra) -> Result<CapturedLayer, Error> {
        let Some(layer) = self.image.image.layers.get(i) else { return Err(Error::Stopped) };
        let pin = self.pin(layer).filter(|_| diff_id.is_none());
        let spec = LayerSpec {
            descriptor: layer.clone(),
            diff_id,
            extra,
            budget: Arc::clone(&self.budget),
            interest: Arc::clone(&self.interest),
        };
        if let Some(pin) = pin {
            let parts = Parts { layers: self, place: i, layer };
            match parts.read(&pin, &spec).await {
                Ok(captured) => {
                    self.progress.event(ProgressEvent::LayerDone { layer: i, cached: false });
                    return Ok(captured);
                }
                Err(obstacle) if obstacle.is_suspicious() => {
                    let layer = layer.digest.as_str();
                    tracing::warn!(layer, reason = %obstacle, "a layer is not what its table of contents says");
                }
                Err(obstacle) => {
                    tracing::debug!(layer = layer.digest.as_str(), reason = %obstacle, "the whole layer is read");
                }
            }
        }
        let captured = self.read_whole(i, layer, spec).await?;
        self.progress.event(ProgressEvent::LayerDone { layer: i, cached: false });
        Ok(captured)
    }

    /// Reads a whole layer. The thread that captures it verifies size and digest; it ends when this future is dropped.
    async fn read_whole(
        &self,
        i: usize,
        layer: &Descriptor,
        spec: LayerSpec,
    ) -> Result<CapturedLayer, Error> {
        let (feed, reader) = bridge();
        let limits = self.limits.clone();
        let capture = self.readers.run(move |buffers| capture_layer_with(buffers, &spec, reader, &limits));
        let download = async move {
            let mut blob = self.registry.open_blob(&self.image.repository, layer, Verify::ByConsumer).await?;
            while let Some(bytes) = blob.chunk().await? {
                self.fetched(i, bytes.len() as u64);
                if self.hand_over(i, bytes, &feed).await.is_err() {
                    return Ok(()); // the thread has ended, and says why
                }
            }
            let _ = feed.end().await; // likewise
            Ok::<(), registry::Error>(())
        };
        let (downloaded, captured) = tokio::join!(download, capture);
        downloaded?;
        Ok(captured??)
    }
}
