//! Sparse files: GNU tar's old format and its three pax formats ("Storing Sparse Files" in its manual).

use super::Fault;
use super::header::{self, Block};
use super::pax::{decimal, malformed_number};

/// Real maps have a few thousand pieces at most.
const MAX_PIECES: usize = 1 << 20;

/// A piece of a sparse file that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Where the stored pieces of a sparse file belong.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SparseMap {
    pieces: Vec<Piece>,
    expanded_bytes: u64,
}

impl SparseMap {
    /// In order, without overlap, and all within the expanded size.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Size of the file with its holes.
    pub(super) fn expanded_bytes(&self) -> u64 {
        self.expanded_bytes
    }

    /// Checks that the pieces fit each other, the file, and the `stored_bytes`.
    pub(super) fn new(pieces: Vec<Piece>, expanded_bytes: u64, stored_bytes: u64) -> Result<Self, Fault> {
        let end = pieces.iter().try_fold(0_u64, |end, piece| {
            if piece.offset < end { None } else { piece.offset.checked_add(piece.length) }
        });
        let total = pieces.iter().try_fold(0_u64, |total, piece| total.checked_add(piece.length));
        if end.is_none_or(|end| end > expanded_bytes) || total.is_none_or(|total| total > stored_bytes) {
            return Err(Fault::undecodable("tar has a sparse file whose map does not fit it"));
        }
        Ok(Self { pieces, expanded_bytes })
    }
}

/// Adds a piece, within bounds.
fn push(pieces: &mut Vec<Piece>, offset: u64, length: u64) -> Result<(), Fault> {
    if pieces.len() >= MAX_PIECES {
        return Err(Fault::undecodable("tar has a sparse file with too many pieces"));
    }
    pieces.push(Piece { offset, length });
    Ok(())
}

/// Reads the pieces of an old GNU sparse header, or of one of the blocks that continue it.
pub(super) struct OldGnu {
    pub(super) pieces: Vec<Piece>,
    /// Whether a block with more pieces follows.
    pub(super) is_continued: bool,
    pub(super) expanded_bytes: u64,
}

impl OldGnu {
    pub(super) fn parse(block: &Block) -> Result<Self, Fault> {
        let expanded_bytes = header::number(header::field(block, 483, 12)).ok_or_else(malformed)?;
        let mut map = Self { pieces: Vec::new(), is_continued: false, expanded_bytes };
        map.read_pieces(header::field(block, 386, 4 * 24))?;
        map.is_continued = header::field(block, 482, 1) != [0];
        Ok(map)
    }

    pub(super) fn take_continuation(&mut self, block: &Block) -> Result<(), Fault> {
        self.read_pieces(header::field(block, 0, 21 * 24))?;
        self.is_continued = header::field(block, 504, 1) != [0];
        Ok(())
    }

    fn read_pieces(&mut self, table: &[u8]) -> Result<(), Fault> {
        for row in table.chunks_exact(24) {
            let (offset, length) = row.split_at(12);
            if offset.first().is_none_or(|&b| b == 0) {
                break; // the table's unused part
            }
            let offset = header::number(offset).ok_or_else(malformed)?;
            let length = header::number(length).ok_or_else(malformed)?;
            push(&mut self.pieces, offset, length)?;
        }
        Ok(())
    }
}

fn malformed() -> Fault {
    Fault::undecodable("tar has a sparse file with a malformed map")
}

/// `GNU.sparse.*` records. Format 0.0 has a pair of records for each piece, 0.1 one record with all, and 1.0 the map
/// in front of the data.
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    pub(super) name: Option<Vec<u8>>,
    expanded_bytes: Option<u64>,
    pieces: Vec<Piece>,
    pending_offset: Option<u64>,
    has_map: bool,
    is_version_1: bool,
}

impl PaxSparse {
    /// Takes a record, by its key without `GNU.sparse.`.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let number = || decimal(value).ok_or_else(malformed_number);
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.is_version_1 = number()? == 1,
            b"size" | b"realsize" => self.expanded_bytes = Some(number()?),
            b"numblocks" => self.has_map = true,
            b"offset" => self.pending_offset = Some(number()?),
            b"numbytes" => {
                let offset = self.pending_offset.take().ok_or_else(malformed)?;
                push(&mut self.pieces, offset, number()?)?;
                self.has_map = true;
            }
            b"map" => {
                self.has_map = true;
                self.pieces.clear();
                let mut numbers = value.split(|&b| b == b',').filter(|text| !text.is_empty()).map(decimal);
                while let Some(offset) = numbers.next() {
                    let (Some(offset), Some(Some(length))) = (offset, numbers.next()) else {
                        return Err(malformed());
                    };
                    push(&mut self.pieces, offset, length)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the map is, and the file's real name: that of the entry is a made-up one in later formats.
    pub(super) fn into_parts(self) -> (SparseForm, Option<Vec<u8>>) {
        match self.expanded_bytes {
            Some(expanded_bytes) if self.is_version_1 => (SparseForm::InData { expanded_bytes }, self.name),
            Some(expanded_bytes) if self.has_map => {
                (SparseForm::Known { expanded_bytes, pieces: self.pieces }, self.name)
            }
            _ => (SparseForm::NotSparse, None),
        }
    }
}

/// Where a pax sparse file's map is.
#[derive(Debug)]
pub(super) enum SparseForm {
    NotSparse,
    Known {
        expanded_bytes: u64,
        pieces: Vec<Piece>,
    },
    /// In front of the data.
    InData {
        expanded_bytes: u64,
    },
}

impl SparseForm {
    /// Size of the file with its holes, of a sparse file.
    pub(super) fn expanded_bytes(&self) -> Option<u64> {
        match self {
            Self::NotSparse => None,
            Self::Known { expanded_bytes, .. } | Self::InData { expanded_bytes } => Some(*expanded_bytes),
        }
    }
}

/// Reads the map that stands in front of the data: the number of pieces, then offset and length of each, a decimal
/// number a line, padded to a block.
#[derive(Debug, Default)]
pub(super) struct MapInData {
    line: Vec<u8>,
    left: Option<u64>,
    offset: Option<u64>,
    pieces: Vec<Piece>,
}

impl MapInData {
    /// Takes a block of the map, and tells whether the map ended in it.
    pub(super) fn take(&mut self, block: &Block) -> Result<bool, Fault> {
        for &byte in block {
            if byte != b'\n' {
                // The longest 64-bit number has 20 digits.
                if self.line.len() >= 20 {
                    return Err(malformed());
                }
                self.line.push(byte);
                continue;
            }
            let number = decimal(&self.line).ok_or_else(malformed)?;
            self.line.clear();
            match (self.left, self.offset.take()) {
                (None, _) => self.left = Some(number),
                (Some(_), None) => self.offset = Some(number),
                (Some(left), Some(offset)) => {
                    push(&mut self.pieces, offset, number)?;
                    self.left = Some(left - 1);
                }
            }
            if self.left == Some(0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }
}
