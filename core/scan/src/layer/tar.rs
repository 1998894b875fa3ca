//! The tar stream as entries.
//!
//! Own code and not the `tar` crate: an entry that no one wants must cost no more than a look at its header, sparse
//! files of pax are to be expanded, and what is lenient and what is strict has to match Go's reader.

use std::borrow::Cow;
use std::io::BufRead;

use super::Fault;
use super::entry::{Contents, File, LayerEntry, LayerKind};
use super::header::{BLOCK_BYTES, Block, Header, TypeFlag};
use super::inflate::Inflate;
use super::pax::{self, Pax};
use super::sparse::{MapInData, OldGnu, Piece, SparseForm, SparseMap};
use crate::limits::Limits;
use crate::path::LayerPath;

/// What stands in front of an entry's own header and is for it alone.
#[derive(Default)]
struct Preface {
    pax: Pax,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

pub(super) struct Tar<'a, R> {
    inflate: Inflate<'a, R>,
    limits: &'a Limits,
    block: Block,
    n_headers: u64,
    /// Stored bytes of the current entry that were not yet used, and the padding behind them.
    left: u64,
    padding: u64,
}

impl<'a, R: BufRead> Tar<'a, R> {
    pub(super) fn new(inflate: Inflate<'a, R>, limits: &'a Limits) -> Self {
        Self { inflate, limits, block: [0; BLOCK_BYTES], n_headers: 0, left: 0, padding: 0 }
    }

