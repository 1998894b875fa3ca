//! What a layer has, entry by entry, however it is read.

use super::Fault;
use crate::path::LayerPath;

/// An entry that unpacks to something. `D` says where a file's data is.
#[derive(Debug)]
pub(super) struct LayerEntry<D> {
    pub(super) path: LayerPath,
    pub(super) kind: LayerKind<D>,
}

/// What it unpacks to.
#[derive(Debug)]
pub(super) enum LayerKind<D> {
    File(File<D>),
    Directory,
    Symlink(String),
    HardLink(LayerPath),
    /// A device, a pipe, or something unknown.
    Special,
}

/// A regular file, whose data was not yet read.
#[derive(Debug)]
pub(super) struct File<D> {
    /// Expanded, for a sparse file.
    pub(super) size_bytes: u64,
    /// Whether its mode lets anyone run it.
    pub(super) is_runnable: bool,
    pub(super) data: D,
}

/// Where the data of entries comes from.
pub(super) trait Contents {
    /// Says where a file's data is.
    type Data;

    /// Hands a file's data to `sink`, in pieces, holes as zeros, for as long as it returns true. Asked in the order of
    /// the entries, at most once for each.
    fn read_data(&mut self, data: Self::Data, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), Fault>;
}
