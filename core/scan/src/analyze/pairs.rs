//! Files of applications: a manifest and its lock in one directory.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::DeserializeOwned;

use crate::finding::Gap;
use crate::overlay::{Overlay, OverlayFile};
use crate::path::LayerPath;

/// A file with its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// Where it lies, and from which layer it is.
    pub(super) file: &'a OverlayFile,
    /// Its content, not empty.
    pub(super) content: &'a [u8],
}

impl<'a> Text<'a> {
    /// A file whose content was kept and isn't empty: an empty file counts as none.
    pub(super) fn of(file: &'a OverlayFile) -> Option<Self> {
        let content = file.kept.content.as_deref().filter(|content| !content.is_empty())?;
        Some(Self { file, content })
    }

    /// The content as text, without a byte order mark. Bytes that aren't UTF-8 become replacement characters, as for
    /// readers of the ecosystems.
    pub(super) fn lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(self.content))
    }

    /// The content as JSON; a file that can't be read so is a gap, and costs itself only.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Gap> {
        serde_json::from_str(&self.lossy()).map_err(|error| {
            self.gap("file_unreadable", &format!("the file is not what its name says: {error}"))
        })
    }

    /// A gap about this file.
    pub(super) fn gap(&self, code: &'static str, reason: &str) -> Gap {
        Gap { path: self.file.path.clone(), code, reason: reason.to_owned() }
    }
}

/// The files of that name, in merge order.
pub(super) fn named<'a>(overlay: &'a Overlay, name: &'static str) -> impl Iterator<Item = Text<'a>> {
    overlay.files().filter_map(Text::of).filter(move |text| text.file.path.file_name() == name)
}

/// Two files of one directory.
pub(super) struct FilePair<'a> {
    /// The manifest.
    pub(super) first: Text<'a>,
    /// The lock.
    pub(super) second: Text<'a>,
}

/// The directories that have a file of both names, in merge order of the first of the two.
pub(super) fn pairs<'a>(overlay: &'a Overlay, first: &str, second: &str) -> Vec<FilePair<'a>> {
    let mut order = Vec::new();
    let mut found: HashMap<LayerPath, [Option<Text<'a>>; 2]> = HashMap::new();
    for text in overlay.files().filter_map(Text::of) {
        let name = text.file.path.file_name();
        let Some(slot) = [first, second].iter().position(|wanted| *wanted == name) else { continue };
        let directory = text.file.path.parent();
        let slots = found.entry(directory.clone()).or_insert_with(|| {
            order.push(directory);
            [None, None]
        });
        if let Some(slot) = slots.get_mut(slot) {
            *slot = Some(text);
        }
    }
    order
        .iter()
        .filter_map(|directory| match found.get(directory)? {
            [Some(first), Some(second)] => Some(FilePair { first: *first, second: *second }),
            _ => None,
        })
        .collect()
}