    pub(super) fn into_inflate(self) -> Inflate<'a, R> {
        self.inflate
    }

    /// The next entry; what was not read of the one before is skipped. `None` at the end mark, or where the stream
    /// ends between entries.
    pub(super) fn next_entry(&mut self) -> Result<Option<LayerEntry<SparseForm>>, Fault> {
        let mut preface = Preface::default();
        loop {
            self.skip_data()?;
            if !self.read_header_block()? {
                return Ok(None);
            }
            self.n_headers += 1;
            if self.n_headers > self.limits.entries {
                return Err(Fault::Limit { limit: "entries", value: self.limits.entries });
            }
            let block = self.block;
            let header = Header::parse(&block)?;
            self.begin_data(header.size_bytes);
            match header.type_flag {
                TypeFlag::GnuLongName => preface.long_name = Some(self.read_long_name()?),
                TypeFlag::GnuLongLink => preface.long_link = Some(self.read_long_name()?),
                TypeFlag::Pax => {
                    preface.pax = Pax::parse(&self.read_whole(pax::MAX_BYTES, too_large_pax)?)?;
                }
                // Container runtimes don't apply global records to entries, since Go's reader doesn't. In practice
                // they hold a comment.
                TypeFlag::PaxGlobal | TypeFlag::Meta => {}
                _ => return self.entry(&block, &header, preface).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        block: &Block,
        header: &Header<'_>,
        preface: Preface,
    ) -> Result<LayerEntry<SparseForm>, Fault> {
        let Preface { pax, long_name, long_link } = preface;
        let own_name;
        let own_name: &[u8] = if header.prefix.is_empty() {
            header.name
        } else {
            own_name = [header.prefix, header.name].join(&b'/');
            &own_name
        };
        let mut name = long_name.as_deref().or(pax.path.as_deref()).unwrap_or(own_name);
        let link = long_link.as_deref().or(pax.link_path.as_deref()).unwrap_or(header.link);
        let stored_bytes = pax.size_bytes.unwrap_or(header.size_bytes);
        let type_flag = match header.type_flag {
            // V7 has no directories: a name that ends with a slash is one.
            TypeFlag::OldRegular if name.ends_with(b"/") => TypeFlag::Directory,
            type_flag => type_flag,
        };
        let is_runnable = header.is_runnable;
        let sparse_name;
        let kind = match type_flag {
            TypeFlag::Regular | TypeFlag::OldRegular => {
                self.begin_data(stored_bytes);
                let (form, real_name) = pax.sparse.into_parts();
                if let Some(real_name) = real_name {
                    sparse_name = real_name;
                    name = &sparse_name;
                }
                let size_bytes = form.expanded_bytes().unwrap_or(stored_bytes);
                LayerKind::File(File { size_bytes, is_runnable, data: form })
            }
            TypeFlag::GnuSparse => {
                let mut map = OldGnu::parse(block)?;
                while map.is_continued {
                    self.begin_data(BLOCK_BYTES as u64);
                    map.take_continuation(&self.read_block_of_data()?)?;
                }
                self.begin_data(stored_bytes);
                let OldGnu { pieces, expanded_bytes, .. } = map;
                LayerKind::File(File {
                    size_bytes: expanded_bytes,
                    is_runnable,
                    data: SparseForm::Known { expanded_bytes, pieces },
                })
            }
            // No data behind these, whatever the size says.
            TypeFlag::Directory => {
                self.begin_data(0);
                LayerKind::Directory
            }
            TypeFlag::Symlink => {
                self.begin_data(0);
                LayerKind::Symlink(self.text(link)?.into_owned())
            }
            TypeFlag::HardLink => {
                self.begin_data(0);
                LayerKind::HardLink(LayerPath::new(&self.text(link)?))
            }
            TypeFlag::Device => {
                self.begin_data(0);
                LayerKind::Special
            }
            TypeFlag::DumpDirectory => {
                self.begin_data(stored_bytes);
                LayerKind::Directory
            }
            _ => {
                self.begin_data(stored_bytes);
                LayerKind::Special
            }
        };
        Ok(LayerEntry { path: LayerPath::new(&self.text(name)?), kind })
    }

    /// A name as text, within the limit. Bytes that are not UTF-8 are replaced: no matcher asks for such a name.
    fn text<'t>(&self, name: &'t [u8]) -> Result<Cow<'t, str>, Fault> {
        if name.len() > self.limits.path_bytes {
            return Err(self.too_long());
        }
        // Told apart here, since the check of what is replaced looks at every byte by itself.
        Ok(std::str::from_utf8(name).map_or_else(|_| String::from_utf8_lossy(name), Cow::Borrowed))
    }

    fn too_long(&self) -> Fault {
        Fault::Limit { limit: "path_bytes", value: self.limits.path_bytes as u64 }
    }

    fn read_long_name(&mut self) -> Result<Vec<u8>, Fault> {
        let too_long = self.too_long();
        // A NUL ends the name.
        let mut name = self.read_whole(self.limits.path_bytes as u64 + 1, || too_long)?;
        name.truncate(memchr::memchr(0, &name).unwrap_or(name.len()));
        Ok(name)
    }

    fn read_whole(&mut self, at_most: u64, too_large: impl FnOnce() -> Fault) -> Result<Vec<u8>, Fault> {
        if self.left > at_most {
            return Err(too_large());
        }
        let mut data = Vec::new();
        self.read_stored(self.left, &mut |piece: &[u8]| {
            data.extend_from_slice(piece);
            true
        })?;
        Ok(data)
    }

    fn read_map(&mut self) -> Result<Vec<Piece>, Fault> {
        let mut map = MapInData::default();
        while !map.take(&self.read_block_of_data()?)? {}
        Ok(map.into_pieces())
    }

    fn read_block_of_data(&mut self) -> Result<Block, Fault> {
        let mut block = [0; BLOCK_BYTES];
        let mut at = 0;
        self.read_stored(BLOCK_BYTES as u64, &mut |piece: &[u8]| {
            if let Some(space) = block.get_mut(at..at + piece.len()) {
                space.copy_from_slice(piece);
            }
            at += piece.len();
            true
        })?;
        Ok(block)
    }

    /// False where the sink wanted no more: what is left is skipped with the rest of the entry.
    fn read_stored(&mut self, n: u64, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<bool, Fault> {
        if n > self.left {
            return Err(Fault::undecodable("tar has a sparse file whose map does not fit it"));
        }
        let mut n = n;
        while n > 0 {
            let buffered = self.inflate.fill()?;
            let piece = usize::try_from(n).ok().and_then(|n| buffered.get(..n)).unwrap_or(buffered);
            if piece.is_empty() {
                return Err(cut_off());
            }
            let used = piece.len();
            let is_more_wanted = sink(piece);
            self.inflate.consume(used)?;
            n -= used as u64;
            self.left -= used as u64;
            if !is_more_wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// False where the sink wanted no more.
    fn fill_hole(&mut self, n: u64, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<bool, Fault> {
        const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
        let mut n = n;
        while n > 0 {
            let zeros = usize::try_from(n).ok().and_then(|n| ZEROS.get(..n)).unwrap_or(&ZEROS);
            // A hole costs time though it takes no space: it counts as inflated.
            self.inflate.count(zeros.len() as u64)?;
            if !sink(zeros) {
                return Ok(false);
            }
            n -= zeros.len() as u64;
        }
        Ok(true)
    }

    fn begin_data(&mut self, stored_bytes: u64) {
        self.left = stored_bytes;
        self.padding = stored_bytes.wrapping_neg() % BLOCK_BYTES as u64;
    }

    fn skip_data(&mut self) -> Result<(), Fault> {
        self.read_stored(self.left, &mut |_: &[u8]| true)?;
        // Where the last file's padding is missing nothing is lost.
        while self.padding > 0 {
            let buffered = self.inflate.fill()?.len();
            if buffered == 0 {
                return Ok(());
            }
            let used = buffered.min(usize::try_from(self.padding).unwrap_or(buffered));
            self.inflate.consume(used)?;
            self.padding -= used as u64;
        }
        Ok(())
    }

    /// Reads the next header into `self.block`. `false` at the end.
    fn read_header_block(&mut self) -> Result<bool, Fault> {
        if !self.read_block()? {
            return Ok(false);
        }
        if self.block != [0; BLOCK_BYTES] {
            return Ok(true);
        }
        // Two zero blocks are the end mark; one that the stream ends with will do.
        if self.read_block()? && self.block != [0; BLOCK_BYTES] {
            return Err(Fault::undecodable("tar goes on after half an end mark"));
        }
        Ok(false)
    }

    /// Reads 512 bytes. `false` if the stream ends in front of them.
    fn read_block(&mut self) -> Result<bool, Fault> {
        let mut at = 0;
        while at < BLOCK_BYTES {
            let buffered = self.inflate.fill()?;
            if buffered.is_empty() {
                return if at == 0 { Ok(false) } else { Err(cut_off()) };
            }
            let free = self.block.get_mut(at..).unwrap_or_default();
            let n = free.len().min(buffered.len());
            if let (Some(to), Some(from)) = (free.get_mut(..n), buffered.get(..n)) {
                to.copy_from_slice(from);
            }
            self.inflate.consume(n)?;
            at += n;
        }
        Ok(true)
    }
}

impl<R: BufRead> Contents for Tar<'_, R> {
    type Data = SparseForm;

    /// Of the current entry.
    fn read_data(&mut self, data: SparseForm, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Fault> {
        let map = match data {
            SparseForm::NotSparse => return self.read_stored(self.left, sink).map(drop),
            SparseForm::Known { expanded_bytes, pieces } => {
                SparseMap::new(pieces, expanded_bytes, self.left)?
            }
            SparseForm::InData { expanded_bytes } => {
                let pieces = self.read_map()?;
                SparseMap::new(pieces, expanded_bytes, self.left)?
            }
        };
        let mut position = 0;
        for piece in map.pieces() {
            if !self.fill_hole(piece.offset - position, sink)? || !self.read_stored(piece.length, sink)? {
                return Ok(());
            }
            position = piece.offset + piece.length;
        }
        self.fill_hole(map.expanded_bytes() - position, sink).map(drop)
    }
}

fn cut_off() -> Fault {
    Fault::undecodable("tar ends in the middle of an entry")
}

fn too_large_pax() -> Fault {
    Fault::undecodable("pax header is larger than 1 MiB")
}
