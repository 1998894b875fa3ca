//! Zstandard (RFC 8878): frames and skippable frames, one after the other.

use std::io::BufRead;

use zstd::stream::raw::{Decoder, Operation};

use super::Fault;
use super::source::Source;

/// Whether a stream begins with a frame or a skippable frame (RFC 8878, 3.1).
pub(super) fn is_magic(start: &[u8]) -> bool {
    matches!(start, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The decoder refuses windows above 128 MiB, which bounds its memory.
pub(super) struct Zstd {
    decoder: Decoder<'static>,
    in_frame: bool,
}

impl Zstd {
    pub(super) fn new() -> Result<Self, Fault> {
        let decoder = Decoder::new().map_err(|error| Fault::undecodable(error.to_string()))?;
        Ok(Self { decoder, in_frame: false })
    }

    /// Decodes into `out`, some bytes at least; 0 at the end.
    pub(super) fn read<R: BufRead>(
        &mut self,
        source: &mut Source<R>,
        out: &mut [u8],
    ) -> Result<usize, Fault> {
        loop {
            let input = source.fill()?;
            let at_end = input.is_empty();
            if at_end && !self.in_frame {
                return Ok(0);
            }
            let status = self
                .decoder
                .run_on_buffers(input, out)
                .map_err(|error| Fault::undecodable(format!("zstd data is damaged ({error})")))?;
            source.consume(status.bytes_read);
            self.in_frame = status.remaining > 0;
            if status.bytes_written > 0 {
                return Ok(status.bytes_written);
            }
            if at_end && self.in_frame {
                return Err(Fault::undecodable("zstd data ends in the middle"));
            }
        }
    }
}
