//! The data of an entry.

use std::io;
use std::ops::ControlFlow;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Budget, Entry, Source, Span, Trouble, read_at};

/// Compression methods that Java knows (APPNOTE 4.4.5).
pub(in super::super) const METHOD_STORED: u16 = 0;
pub(in super::super) const METHOD_DEFLATED: u16 = 8;
const STORED_BUFFER_BYTES: usize = 32 << 10;
const INFLATED_BUFFER_BYTES: usize = 64 << 10;

/// Hands an entry's data to `sink`, piece by piece, until it breaks. Data that were read to their end have the size and
/// the checksum that the directory names.
pub(in super::super) fn read_data(
    source: &mut dyn Source,
    entry: &Entry<'_>,
    budget: &mut Budget,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<ControlFlow<()>>,
) -> Result<(), Trouble> {
    entry.check_encryption()?;
    let data = entry.data(source)?;
    let mut checked = Checked { entry, budget, sink, crc: Crc::new(), n_bytes: 0 };
    let flow = match entry.method {
        METHOD_STORED => stored(source, data, &mut checked)?,
        METHOD_DEFLATED => inflated(source, data, &mut checked)?,
        method => {
            return Err(Trouble::Damaged(format!("its compression method {method} is not known to Java")));
        }
    };
    match flow {
        ControlFlow::Continue(()) => checked.finish(),
        ControlFlow::Break(()) => Ok(()),
    }
}

fn stored(
    source: &mut dyn Source,
    data: Span,
    checked: &mut Checked<'_, '_>,
) -> Result<ControlFlow<()>, Trouble> {
    let mut buffer = vec![0; STORED_BUFFER_BYTES];
    let mut at = 0;
    loop {
        let n = read_at(source, data, at, &mut buffer)?;
        if n == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        if checked.take(buffer.get(..n).unwrap_or_default())?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        at += n as u64;
    }
}

fn inflated(
    source: &mut dyn Source,
    data: Span,
    checked: &mut Checked<'_, '_>,
) -> Result<ControlFlow<()>, Trouble> {
    // Some writers store nothing of what has nothing in it, whatever they call the method.
    if data.length == 0 {
        return Ok(ControlFlow::Continue(()));
    }
    let mut input = vec![0; STORED_BUFFER_BYTES];
    let mut output = vec![0; INFLATED_BUFFER_BYTES];
    let mut inflater = Decompress::new(false);
    loop {
        // What was not used of the last piece is read again: less than a match needs, nearly always nothing.
        let n = read_at(source, data, inflater.total_in(), &mut input)?;
        let piece = input.get(..n).unwrap_or_default();
        let mut used = 0;
        loop {
            let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
            let rest = piece.get(used..).unwrap_or_default();
            let status = inflater
                .decompress(rest, &mut output, FlushDecompress::None)
                .map_err(|_| Trouble::damaged("its data can't be inflated"))?;
            let consumed = usize::try_from(inflater.total_in() - before_in).unwrap_or(usize::MAX);
            let written = usize::try_from(inflater.total_out() - before_out).unwrap_or(usize::MAX);
            used = used.saturating_add(consumed);
            if checked.take(output.get(..written).unwrap_or_default())?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            match status {
                Status::StreamEnd => return Ok(ControlFlow::Continue(())),
                Status::Ok | Status::BufError if consumed == 0 && written == 0 => break,
                Status::Ok | Status::BufError => {}
            }
        }
        if used == 0 {
            return Err(Trouble::damaged("its data end in the middle"));
        }
    }
}

/// Data on their way to a sink.
struct Checked<'a, 'n> {
    entry: &'a Entry<'n>,
    budget: &'a mut Budget,
    sink: &'a mut dyn FnMut(&[u8]) -> io::Result<ControlFlow<()>>,
    crc: Crc,
    n_bytes: u64,
}

impl Checked<'_, '_> {
    fn take(&mut self, piece: &[u8]) -> Result<ControlFlow<()>, Trouble> {
        self.n_bytes += piece.len() as u64;
        if self.n_bytes > self.entry.size_bytes {
            return Err(Trouble::damaged("it has more data than the directory says"));
        }
        self.budget.spend(piece.len() as u64)?;
        self.crc.update(piece);
        Ok((self.sink)(piece)?)
    }

    fn finish(&self) -> Result<(), Trouble> {
        if self.n_bytes != self.entry.size_bytes {
            return Err(Trouble::damaged("it has less data than the directory says"));
        }
        if self.crc.sum() != self.entry.crc {
            return Err(Trouble::damaged("its data have the wrong checksum"));
        }
        Ok(())
    }
}
