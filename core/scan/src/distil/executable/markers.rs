//! Bytes that every program of a language contains, looked for while it passes.

use memchr::memmem;

/// Go's build information begins with it.
pub(super) const GO: &[u8] = b"\xff Go buildinf:";
/// The name of the section that `cargo auditable` adds.
pub(super) const CRATES: &[u8] = b".dep-v0";
/// Where notes are, and the names of what a dynamic linker has to do, in bytes from the beginning.
const EARLY_BYTES: usize = 64 << 10;
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

/// Whether a program may be written in Go or Rust, by its first MiB: what it needs, and what its linker and compiler
/// left there. For files that are too large to be held in memory for nothing; most of those are libraries in C++.
pub(super) fn may_be_go_or_rust(start: &[u8]) -> bool {
    let has = |text: &[u8]| memmem::find(start, text).is_some();
    let early = start.get(..EARLY_BYTES).unwrap_or(start);
    let has_early = |text: &[u8]| memmem::find(early, text).is_some();
    // Paths of the standard library's sources in messages of panics; a function that Go exports for C to call.
    if has_go_note(start) || has(GO) || has(b"/rustc/") || has(b"crosscall2") {
        return true;
    }
    if has(b"libstdc++.so") || has(b"libc++.so") {
        return false;
    }
    // Programs, or libraries with Rust's way of unwinding.
    has_early(b"/ld-")
        || !has_early(b".so")
        || start.get(16..18).is_some_and(|kind| kind.contains(&2))
        || has(b"libgcc_s.so")
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

    #[test]
    fn large_files_are_spooled_where_they_may_be_of_either_language() {
        let rows: [(&str, u8, &[&[u8]], bool); 9] = [
            ("library in C", 3, &[b"libc.so.6"], false),
            ("library in C++", 3, &[b"libstdc++.so.6", b"libgcc_s.so.1", b"libc.so.6"], false),
            ("program in C++", 3, &[b"/lib64/ld-linux-x86-64.so.2", b"libstdc++.so.6"], false),
            ("library of Rust", 3, &[b"libgcc_s.so.1", b"libc.so.6"], true),
            ("Rust beside C++", 3, &[b"libstdc++.so.6", b"/rustc/90b35a62/library/core"], true),
            ("program", 3, &[b"/lib/ld-musl-x86_64.so.1", b"libc.so"], true),
            ("static program", 2, &[b"libc.so"], true),
            ("static program, position-independent", 3, &[], true),
            ("Go with C++", 2, &[b"\x04\0\0\0Go\0\0", b"libstdc++.so.6"], true),
        ];
        for (name, kind, texts, expected) in rows {
            let mut start = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
            start.extend([kind, 0]);
            start.extend(texts.concat());
            assert_eq!(may_be_go_or_rust(&start), expected, "{name}");
        }
    }
}
