//! A layer that is read in parts, by its table of contents (TOC): eStargz (stargz-snapshotter, `docs/estargz.md`) and
//! zstd:chunked (containers/storage, `pkg/chunked`).
//!
//! Both are ordinary layers in which every file is compressed by itself, with a list of the files and of where they
//! begin behind them. The manifest pins the digest of the list, and the list those of the files: what is fetched is
//! verified, and what is not fetched is in no capture but by its name. [`TocPin`] is the manifest's word, [`Plan`] what
//! of the layer is wanted, and [`capture_chunks`] makes of it the capture that the whole layer would give: by the same
//! code, from the same entries. Everything that is out of the ordinary is [`Unfit`], and the whole layer is read then.

mod chunks;
mod footer;
mod pin;
mod ranged;
mod table;
mod toc;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use super::LayerSpec;
use super::entry::LayerEntry;
use super::keep::{self, Keeper};
use crate::capture::CapturedLayer;
use crate::error::Error;
use crate::limits::Limits;

use self::chunks::ChunkReader;
use self::pin::Coding;
use self::table::{Chunk, Place, Table};

pub use self::pin::TocPin;

/// Of a layer of which more than one part in so many would be fetched, all is: it takes one request and no gaps.
const LEAST_SAVING: u64 = 3;

/// Why a layer is not read in parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The table of contents is not the one that the manifest pins.
    #[error("its table of contents does not have the digest that the manifest pins")]
    WrongToc,
    /// It has no table of contents that can be used, and why.
    #[error("its table of contents can't be used: {0}")]
    Toc(&'static str),
    /// It is not worth it.
    #[error("{wanted_bytes} of its {size_bytes} bytes are wanted")]
    TooMuch {
        /// What would be fetched.
        wanted_bytes: u64,
        /// What the layer has.
        size_bytes: u64,
    },
    /// A part can't be read, is not what the table of contents says, or exceeds a limit.
    #[error(transparent)]
    Layer(#[from] Error),
}

impl Unfit {
    /// Whether the registry has served other bytes than those that the manifest vouches for, or the layer was made
    /// wrong: worth a warning.
    pub fn is_suspicious(&self) -> bool {
        matches!(self, Self::WrongToc | Self::Layer(Error::Undecodable { .. }))
    }
}

/// What of a layer is wanted, and where it is.
#[derive(Debug)]
pub struct Plan {
    entries: Vec<LayerEntry<FileChunks>>,
    chunks: Vec<Chunk>,
    ranges: Vec<Range<u64>>,
    coding: Coding,
}

/// Which chunks a file has, of those of a plan; `None` for a file that is not wanted.
type FileChunks = Option<Range<usize>>;

impl Plan {
    /// What is wanted of a layer that has this table of contents. `toc` is what was read at [`TocPin::missing_part`],
    /// followed by what was read at [`TocPin::first_part`].
    ///
    /// # Errors
    /// [`Unfit`], among it that the table of contents is not the one that the manifest pins.
    pub fn new(spec: &LayerSpec, pin: &TocPin, toc: &[u8], limits: &Limits) -> Result<Self, Unfit> {
        let (place, compressed) = pin.toc(toc)?;
        let is_wanted = |entry: &_, file: &_| {
            let want = keep::want(&spec.extra, entry, file).and(spec.interest.want(entry));
            want.needs_data(file.size_bytes, limits)
        };
        let mut table = Table::new(place.start, &is_wanted, limits);
        toc::read(pin, compressed, &mut table)?;
        let (entries, chunks) = table.finish()?;
        let ranges = ranged::coalesced(chunks.iter().filter_map(|chunk| match &chunk.place {
            Place::Stored { extent, .. } => Some(extent.clone()),
            Place::Hole => None,
        }));
        let size_bytes = spec.descriptor.size_bytes;
        let wanted_bytes = ranges.iter().map(|range| range.end - range.start).sum::<u64>() + toc.len() as u64;
        if wanted_bytes > size_bytes / LEAST_SAVING {
            return Err(Unfit::TooMuch { wanted_bytes, size_bytes });
        }
        Ok(Self { entries, chunks, ranges, coding: pin.coding() })
    }

    /// The parts of the layer to be fetched, in order, without overlap.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }
}

/// Makes a layer's capture from the parts that the plan names, one after the other. It is the one that
/// [`capture_layer`](super::capture_layer) makes of the whole layer.
///
/// # Errors
/// [`Unfit`]: nothing of the layer is released, and nothing of its image's budget is spent then.
pub fn capture_chunks(
    spec: &LayerSpec,
    plan: Plan,
    parts: impl Read,
    limits: &Limits,
) -> Result<CapturedLayer, Unfit> {
    let Plan { entries, chunks, ranges, coding } = plan;
    let mut reader = ChunkReader::new(parts, &ranges, &chunks, coding, spec.descriptor.size_bytes, limits);
    let mut keeper = Keeper::new(spec, limits, Vec::new());
    for entry in entries {
        if let Err(fault) = keeper.take(entry, &mut reader) {
            // The whole layer is read after this, and is to find what there was.
            keeper.give_up();
            return Err(fault.into_error(&spec.descriptor.digest).into());
        }
    }
    let capture = Arc::new(keeper.into_capture());
    Ok(CapturedLayer { digest: spec.descriptor.digest.clone(), capture })
}
