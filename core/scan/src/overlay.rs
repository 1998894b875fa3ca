//! The layers of an image seen as one file system.

mod links;
mod tree;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use regent_oci::Digest;

use crate::analyze::{self, Want};
use crate::capture::{CapturedLayer, EntryKind, Kept};
use crate::distil::{Distil, Distilled, Executable, ExecutableFault};
use crate::extra::Extra;
use crate::limits::Limits;
use crate::path::LayerPath;

use self::links::{End, Links, Via};
use self::tree::{Place, Tree};

/// The merged view of an image's layers (image-spec 1.1, layer.md, "Applying Changesets"): whiteouts and opaque
/// markers apply to lower layers only, any entry hides a lower non-directory of its path, a non-directory hides all
/// below it, links are followed inside the image.
///
/// A directory that is only implied by the path of something in it hides nothing: unpackers disagree on whether a
/// lower link of that name stays.
#[derive(Debug)]
pub struct Overlay {
    files: Vec<OverlayFile>,
    by_path: HashMap<LayerPath, usize>,
}

/// A file of the merged view, seen at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayFile {
    /// The path at which it is seen. A file that a link leads to is seen at the link's path, where a matcher wants
    /// exactly that path or all of that directory, besides its own.
    pub path: LayerPath,
    /// What is kept of it.
    pub kept: Arc<Kept>,
    /// Index of the layer that the content is from, base layer 0.
    pub layer: usize,
    /// Where the file itself lies, if it is seen through a link.
    pub linked_to: Option<LayerPath>,
}

/// Link targets that matter and were not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTarget {
    /// Index of the layer to read again.
    pub layer: usize,
    /// What to keep ([`LayerSpec::extra`](crate::LayerSpec)).
    pub paths: Extra,
}

impl Overlay {
    /// Merges `layers`, base layer first.
    ///
    /// Where a link at a wanted path leads to a file that no matcher asked for, the second value names the layers to
    /// read again and the paths to keep, lowest layer first: the caller replaces those layers' captures and merges
    /// anew. A target that is not there even then is treated as a dangling link, and may be named again: one more
    /// reading is enough for anything but a chain of hard links.
    pub fn new(layers: &[CapturedLayer], limits: &Limits) -> (Self, Vec<MissingTarget>) {
        let mut merge = Merge {
            layers,
            limits,
            tree: Tree::new(layers),
            links: Links::new(layers, limits),
            seen: Vec::new(),
            missing: BTreeMap::new(),
        };
        merge.add_entries();
        for path in analyze::linked_paths() {
            merge.add_linked_path(LayerPath::new(path));
        }
        for directory in analyze::linked_directories() {
            merge.add_linked_directory(&LayerPath::new(directory));
        }
        merge.finish()
    }

    /// The files in merge order: newest layer first, inside a layer the order of the tar. A file that is seen through
    /// a link stands in the link's place.
    pub fn files(&self) -> impl Iterator<Item = &OverlayFile> {
        self.files.iter()
    }

    /// Whether the file is another name of one that is seen at its own path as well.
    pub(crate) fn is_second_name(&self, file: &OverlayFile) -> bool {
        let own = file.linked_to.as_ref().and_then(|path| self.by_path.get(path.as_str()));
        own.and_then(|&own| self.files.get(own)).is_some_and(|own| own.layer == file.layer)
    }

    /// The content of the file at this path: `None` if there is no such file, or it is too large to have been kept.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        let file = self.files.get(*self.by_path.get(path)?)?;
        file.kept.content.as_deref()
    }
}

/// The symbolic links of the merged view that lead to no kept file, with the real path of where they lead: directories,
/// and what was not kept or is not there.
pub(crate) fn directory_links_of(layers: &[CapturedLayer], limits: &Limits) -> Vec<(LayerPath, LayerPath)> {
    let (tree, links) = (Tree::new(layers), Links::new(layers, limits));
    let mut found = Vec::new();
    for (layer, captured) in layers.iter().enumerate() {
        for (index, entry) in captured.capture.entries.iter().enumerate() {
            if matches!(entry.kind, EntryKind::Symlink(_))
                && tree.is_visible(&entry.path, Place { layer, index })
                && let Some((target, _)) = links.directory(&tree, &entry.path)
            {
                found.push((entry.path.clone(), target));
            }
        }
    }
    found
}

/// Whether all that is wanted of a kept file has been asked for, so that reading its layer again brings no more. What no
/// matcher asks for at its own path was kept as an extra.
fn was_asked(path: &LayerPath, want: Want) -> bool {
    let asked = analyze::wants(path).by_name();
    !asked.any() || asked.covers(want)
}

struct Merge<'a> {
    layers: &'a [CapturedLayer],
    limits: &'a Limits,
    tree: Tree<'a>,
    links: Links<'a>,
    /// Files with the place that decides their order.
    seen: Vec<(Place, OverlayFile)>,
    missing: BTreeMap<usize, Extra>,
}

