//! The data of wanted files, chunk by chunk, each verified.

use std::io::{self, BufRead, ErrorKind, Read};
use std::ops::Range;

use flate2::bufread::GzDecoder;

use super::FileChunks;
use super::pin::Coding;
use super::ranged::Ranged;
use super::table::{Chunk, Place};
use crate::layer::Fault;
use crate::layer::entry::Contents;
use crate::limits::Limits;

const BUFFER_BYTES: usize = 128 << 10;
/// Before that many inflated bytes their ratio to the layer's size says nothing.
const RATIO_FROM_BYTES: u64 = 10 << 20;

/// Reads chunks from the parts of a layer, in order.
pub(super) struct ChunkReader<'a, R: Read> {
    chunks: &'a [Chunk],
    coding: Coding,
    /// `None` after an error.
    inflate: Option<Inflate<Ranged<'a, R>>>,
    /// Where the part begins that is being inflated, and how many bytes came of it.
    inflating: (u64, u64),
    buffer: Box<[u8]>,
    inflated_bytes: u64,
    most_inflated_bytes: u64,
}

/// The source, by itself or within a decoder.
enum Inflate<R: BufRead> {
    Idle(R),
    Gzip(Box<GzDecoder<R>>),
    Zstd(zstd::stream::read::Decoder<'static, R>),
}

impl<'a, R: Read> ChunkReader<'a, R> {
    pub(super) fn new(
        parts: R,
        ranges: &'a [Range<u64>],
        chunks: &'a [Chunk],
        coding: Coding,
        layer_bytes: u64,
        limits: &Limits,
    ) -> Self {
        let by_ratio = layer_bytes.saturating_mul(limits.inflation_ratio).max(RATIO_FROM_BYTES);
        Self {
            chunks,
            coding,
            inflate: Some(Inflate::Idle(Ranged::new(parts, ranges))),
            inflating: (0, 0),
            buffer: vec![0; BUFFER_BYTES].into(),
            inflated_bytes: 0,
            most_inflated_bytes: limits.inflated_bytes.min(by_ratio),
        }
    }

    /// Hands out a chunk, and verifies it: what the sink no longer wants of it is read all the same. Returns whether the
    /// sink wants more.
    fn read_chunk(&mut self, chunk: &Chunk, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<bool, Fault> {
        if let Place::Stored { extent, inner_offset } = &chunk.place {
            self.seek(extent, *inner_offset)?;
        }
        let mut digester = chunk.digest.algorithm().digester();
        let mut is_more_wanted = true;
        let mut left = chunk.size_bytes;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let n = match &chunk.place {
                Place::Stored { .. } => self.fill(room)?,
                Place::Hole => {
                    self.buffer.get_mut(..room).unwrap_or_default().fill(0);
                    self.count(room)?;
                    room
                }
            };
            let piece = self.buffer.get(..n).unwrap_or_default();
            digester.update(piece);
            is_more_wanted = is_more_wanted && sink(piece);
            left -= n as u64;
        }
        if digester.finish() == chunk.digest {
            return Ok(is_more_wanted);
        }
        Err(Fault::undecodable("a chunk does not have the digest that the table of contents says"))
    }

    /// Goes to a place in what an extent inflates to.
    fn seek(&mut self, extent: &Range<u64>, inner_offset: u64) -> Result<(), Fault> {
        let (start, n_inflated) = self.inflating;
        let is_there = start == extent.start && !matches!(self.inflate, Some(Inflate::Idle(_)));
        if !is_there {
            self.begin(extent).map_err(fault)?;
        }
        let mut ahead = if is_there { inner_offset.saturating_sub(n_inflated) } else { inner_offset };
        while ahead > 0 {
            let room = usize::try_from(ahead).unwrap_or(usize::MAX).min(self.buffer.len());
            ahead -= self.fill(room)? as u64;
        }
        Ok(())
    }

    fn begin(&mut self, extent: &Range<u64>) -> io::Result<()> {
        let mut source = match self.inflate.take().ok_or(ErrorKind::InvalidInput)? {
            Inflate::Idle(source) => source,
            Inflate::Gzip(decoder) => decoder.into_inner(),
            Inflate::Zstd(decoder) => decoder.finish(),
        };
        source.open(extent)?;
        self.inflate = Some(match self.coding {
            Coding::Gzip => Inflate::Gzip(Box::new(GzDecoder::new(source))),
            Coding::Zstd => Inflate::Zstd(zstd::stream::read::Decoder::with_buffer(source)?.single_frame()),
        });
        self.inflating = (extent.start, 0);
        Ok(())
    }

    /// Inflates up to `room` bytes into the buffer, one at least.
    fn fill(&mut self, room: usize) -> Result<usize, Fault> {
        let into = self.buffer.get_mut(..room).unwrap_or_default();
        let n = match &mut self.inflate {
            Some(Inflate::Gzip(decoder)) => decoder.read(into),
            Some(Inflate::Zstd(decoder)) => decoder.read(into),
            Some(Inflate::Idle(_)) | None => Ok(0),
        };
        let n = n.map_err(fault)?;
        if n == 0 {
            return Err(Fault::undecodable("a chunk is shorter than the table of contents says"));
        }
        self.inflating.1 += n as u64;
        self.count(n)?;
        Ok(n)
    }

    fn count(&mut self, n: usize) -> Result<(), Fault> {
        self.inflated_bytes = self.inflated_bytes.saturating_add(n as u64);
        if self.inflated_bytes > self.most_inflated_bytes {
            return Err(Fault::Limit { limit: "inflated_bytes", value: self.most_inflated_bytes });
        }
        Ok(())
    }
}

impl<R: Read> Contents for ChunkReader<'_, R> {
    type Data = FileChunks;

    fn read_data(&mut self, data: FileChunks, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Fault> {
        let chunks = data.and_then(|chunks| self.chunks.get(chunks));
        let chunks = chunks.ok_or_else(|| Fault::undecodable("a file is wanted that was not planned for"))?;
        for chunk in chunks {
            if !self.read_chunk(chunk, sink)? {
                break;
            }
        }
        Ok(())
    }
}

/// Damage, as decoders tell it, or a source that fails.
fn fault(error: io::Error) -> Fault {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof | ErrorKind::Other => {
            Fault::undecodable(format!("a chunk can't be inflated ({error})"))
        }
        _ => Fault::Read(error),
    }
}
