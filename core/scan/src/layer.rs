//! One pass over a layer.
//!
//! source (counts and hashes what comes) → inflate (by magic) → tar (entries as checked facts) → keep (what matchers
//! ask for). Each stage lends the next a slice of its one buffer, so skipping an entry costs no copy, and memory does
//! not grow with the layer.

mod chunked;
mod entry;
mod gzip;
mod header;
mod inflate;
mod keep;
mod kept_paths;
mod pax;
mod source;
mod sparse;
mod tar;
mod zstd;

use std::io::{self, BufRead, BufReader, Read};
use std::mem;
use std::sync::Arc;

use regent_oci::{Descriptor, DiffId, Digest};

use crate::budget::ImageBudget;
use crate::capture::{Capture, CapturedLayer};
use crate::error::Error;
use crate::extra::Extra;
use crate::interest::Interest;
use crate::limits::Limits;

pub use self::chunked::{Plan, TocPin, Unfit, capture_chunks};
use self::inflate::Inflate;
use self::keep::Keeper;
use self::source::Source;
use self::tar::Tar;

/// Which layer, and what to look for beyond the analyzers' own matchers.
#[derive(Debug, Clone)]
pub struct LayerSpec {
    /// What the manifest says of it: digest and size are verified.
    pub descriptor: Descriptor,
    /// Verified as well where given: for archives whose layers are not named by a digest.
    pub diff_id: Option<DiffId>,
    /// Files to keep besides those that matchers ask for, and directories whose files are to be kept: link targets
    /// that an earlier pass showed to matter. Empty for a first pass. A capture that is cached has to be told by it from
    /// others of the layer.
    pub extra: Extra,
    /// What is left for the layers of the image. What the capture costs stays spent; of a layer that can't be used,
    /// and so of its image, nothing is given back.
    pub budget: Arc<ImageBudget>,
    /// What the request asks for. A capture made with any interest must not be cached.
    pub interest: Arc<Interest>,
}

impl LayerSpec {
    /// A first pass over the blob of this descriptor, alone in its image.
    pub fn new(descriptor: Descriptor) -> Self {
        let budget = Arc::new(ImageBudget::new(&Limits::default()));
        Self { descriptor, diff_id: None, extra: Extra::default(), budget, interest: Arc::default() }
    }
}

/// What is read at a time: large enough to make that rare, small enough to stay in a core's cache between hashing and
/// inflating.
const PIECE_BYTES: usize = 128 << 10;

/// Reads a layer to its end, verifies it, and returns what is kept of it.
///
/// Compression is told by the content (gzip, zstd, none), never by the media type. Entries are read the way Go's
/// `archive/tar` does, with which container runtimes unpack them: what a runtime sees is what is scanned.
///
/// # Errors
/// [`Error`]; nothing of the layer is released then. Bytes that are not the ones of the descriptor are told as such,
/// also where they can't be decoded.
pub fn capture_layer(spec: &LayerSpec, bytes: impl Read, limits: &Limits) -> Result<CapturedLayer, Error> {
    // One byte more than expected, to see that there is none.
    let bytes = bytes.take(spec.descriptor.size_bytes.saturating_add(1));
    let bytes = BufReader::with_capacity(PIECE_BYTES, bytes);
    capture_layer_with(&mut Buffers::default(), spec, bytes, limits)
}

/// What reading a layer takes of memory besides its capture, some hundred KiB, or some MiB where it has large files. For
/// who reads one layer after the other: memory that is asked of the system anew is cleared by it, and much of what is
/// given back to the allocator stays with it in pieces.
#[derive(Debug, Default)]
pub struct Buffers {
    inflated: Vec<u8>,
    file: Vec<u8>,
}

/// The same as [`capture_layer`], with the buffers of a layer that was read before. Bytes are hashed and inflated where
/// the reader has them: pieces of some 100 KiB stay in the processor's caches between one and the other.
///
/// # Errors
/// Those of [`capture_layer`].
pub fn capture_layer_with(
    buffers: &mut Buffers,
    spec: &LayerSpec,
    bytes: impl BufRead,
    limits: &Limits,
) -> Result<CapturedLayer, Error> {
    let mut source = Source::new(bytes, &spec.descriptor);
    let digest = &spec.descriptor.digest;
    let outcome = walk(spec, &mut source, limits, buffers).and_then(|walked| {
        source.finish()?;
        Ok(walked)
    });
    let walked = match outcome {
        Ok(walked) => walked,
        // The reason that counts for the reader is that these are other bytes, if they are.
        Err(Fault::Undecodable(reason)) => {
            source.finish().map_err(|fault| fault.into_error(digest))?;
            return Err(Fault::Undecodable(reason).into_error(digest));
        }
        Err(fault) => return Err(fault.into_error(digest)),
    };
    if let (Some(DiffId(expected)), Some(actual)) = (&spec.diff_id, walked.diff_id)
        && *expected != actual
    {
        return Err(Error::DiffIdMismatch { layer: digest.clone(), expected: expected.clone(), actual });
    }
    Ok(CapturedLayer { digest: digest.clone(), capture: Arc::new(walked.capture) })
}

struct Walked {
    capture: Capture,
    diff_id: Option<Digest>,
}

fn walk<R: BufRead>(
    spec: &LayerSpec,
    source: &mut Source<R>,
    limits: &Limits,
    buffers: &mut Buffers,
) -> Result<Walked, Fault> {
    let diff_algorithm = spec.diff_id.as_ref().map(|DiffId(digest)| digest.algorithm());
    let inflate = Inflate::new(source, limits, diff_algorithm, mem::take(&mut buffers.inflated))?;
    let mut tar = Tar::new(inflate, limits);
    let mut keeper = Keeper::new(spec, limits, mem::take(&mut buffers.file));
    while let Some(entry) = tar.next_entry()? {
        keeper.take(entry, &mut tar)?;
    }
    let (diff_id, inflated) = tar.into_inflate().finish()?;
    buffers.inflated = inflated;
    buffers.file = keeper.take_buffer();
    Ok(Walked { capture: keeper.into_capture(), diff_id })
}

/// What stops the pass: [`Error`] without the layer's name.
#[derive(Debug)]
enum Fault {
    Read(io::Error),
    Size { expected_bytes: u64, actual_bytes: u64 },
    Digest { actual: Digest },
    Undecodable(String),
    Limit { limit: &'static str, value: u64 },
}

impl Fault {
    fn undecodable(reason: impl Into<String>) -> Self {
        Self::Undecodable(reason.into())
    }

    fn into_error(self, layer: &Digest) -> Error {
        let layer = layer.clone();
        match self {
            Self::Read(source) => Error::Read { layer, source },
            Self::Size { expected_bytes, actual_bytes } => {
                Error::SizeMismatch { layer, expected_bytes, actual_bytes }
            }
            Self::Digest { actual } => Error::DigestMismatch { layer, actual },
            Self::Undecodable(reason) => Error::Undecodable { layer, reason },
            Self::Limit { limit, value } => Error::Limit { layer, limit, value },
        }
    }
}