impl Merge<'_> {
    /// All files at their own paths. A hard link is a file at its own path.
    fn add_entries(&mut self) {
        for (layer, captured) in self.layers.iter().enumerate().rev() {
            for (index, entry) in captured.capture.entries.iter().enumerate() {
                let place = Place { layer, index };
                if !matches!(entry.kind, EntryKind::File(_) | EntryKind::HardLink(_))
                    || !self.tree.is_visible(&entry.path, place)
                {
                    continue;
                }
                if let EntryKind::File(kept) = &entry.kind {
                    self.ask_for_whole(place.layer, &entry.path, kept);
                    let (path, kept) = (entry.path.clone(), Arc::clone(kept));
                    self.seen.push((place, OverlayFile { path, kept, layer, linked_to: None }));
                } else {
                    self.add_through_link(entry.path.clone());
                }
            }
        }
    }

    /// Notes a file of which too little was kept as it passed.
    fn ask_for_whole(&mut self, layer: usize, path: &LayerPath, kept: &Kept) {
        let distil = match &kept.distilled {
            Some(Distilled::Executable(Executable::Unreadable(ExecutableFault::NotKept))) => {
                Distil::WholeExecutable
            }
            Some(Distilled::JavaArchive(archive)) if archive.is_not_kept() => Distil::WholeJavaArchive,
            _ => return,
        };
        self.missing.entry(layer).or_default().insert(path.clone(), Want::distilled(distil));
    }

    /// A wanted path that is a link, or lies behind one.
    fn add_linked_path(&mut self, path: LayerPath) {
        if self.tree.visible(&path).is_none_or(|place| self.is_symlink(place)) {
            self.add_through_link(path);
        }
    }

    /// A directory all of whose files are wanted: those behind links in it, and all of them where it is a link itself.
    fn add_linked_directory(&mut self, directory: &LayerPath) {
        let Some((real, via)) = self.links.directory(&self.tree, directory) else { return };
        for link in self.symlinks_below(&real) {
            if let Some(rest) = link.strip_prefix(&real) {
                self.add_through_link(directory.join(rest));
            }
        }
        let Some(via) = via else { return };
        let below: Vec<_> = self
            .seen
            .iter()
            .filter(|(_, file)| file.path.is_within(real.as_str()))
            .filter_map(|(_, file)| {
                let path = directory.join(file.path.strip_prefix(&real)?);
                let linked_to = file.linked_to.as_ref().or(Some(&file.path)).cloned();
                Some((via, OverlayFile { path, linked_to, ..file.clone() }))
            })
            .collect();
        // Files of the real directory are kept only where a matcher asks for them there too.
        if analyze::wants(&real.join("file")).content_bytes == 0 {
            let kept_in: BTreeSet<usize> = below.iter().map(|(_, file)| file.layer).collect();
            for layer in self.tree.directory_layers(&real) {
                if !kept_in.contains(&layer) {
                    self.missing.entry(layer).or_default().insert(real.clone(), Want::CONTENT);
                }
            }
        }
        self.seen.extend(below);
    }

    fn symlinks_below(&self, directory: &LayerPath) -> Vec<LayerPath> {
        let mut found = Vec::new();
        for (layer, captured) in self.layers.iter().enumerate().rev() {
            for (index, entry) in captured.capture.entries.iter().enumerate() {
                if matches!(entry.kind, EntryKind::Symlink(_))
                    && entry.path.is_within(directory.as_str())
                    && self.tree.is_visible(&entry.path, Place { layer, index })
                {
                    found.push(entry.path.clone());
                }
            }
        }
        found
    }

    fn is_symlink(&self, place: Place) -> bool {
        place.entry(self.layers).is_some_and(|entry| matches!(entry.kind, EntryKind::Symlink(_)))
    }

    /// Adds the file that a wanted path leads to, or notes that it is missing.
    fn add_through_link(&mut self, path: LayerPath) {
        let want = analyze::wants(&path).by_name();
        let Some(Via { link, end }) = self.links.follow(&self.tree, &path) else { return };
        match end {
            End::File(place) => {
                let Some(entry) = place.entry(self.layers) else { return };
                let EntryKind::File(kept) = &entry.kind else { return };
                self.ask_for_whole(place.layer, &entry.path, kept);
                let mut kept = Arc::clone(kept);
                let lacks_content = kept.content.is_none()
                    && kept.size_bytes <= want.content_bytes.min(self.limits.kept_file_bytes);
                let lacks_distilled = want.distil.is_some() && kept.distilled.is_none();
                if (lacks_content || lacks_distilled) && !was_asked(&entry.path, want) {
                    self.missing.entry(place.layer).or_default().insert(entry.path.clone(), want);
                    return;
                }
                if want.sha256 && kept.sha256.is_none() {
                    let sha256 = kept.content.as_deref().map(Digest::sha256);
                    Arc::make_mut(&mut kept).sha256 = sha256;
                }
                let linked_to = Some(entry.path.clone());
                self.seen.push((link, OverlayFile { path, kept, layer: place.layer, linked_to }));
            }
            // It was asked for what is wanted, and came to nothing.
            End::NotKept { path, .. } if analyze::wants(&path).covers(want) => {}
            End::NotKept { layer, path } => {
                self.missing.entry(layer).or_default().insert(path, want);
            }
        }
    }

    fn finish(mut self) -> (Overlay, Vec<MissingTarget>) {
        self.seen.sort_by_key(|(place, _)| (Reverse(place.layer), place.index));
        let mut overlay = Overlay { files: Vec::with_capacity(self.seen.len()), by_path: HashMap::new() };
        for (_, file) in self.seen {
            // A wanted file in a wanted directory comes twice.
            overlay.by_path.entry(file.path.clone()).or_insert_with(|| {
                overlay.files.push(file);
                overlay.files.len() - 1
            });
        }
        let missing = self.missing.into_iter().map(|(layer, paths)| MissingTarget { layer, paths }).collect();
        (overlay, missing)
    }
}
