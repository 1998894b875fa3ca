//! The entries of a table of contents, checked: in the order of the tar, each file with its chunks where it is wanted.
//!
//! eStargz: `docs/estargz.md`, "TOC, `TOCEntries` and Landmarks". zstd:chunked: `FileMetadata` of containers/storage, which
//! has the same fields, and `chunkType`.

use std::ops::Range;

use regent_oci::Digest;
use serde::Deserialize;

use super::{FileChunks, Unfit};
use crate::layer::entry::{File, LayerEntry, LayerKind};
use crate::layer::header::RUNNABLE;
use crate::limits::Limits;
use crate::path::LayerPath;

/// What the table may take in memory, in bytes, about: some 180,000 files.
const MAX_TABLE_BYTES: usize = 24 << 20;

/// An entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawEntry {
    name: String,
    #[serde(rename = "type")]
    kind: RawKind,
    #[serde(default)]
    link_name: String,
    #[serde(default)]
    mode: i64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    offset: u64,
    /// Of zstd:chunked: where the file's last chunk ends.
    #[serde(default)]
    end_offset: u64,
    /// Of eStargz: where the chunk begins in what its gzip member inflates to.
    #[serde(default)]
    inner_offset: u64,
    #[serde(default)]
    chunk_offset: u64,
    /// 0 means to the end of the file.
    #[serde(default)]
    chunk_size: u64,
    #[serde(default)]
    chunk_digest: String,
    /// Of zstd:chunked: `zeros` for a hole.
    #[serde(default)]
    chunk_type: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Dir,
    Reg,
    Symlink,
    Hardlink,
    Char,
    Block,
    Fifo,
    Chunk,
}

/// A piece of a wanted file.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) place: Place,
    pub(super) size_bytes: u64,
    pub(super) digest: Digest,
}

/// Where a chunk's bytes are.
#[derive(Debug)]
pub(super) enum Place {
    /// In what this part of the layer inflates to, behind so many bytes of it. Several chunks may share the part.
    Stored { extent: Range<u64>, inner_offset: u64 },
    /// Nowhere: they are zeros.
    Hole,
}

/// The table under construction.
pub(super) struct Table<'a> {
    /// Where the layer's data ends.
    data_end: u64,
    is_wanted: &'a dyn Fn(&LayerPath, &File<()>) -> bool,
    limits: &'a Limits,
    entries: Vec<LayerEntry<FileChunks>>,
    chunks: Vec<Chunk>,
    cost_bytes: usize,
    /// The last stored chunk: its place, and the end of it in what that inflates to.
    last: (u64, u64),
    /// The first of the chunks that lie at that place, whose end is not known yet.
    first_open: usize,
    file: Option<OpenFile>,
}

