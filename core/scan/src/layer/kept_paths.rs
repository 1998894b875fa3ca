//! Which paths of a layer are kept, and where.

use std::collections::HashMap;

use crate::path::{LayerPath, PathHash};

/// Words of marks: 64 Ki of them.
const WORDS: usize = 1024;

/// Asked for every entry of a layer, of which few are kept. The hash of an entry's path is there anyway, and most of
/// those that are not kept are told by it alone.
pub(super) struct KeptPaths {
    places: HashMap<LayerPath, usize>,
    /// For each value that a part of the hash may have, whether a kept path has it.
    marks: Box<[u64; WORDS]>,
}

impl KeptPaths {
    pub(super) fn new() -> Self {
        Self { places: HashMap::new(), marks: Box::new([0; WORDS]) }
    }

    pub(super) fn get(&self, path: &LayerPath, hash: PathHash) -> Option<usize> {
        let (word, mark) = mark(hash);
        self.marks.get(word).filter(|word| *word & mark != 0)?;
        self.places.get(path).copied()
    }

    pub(super) fn insert(&mut self, path: LayerPath, hash: PathHash, place: usize) {
        let (word, mark) = mark(hash);
        if let Some(word) = self.marks.get_mut(word) {
            *word |= mark;
        }
        self.places.insert(path, place);
    }
}

fn mark(hash: PathHash) -> (usize, u64) {
    let [low, high, ..] = hash.value().to_le_bytes();
    let bits = usize::from(u16::from_le_bytes([low, high]));
    (bits % WORDS, 1 << (bits / WORDS))
}
