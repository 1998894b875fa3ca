//! A tar archive on disk, opened for random access.
//!
//! Opening reads the headers once and skips the contents. An archive that is compressed as a whole is decompressed
//! once, into a temporary file without a name that vanishes with the last reader.

mod entries;
mod unpack;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::section::Section;

/// How many links may lead to each other. `docker save` makes chains of one.
const MAX_LINKS: usize = 8;

/// An archive with the index of its entries.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    file: Arc<File>,
    /// In the order of the archive; of two entries with one path only the latter.
    entries: Vec<(String, Entry)>,
    by_path: HashMap<String, usize>,
}

/// What stands at a path of the archive. Directories and devices are of no interest.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// A file with its bytes.
    File { offset: u64, len_bytes: u64 },
    /// A link to this path, normalised, symbolic or hard.
    Link(String),
}

impl Archive {
    /// Opens an archive and reads its index.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::WrongFileType`], [`Error::Truncated`], [`Error::Damaged`], [`Error::Limit`].
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |action| move |source| Error::Io { action, path: path.to_owned(), source };
        // Asked before the file is opened: to open a pipe is to wait for its other end.
        if !path.metadata().map_err(io("find"))?.is_file() {
            return Err(Error::WrongFileType { path: path.to_owned(), expected: "regular file" });
        }
        let stored = File::open(path).map_err(io("open"))?;
        let file = unpack::unpack(&stored, path)?.unwrap_or(stored);
        let found = entries::read(&file, path)?;
        let mut entries: Vec<(String, Entry)> = Vec::with_capacity(found.len());
        let mut by_path = HashMap::with_capacity(found.len());
        for (name, entry) in found {
            if let Some(earlier) = by_path.get(&name).and_then(|&at: &usize| entries.get_mut(at)) {
                earlier.1 = entry;
            } else {
                by_path.insert(name.clone(), entries.len());
                entries.push((name, entry));
            }
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(file), entries, by_path })
    }

    /// Where the archive is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The paths of all files and links, in the order of the archive.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The file at a normalised path, links within the archive followed.
    pub(crate) fn file(&self, name: &str) -> Option<Section> {
        let mut name = name;
        for _ in 0..=MAX_LINKS {
            let &at = self.by_path.get(name)?;
            match &self.entries.get(at)?.1 {
                Entry::Link(target) => name = target,
                Entry::File { offset, len_bytes } => {
                    let file = Arc::clone(&self.file);
                    return Some(Section::new(file, *offset, *len_bytes, self.path.join(name)));
                }
            }
        }
        None
    }
}

/// A path within an archive without `.`, `..` and empty components; `None` if it leads out of it or to its root.
pub(crate) fn normalise(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn paths_are_normalised_and_never_leave_the_archive() {
        let rows = [
            ("manifest.json", Some("manifest.json")),
            ("./a//b/./layer.tar", Some("a/b/layer.tar")),
            ("/a/../b", Some("b")),
            ("a/../../b", None),
            ("..", None),
            (".", None),
            ("", None),
        ];
        for (path, expected) in rows {
            assert_eq!(normalise(path).as_deref(), expected, "{path}");
        }
    }
}
