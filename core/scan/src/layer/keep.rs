//! What is kept of the entries, as they pass.

use std::sync::Arc;

use bytes::Bytes;
use regent_oci::Algorithm;

use super::entry::{Contents, File, LayerEntry, LayerKind};
use super::kept_paths::KeptPaths;
use super::{Fault, LayerSpec};
use crate::analyze::{self, Want};
use crate::budget::{ImageBudget, KEPT_IMAGE_BYTES, SPOOLED_IMAGE_BYTES};
use crate::capture::{CAPTURE_VERSION, Capture, Entry, EntryKind, Kept};
use crate::distil::scratch::Scratch;
use crate::distil::{Distilled, executable};
use crate::extra::Extra;
use crate::interest::Interest;
use crate::limits::Limits;
use crate::path::{LayerPath, PathHash};

/// What every entry of the layer costs while it is read: [`Seen`] and [`PathHistory`].
const SEEN_BYTES: u64 = 40;

/// No more than this is set aside on a header's word alone.
const MAX_RESERVED_BYTES: u64 = 1 << 20;

/// Content of one layer that is kept because the request asks for it, in bytes.
const MAX_ASKED_BYTES: u64 = 32 << 20;

/// Collects a layer's capture.
pub(super) struct Keeper<'a> {
    extra: &'a Extra,
    interest: &'a Interest,
    limits: &'a Limits,
    budget: &'a ImageBudget,
    scratch: Scratch,
    slots: Vec<Slot>,
    /// Where a path's entry is among `slots`. Without whiteouts and markers, which don't replace what their own layer
    /// has at the path.
    index: KeptPaths,
    seen: Vec<Seen>,
    kept_bytes: u64,
    /// What was taken of the image's budget for temporary files.
    spooled_bytes: u64,
    /// Content that only the request asks for.
    asked_bytes: u64,
}

/// A kept entry, at the place of its path's first occurrence.
struct Slot {
    entry: Entry,
    /// When its path occurred last.
    position: u64,
    /// Whether it is what its path was last.
    is_current: bool,
}

/// That a path occurred: 16 bytes for each entry of the layer, sorted and merged at the end.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    path: u64,
    /// The number of the entry, times four, plus the [`Shape`].
    position_and_shape: u64,
}

/// What was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Directory,
    /// Anything else, not kept.
    Passed,
    /// Anything else, kept.
    Kept,
}

impl<'a> Keeper<'a> {
    /// `buffer` is one that was used before, or empty.
    pub(super) fn new(spec: &'a LayerSpec, limits: &'a Limits, buffer: Vec<u8>) -> Self {
        let scratch = Scratch::new(limits);
        scratch.give_back(buffer);
        Self {
            extra: &spec.extra,
            interest: &spec.interest,
            limits,
            budget: &spec.budget,
            scratch,
            slots: Vec::new(),
            index: KeptPaths::new(),
            seen: Vec::new(),
            kept_bytes: 0,
            spooled_bytes: 0,
            asked_bytes: 0,
        }
    }

    /// Keeps of the entry what is asked for. Its data is read from `contents` if it is needed.
    pub(super) fn take<C: Contents>(
        &mut self,
        entry: LayerEntry<C::Data>,
        contents: &mut C,
    ) -> Result<(), Fault> {
        let LayerEntry { path, kind } = entry;
        if let Some(hidden) = path.file_name().strip_prefix(".wh.") {
            return self.take_whiteout(&path, hidden);
        }
        if path.as_str() == "/" || is_table_of_contents(&path, &kind) {
            return Ok(());
        }
        match kind {
            LayerKind::Directory => return self.pass(&path, Shape::Directory),
            LayerKind::Special => {}
            LayerKind::Symlink(target) => return self.keep(path, EntryKind::Symlink(target)),
            LayerKind::HardLink(target) => {
                if wants(self.extra, &path).by_name().any() || self.is_executable(&target) {
                    return self.keep(path, EntryKind::HardLink(target));
                }
            }
            LayerKind::File(file) => {
                let want = want(self.extra, &path, &file).and(self.asked(&path, file.size_bytes));
                if want.any() {
                    let kept = self.read(want, file, contents)?;
                    // What was asked for because of its path alone, and is something else, is a file like any other.
                    let is_nothing =
                        Want { distil: None, ..want } == Want::NOTHING && kept.distilled.is_none();
                    if !is_nothing || self.extra.want(&path).any() {
                        return self.keep(path, EntryKind::File(Arc::new(kept)));
                    }
                }
            }
        }
        self.pass(&path, Shape::Passed)
    }

    /// The buffer, for the next layer.
    pub(super) fn take_buffer(&self) -> Vec<u8> {
        self.scratch.spare()
    }