/// A file of which chunks are still to come.
struct OpenFile {
    name: String,
    size_bytes: u64,
    covered_bytes: u64,
    end_offset: u64,
    is_wanted: bool,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        data_end: u64,
        is_wanted: &'a dyn Fn(&LayerPath, &File<()>) -> bool,
        limits: &'a Limits,
    ) -> Self {
        Self {
            data_end,
            is_wanted,
            limits,
            entries: Vec::new(),
            chunks: Vec::new(),
            cost_bytes: 0,
            last: (0, 0),
            first_open: 0,
            file: None,
        }
    }

    /// Takes the next entry.
    pub(super) fn push(&mut self, raw: &RawEntry) -> Result<(), Unfit> {
        if raw.kind == RawKind::Chunk {
            return self.push_chunk(raw);
        }
        if self.file.is_some() {
            return Err(Unfit::Toc("a file lacks chunks"));
        }
        let path = self.path(&raw.name)?;
        let link = || self.path(&raw.link_name);
        let kind = match raw.kind {
            RawKind::Dir => LayerKind::Directory,
            RawKind::Symlink => {
                link()?;
                LayerKind::Symlink(raw.link_name.clone())
            }
            RawKind::Hardlink => LayerKind::HardLink(link()?),
            RawKind::Char | RawKind::Block | RawKind::Fifo | RawKind::Chunk => LayerKind::Special,
            RawKind::Reg => {
                let is_runnable = raw.mode.cast_unsigned() & RUNNABLE != 0;
                let file = File { size_bytes: raw.size, is_runnable, data: () };
                let is_wanted = (self.is_wanted)(&path, &file);
                let begin = self.chunks.len();
                LayerKind::File(File {
                    size_bytes: raw.size,
                    is_runnable,
                    data: is_wanted.then_some(begin..begin),
                })
            }
        };
        self.spend(size_of::<LayerEntry<FileChunks>>() + path.as_str().len() + raw.link_name.len())?;
        let is_wanted = matches!(&kind, LayerKind::File(File { data: Some(_), .. }));
        self.entries.push(LayerEntry { path, kind });
        if self.entries.len() as u64 > self.limits.entries {
            return Err(Unfit::Toc("it has too many entries"));
        }
        if raw.kind == RawKind::Reg && raw.size > 0 {
            let (size_bytes, end_offset) = (raw.size, raw.end_offset);
            let name = raw.name.clone();
            self.file = Some(OpenFile { name, size_bytes, covered_bytes: 0, end_offset, is_wanted });
            return self.push_chunk(raw);
        }
        Ok(())
    }

    /// The entries, and the chunks of those that are wanted, in order.
    pub(super) fn finish(mut self) -> Result<(Vec<LayerEntry<FileChunks>>, Vec<Chunk>), Unfit> {
        if self.file.is_some() {
            return Err(Unfit::Toc("a file lacks chunks"));
        }
        self.close(self.data_end);
        Ok((self.entries, self.chunks))
    }

    fn push_chunk(&mut self, raw: &RawEntry) -> Result<(), Unfit> {
        let Some(mut file) = self.file.take().filter(|file| file.name == raw.name) else {
            return Err(Unfit::Toc("a chunk has no file"));
        };
        let left = file.size_bytes - file.covered_bytes;
        let size_bytes = if raw.chunk_size == 0 { left } else { raw.chunk_size };
        if raw.chunk_offset != file.covered_bytes || size_bytes > left {
            return Err(Unfit::Toc("chunks don't fit their file"));
        }
        file.covered_bytes += size_bytes;
        let is_stored = match raw.chunk_type.as_str() {
            "" => true,
            "zeros" => false,
            _ => return Err(Unfit::Toc("a chunk is of an unknown type")),
        };
        if is_stored {
            self.step(raw.offset, raw.inner_offset, size_bytes)?;
        } else if raw.offset > self.last.0 && raw.offset < self.data_end {
            self.close(raw.offset);
        }
        if file.is_wanted {
            let is_whole = size_bytes == file.size_bytes;
            let digest =
                if raw.chunk_digest.is_empty() && is_whole { &raw.digest } else { &raw.chunk_digest };
            let digest: Digest = digest.parse().map_err(|_| Unfit::Toc("a chunk has no digest"))?;
            self.spend(size_of::<Chunk>() + digest.as_str().len())?;
            let place = if is_stored {
                Place::Stored { extent: raw.offset..raw.offset, inner_offset: raw.inner_offset }
            } else {
                Place::Hole
            };
            self.chunks.push(Chunk { place, size_bytes, digest });
            if let Some(LayerEntry { kind: LayerKind::File(File { data: Some(chunks), .. }), .. }) =
                self.entries.last_mut()
            {
                chunks.end = self.chunks.len();
            }
        }
        if file.covered_bytes < file.size_bytes {
            self.file = Some(file);
        } else if file.end_offset > self.last.0 {
            if file.end_offset > self.data_end {
                return Err(Unfit::Toc("a file ends outside of the layer's data"));
            }
            self.close(file.end_offset);
        }
        Ok(())
    }

    /// Goes on to a stored chunk. Chunks stand in the order of the tar, and so do the entries then.
    fn step(&mut self, offset: u64, inner_offset: u64, size_bytes: u64) -> Result<(), Unfit> {
        let (last_offset, last_end) = self.last;
        let end = inner_offset.checked_add(size_bytes);
        let is_behind = offset > last_offset || (offset == last_offset && inner_offset >= last_end);
        let (true, Some(end)) = (is_behind && offset < self.data_end, end) else {
            return Err(Unfit::Toc("chunks are not in the order of the layer"));
        };
        if offset > last_offset {
            self.close(offset);
        }
        self.last = (offset, end);
        Ok(())
    }

    /// Tells the chunks without an end where the next one begins.
    fn close(&mut self, end: u64) {
        for chunk in self.chunks.get_mut(self.first_open..).unwrap_or_default() {
            if let Place::Stored { extent, .. } = &mut chunk.place {
                extent.end = end;
            }
        }
        self.first_open = self.chunks.len();
    }

    /// A name as a path. What a writer has replaced because it is no UTF-8 may be replaced otherwise when the tar is read.
    fn path(&self, name: &str) -> Result<LayerPath, Unfit> {
        if name.len() > self.limits.path_bytes || name.contains(char::REPLACEMENT_CHARACTER) {
            return Err(Unfit::Toc("it has a name that is too long, or no text"));
        }
        Ok(LayerPath::new(name))
    }

    fn spend(&mut self, cost_bytes: usize) -> Result<(), Unfit> {
        self.cost_bytes += cost_bytes;
        if self.cost_bytes > MAX_TABLE_BYTES {
            return Err(Unfit::Toc("it takes too much memory"));
        }
        Ok(())
    }
}
