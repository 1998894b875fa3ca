//! Layers that are read in parts, by a table of contents that the manifest pins (`regent_scan::TocPin`).
//!
//! The table of contents is fetched, and what it says of wanted files; both are verified where they are used. Whatever
//! does not go as it should is a reason to read the whole layer, and no error.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use regent_oci::Descriptor;
use regent_scan::{CapturedLayer, LayerSpec, Plan, TocPin, Unfit, capture_chunks};

use super::bridge::bridge;
use super::layers::Layers;
use crate::registry;

/// A larger part is fetched in pieces of that size, in bytes, of which so many are on their way at once: a round trip
/// costs little then, and memory is bounded.
const PIECE_BYTES: u64 = 1 << 20;
const PIECES_AT_ONCE: usize = 4;

/// Why the whole layer is read instead.
#[derive(Debug, thiserror::Error)]
pub(super) enum Obstacle {
    /// The driver serves content, as a whole.
    #[error("the driver serves layers as a whole")]
    Whole,
    /// Parts can't be fetched.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The layer is not made for it, or the registry serves something else.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The thread that reads has ended: an analyzer panicked, or the program is shutting down.
    #[error("reading was stopped")]
    Stopped,
}

impl Obstacle {
    /// Whether it is worth a warning.
    pub(super) fn is_suspicious(&self) -> bool {
        matches!(self, Self::Unfit(unfit) if unfit.is_suspicious())
    }
}

/// The parts of one layer.
pub(super) struct Parts<'a> {
    pub(super) layers: &'a Layers<'a>,
    /// The layer's place in the manifest.
    pub(super) place: usize,
    pub(super) layer: &'a Descriptor,
}

impl Parts<'_> {
    /// The layer's capture, made of what is wanted of it.
    pub(super) async fn read(&self, pin: &TocPin, spec: &LayerSpec) -> Result<CapturedLayer, Obstacle> {
        let toc = self.toc(pin).await?;
        let plan = {
            let (pin, spec, limits) = (pin.clone(), spec.clone(), self.layers.limits().clone());
            let planning = tokio::task::spawn_blocking(move || Plan::new(&spec, &pin, &toc, &limits));
            planning.await.map_err(|_| Obstacle::Stopped)??
        };
        let pieces = pieces(plan.ranges());
        let (feed, reader) = bridge();
        let (spec, limits) = (spec.clone(), self.layers.limits().clone());
        let capture = self.layers.readers().run(move |_| capture_chunks(&spec, plan, reader, &limits));
        let download = async move {
            let mut fetched = stream::iter(pieces).map(|piece| self.fetch(piece)).buffered(PIECES_AT_ONCE);
            while let Some(bytes) = fetched.next().await {
                if self.layers.hand_over(self.place, bytes?, &feed).await.is_err() {
                    return Ok(()); // the thread has ended, and says why
                }
            }
            let _ = feed.end().await; // likewise
            Ok::<(), Obstacle>(())
        };
        let (downloaded, captured) = tokio::join!(download, capture);
        downloaded?;
        Ok(captured.map_err(|_| Obstacle::Stopped)??)
    }

    /// The layer's end, or as much of it as the table of contents is.
    async fn toc(&self, pin: &TocPin) -> Result<Bytes, Obstacle> {
        let first = self.fetch(pin.first_part()).await?;
        let missing = pin.missing_part(&first)?;
        if missing.is_empty() {
            return Ok(first);
        }
        let mut toc = BytesMut::from(self.fetch(missing).await?);
        toc.extend_from_slice(&first);
        Ok(toc.freeze())
    }

    async fn fetch(&self, part: Range<u64>) -> Result<Bytes, Obstacle> {
        let n_bytes = usize::try_from(part.end.saturating_sub(part.start)).unwrap_or_default();
        let opened = self.layers.registry().open_part(self.layers.repository(), self.layer, part).await?;
        let mut reader = opened.ok_or(Obstacle::Whole)?;
        // No more than the largest table of contents, which its pin has bounded.
        let mut whole = BytesMut::with_capacity(n_bytes);
        while let Some(bytes) = reader.chunk().await? {
            self.layers.fetched(self.place, bytes.len() as u64);
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }
}

/// Cuts large ranges.
fn pieces(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let piece_bytes = usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX);
    let cut = |range: &Range<u64>| {
        let end = range.end;
        range.clone().step_by(piece_bytes).map(move |at| at..end.min(at.saturating_add(PIECE_BYTES)))
    };
    ranges.iter().flat_map(cut).collect()
}

#[cfg(test)]
mod tests;
