//! Following links inside the image (`path_resolution(7)`, with the image's root as the root).

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::tree::{NodeId, Place, Tree};
use crate::capture::{CapturedLayer, EntryKind};
use crate::limits::Limits;
use crate::path::{LayerPath, PathHash};

/// Components looked up for one image. Real images need some thousand; a hostile one with long chains of long links
/// stops here, and further links count as dangling.
const MAX_STEPS: u64 = 20_000_000;

/// Where a path leads.
pub(super) struct Via {
    /// The first link on the way.
    pub(super) link: Place,
    pub(super) end: End,
}

/// What is at the end of links.
pub(super) enum End {
    /// A kept file.
    File(Place),
    /// A file that was not kept.
    NotKept { layer: usize, path: LayerPath },
}

pub(super) struct Links<'a> {
    layers: &'a [CapturedLayer],
    link_depth: u32,
    /// Every layer's own entry at the target of a hard link, by the target and the layer.
    hard_link_targets: HashMap<(&'a LayerPath, usize), usize>,
    steps: Cell<u64>,
}

/// What a hard link is another name of.
enum HardLinkTarget<'a> {
    File(Place),
    Symlink(&'a str),
    NotKept(usize, LayerPath),
}

impl<'a> Links<'a> {
    pub(super) fn new(layers: &'a [CapturedLayer], limits: &Limits) -> Self {
        let entries = || layers.iter().flat_map(|layer| &layer.capture.entries);
        let targets: HashSet<&LayerPath> = entries()
            .filter_map(|entry| match &entry.kind {
                EntryKind::HardLink(target) => Some(target),
                _ => None,
            })
            .collect();
        let mut hard_link_targets = HashMap::new();
        for (layer, captured) in layers.iter().enumerate() {
            for (index, entry) in captured.capture.entries.iter().enumerate() {
                let is_node = !matches!(entry.kind, EntryKind::Whiteout | EntryKind::Opaque);
                if is_node && targets.contains(&entry.path) {
                    hard_link_targets.insert((&entry.path, layer), index);
                }
            }
        }
        Self { layers, link_depth: limits.link_depth, hard_link_targets, steps: Cell::new(0) }
    }

    /// The file that a path leads to, over one link at least. `None` if there is no link on the way, or no file at
    /// the end.
    pub(super) fn follow(&self, tree: &Tree<'a>, path: &LayerPath) -> Option<Via> {
        let mut walk = Walk::new(self, tree, path);
        let end = match walk.run()? {
            Stop::File(place) => End::File(place),
            Stop::NotKept(layer, path) => End::NotKept { layer, path },
            Stop::Elsewhere(path) => {
                let layer = tree.passed_layer(&path)?;
                End::NotKept { layer, path }
            }
        };
        Some(Via { link: walk.first_link?, end })
    }

    /// The real path of a directory, and the first link on the way if there is one. `None` if the path leads to a
    /// file or nowhere; that there is a directory is not checked.
    pub(super) fn directory(&self, tree: &Tree<'a>, path: &LayerPath) -> Option<(LayerPath, Option<Place>)> {
        let mut walk = Walk::new(self, tree, path);
        match walk.run()? {
            Stop::Elsewhere(real) => Some((real, walk.first_link)),
            Stop::File(_) | Stop::NotKept(..) => None,
        }
    }

    /// A hard link names a file of its own layer, or else of a lower one. What newer layers do to that name doesn't
    /// matter to it.
    fn hard_link_target(&self, link: Place, target: &LayerPath) -> Option<HardLinkTarget<'a>> {
        let mut target = target;
        let mut top = link.layer;
        for _ in 0..=self.link_depth {
            let hash = PathHash::of(target).value();
            let mut next = None;
            for layer in (0..=top).rev() {
                self.take_steps(1)?;
                let captured = self.layers.get(layer)?;
                if let Some(&index) = self.hard_link_targets.get(&(target, layer)) {
                    next = Some(Place { layer, index });
                    break;
                }
                if captured.capture.hidden_by_files.binary_search(&hash).is_ok() {
                    return Some(HardLinkTarget::NotKept(layer, target.clone()));
                }
            }
            let place = next?;
            match &place.entry(self.layers)?.kind {
                EntryKind::File(_) => return Some(HardLinkTarget::File(place)),
                EntryKind::Symlink(text) => return Some(HardLinkTarget::Symlink(text)),
                EntryKind::HardLink(further) => (target, top) = (further, place.layer),
                EntryKind::Whiteout | EntryKind::Opaque => return None,
            }
        }
        None
    }

    fn take_steps(&self, n: usize) -> Option<()> {
        self.steps.set(self.steps.get().saturating_add(n as u64));
        (self.steps.get() <= MAX_STEPS).then_some(())
    }
}

