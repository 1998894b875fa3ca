//! Lists of a package's files, such as dpkg's: one path a line. Kept are hashes of the paths, since lists of all files
//! of an image are many times as large, and all that is asked of them is whether a path is among them.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Distilled, Distiller};
use crate::path::PathHash;

/// Paths of one list. The packages with the most files have some sixty thousand.
const MAX_PATHS: usize = 200_000;
/// The longest path that counts, in bytes, as on Linux (limits.h, `PATH_MAX`).
const MAX_PATH_BYTES: usize = 4096;

/// A list of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathList {
    /// In the order of the list.
    hashes: Vec<PathHash>,
    /// Whether it was not read to its end.
    pub(crate) is_cut: bool,
}

impl PathList {
    /// The hashes of the paths.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = PathHash> {
        self.hashes.iter().copied()
    }

    pub(super) fn cost_bytes(&self) -> usize {
        self.hashes.len() * size_of::<PathHash>()
    }
}

/// Reads line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    list: PathList,
}

impl Reader {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Some(hash) = PathHash::of_bytes(line.trim_ascii_end()).filter(|hash| *hash != PathHash::ROOT) {
            self.list.hashes.push(hash);
        }
        self.line = line;
        self.line.clear();
    }
}

impl Distiller for Reader {
    fn take(&mut self, piece: &[u8]) -> bool {
        for (n, part) in piece.split(|&byte| byte == b'\n').enumerate() {
            if n > 0 {
                self.end_line();
            }
            let is_full = self.list.hashes.len() == MAX_PATHS && !part.is_empty();
            if is_full || self.line.len() + part.len() > MAX_PATH_BYTES {
                self.line.clear();
                self.list.is_cut = true;
                return false;
            }
            self.line.extend_from_slice(part);
        }
        true
    }

    fn finish(mut self: Box<Self>) -> io::Result<Option<Distilled>> {
        self.end_line();
        self.list.hashes.shrink_to_fit();
        Ok(Some(Distilled::PathList(self.list)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> PathList {
        let mut reader = Box::new(Reader::default());
        let _ = pieces.iter().all(|piece| reader.take(piece));
        let Ok(Some(Distilled::PathList(list))) = reader.finish() else { panic!("a list") };
        list
    }

    #[test]
    fn paths_come_back_by_their_hashes_however_they_are_cut_into_pieces() {
        let list = read(&[b"/.\n/usr\n/us", b"r/bin", b"\n/usr/bin/node\n"]);
        let expected =
            ["/usr", "/usr/bin", "/usr/bin/node"].map(|path| PathHash::of_bytes(path.as_bytes()).unwrap());
        assert_eq!(list.hashes().collect::<Vec<_>>(), expected);
        assert!(!list.is_cut);
    }

    #[test]
    fn a_list_without_end_is_cut_and_says_so() {
        let many = "/a\n".repeat(MAX_PATHS + 1);
        let list = read(&[many.as_bytes()]);
        assert_eq!((list.hashes().count(), list.is_cut), (MAX_PATHS, true));
        let long = "/a\n/".to_owned() + &"b".repeat(2 * MAX_PATH_BYTES);
        let list = read(&[long.as_bytes()]);
        assert_eq!((list.hashes().count(), list.is_cut), (1, true));
    }
}