    /// The capture of all that was taken.
    pub(super) fn into_capture(self) -> Capture {
        let (spent, budget) = (self.kept_bytes, &self.budget.kept);
        let paths = PathHistory::merge(self.seen);
        let find = |hash: PathHash| {
            paths.binary_search_by_key(&hash.value(), |path| path.hash).ok().and_then(|i| paths.get(i))
        };
        // A non-directory that comes after what lies below its path replaces the directory with all in it.
        let is_replaced = |slot: &Slot| {
            let mut hash = PathHash::ROOT;
            slot.entry.path.parent().components().any(|name| {
                hash = hash.child(name);
                find(hash).is_some_and(|path| path.last_non_directory.is_some_and(|at| at > slot.position))
            })
        };
        let entries = self
            .slots
            .into_iter()
            .filter(|slot| slot.is_current && !is_replaced(slot))
            .map(|slot| slot.entry)
            .collect();
        let all = |shape| paths.iter().filter(move |path| path.last == shape).map(|path| path.hash).collect();
        let capture = Capture {
            version: CAPTURE_VERSION,
            entries,
            hidden_by_files: all(Shape::Passed),
            hidden_by_directories: all(Shape::Directory),
            spooled_bytes: self.scratch.written_bytes(),
        };
        // Most of what a passed entry costs is gone by now.
        budget.give_back(spent.saturating_sub(capture.cost_bytes()));
        capture
    }

    /// Gives back all that was taken of the image's budget: for a reading that failed, and is followed by another one.
    pub(super) fn give_up(self) {
        self.budget.kept.give_back(self.kept_bytes);
        self.budget.spooled.give_back(self.spooled_bytes);
    }

    /// Image-spec 1.1, layer.md, "Whiteouts" and "Opaque Whiteout".
    fn take_whiteout(&mut self, marker: &LayerPath, hidden: &str) -> Result<(), Fault> {
        match hidden {
            ".wh..opq" => {
                self.push(Entry { path: marker.parent(), kind: EntryKind::Opaque }, u64::MAX).map(drop)
            }
            // Names that no file can have, and what aufs kept for itself.
            "" | "." | ".." => Ok(()),
            aufs if aufs.starts_with(".wh.") => Ok(()),
            name => {
                let path = marker.parent().join(name);
                self.push(Entry { path, kind: EntryKind::Whiteout }, u64::MAX).map(drop)
            }
        }
    }

    /// What the request asks for, within what is kept for requests: a glob for everything must not fail the scan.
    fn asked(&mut self, path: &LayerPath, size_bytes: u64) -> Want {
        let want = self.interest.want(path);
        if want.content_bytes == 0 || size_bytes > want.content_bytes {
            return want;
        }
        if self.asked_bytes.saturating_add(size_bytes) > MAX_ASKED_BYTES {
            return Want { content_bytes: 0, ..want };
        }
        self.asked_bytes += size_bytes;
        want
    }

    /// Whether the layer has a kept executable there: what is told by its content alone has to be there already.
    fn is_executable(&self, path: &LayerPath) -> bool {
        let slot = self
            .index
            .get(path, PathHash::of(path))
            .and_then(|at| self.slots.get(at))
            .filter(|slot| slot.is_current);
        let kind = slot.map(|slot| &slot.entry.kind);
        matches!(kind, Some(EntryKind::File(kept)) if matches!(kept.distilled, Some(Distilled::Executable(_))))
    }

    fn read<C: Contents>(
        &mut self,
        want: Want,
        file: File<C::Data>,
        contents: &mut C,
    ) -> Result<Kept, Fault> {
        let size_bytes = file.size_bytes;
        let keeps_content = want.keeps_content(size_bytes, self.limits);
        if keeps_content {
            self.check_budget(size_bytes)?;
        }
        let mut content = Vec::new();
        if keeps_content {
            content.reserve(usize::try_from(size_bytes.min(MAX_RESERVED_BYTES)).unwrap_or_default());
        }
        let mut digester = want.sha256.then(|| Algorithm::Sha256.digester());
        let written_bytes = self.scratch.written_bytes();
        let mut distiller = want.distil.map(|distil| distil.start(size_bytes, &self.scratch));
        let mut is_distilling = distiller.is_some();
        if want.needs_data(size_bytes, self.limits) {
            contents.read_data(file.data, &mut |piece| {
                if is_distilling {
                    is_distilling = distiller.as_mut().is_some_and(|distiller| distiller.take(piece));
                }
                if keeps_content {
                    content.extend_from_slice(piece);
                }
                if let Some(digester) = &mut digester {
                    digester.update(piece);
                }
                keeps_content || want.sha256 || is_distilling
            })?;
        }
        let distilled = match distiller {
            Some(distiller) => distiller.finish().map_err(Fault::Read)?,
            None => None,
        };
        let spooled_bytes = self.scratch.written_bytes() - written_bytes;
        self.spend_spooled(spooled_bytes)?;
        Ok(Kept {
            size_bytes,
            content: keeps_content.then(|| Bytes::from(content.into_boxed_slice())),
            sha256: digester.map(regent_oci::Digester::finish),
            distilled,
        })
    }

