//! Bytes that every program of a language contains, looked for while it passes.

use memchr::memmem;

/// Go's build information begins with it.
pub(super) const GO: &[u8] = b"\xff Go buildinf:";
/// The name of the section that `cargo auditable` adds.
pub(super) const CRATES: &[u8] = b".dep-v0";
/// Where notes are, in bytes from the beginning.
pub(super) const EARLY_BYTES: usize = 64 << 10;
/// Bytes of a piece that may be the start of a marker that goes on in the next one.
const OVERLAP: usize = GO.len() - 1;

/// Which of them a file contains.
#[derive(Debug, Default)]
pub(super) struct Markers {
    pub(super) has_go: bool,
    pub(super) has_crates: bool,
    end_of_last: Vec<u8>,
}

impl Markers {
    /// What was found in some other way.
    pub(super) fn found(has_go: bool, has_crates: bool) -> Self {
        Self { has_go, has_crates, end_of_last: Vec::new() }
    }

    /// Looks at the next piece of a file.
    pub(super) fn look(&mut self, piece: &[u8]) {
        let mut seam = std::mem::take(&mut self.end_of_last);
        seam.extend(piece.iter().take(OVERLAP));
        for part in [&seam, piece] {
            self.has_go = self.has_go || memmem::find(part, GO).is_some();
            self.has_crates = self.has_crates || memmem::find(part, CRATES).is_some();
        }
        // A piece shorter than the overlap keeps what was before it.
        let end = if piece.len() < OVERLAP { &seam } else { piece };
        self.end_of_last = end.get(end.len().saturating_sub(OVERLAP)..).unwrap_or_default().to_vec();
    }

    /// Whether there is one.
    pub(super) fn any(&self) -> bool {
        self.has_go || self.has_crates
    }
}

/// Whether the start of a file has the note with which Go's linker begins: its type, and `Go` as its owner.
pub(super) fn has_go_note(start: &[u8]) -> bool {
    let early = start.get(..EARLY_BYTES).unwrap_or(start);
    [b"\x04\0\0\0Go\0\0", b"\0\0\0\x04Go\0\0"].iter().any(|note| memmem::find(early, *note).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_however_the_file_comes() {
        let file = [&b"\x7fELF...."[..], GO, b"..........", CRATES, b"."].concat();
        for size in 1..file.len() {
            let mut markers = Markers::default();
            file.chunks(size).for_each(|piece| markers.look(piece));
            assert!(markers.has_go && markers.has_crates, "in pieces of {size} bytes");
        }
    }
}
