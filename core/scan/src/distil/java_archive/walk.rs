//! The way through an archive and those in it: depth first, within bounds that hold for all of them together.

use std::io;
use std::ops::ControlFlow;

use sha1::{Digest as _, Sha1};

use super::super::scratch::Scratch;
use super::super::zip::{Budget, Directory, Entry, Span, Trouble, read_data};
use super::manifest::{self, JarManifest};
use super::passed::Archive;
use super::pom::Coordinates;
use super::role::Role;
use super::{ArchiveContent, ArchiveFault, ArchiveFaultKind, JavaArchive, NO_ROOM, NestedArchive};
use crate::hexadecimal::hexadecimal;

/// Archives inside archives are opened down to this many levels below the outermost. Real ones have three.
pub(super) const MAX_DEPTH: u32 = 8;

/// Archives in one outermost archive, at most.
pub(super) const MAX_NESTED: u32 = 10_000;

/// Bytes that are read of directories, and hashed and inflated of entries, for each byte of the outermost archive. What
/// is in jars is compressed already, so that nested jars hardly inflate.
const MAX_RATIO: u64 = 10;
/// The same for small archives, where the ratio says nothing, and for the largest.
const MIN_BUDGET_BYTES: u64 = 16 << 20;
const MAX_BUDGET_BYTES: u64 = 2 << 30;

/// All texts that are kept of one outermost archive, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// Largest `pom.properties`, in bytes. Real ones have some hundred.
const MAX_POM_BYTES: u64 = 64 << 10;

/// Longest coordinates, and longest name of an archive in another, in bytes.
const MAX_COORDINATES_BYTES: usize = 4096;
const MAX_NAME_BYTES: usize = 4096;

/// Faults that are listed of one outermost archive, besides the one that ends the reading; the others are counted.
const MAX_FAULTS: usize = 16;

/// Letters that are told of an entry's name.
const MAX_FAULT_CHARS: usize = 256;

/// What of a nested archive is kept in memory while it is read, in bytes. There is one of each depth at a time.
const NESTED_MEMORY_BYTES: usize = 1 << 20;

/// Bytes that may be read of directories and entries of an archive of that size.
pub(super) fn budget_bytes(size_bytes: u64) -> u64 {
    size_bytes.saturating_mul(MAX_RATIO).clamp(MIN_BUDGET_BYTES, MAX_BUDGET_BYTES)
}

/// Reads an outermost archive of that size.
pub(super) fn read(
    source: &mut dyn Archive,
    size_bytes: u64,
    scratch: &Scratch,
    sha1: String,
) -> io::Result<JavaArchive> {
    let span = Span { start: 0, length: size_bytes };
    let mut walk = Walk {
        budget: Budget::new(budget_bytes(size_bytes)),
        scratch: scratch.clone(),
        n_nested: 0,
        text_bytes: 0,
        is_spent: false,
        way: Vec::new(),
        faults: Vec::new(),
        n_more_faults: 0,
    };
    let archive = walk.archive(source, span, sha1)?;
    Ok(JavaArchive { archive, faults: walk.faults, n_more_faults: walk.n_more_faults })
}

struct Walk {
    budget: Budget,
    scratch: Scratch,
    n_nested: u32,
    text_bytes: usize,
    /// Whether a bound was reached behind which nothing more is read.
    is_spent: bool,
    /// Names of the entries that lead to the current archive.
    way: Vec<String>,
    faults: Vec<ArchiveFault>,
    n_more_faults: u32,
}

impl Walk {
    /// The recursion ends at [`MAX_DEPTH`].
    fn archive(&mut self, source: &mut dyn Archive, span: Span, sha1: String) -> io::Result<ArchiveContent> {
        let mut content = ArchiveContent { sha1, ..ArchiveContent::default() };
        let mut directory = match Directory::find(source, span, &mut self.budget) {
            Ok(Some(directory)) => directory,
            Ok(None) => return Ok(content),
            Err(trouble) => {
                self.note(None, trouble)?;
                return Ok(content);
            }
        };
        content.is_zip = true;
        while !self.is_spent {
            let entry = match directory.next_entry(source) {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(trouble) => {
                    self.note(None, trouble)?;
                    break;
                }
            };
            let Some(role) = Role::of(entry.name) else { continue };
            let outcome = match role {
                Role::Pom => self.pom(source, &entry, &mut content),
                Role::Manifest => self.manifest(source, &entry, &mut content),
                Role::Archive => self.nested(source, &entry, &mut content),
            };
            if let Err(trouble) = outcome {
                self.note(Some(&String::from_utf8_lossy(entry.name)), trouble)?;
            }
        }
        Ok(content)
    }

