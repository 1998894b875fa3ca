//! Parts of layers that are made once, and layers put together from them: each with a beginning of its own, so that no two
//! are the same to anyone.

use std::sync::Mutex;

use bytes::Bytes;

use crate::image::Layer as Files;

use super::content::Content;
use super::depot::Layer;
use super::kinds;
use super::specimen::gzip;

/// About what a part takes as it is stored.
pub const PART_BYTES: usize = 4 << 20;

type Kind = fn(&mut Content, usize) -> Files;

/// What parts hold, in turn, and about how many bytes of tar make ten that are stored.
type Kinds = [(Kind, usize)];

const ALL: &Kinds = &[
    (kinds::pip, 26),
    (kinds::runtimes, 19),
    (kinds::npm, 32),
    (kinds::jars, 10),
    (kinds::go, 20),
    (|content, n_bytes| kinds::debian(content, 12, n_bytes), 21),
];
/// What makes images large.
const OF_LARGE_FILES: &Kinds = &[(kinds::model, 10), (kinds::go, 20), (kinds::model, 10)];

/// The parts.
#[derive(Debug)]
pub struct Stock {
    parts: Vec<Bytes>,
    next: usize,
}

impl Stock {
    /// Makes so many parts of all kinds.
    pub fn of(n_parts: usize) -> Self {
        Self::with(ALL, n_parts)
    }

    /// Makes so many parts of few and large files: models and programs.
    pub fn of_large_files(n_parts: usize) -> Self {
        Self::with(OF_LARGE_FILES, n_parts)
    }

    fn with(kinds: &Kinds, n_parts: usize) -> Self {
        let todo = Mutex::new(0..n_parts);
        let made: Mutex<Vec<(usize, Bytes)>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let Some(i) = todo.lock().unwrap().next() else { return };
                        let (make, tenths) = kinds[i % kinds.len()];
                        let n_bytes = PART_BYTES / 10 * tenths;
                        let part = gzip(&make(&mut Content::new(i as u64), n_bytes).entries());
                        made.lock().unwrap().push((i, part.into()));
                    }
                });
            }
        });
        let mut made = made.into_inner().unwrap();
        made.sort_by_key(|(i, _)| *i);
        Self { parts: made.into_iter().map(|(_, part)| part).collect(), next: 0 }
    }

    /// A layer of about so many bytes as it is stored, that begins with these files. Parts are taken in turn.
    pub fn layer(&mut self, beginning: Files, stored_bytes: usize) -> Layer {
        let mut pieces = vec![Bytes::from(gzip(&beginning.entries()))];
        for _ in 0..(stored_bytes / PART_BYTES).max(1) {
            pieces.push(self.parts[self.next % self.parts.len()].clone());
            self.next += 1;
        }
        pieces.push(Bytes::from(gzip(&Files::new().build())));
        Layer::of(pieces)
    }
}