/// One path on its way.
struct Walk<'w, 'a> {
    links: &'w Links<'a>,
    tree: &'w Tree<'a>,
    /// Where we are: names from the root, with their nodes as far as the tree knows them.
    at: Vec<(Option<NodeId>, &'w str)>,
    /// Components still to go, the next one last.
    rest: Vec<&'w str>,
    first_link: Option<Place>,
    n_links: u32,
    /// Whether there may be links in `at`.
    has_passed_literally: bool,
}

enum Stop {
    File(Place),
    NotKept(usize, LayerPath),
    /// At something that is no kept entry: a directory, a file that was not kept, or nothing.
    Elsewhere(LayerPath),
}

impl<'w, 'a: 'w> Walk<'w, 'a> {
    fn new(links: &'w Links<'a>, tree: &'w Tree<'a>, path: &'w LayerPath) -> Self {
        let rest = path.components().rev().collect();
        Self { links, tree, at: Vec::new(), rest, first_link: None, n_links: 0, has_passed_literally: false }
    }

    fn run(&mut self) -> Option<Stop> {
        while let Some(name) = self.rest.pop() {
            self.links.take_steps(1)?;
            if name == ".." {
                self.at.pop();
                continue;
            }
            let parent = self.at.last().map_or(Some(Tree::ROOT), |(id, _)| *id);
            let id = parent.and_then(|parent| self.tree.child(parent, name));
            self.at.push((id, name));
            let Some((id, place)) = id.and_then(|id| Some((id, self.tree.visible_at(id)?))) else { continue };
            if self.is_passed_literally(id)? {
                self.has_passed_literally = true;
                continue;
            }
            match &place.entry(self.links.layers)?.kind {
                // There is nothing below a file, save in a broken layer, and what that has counts at its path.
                EntryKind::File(_) if !self.rest.is_empty() => {}
                EntryKind::File(_) => return Some(Stop::File(place)),
                EntryKind::Symlink(target) => self.turn(place, target)?,
                EntryKind::HardLink(target) => match self.links.hard_link_target(place, target)? {
                    HardLinkTarget::Symlink(target) => self.turn(place, target)?,
                    _ if !self.rest.is_empty() => {}
                    HardLinkTarget::File(file) => {
                        self.first_link.get_or_insert(place);
                        return Some(Stop::File(file));
                    }
                    HardLinkTarget::NotKept(layer, target) => {
                        self.first_link.get_or_insert(place);
                        return Some(Stop::NotKept(layer, target));
                    }
                },
                EntryKind::Whiteout | EntryKind::Opaque => return None,
            }
        }
        Some(Stop::Elsewhere(LayerPath::from_components(self.at.iter().map(|(_, name)| *name))))
    }

    /// Goes on where the symbolic link at the current position points to.
    fn turn(&mut self, link: Place, target: &'w str) -> Option<()> {
        self.n_links += 1;
        if self.n_links > self.links.link_depth {
            return None;
        }
        self.first_link.get_or_insert(link);
        if target.starts_with('/') {
            self.at.clear();
        } else {
            self.at.pop();
        }
        self.rest.extend(target.split('/').rev().filter(|name| !matches!(*name, "" | ".")));
        if self.has_passed_literally {
            self.rest.extend(self.at.drain(..).rev().map(|(_, name)| name));
            self.has_passed_literally = false;
        }
        Some(())
    }

    /// Whether the rest of the path, taken literally, is an entry too. It lies below a non-directory then: the layer
    /// was written through a link of a lower one, without an entry for the directory. The entry counts at its path.
    fn is_passed_literally(&self, id: NodeId) -> Option<bool> {
        if self.rest.is_empty() || self.rest.contains(&"..") {
            return Some(false);
        }
        let end = self.rest.iter().rev().try_fold(id, |id, name| self.tree.child(id, name));
        if end.is_some_and(|id| self.tree.visible_at(id).is_some()) {
            return Some(true);
        }
        let names = self.at.iter().map(|(_, name)| *name).chain(self.rest.iter().rev().copied());
        let path = LayerPath::from_components(names);
        self.links.take_steps(self.links.layers.len() * path.components().count())?;
        Some(self.tree.passed_layer(&path).is_some())
    }
}