    fn pom(
        &mut self,
        source: &mut dyn Archive,
        entry: &Entry<'_>,
        content: &mut ArchiveContent,
    ) -> Result<(), Trouble> {
        if entry.size_bytes > MAX_POM_BYTES {
            return Err(Trouble::TooLarge("it is larger than any file of its kind"));
        }
        let mut text = Vec::new();
        read_data(source, entry, &mut self.budget, &mut |piece| {
            text.extend_from_slice(piece);
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(coordinates) = Coordinates::parse(&text) {
            if coordinates.cost_bytes() > MAX_COORDINATES_BYTES {
                return Err(Trouble::TooLarge("its coordinates are longer than any"));
            }
            self.keep(coordinates.cost_bytes())?;
            content.artifacts.push(coordinates);
        }
        Ok(())
    }

    fn manifest(
        &mut self,
        source: &mut dyn Archive,
        entry: &Entry<'_>,
        content: &mut ArchiveContent,
    ) -> Result<(), Trouble> {
        let mut text = Vec::new();
        read_data(source, entry, &mut self.budget, &mut |piece| {
            let free = manifest::MAX_BYTES.saturating_sub(text.len()).min(piece.len());
            text.extend_from_slice(piece.get(..free).unwrap_or_default());
            let is_complete = JarManifest::is_complete(&text);
            Ok(if is_complete { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let manifest = JarManifest::parse(&text);
        self.keep(manifest.cost_bytes())?;
        content.manifest = manifest;
        Ok(())
    }

    fn nested(
        &mut self,
        source: &mut dyn Archive,
        entry: &Entry<'_>,
        content: &mut ArchiveContent,
    ) -> Result<(), Trouble> {
        if self.way.len() >= MAX_DEPTH as usize {
            return Err(Trouble::TooLarge("it lies more archives deep than are opened"));
        }
        self.n_nested += 1;
        if self.n_nested > MAX_NESTED {
            return Err(Trouble::Spent("it has too many archives in it"));
        }
        if entry.name.len() > MAX_NAME_BYTES {
            return Err(Trouble::TooLarge("its name is longer than a path may be"));
        }
        let name = String::from_utf8_lossy(entry.name).into_owned();
        // Each is reported with all names on the way to it.
        let way_bytes: usize = self.way.iter().map(String::len).sum();
        self.keep(size_of::<NestedArchive>() + way_bytes + name.len())?;
        let archive = if source.has_passed() {
            entry.check_encryption()?;
            let data = entry.data(source)?;
            let mut passed = source.take_nested(entry, data)?;
            self.budget.spend(entry.size_bytes)?;
            let sha1 = std::mem::take(&mut passed.sha1);
            self.inside(name.clone(), &mut passed, Span { start: 0, length: entry.size_bytes }, sha1)?
        } else {
            self.read_nested(source, entry, name.clone())?
        };
        content.nested.push(NestedArchive { name, archive });
        Ok(())
    }

    /// Reads an archive in one that is there as a whole.
    fn read_nested(
        &mut self,
        source: &mut dyn Archive,
        entry: &Entry<'_>,
        name: String,
    ) -> Result<ArchiveContent, Trouble> {
        let mut hasher = Sha1::new();
        // What is stored as it is needs no copy.
        let mut copy = (!entry.is_stored()).then(|| self.scratch.spool(NESTED_MEMORY_BYTES));
        let mut has_room = true;
        read_data(source, entry, &mut self.budget, &mut |piece| {
            hasher.update(piece);
            has_room = copy.as_mut().map_or(Ok(true), |copy| copy.append(piece))?;
            Ok(if has_room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        if !has_room {
            return Err(Trouble::TooLarge(NO_ROOM));
        }
        let sha1 = hexadecimal(&hasher.finalize());
        if let Some(mut copy) = copy {
            let length = copy.length();
            return Ok(self.inside(name, &mut copy, Span { start: 0, length }, sha1)?);
        }
        let data = entry.data(source)?;
        Ok(self.inside(name, source, data, sha1)?)
    }

    /// The same as for any archive, one level deeper.
    fn inside(
        &mut self,
        name: String,
        source: &mut dyn Archive,
        span: Span,
        sha1: String,
    ) -> io::Result<ArchiveContent> {
        self.way.push(name);
        let archive = self.archive(source, span, sha1);
        self.way.pop();
        archive
    }

    /// Counts what is kept.
    fn keep(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.text_bytes = self.text_bytes.saturating_add(bytes);
        if self.text_bytes > MAX_TEXT_BYTES {
            return Err(Trouble::Spent("it names too much"));
        }
        Ok(())
    }

    /// Lists what is in the way, and where: an entry of the current archive, or that archive itself.
    fn note(&mut self, entry: Option<&str>, trouble: Trouble) -> io::Result<()> {
        let (kind, reason) = match trouble {
            Trouble::Disk(error) => return Err(error),
            Trouble::Damaged(reason) => (ArchiveFaultKind::Unreadable, reason),
            Trouble::NoDirectory(reason) => (ArchiveFaultKind::NoDirectory, reason.to_owned()),
            Trouble::TooLarge(reason) => (ArchiveFaultKind::TooLarge, reason.to_owned()),
            Trouble::Spent(reason) => {
                self.is_spent = true;
                let reason = format!("{reason}; the rest of the archive was not read");
                (ArchiveFaultKind::TooLarge, reason)
            }
        };
        if self.faults.len() >= MAX_FAULTS && !self.is_spent {
            self.n_more_faults = self.n_more_faults.saturating_add(1);
            return Ok(());
        }
        let names = self.way.iter().map(String::as_str).chain(entry);
        let entry = names.collect::<Vec<_>>().join("/").chars().take(MAX_FAULT_CHARS).collect();
        self.faults.push(ArchiveFault { entry, kind, reason });
        Ok(())
    }
}