    fn keep(&mut self, path: LayerPath, kind: EntryKind) -> Result<(), Fault> {
        let hash = PathHash::of(&path);
        let position = self.see(hash, Shape::Kept)?;
        let entry = Entry { path, kind };
        if let Some(slot) = self.index.get(&entry.path, hash).and_then(|at| self.slots.get_mut(at)) {
            let old = slot.entry.cost_bytes();
            self.kept_bytes -= old;
            self.budget.kept.give_back(old);
            let cost = entry.cost_bytes();
            *slot = Slot { entry, position, is_current: true };
            return self.spend(cost);
        }
        let path = entry.path.clone();
        let at = self.push(entry, position)?;
        self.index.insert(path, hash, at);
        Ok(())
    }

    /// Adds an entry, and returns its place.
    fn push(&mut self, entry: Entry, position: u64) -> Result<usize, Fault> {
        self.spend(entry.cost_bytes())?;
        self.slots.push(Slot { entry, position, is_current: true });
        Ok(self.slots.len() - 1)
    }

    /// Notes a path of which nothing is kept.
    fn pass(&mut self, path: &LayerPath, shape: Shape) -> Result<(), Fault> {
        let hash = PathHash::of(path);
        self.see(hash, shape)?;
        if let Some(slot) = self.index.get(path, hash).and_then(|at| self.slots.get_mut(at)) {
            slot.is_current = false;
        }
        Ok(())
    }

    /// Returns the entry's number.
    fn see(&mut self, path: PathHash, shape: Shape) -> Result<u64, Fault> {
        self.spend(SEEN_BYTES)?;
        let position = self.seen.len() as u64;
        let position_and_shape = position * 4 + shape as u64;
        self.seen.push(Seen { path: path.value(), position_and_shape });
        Ok(position)
    }

    fn spend(&mut self, cost: u64) -> Result<(), Fault> {
        self.check_budget(cost)?;
        let budget = &self.budget.kept;
        if !budget.spend(cost) {
            return Err(Fault::Limit { limit: KEPT_IMAGE_BYTES, value: budget.limit_bytes() });
        }
        self.kept_bytes += cost;
        Ok(())
    }

    /// Counts what the last file needed, once it is known: no file needs more than its layer has room for.
    fn spend_spooled(&mut self, n_bytes: u64) -> Result<(), Fault> {
        let budget = &self.budget.spooled;
        if budget.spend(n_bytes) {
            self.spooled_bytes += n_bytes;
            return Ok(());
        }
        Err(Fault::Limit { limit: SPOOLED_IMAGE_BYTES, value: budget.limit_bytes() })
    }

    fn check_budget(&self, cost: u64) -> Result<(), Fault> {
        let value = self.limits.kept_layer_bytes;
        if self.kept_bytes.saturating_add(cost) > value {
            return Err(Fault::Limit { limit: "kept_layer_bytes", value });
        }
        Ok(())
    }
}

/// What is wanted of whatever is at this path.
fn wants(extra: &Extra, path: &LayerPath) -> Want {
    analyze::wants(path).and(extra.want(path))
}

/// What is wanted of this file, besides what the request asks for.
pub(super) fn want<D>(extra: &Extra, path: &LayerPath, file: &File<D>) -> Want {
    let want = wants(extra, path);
    if executable::may_be(path, file.size_bytes, file.is_runnable) { want } else { want.by_name() }
}

/// The table of contents of an eStargz layer (`estargz.TOCTarName`) is about the layer, and no file of the image:
/// whoever reads the layer by it sees no such file, and depending on who wrote the layer it stands behind the end of
/// the tar.
fn is_table_of_contents<D>(path: &LayerPath, kind: &LayerKind<D>) -> bool {
    matches!(kind, LayerKind::File(_)) && path.as_str() == "/stargz.index.json"
}

/// All that happened at one path in a layer.
struct PathHistory {
    hash: u64,
    last: Shape,
    last_non_directory: Option<u64>,
}

impl PathHistory {
    /// One for each path, in the order of hashes.
    fn merge(mut seen: Vec<Seen>) -> Vec<Self> {
        seen.sort_unstable();
        let mut merged: Vec<Self> = Vec::new();
        for Seen { path, position_and_shape } in seen {
            let shape = match position_and_shape % 4 {
                0 => Shape::Directory,
                1 => Shape::Passed,
                _ => Shape::Kept,
            };
            let non_directory = (shape != Shape::Directory).then_some(position_and_shape / 4);
            match merged.last_mut() {
                Some(history) if history.hash == path => {
                    history.last = shape;
                    history.last_non_directory = non_directory.or(history.last_non_directory);
                }
                _ => merged.push(Self { hash: path, last: shape, last_non_directory: non_directory }),
            }
        }
        merged
    }
}
