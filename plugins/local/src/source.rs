//! The path of a connection, and the repositories that it holds.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use regent_oci::RepositoryName;

use crate::error::{Error, Result};
use crate::kind::Kind;
use crate::layout::{Latest, Layout, MARKER};
use crate::store::Store;
use crate::tree::{Directory, Tree};

/// How deep below the connection's directory layouts are looked for.
const MAX_DEPTH: usize = 16;
/// The most directories that are looked into for layouts.
const MAX_DIRECTORIES: usize = 100_000;

/// Where a connection's images are.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    kind: Kind,
    /// The archive as it was when last opened: reading its index, or unpacking it, is done once. One path, one entry.
    /// A std mutex, held while the archive is read: it is one thread, and nothing is awaited.
    opened: Mutex<Option<(Identity, Arc<Store>)>>,
}

/// Tells whether a file is still the one that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    len_bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The repositories below a path.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Sorted.
    pub(crate) repositories: Vec<RepositoryName>,
    /// Layouts in directories whose path is no repository name.
    pub(crate) n_skipped: usize,
}

impl Source {
    pub(crate) fn new(path: PathBuf, kind: Kind) -> Self {
        Self { path, kind, opened: Mutex::new(None) }
    }

    /// The path as the connection spells it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the path is there, of the right type, and readable.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::WrongFileType`].
    pub(crate) fn reach(&self) -> Result<()> {
        if self.kind == Kind::OciLayout {
            let root = self.root()?;
            std::fs::read_dir(&root).map(drop).map_err(|source| self.io("list", source))
        } else {
            let metadata = self.path.metadata().map_err(|source| self.io("find", source))?;
            if !metadata.is_file() {
                return Err(Error::WrongFileType { path: self.path.clone(), expected: "regular file" });
            }
            std::fs::File::open(&self.path).map(drop).map_err(|source| self.io("open", source))
        }
    }

    /// All repositories.
    ///
    /// # Errors
    /// What is wrong with the path, or with the archive or the one layout that it leads to. A broken layout among
    /// several fails when it is asked for.
    pub(crate) fn repositories(&self) -> Result<Listing> {
        let one = |store: &Store| Listing { repositories: vec![store.listed_name(&self.path)], n_skipped: 0 };
        if self.kind != Kind::OciLayout {
            return Ok(one(&*self.archive()?));
        }
        let root = self.root()?;
        if is_layout(&root) {
            return Ok(one(&*layout(&root, &root)?));
        }
        let (found, n_skipped) = self.search(&root)?;
        Ok(Listing { repositories: found.into_iter().collect(), n_skipped })
    }

    /// The repository with a name.
    ///
    /// # Errors
    /// [`Error::NoRepository`], and what is wrong with it.
    pub(crate) fn repository(&self, name: &RepositoryName) -> Result<Arc<Store>> {
        let absent = || Error::NoRepository { repository: name.to_string() };
        let store = if self.kind == Kind::OciLayout {
            let root = self.root()?;
            if !is_layout(&root) {
                // The grammar of names leaves no room for `..`; a link on the way may still lead out.
                let directory = root.join(name.as_str());
                let real = directory.canonicalize().map_err(|_| absent())?;
                if !real.starts_with(&root) {
                    return Err(Error::Outside { path: directory });
                }
                return if is_layout(&real) { layout(&root, &real) } else { Err(absent()) };
            }
            layout(&root, &root)?
        } else {
            self.archive()?
        };
        if store.answers_to(name, &self.path) { Ok(store) } else { Err(absent()) }
    }

    fn archive(&self) -> Result<Arc<Store>> {
        let metadata = self.path.metadata().map_err(|source| self.io("find", source))?;
        let identity = Identity::of(&metadata);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, store)) = &*opened
            && *of == identity
        {
            return Ok(Arc::clone(store));
        }
        // Before the new one, so that there are never the unpacked bytes of both.
        *opened = None;
        let store = Arc::new(Store::open(&self.path, self.kind)?);
        *opened = Some((identity, Arc::clone(&store)));
        Ok(store)
    }

    fn root(&self) -> Result<PathBuf> {
        let root = self.path.canonicalize().map_err(|source| self.io("find", source))?;
        if root.is_dir() {
            Ok(root)
        } else {
            Err(Error::WrongFileType { path: self.path.clone(), expected: "directory" })
        }
    }

    /// Every directory that is a layout, by its name. Links are not followed, and nothing is looked for in layouts.
    fn search(&self, root: &Path) -> Result<(BTreeSet<RepositoryName>, usize)> {
        let mut found = BTreeSet::new();
        let mut n_skipped = 0;
        let mut n_seen = 0;
        let mut todo = vec![(root.to_owned(), String::new(), 0)];
        while let Some((directory, name, depth)) = todo.pop() {
            let io = |source| Error::Io { action: "list", path: directory.clone(), source };
            for entry in std::fs::read_dir(&directory).map_err(io)? {
                let entry = entry.map_err(io)?;
                if !entry.file_type().map_err(io)?.is_dir() {
                    continue;
                }
                n_seen += 1;
                if n_seen > MAX_DIRECTORIES {
                    let (what, limit) =
                        (format!("over {MAX_DIRECTORIES} directories"), MAX_DIRECTORIES as u64);
                    return Err(Error::Limit { what, path: self.path.clone(), limit });
                }
                let own = entry.file_name().to_string_lossy().into_owned();
                let name = if name.is_empty() { own } else { format!("{name}/{own}") };
                if !is_layout(&entry.path()) {
                    if depth < MAX_DEPTH {
                        todo.push((entry.path(), name, depth + 1));
                    }
                } else if let Ok(name) = name.parse::<RepositoryName>() {
                    found.insert(name);
                } else {
                    n_skipped += 1;
                }
            }
        }
        Ok((found, n_skipped))
    }

    fn io(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}

/// With the marker it is one by the specification. Without, but with an index or blobs, it is one by an older tool or
/// one that was copied in part.
fn is_layout(directory: &Path) -> bool {
    directory.join(MARKER).is_file()
        || directory.join("index.json").is_file()
        || directory.join("blobs/sha256").is_dir()
}

fn layout(root: &Path, directory: &Path) -> Result<Arc<Store>> {
    let layout = Layout::in_directory(Tree::Directory(Directory::new(root, directory)))?;
    Ok(Arc::new(Store::Layout(layout, Latest::NamedFirst)))
}
